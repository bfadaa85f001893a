"""A first configuration fits the instruments it is for, and runs."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_markets import MID_TICKS, SECOND, T0, MadeMarket, instrument
from whole_runs import ROOT

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.checks.config_source import load_config, load_sandbox_config
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.config.template import template_text
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.expected_fills import QuoteSizes, expected_fills
from mm_nautilus.runs.inputs import prepare
from mm_nautilus.runs.starter import StarterFees, starter_config, starter_sandbox

type Begin = Callable[..., RunConfig]

NO_MAKER_FEE = StarterFees(maker_pct=0.0)


@pytest.fixture
def begin(tmp_path: Path) -> Begin:
    """Write a configuration for a catalog and read it as a run does; without a maker fee every width pays."""

    def begin(catalog: Path, *names: str, fees: StarterFees = NO_MAKER_FEE) -> RunConfig:
        starter = starter_config(catalog, names or None, fees)
        values = {("catalog",): str(catalog), **starter.values}
        file = tmp_path / "begun.yaml"
        file.write_text(template_text(RunConfig, values, ["Begun."], starter.notes), encoding="utf-8")
        return load_config(file).config

    return begin


def made(folder: Path, *specs: InstrumentSpec, seconds: int = 60, **market: float) -> Path:
    for spec in specs:
        MadeMarket(seconds=seconds, **market).write(folder, spec)
    return folder


def amounts(config: RunConfig, symbol: str) -> tuple[str, str]:
    params = config.strategy.for_symbol(symbol)
    return str(params.position_size), str(params.max_inventory)


def test_the_sample_gives_round_sizes_of_about_twenty_dollars(begin: Begin) -> None:
    config = begin(ROOT / "catalog")
    assert amounts(config, "XRP/USDT") == amounts(config, "XRP/BTC") == ("10 XRP", "50 XRP")
    assert amounts(config, "BTC/USDT") == ("0.0002 BTC", "0.001 BTC")
    assert [str(amount) for amount in config.venue.starting_balances] == ["0.005 BTC", "500 USDT", "200 XRP"]
    assert config.strategy.report_currency == "USDT"
    assert not prepare(config).warnings


def test_sizes_are_twice_the_venues_minimums(begin: Begin, tmp_path: Path) -> None:
    spec = replace(instrument("AAA/USDT"), min_quantity=Decimal(700), min_notional=Decimal(5))
    config = begin(made(tmp_path / "c", spec))
    assert amounts(config, "AAA/USDT") == ("2000 AAA", "10000 AAA")
    assert not prepare(config).warnings


def test_sizes_are_no_larger_than_the_venues_largest_order(begin: Begin, tmp_path: Path) -> None:
    spec = replace(instrument("AAA/USDT"), max_quantity=Decimal("0.1"))
    config = begin(made(tmp_path / "c", spec))
    assert amounts(config, "AAA/USDT")[0] == "0.1 AAA"
    assert not prepare(config).warnings


def test_without_dollars_totals_are_in_a_currency_that_all_lead_to(begin: Begin) -> None:
    config = begin(ROOT / "catalog", "XRP/BTC")
    assert config.strategy.report_currency == "BTC"
    assert amounts(config, "XRP/BTC") == ("50 XRP", "250 XRP")
    assert not prepare(config).warnings


def test_without_dollars_sizes_are_those_of_the_trades(begin: Begin, tmp_path: Path) -> None:
    """The made market trades a lot of 0.01 at a time, at 100 yen."""
    spec = replace(instrument("XRP/JPY"), max_quantity=Decimal(3))
    config = begin(made(tmp_path / "c", spec))
    assert amounts(config, "XRP/JPY") == ("0.01 XRP", "0.05 XRP")
    assert [str(amount) for amount in config.venue.starting_balances] == ["0.1 XRP", "10 JPY"]
    assert "median of the catalog's first trades" in starter_config(tmp_path / "c").sizes
    dear = begin(made(tmp_path / "d", replace(spec, min_quantity=Decimal(2), max_notional=Decimal(250))))
    assert amounts(dear, "XRP/JPY")[0] == "1.25 XRP"


def test_francs_and_pounds_count_as_dollars(begin: Begin, tmp_path: Path) -> None:
    config = begin(made(tmp_path / "c", instrument("AAA/CHF")))
    assert amounts(config, "AAA/CHF") == ("0.2 AAA", "1 AAA")
    assert starter_config(tmp_path / "c").sizes.startswith("A quote's size is worth about 20 CHF")


def test_fees_are_given_where_the_instrument_has_none(begin: Begin, tmp_path: Path) -> None:
    spec = replace(instrument("AAA/USDT"), maker_fee_rate=None, taker_fee_rate=None)
    catalog = made(tmp_path / "c", spec)
    config = begin(catalog, fees=StarterFees())
    assert config.venue.fees is not None
    assert (config.venue.fees.maker_fee_pct, config.venue.fees.taker_fee_pct) == (0.1, 0.1)
    prepare(config)
    given = begin(catalog, fees=StarterFees(0.02, 0.05))
    assert given.venue.fees is not None
    assert (given.venue.fees.maker_fee_pct, given.venue.fees.taker_fee_pct) == (0.02, 0.05)
    assert begin(made(tmp_path / "own", instrument("AAA/USDT")), fees=StarterFees()).venue.fees is None


@pytest.mark.parametrize("fee", [5.01, -6.0, float("nan")])
def test_fees_that_no_venue_takes_are_refused(fee: float) -> None:
    with pytest.raises(ConfigError) as caught:
        StarterFees(fee, fee)
    assert [text.rpartition(", was ")[0] for text in caught.value.problems] == [
        f"the {name} fee must be between -5 and 5 %" for name in ("maker", "taker")
    ]


# -- What the market says -----------------------------------------------------------------------------------


def test_a_fee_that_no_taker_pays_for_is_told_and_the_proposal_still_trades(begin: Begin) -> None:
    starter = starter_config(ROOT / "catalog", ["XRP/USDT"])
    (words,) = starter.expectations
    assert words.startswith(
        "XRP/USDT IS EXPECTED TO LOSE: a maker fee of 0.25 % needs quotes 0.5 % apart, with about 0 fills an hour. "
        "Proposed are quotes 0.11 % apart: about 12 fills an hour, each losing 19.5 bps, "
    )
    config = begin(ROOT / "catalog", "XRP/USDT", fees=StarterFees())
    (risk,) = prepare(config).warnings
    assert "a round trip between our own quotes loses" in risk
    params = config.strategy.for_symbol("XRP/USDT")
    assert (params.min_spread_pct, params.min_edge_bps) == (0.11, None)


def test_every_value_that_is_proposed_has_its_reason() -> None:
    starter = starter_config(ROOT / "catalog", ["XRP/USDT"], StarterFees(maker_pct=0.0))
    (words,) = starter.expectations
    assert "IS EXPECTED TO LOSE" not in words
    proposed = {path for path in starter.values if path[:2] == ("strategy", "symbols")}
    assert {path[-1] for path in proposed} == {
        *("position_size", "max_inventory", "min_spread_pct", "min_edge_bps"),
        *("base_volatility_pct", "take_profit_pct", "stop_loss_pct"),
    }
    text = " ".join(
        template_text(RunConfig, {("catalog",): "c", **starter.values}, [], starter.notes).split()
    )
    for path in proposed:
        assert starter.notes[path].replace("  ", " ") in text.replace(" # ", " ")


def test_stops_lie_beyond_the_width_and_the_moves_of_some_minutes(tmp_path: Path) -> None:
    wild = made(tmp_path / "c", instrument("AAA/USDT"), volatility_bps=10.0)
    values = starter_config(wild, None, StarterFees(0.0, 0.0)).values
    stop = values["strategy", "symbols", "AAA/USDT", "stop_loss_pct"]
    assert stop == pytest.approx(5 * 10.0 * 60**0.5 / 100, rel=0.3)
    wide = made(tmp_path / "d", instrument("AAA/USDT"), kappa_per_bps=0.01)
    values = starter_config(wide, None, StarterFees(0.0, 0.0)).values
    width = values["strategy", "symbols", "AAA/USDT", "min_spread_pct"]
    assert width > 1
    assert values["strategy", "symbols", "AAA/USDT", "take_profit_pct"] == pytest.approx(2 * width, abs=0.1)


def test_silences_of_a_quiet_book_are_no_fault_of_its_feed(tmp_path: Path) -> None:
    catalog = made(tmp_path / "c", instrument("AAA/USDT"))
    path = ("strategy", "symbols", "AAA/USDT", "stale_after_seconds")
    assert path not in starter_config(catalog).values
    spec = instrument("BBB/USDT")
    times = T0 + np.arange(20) * 40 * SECOND
    rows = [
        (time, action, side, MID_TICKS + shift, lots, flags)
        for number, time in enumerate(times.tolist())
        for action, side, shift, lots, flags in (
            (Action.CLEAR, Side.NONE, -MID_TICKS, 0, 0),
            (Action.ADD, Side.BID, -1 - number % 3, 10, 0),
            (Action.ADD, Side.ASK, 1, 10, Flag.LAST),
        )
    ]
    time, action, side, price, lots, flags = np.array(rows, dtype=np.int64).T
    with staged_catalog(tmp_path / "slow") as writer:
        writer.write_instrument(spec)
        writer.write_block(spec, DeltaBlock(time, time, action, side, price, lots, flags, time // 1000))
    starter = starter_config(tmp_path / "slow")
    assert starter.values["strategy", "symbols", "BBB/USDT", "stale_after_seconds"] == 80.0
    assert starter.expectations == (
        "BBB/USDT: fills cannot be estimated, as the data has no trades; quotes are 0.2 % apart.",
    )


def test_only_the_beginning_of_a_long_recording_is_read(tmp_path: Path) -> None:
    """A change of the market after the first hour changes nothing."""
    spec = instrument("AAA/USDT")
    calm = MadeMarket(seconds=3700, sells_a_second=0.05, buys_a_second=0.05)
    calm.write(tmp_path / "hour", spec)
    calm.write(tmp_path / "day", spec)
    later = replace(calm, seconds=60, kappa_per_bps=0.01, volatility_bps=20.0, start_ns=T0 + 4000 * SECOND)
    later.write(tmp_path / "day", spec)
    assert starter_config(tmp_path / "hour") == starter_config(tmp_path / "day")


MARKETS = {
    "a price without decimals": (
        replace(instrument("BTC/JPY"), price_increment=Decimal(1), size_increment=Decimal("0.0001")),
        {},
    ),
    "a price of many decimals": (
        replace(instrument("AAA/USDT"), price_increment=Decimal("0.00000001"), size_increment=Decimal(1)),
        {},
    ),
    "wide": (instrument("AAA/USDT"), {"kappa_per_bps": 0.02}),
    "quiet": (instrument("AAA/USDT"), {"sells_a_second": 0.02, "buys_a_second": 0.02, "volatility_bps": 0.1}),
    "volatile": (instrument("AAA/USDT"), {"volatility_bps": 5.0}),
    "one-sided": (
        replace(instrument("AAA/USDT", maker_fee="0.0001"), size_increment=Decimal(1)),
        {"sells_a_second": 1e-4},
    ),
    "orders filled in parts": (instrument("AAA/USDT", maker_fee="0"), {"volatility_bps": 0.2}),
}
SHORT = {"orders filled in parts"}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in SHORT else pytest.mark.long) for kind in MARKETS],
)
def test_a_first_configuration_trades_about_as_expected(begin: Begin, tmp_path: Path, kind: str) -> None:
    spec, market = MARKETS[kind]
    catalog = made(tmp_path / "c", spec, seconds=900, **market)
    totals = traded_as_expected(begin, catalog, tmp_path / "runs", fees=StarterFees())
    if kind == "orders filled in parts":
        assert totals["fills"] > 2 * totals["orders_placed"]


def test_a_pair_of_wide_ticks_trades_about_as_expected(begin: Begin, tmp_path: Path) -> None:
    """XRP/BTC is quoted at the touch and a tick or two behind it, a few ticks in all."""
    traded_as_expected(begin, ROOT / "catalog", tmp_path / "runs", "XRP/BTC", fees=NO_MAKER_FEE)


def traded_as_expected(
    begin: Begin, catalog: Path, folder: Path, *names: str, fees: StarterFees
) -> dict[str, Any]:
    """Run a first configuration, compare its executions with those expected, and return its only symbol's totals."""
    config = begin(catalog, *names, fees=fees)
    output = config.output.model_copy(update={"directory": folder, "report": False, "journal": "none"})
    outcome = run_backtest(config.model_copy(update={"output": output}))
    (totals,) = outcome.summary["symbols"].values()
    (words,) = starter_config(catalog, names or None, fees).expectations
    *_, an_hour = re.findall(r"about ([\d.,]+) fills", words)
    expected = float(an_hour.replace(",", "")) * outcome.summary["period"]["seconds"] / 3600
    assert totals["fills"] > 0
    assert expected == pytest.approx(totals["fills"], rel=0.15, abs=2)
    return totals


