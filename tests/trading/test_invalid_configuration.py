"""A configuration with errors: the strategy starts, says so, and sends nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
from nautilus_trader.common import ImportableActorConfig
from nautilus_trader.model import Currency, CurrencyPair, CurrencyType, InstrumentId, Symbol
from nautilus_trader.trading import ImportableStrategyConfig
from scripting import PAIRS, XRP_USDT, Outcome, Watched, book, config, iid, make_engine, trade

from mm_nautilus.config.strategy import MarketMakerConfig

ROOT = Path(__file__).resolve().parents[2]
CALM = (2.3495, 2.3505)
DATA = [book(0, *CALM), book(1, *CALM), trade(2, 2.348, 10, "sell"), book(3, *CALM)]


@pytest.fixture
def engine():
    engine = make_engine()
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (config(gamma=5.0), "gamma must be between 0.01 and 1.0, got 5.0"),
        (config(gamma=float("nan")), "gamma"),
        (config(min_spread_pct="0.1"), "min_spread_pct"),
        (config(stop_loss_pct=True), "stop_loss_pct"),
        (config(gama=0.1), "did you mean gamma?"),
        (config(stop_loss_pct=None), "stop_loss_pct"),
        (config(symbols={"XRP/USD": {}}), "did you mean XRP/USDT?"),
        (config(symbols={XRP_USDT: {"gamma": 5.0}}), "gamma"),
        (config(venue="BINANCE"), XRP_USDT),
        (config(position_size="1 XRP"), "must be at least 2.000000 XRP"),
        (config(symbols={}), "symbols"),
        (config(strategy_id="no hyphen"), "strategy_id"),
        (config(order_id_tag="a b"), "order_id_tag"),
        ({}, "Missing required config: stop_loss_pct"),
        (None, "must be a mapping"),
    ],
)
def test_nothing_is_sent_and_the_error_is_kept(run, given, text):
    mm = Watched(given)
    outcome = run(mm, DATA)
    errors = [warning for warning in mm.config_warnings if not warning.startswith("Warning:")]
    assert [error for error in errors if text in error], mm.config_warnings
    assert outcome.orders == []
    assert mm.failures == []
    assert mm.position_entries == {}
    assert mm.indicators == {}


def test_an_instrument_in_cents_is_refused(engine):
    """It was made before the package gave the currency its digits; each fee would be rounded to a cent."""
    cents = Currency("USD", 2, 840, "United States dollar", CurrencyType.FIAT)
    known = PAIRS[XRP_USDT]
    engine.add_instrument(
        CurrencyPair(
            InstrumentId.from_str("XRP/USD.KRAKEN"),
            Symbol("XRP/USD"),
            known.base_currency,
            cents,
            known.price_precision,
            known.size_precision,
            known.price_increment,
            known.size_increment,
            0,
            0,
        )
    )
    mm = Watched(config("XRP/USD", report_currency="USD"))
    engine.add_strategy(mm)
    engine.run()
    (error,) = [text for text in mm.config_warnings if not text.startswith("Warning:")]
    assert (
        "XRP/USD: money in USD must be kept with at least 8 decimal places, was 2 in XRP/USD.KRAKEN" in error
    )
    assert mm.symbols == {}


def test_a_risk_is_kept_and_the_run_goes_on(run):
    mm = Watched(config(take_profit_pct=1.0, stop_loss_pct=10.0))
    outcome = run(mm, DATA)
    assert [text for text in mm.config_warnings if "Poor R:R ratio (0.10:1), requires 91% win rate" in text]
    assert all(text.startswith("Warning:") for text in mm.config_warnings)
    assert outcome.fills


def test_a_model_does_as_well_as_a_mapping(run):
    mm = Watched(MarketMakerConfig.model_validate(config()))
    assert len(run(mm, DATA).fills) == 1


def test_the_strategy_and_tag_are_the_engines_too(run):
    mm = Watched(config(strategy_id="Maker-XYZ", order_id_tag="XYZ"))
    outcome = run(mm, DATA)
    assert str(mm.strategy_id) == "Maker-XYZ"
    assert all("-XYZ-" in order.client_order_id.value for order in outcome.orders)


def strategy_by_path(**changes) -> ImportableStrategyConfig:
    return ImportableStrategyConfig(
        strategy_path="mm_nautilus:MarketMaker",
        config_path="mm_nautilus:MarketMakerConfig",
        config=config(**changes),
    )


def test_strategy_and_actor_by_import_path(engine):
    engine.add_actor_from_config(
        ImportableActorConfig(
            actor_path="mm_nautilus:MetricsActor",
            config_path="mm_nautilus:MetricsActorConfig",
            config={"interval_seconds": 1},
        )
    )
    engine.add_strategy_from_config(strategy_by_path())
    engine.add_data(DATA)
    engine.run()
    outcome = Outcome(engine)
    outcome.read()
    assert [(fill.side, fill.size) for fill in outcome.fills] == [("buy", 10.0)]
    assert engine.portfolio.net_position(iid(XRP_USDT)) == 10


def test_an_unknown_key_by_import_path_is_refused_at_once(engine):
    with pytest.raises(RuntimeError, match="gama"):
        engine.add_strategy_from_config(strategy_by_path(gama=0.1))


LOGGED = """
import sys
sys.path.insert(0, "tests/trading")
from nautilus_trader.common import LoggerConfig, LogLevel
from nautilus_trader.model import (
    BookAction, BookOrder, CryptoPerpetual, Currency, CurrencyPair, InstrumentId, OrderBookDelta, OrderBookDeltas,
    OrderSide, Price, Quantity, Symbol,
)
from scripting import BTC_USDT, XRP_BTC, XRP_USDT, book, config, depth, iid, make_engine, ns

