"""The checks of Market Making Strategy v1.4.0, under its names, on the strategy and the portfolio of today."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from trading.scripting import (
    BTC_USDT,
    XRP_BTC,
    XRP_USDT,
    Outcome,
    Watched,
    around,
    book,
    config,
    engine_runs,
    trade,
    walk,
)

from mm_nautilus.checks.validation import validate
from mm_nautilus.config.run import OutputConfig
from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.metrics.ledger import SymbolLedger
from mm_nautilus.pricing.exits import trailing_stop_price
from mm_nautilus.pricing.models import reservation_price
from mm_nautilus.runs.recorder import RunRecorder
from mm_nautilus.trading.closing import Closing

D = Decimal
type Run = Callable[..., Outcome]

CALM = (2.3495, 2.3505)
BOUGHT = trade(1, 2.348, 10, "sell")
"""Fills our bid of 10 XRP at 2.34882."""
SOLD = trade(1, 2.352, 10, "buy")
"""Fills our ask of 10 XRP at 2.35118."""
ONE_FILL = {"cooldown_seconds": 3600.0}
VALID = {
    "position_size_usd": 20.0,
    "max_inventory": 100.0,
    "stop_loss_pct": 0.5,
    "take_profit_pct": 0.4,
    "cooldown_seconds": 5.0,
}
POSITIVE = "{} must be positive, got {}"


@pytest.fixture
def run() -> Iterator[Run]:
    with engine_runs() as simulate:
        yield simulate


class TestMarketMakingV14Features:
    """Validation, reservation price, trailing stop, metrics per pair and position entries."""

    # -- Config validation ----------------------------------------------------------------------------------

    def test_a_valid_config_has_no_warnings(self, run: Run) -> None:
        assert validate(VALID) == []
        mm = Watched(config(take_profit_pct=0.4, stop_loss_pct=0.5))
        assert run(mm, [book(0, *CALM), book(1, *CALM)]).orders != []
        assert [text for text in mm.config_warnings if not text.startswith("Warning:")] == []

    @pytest.mark.parametrize(
        ("key", "value", "text"),
        [(name, value, POSITIVE.format(name, value)) for name in VALID for value in (0, -5)]
        + [("gamma", value, f"gamma must be between 0.01 and 1.0, got {value}") for value in (0.0, 5.0)]
        + [("inventory_skew", v, f"inventory_skew must be between 0 and 1.0, got {v}") for v in (-0.1, 1.5)],
    )
    def test_an_invalid_config_is_told_and_not_traded(
        self, run: Run, key: str, value: float, text: str
    ) -> None:
        assert validate({**VALID, key: value}) == [text]
        given = {name: default for name, default in config().items() if name != "position_size"}
        mm = Watched(given | {"position_size_usd": 20.0, key: value})
        assert run(mm, [book(0, *CALM), book(1, *CALM)]).orders == []
        assert mm.config_warnings == [text]

    def test_what_is_missing_is_named(self) -> None:
        given = {name: value for name, value in VALID.items() if name != "stop_loss_pct"}
        assert validate(given) == ["Missing required config: stop_loss_pct"]

    def test_a_poor_reward_to_risk_is_a_warning_and_is_traded(self, run: Run) -> None:
        text = "Warning: Poor R:R ratio (0.45:1), requires 69% win rate"
        assert validate({**VALID, "take_profit_pct": 0.45, "stop_loss_pct": 1.0}) == [text]
        mm = Watched(config(take_profit_pct=0.45, stop_loss_pct=1.0))
        assert run(mm, [book(0, *CALM), book(1, *CALM)]).orders != []
        assert text in mm.config_warnings

    # -- Reservation price ----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("inventory", "expected"), [(50, 99.9875), (0, 100.0), (-50, 100.0125), (500, 99.975)]
    )
    def test_reservation_price_of_an_inventory(self, inventory: float, expected: float) -> None:
        found = reservation_price(100.0, inventory, 100.0, gamma=0.1, volatility_pct=0.5)
        assert found == pytest.approx(expected, abs=1e-12)

    def test_without_a_cap_the_reservation_price_is_the_mid(self) -> None:
        assert reservation_price(100.0, 50.0, 0.0, gamma=0.1, volatility_pct=0.5) == 100.0

    @pytest.mark.parametrize(
        ("first", "q"),
        [([trade(1, 2.347, 10, "sell")], 0.2), ([trade(1, 2.353, 10, "buy")], -0.2), ([], 0.0)],
        ids=["long", "short", "neutral"],
    )
    def test_inventory_moves_the_reservation_price_and_the_quotes_with_it(
        self, run: Run, first: list[Any], q: float
    ) -> None:
        mids = [2.35, 2.36] * 12 + [2.35]
        market = [
            event for i in range(24) for event in walk(60 * (i + 1), mids[i], mids[i + 1])
        ]  # there and back, a minute each
        data = [book(0, *CALM), *first, *market, around(1500, 2.35), around(1501, 2.35)]
        shown = {}
        for is_used in (False, True):
            switches = {"use_reservation_price": is_used, "gamma": 1.0, "requote_tolerance_bps": 0.0}
            mm = Watched(config(min_spread_pct=0.2, cooldown_seconds=1400.0, **switches))
            assert run(mm, data).positions[XRP_USDT] == 50 * q
            shown[is_used] = (mm.indicators[XRP_USDT], mm.quotes_at(1501))
        (off, quotes_off), (on, quotes_on) = shown[False], shown[True]
        assert off["reservation_price"] == pytest.approx(2.35)
        assert on["volatility_pct"] == off["volatility_pct"] > 0.3
        expected = reservation_price(2.35, 50 * q, 50, gamma=1.0, volatility_pct=on["volatility_pct"])
        assert on["reservation_price"] == pytest.approx(expected)
        assert (expected < 2.35, expected > 2.35) == (q > 0, q < 0)
        assert quotes_on.keys() == quotes_off.keys() == {"bid", "ask"}
        for side, (price, _) in quotes_on.items():
            moved = price - quotes_off[side][0]
            assert moved == pytest.approx(expected - 2.35, abs=1.01e-5)  # to the tick

    # -- Trailing stop --------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("side", "extreme", "expected"),
        [
            ("long", 2.3546, None),
            ("long", 2.3547, 2.3547 * 0.9985),
            ("long", 2.365, 2.3614525),
            ("short", 2.3454, None),
            ("short", 2.3453, 2.3453 * 1.0015),
        ],
    )
    def test_a_trailing_stop_is_armed_by_profit_and_follows_the_extreme(
        self, side: str, extreme: float, expected: float | None
    ) -> None:
        found = trailing_stop_price(2.35, extreme, side, activation_pct=0.2, distance_pct=0.15)
        assert found == (None if expected is None else pytest.approx(expected))

    @pytest.mark.parametrize(
        ("first", "way", "extreme"), [(BOUGHT, 1, "high"), (SOLD, -1, "low")], ids=["long", "short"]
    )
    def test_a_retracement_closes_the_position_and_names_its_symbol(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, first: Any, way: int, extreme: str
    ) -> None:
        told: list[str] = []
        decide = Closing.decide

        def kept(closing: Closing, now_ns: int) -> str | None:
            text = decide(closing, now_ns)
            told.extend([] if text is None else [text])
            return text

        monkeypatch.setattr(Closing, "decide", kept)
        best = 2.35 + way * 0.012
        mm = Watched(config(use_trailing_stop=True, **ONE_FILL))
        back = [around(4 + i, best - way * 0.004) for i in range(3)]
        outcome = run(mm, [book(0, *CALM), first, *walk(2, 2.35, best), around(3, best), *back])
        assert outcome.positions[XRP_USDT] == 0
        entry, trail = (2.34882, 2.357958) if way > 0 else (2.35118, 2.342008)
        touch = best - way * 0.0005
        words = f"entry={entry:.6f}, {extreme}={touch:.6f}, trail={trail:.6f}"
        assert told == [f"MM: Trailing stop hit ({words}) [{XRP_USDT}]"]
        assert outcome.of("trailing_stop") != []

    def test_the_trailing_stop_is_off_unless_it_is_switched_on(self, run: Run) -> None:
        mm = Watched(config(**ONE_FILL))
        rise = [*walk(2, 2.35, 2.362), around(3, 2.362), around(4, 2.358), around(5, 2.358)]
        outcome = run(mm, [book(0, *CALM), BOUGHT, *rise])
        assert outcome.positions[XRP_USDT] == 10
        assert mm.indicators[XRP_USDT]["trailing_stop_price"] is None

    # -- Per-pair metrics -----------------------------------------------------------------------------------

    def test_pnl_and_trades_are_counted_for_each_symbol(self, run: Run) -> None:
        given = config(cooldown_seconds=0.001) | {
            "symbols": {
                XRP_USDT: {},
                BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": "0.01 BTC"},
            }
        }
        mm, actor = Watched(given), MetricsActor()
        btc = [book(0, 93_999.0, 94_001.0, symbol=BTC_USDT), book(6, 93_999.0, 94_001.0, symbol=BTC_USDT)]
        xrp = [book(0, *CALM), BOUGHT, book(2, *CALM), trade(3, 2.352, 10, "buy"), book(4, *CALM)]
        only_bought = trade(5, 93_900.0, 0.001, "sell", symbol=BTC_USDT)
        run(mm, [btc[0], *xrp, only_bought, btc[1]], actors=[actor])
        ledger = actor.ledger
        assert ledger is not None
        assert ledger.trades_by_symbol == {XRP_USDT: 1, BTC_USDT: 0}
        assert ledger.losses_by_symbol == {XRP_USDT: 1, BTC_USDT: 0}
        assert ledger.pnl_by_symbol[XRP_USDT] == pytest.approx(-0.0234)  # 0.0236 less two fees of 0.0235
        for symbol in (XRP_USDT, BTC_USDT):
            shown = mm.indicators[symbol]
            assert shown == actor.indicators[symbol]
            assert shown["pnl_symbol"] == ledger.pnl_by_symbol[symbol]
            assert shown["trades_symbol"] == ledger.trades_by_symbol[symbol]

    def test_indicators_of_every_earlier_version_are_there(self, run: Run) -> None:
        uneven = book(0, [(2.3495, 300.0)], [(2.3505, 100.0)])
        tape = [trade(1 + i, 2.35, 3 if i % 2 else 1, "buy" if i % 2 else "sell") for i in range(8)]
        for change, flow in (({}, None), ({"quoting": "signal"}, 0.5)):
            mm = Watched(config(**change))
            run(mm, [uneven, *tape, book(10, [(2.3495, 300.0)], [(2.3505, 100.0)])])
            assert mm.indicators[XRP_USDT] == {
                "reservation_price": pytest.approx(2.35),
                "trailing_stop_price": None,
                "volatility_pct": None,
                "imbalance": 0.5,
                "trade_flow": flow,
                "pnl_symbol": 0.0,
                "trades_symbol": 0,
            }

    # -- Position entries -----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("first", "side", "entry"), [(BOUGHT, "long", 2.34882), (SOLD, "short", 2.35118)]
    )
    def test_an_entry_follows_the_extremes_and_goes_with_the_position(
        self, run: Run, first: Any, side: str, entry: float
    ) -> None:
        mm = Watched(config(stop_loss_pct=0.5, take_profit_pct=0.5, **ONE_FILL))
        way = 1 if side == "long" else -1
        path = [*walk(2, 2.35, 2.35 + way * 0.006), around(3, 2.35)]
        out = [around(4, 2.35 + way * 0.013), around(5, 2.35), around(6, 2.35)]
        run(mm, [book(0, *CALM), first, *path, *out])
        at_three = next(entries for at, entries in mm.entries if at == 3)[XRP_USDT]
        best = round(2.35 + way * 0.006 - way * 0.0005, 5)
        lowest, highest = sorted((entry, best))
        assert at_three["side"] == side
        assert (at_three["entry_price"], at_three["lowest_price"], at_three["highest_price"]) == (
            pytest.approx(entry),
            pytest.approx(lowest),
            pytest.approx(highest),
        )
        assert mm.position_entries == {}


class TestPortfolioPerPairTracking:
    """Results per pair, the portfolio dictionary, and what the log and the journal have of them."""

    def test_a_result_counts_for_its_symbol_alone(self) -> None:
        ledger = SymbolLedger([XRP_USDT, BTC_USDT])
        for pnl in (D("1.25"), D("-0.50"), D(0)):
            ledger.record_trade_result(XRP_USDT, pnl)
        assert ledger.trades_by_symbol == {XRP_USDT: 3, BTC_USDT: 0}
        assert ledger.wins_by_symbol == {XRP_USDT: 1, BTC_USDT: 0}
        assert ledger.losses_by_symbol == {XRP_USDT: 1, BTC_USDT: 0}
        assert ledger.pnl_by_symbol == {XRP_USDT: 0.75, BTC_USDT: 0.0}

    def test_stats_of_one_symbol_and_of_all(self) -> None:
        ledger = SymbolLedger([XRP_USDT])
        for pnl in [D(1)] * 10 + [D("-0.3")] * 5:
            ledger.record_trade_result(XRP_USDT, pnl)
        expected = {
            "symbol": XRP_USDT,
            "trades": 15,
            "wins": 10,
            "losses": 5,
            "win_rate": 66.7,
            "pnl": 8.5,
            "avg_pnl": pytest.approx(8.5 / 15),
        }
        assert ledger.get_symbol_stats(XRP_USDT) == expected
        assert ledger.get_all_symbol_stats() == {XRP_USDT: expected}
        assert ledger.get_symbol_stats(BTC_USDT)["trades"] == 0

    def test_profits_of_two_currencies_are_not_added(self) -> None:
        ledger = SymbolLedger([XRP_USDT, XRP_BTC])
        ledger.record_trade_result(XRP_USDT, D("8.50"))
        ledger.record_trade_result(XRP_BTC, D("-0.000033"), report_pnl=D("-3.12"))
        assert ledger.pnl_by_symbol == {XRP_USDT: 8.5, XRP_BTC: -0.000033}
        assert ledger.to_dict()["avg_trade_pnl"] == pytest.approx((8.5 - 3.12) / 2)

    def test_each_fill_is_logged_with_the_portfolio_after_it(self, run: Run, tmp_path: Path) -> None:
        said: list[str] = []
        actor = MetricsActor(MetricsActorConfig(interval_seconds=1.0))
        recorder = RunRecorder(tmp_path, actor.portfolio, OutputConfig(), say=said.append)
        trades = [trade(1, 2.348, 10, "sell"), trade(3, 2.352, 10, "buy"), trade(5, 2.348, 10, "sell")]
        books = [book(at, *CALM) for at in (0, 2, 4, 6)]
        run(
            Watched(config()),
            sorted([*trades, *books], key=lambda event: event.ts_init),
            actors=[actor, recorder],
            balances=("100 USDT", "40 XRP"),
        )
        recorder.close()
        assert (actor.failures, recorder.failures) == ([], [])
        lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
        fills = [line for line in lines if line["type"] == "fill"]
        assert len(fills) == 3
        usdt, xrp = D(100), D(40)
        for line in fills:
            fill, portfolio = line["fill"], line["portfolio"]
            sign = 1 if fill["side"] == "BUY" else -1
            usdt -= sign * D(fill["price"]) * D(fill["quantity"]) + D(fill["fee"])
            xrp += sign * D(fill["quantity"])
            amount, code = portfolio["exact"]["balances"]["USDT"].split()
            assert (D(amount), code) == (usdt, "USDT")
            assert portfolio["usdt"] == float(usdt)
            assert portfolio["assets"] == {"XRP": float(xrp)}
            assert portfolio["asset_values"] == {
                "XRP": {"amount": float(xrp), "price": 2.35, "value_usd": float(xrp * D("2.35"))}
            }
            assert portfolio["equity"] == pytest.approx(float(usdt + xrp * D("2.35")))
            assert portfolio["symbol_stats"][XRP_USDT] == line["symbol_stats"]
            assert portfolio["trades_by_symbol"] == {XRP_USDT: line["symbol_stats"]["trades"]}
            assert portfolio["open_positions"] == (line["position"]["quantity"] != "0.000000")
        assert portfolio.keys() >= {
            *("strategy", "usdt", "assets", "asset_values", "equity", "pnl", "pnl_by_symbol", "roi_pct"),
            *("trades", "trades_by_symbol", "win_rate", "max_drawdown_pct", "open_positions"),
            *("profit_factor", "avg_trade_pnl", "symbol_stats"),
        }
        assert [line for line in said if line.startswith("[FILL]")] == [
            "[FILL] [market_making] BUY XRP/USDT @ 2.348820 P&L: -$0.02 [XRP/USDT total: -$0.02]",
            "[FILL] [market_making] SELL XRP/USDT @ 2.351180 P&L: +$0.000088 [XRP/USDT total: -$0.02]",
            "[FILL] [market_making] BUY XRP/USDT @ 2.348820 P&L: -$0.02 [XRP/USDT total: -$0.05]",
        ]
        assert [line for line in said if line.startswith("[PORTFOLIO]")] == [
            "[PORTFOLIO] [market_making] Equity: $194.00 | P&L: +$0.00 | USDT: $100.00 | Assets: XRP:40.0000\n"
            "            Per-pair P&L: XRP/USDT:+$0.00"
        ]