def test_a_command_that_comes_after_its_order_was_filled_places_none() -> None:
    """A bid of 10 lots at 990 is filled while an amend to 995 follows the mid; a cooldown forbids the next one."""
    moved, arrived = (1004, 1006, 5, 5), T0 + SECOND * 13 // 10
    touch = np.array([(T0, 999, 1001, 5, 5), (T0 + SECOND, *moved), (arrived, *moved)]).T
    touches = TouchSeries(*touch, T0 + 3 * SECOND)
    times, ticks = T0 + np.array([1_001, 1_500]) * SECOND // 1_000, np.array([980, 993])
    trades = TradeBlock(times, times, ticks, np.full(2, 50), np.full(2, Side.ASK), ["1", "2"])
    sizes = QuoteSizes(quote=10, cap=50, least=1)
    params = SymbolParams(cooldown_seconds=5.0)
    assert expected_fills(touches, trades, 2.0, sizes, params) == 3600 / 3


def test_a_mark_of_simulated_data_is_kept() -> None:
    assert starter_config(ROOT / "catalog").simulated


def test_currencies_that_nothing_connects_are_refused(tmp_path: Path) -> None:
    specs = instrument("AAA/USDT"), instrument("XRP/BTC")
    with pytest.raises(
        ConfigError, match=r"the symbols must be connected, .* was AAA/USDT, XRP/BTC; add the pair"
    ):
        starter_config(made(tmp_path / "c", *specs))