from mm_nautilus import MarketMaker

engine = make_engine(cash=False, logging=LoggerConfig(stdout_level=LogLevel.ERROR, is_colored=False))
quantity = Quantity.from_str("0.50000000")
xrp, usdt = Currency.from_str("XRP"), Currency.from_str("USDT")
numbers = (5, 6, Price.from_str("0.00001"), Quantity.from_str("0.000001"), 0, 0)
perpetual = InstrumentId.from_str("XRPUSDT-PERP.KRAKEN"), Symbol("XRPUSDT-PERP"), xrp, usdt, xrp
thousands = InstrumentId.from_str("XRPUSDT.KRAKEN"), Symbol("XRPUSDT"), xrp, usdt
engine.add_instrument(CryptoPerpetual(*perpetual, True, *numbers))
engine.add_instrument(CurrencyPair(*thousands, *numbers, multiplier=Quantity.from_str("1000")))
symbols = ["XRPUSDT-PERP", "XRPUSDT", "XRP/USTD", XRP_BTC, BTC_USDT]
for number, symbol in enumerate(symbols):
    settings = config(symbols={symbol: {}}, order_id_tag=f"00{number}")
    if symbol == XRP_BTC:
        settings |= {"position_size": "10 XRP", "max_inventory": "100 XRP", "report_currency": "BTC"}
    if symbol == BTC_USDT:
        settings |= {"position_size": "0.001 BTC", "max_inventory": "0.01 BTC"}
    engine.add_strategy(MarketMaker(settings))
engine.add_strategy(MarketMaker(config(gamma=5.0, order_id_tag="009")))
sides = 2 * [(OrderSide.BUY, "100000.0"), (OrderSide.SELL, "100000.1")]
orders = [BookOrder(side, Price.from_str(at), quantity, number) for number, (side, at) in enumerate(sides, 1)]
rows = [OrderBookDelta(iid(BTC_USDT), BookAction.ADD, order, 160, 0, ns(0), ns(0)) for order in orders]
calm = [book(at, 2.3495, 2.3505) for at in (0, 1)]
engine.add_data([OrderBookDeltas(iid(BTC_USDT), rows), *calm, depth(1, 0.00002, 0.00003, XRP_BTC)])
engine.run()
engine.dispose()
"""


def test_why_nothing_is_quoted_is_an_error_in_the_log() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGGED], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "[ERROR]" in line]
    for words in (
        "XRPUSDT-PERP: XRPUSDT-PERP.KRAKEN is an inverse contract: its profit in XRP is not linear in the price",
        "XRPUSDT: the multiplier of XRPUSDT.KRAKEN must be 1, was 1000; only spot pairs and linear",
        "did you mean XRP/USDT?), was XRP/USTD",
        "MM: XRP/BTC never had a book: book_data must be the kind of book that the data holds",
        "gamma must be between 0.01 and 1.0, got 5.0",
        "MM: BTC/USDT not quoting: its book must hold the total size of each level, was single orders",
    ):
        assert [line for line in lines if words in line], done.stderr
    assert len([line for line in lines if "configuration has errors, not quoting" in line]) == 4