def test_symbols_of_two_venues_are_refused(tmp_path: Path) -> None:
    catalog = made(tmp_path / "c", instrument("AAA/USDT"), instrument("AAA/USDT", venue="OTHER"))
    with pytest.raises(
        DataError, match=r"a configuration must use one venue, was AAA/USDT\.MADE, AAA/USDT\.OTHER"
    ):
        starter_config(catalog)
    assert starter_config(catalog, ["AAA/USDT.OTHER"]).values["venue", "name"] == "OTHER"


# -- A sandbox ----------------------------------------------------------------------------------------------


def kraken(symbol: str, **changes: object) -> InstrumentSpec:
    return replace(instrument(symbol, venue="KRAKEN"), **changes)


def test_a_sandbox_gets_the_catalogs_fees_as_the_feed_tells_none(tmp_path: Path) -> None:
    values = starter_sandbox(ROOT / "catalog", ["XRP/USDT", "BTC/USDT"]).values
    backtest = starter_config(ROOT / "catalog", ["XRP/USDT", "BTC/USDT"]).values
    assert {key: value for key, value in values.items() if "fees" not in key} == backtest
    fees = {key[-1]: value for key, value in values.items() if "fees" in key}
    assert fees == {"maker_fee_pct": 0.25, "taker_fee_pct": 0.4}


def test_fees_that_differ_are_each_symbols_own(tmp_path: Path) -> None:
    dear, cheap = (
        kraken("AAA/USDT"),
        kraken("BBB/USDT", maker_fee_rate=Decimal(0), taker_fee_rate=Decimal("0.001")),
    )
    starter = starter_sandbox(made(tmp_path / "c", dear, cheap))
    values = {("feed", "source"): "live", **starter.values}
    file = tmp_path / "begun.yaml"
    file.write_text(template_text(SandboxConfig, values, ["Begun."]), encoding="utf-8")
    fees = load_sandbox_config(file).config.venue.symbol_fees
    assert (fees["BBB/USDT"].maker_fee_pct, fees["BBB/USDT"].taker_fee_pct) == (0.0, 0.1)
    assert dear.maker_fee_rate is not None
    assert fees["AAA/USDT"].maker_fee_pct == pytest.approx(float(100 * dear.maker_fee_rate))


def test_fees_of_instruments_without_any_are_the_example_s(tmp_path: Path) -> None:
    spec = kraken("AAA/USDT", maker_fee_rate=None, taker_fee_rate=None)
    values = starter_sandbox(made(tmp_path / "c", spec)).values
    assert values["venue", "fees", "maker_fee_pct"] == values["venue", "fees", "taker_fee_pct"] == 0.1


def test_a_sandbox_of_another_venue_is_refused(tmp_path: Path) -> None:
    catalog = made(tmp_path / "c", instrument("AAA/USDT"))
    with pytest.raises(
        ConfigError, match=r"symbols must be of KRAKEN, .*, was MADE in .*; without --sandbox"
    ):
        starter_sandbox(catalog)


@pytest.mark.long
def test_a_sandbox_that_init_writes_runs(tmp_path: Path) -> None:
    file, out = tmp_path / "paper.yaml", tmp_path / "runs"
    kept = ["--set", f"state.directory={tmp_path / 'state'}", "--set", "feed.speed=20"]
    for words in (
        ["config", "init", "--sandbox", "--symbols", "XRP/USDT", "--out", str(file)],
        ["sandbox", str(file), "--venue", "local", "--duration", "3s", "--out", str(out), "--quiet", *kept],
    ):
        command = [sys.executable, "-m", "mm_nautilus.cli", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
    (folder,) = out.iterdir()
    assert '"orders_placed": 0' not in (folder / "summary.json").read_text()
    assert (tmp_path / "state" / "paper.json").is_file()


def test_what_init_writes_runs(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    file, out = tmp_path / "mine.yaml", tmp_path / "runs"
    for words in (
        ["config", "init", "--symbols", "XRP/USDT,BTC/USDT", "--out", str(file)],
        ["backtest", str(file), "--out", str(out), "--quiet", "--set", "end=2025-12-13T12:10:00Z"],
    ):
        done = command(*words)
        assert done.returncode == 0, done.stderr
    (folder,) = out.iterdir()
    assert '"orders_placed": 0' not in (folder / "summary.json").read_text()
