import json
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.metrics.ledger import AccountSnapshot, SymbolLedger, quote_currency
from mm_nautilus.trading.position import PositionResults

D = Decimal
STATS_KEYS = ["symbol", "trades", "wins", "losses", "win_rate", "pnl", "avg_pnl"]
DICT_KEYS = {
    "strategy", "usdt", "assets", "asset_values", "equity", "pnl", "pnl_by_symbol", "roi_pct", "trades",
    "trades_by_symbol", "win_rate", "max_drawdown_pct", "open_positions", "profit_factor", "avg_trade_pnl",
    "symbol_stats",
}  # fmt: skip
cents = st.integers(-10_000, 10_000).map(lambda value: D(value) / 100)


@pytest.fixture
def ledger():
    return SymbolLedger(["XRP/USDT", "XRP/BTC"])


@pytest.fixture
def account():
    return AccountSnapshot(
        report_currency="USDT",
        balances={"USDT": D("95.50"), "XRP": D("42.5")},
        prices={"USDT": D(1), "XRP": D("2.35")},
        values={"USDT": D("95.50"), "XRP": D("99.88")},
        start_equity=D(190),
        revaluation=D("-0.25"),
        trading_pnl=D("5.70"),
        max_drawdown_pct=1.25,
        open_positions=1,
    )


# -- Symbols ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("symbol", "currency"), [("XRP/USDT", "USDT"), ("XRP/BTC", "BTC")])
def test_quote_currency_is_read_off_the_symbol(symbol, currency):
    assert quote_currency(symbol) == currency


@pytest.mark.parametrize("symbol", ["XRPUSDT", "/USDT", "XRP/", "", "/"])
def test_a_symbol_without_two_currencies_is_refused(symbol):
    with pytest.raises(ValueError, match="symbol must be written base/quote"):
        quote_currency(symbol)


def test_symbols_that_do_not_name_their_currency_are_told():
    ledger = SymbolLedger(["XRPBTC"], currencies={"XRPBTC": "BTC", "BTCUSDT": "USDT"})

    ledger.record_trade_result("BTCUSDT", D(1))

    assert ledger.get_symbol_stats("XRPBTC")["trades"] == 0
    assert ledger.currency("XRPBTC") == "BTC"
    assert ledger.symbols == ["XRPBTC", "BTCUSDT"]
    assert ledger.profit_factor is None
    assert ledger.average_trade_pnl == 1.0


# -- Trades -------------------------------------------------------------------------------------------


def test_a_listed_symbol_without_trades_has_zeros(ledger):
    stats = ledger.get_symbol_stats("XRP/USDT")

    assert list(stats) == STATS_KEYS
    assert list(stats.values()) == ["XRP/USDT", 0, 0, 0, 0.0, 0.0, 0.0]


def test_stats_of_an_unknown_symbol_are_zeros_and_do_not_list_it(ledger):
    assert ledger.get_symbol_stats("BTC/USDT")["trades"] == 0
    assert ledger.average_pnl("BTC/USDT") == 0
    assert ledger.symbols == ["XRP/USDT", "XRP/BTC"]


def test_stats_of_wins_losses_and_a_break_even(ledger):
    for pnl in ("1.25", "-0.50", "0", "0.75", "0.10", "-0.40"):
        ledger.record_trade_result("XRP/USDT", D(pnl))

    assert ledger.get_symbol_stats("XRP/USDT") == {
        "symbol": "XRP/USDT",
        "trades": 6,
        "wins": 3,
        "losses": 2,
        "win_rate": 50.0,
        "pnl": 1.2,
        "avg_pnl": 0.2,
    }


@pytest.mark.parametrize(("wins", "trades", "rate"), [(1, 3, 33.3), (2, 3, 66.7), (3, 3, 100.0), (0, 4, 0.0)])
def test_win_rate_has_one_decimal(ledger, wins, trades, rate):
    for index in range(trades):
        ledger.record_trade_result("XRP/USDT", 1.0 if index < wins else -1.0)

    assert ledger.get_symbol_stats("XRP/USDT")["win_rate"] == rate
    assert ledger.to_dict()["win_rate"] == rate


def test_floats_are_taken_at_their_printed_digits(ledger):
    for _ in range(10):
        ledger.record_trade_result("XRP/USDT", 0.1)

    assert ledger.realized_pnl("XRP/USDT") == D("1.0")


@pytest.mark.parametrize("pnl", [math.nan, math.inf, D("NaN"), D("-Infinity")])
def test_a_result_that_is_no_number_is_refused_and_leaves_no_trace(ledger, pnl):
    with pytest.raises(ValueError, match="pnl must be a finite number, was"):
        ledger.record_trade_result("XRP/USDT", pnl)

    assert ledger.trades_by_symbol == {"XRP/USDT": 0, "XRP/BTC": 0}


def test_fees_of_the_open_position_are_part_of_realized_pnl_but_no_trade(ledger):
    ledger.record_trade_result("XRP/USDT", D("1.00"))

    ledger.set_open_fees("XRP/USDT", D("0.25"))

    assert ledger.realized_pnl("XRP/USDT") == D("0.75")
    assert ledger.pnl_by_symbol["XRP/USDT"] == 0.75
    assert ledger.get_symbol_stats("XRP/USDT")["wins"] == 1
    assert ledger.get_symbol_stats("XRP/USDT")["avg_pnl"] == 0.75


def test_stats_of_an_unknown_symbol_need_no_name_that_tells_its_currency():
    ledger = SymbolLedger(currencies={"BTCUSDT": "USDT"})

    assert ledger.get_symbol_stats("BTCUSDT")["pnl"] == 0.0


def test_each_symbol_keeps_its_own_counts(ledger):
    ledger.record_trade_result("XRP/USDT", D(2))
    ledger.record_trade_result("XRP/BTC", D("-0.00001"), report_pnl=D("-0.8"))
    ledger.record_trade_result("XRP/BTC", D("0.00002"), report_pnl=D("1.6"))

    assert ledger.pnl_by_symbol == {"XRP/USDT": 2.0, "XRP/BTC": 0.00001}
    assert ledger.trades_by_symbol == {"XRP/USDT": 1, "XRP/BTC": 2}
    assert ledger.wins_by_symbol == {"XRP/USDT": 1, "XRP/BTC": 1}
    assert ledger.losses_by_symbol == {"XRP/USDT": 0, "XRP/BTC": 1}
    assert list(ledger.get_all_symbol_stats()) == ["XRP/USDT", "XRP/BTC"]


def test_totals_over_symbols_are_sums_in_the_report_currency_alone(ledger):
    ledger.record_trade_result("XRP/USDT", D(2))
    ledger.record_trade_result("XRP/BTC", D("-0.00001"), report_pnl=D("-0.8"))

    assert ledger.profit_factor == 2.5
    assert ledger.average_trade_pnl == 0.6


def test_a_result_that_cannot_be_converted_is_added_to_no_total(ledger):
    ledger.record_trade_result("XRP/USDT", D(2))
    ledger.record_trade_result("XRP/USDT", D(-1))

    ledger.record_trade_result("XRP/BTC", D("-0.00001"))

    assert ledger.profit_factor is None
    assert ledger.average_trade_pnl is None
    assert ledger.trades_by_symbol["XRP/BTC"] == 1


def test_a_conversion_of_what_is_in_the_report_currency_already_is_not_believed(ledger):
    ledger.record_trade_result("XRP/USDT", D(2), report_pnl=D(160_000))

    assert ledger.average_trade_pnl == 2.0


def test_without_losses_there_is_no_profit_factor(ledger):
    assert ledger.average_trade_pnl == 0.0
    ledger.record_trade_result("XRP/USDT", D(2))

    assert ledger.profit_factor is None


@settings(max_examples=100)
@given(results=st.lists(st.tuples(st.sampled_from(["XRP/USDT", "BTC/USDT", "XRP/BTC"]), cents), max_size=30))
def test_counts_and_sums_hold_for_any_results(results):
    ledger, rate = SymbolLedger(), D(50)

    for symbol, pnl in results:
        ledger.record_trade_result(symbol, pnl, pnl * rate if symbol == "XRP/BTC" else None)

    for symbol, stats in ledger.get_all_symbol_stats().items():
        own = [pnl for name, pnl in results if name == symbol]
        break_even = sum(pnl == 0 for pnl in own)
        assert stats["wins"] + stats["losses"] + break_even == stats["trades"] == len(own)
        assert ledger.realized_pnl(symbol) == sum(own)
        assert stats["pnl"] == float(sum(own))
        assert stats["avg_pnl"] == pytest.approx(float(sum(own)) / len(own))
    totals = [pnl * (rate if symbol == "XRP/BTC" else 1) for symbol, pnl in results]
    summary = ledger.to_dict()
    assert summary["trades"] == len(results) == sum(summary["trades_by_symbol"].values())
    if results:
        assert summary["avg_trade_pnl"] == pytest.approx(float(sum(totals)) / len(totals))
    gains, losses = sum(t for t in totals if t > 0), -sum(t for t in totals if t < 0)
    expected = pytest.approx(float(gains / losses)) if losses else None
    assert summary["profit_factor"] == expected


# -- The portfolio dictionary -------------------------------------------------------------------------


def test_dictionary_has_every_key_of_v1_4_before_and_after_the_first_snapshot(ledger, account):
    before = ledger.to_dict()
    ledger.account = account
    after = ledger.to_dict()

    assert before.keys() >= DICT_KEYS
    assert before.keys() == after.keys()
    assert before["equity"] is None
    assert None not in {key: after[key] for key in DICT_KEYS - {"profit_factor"}}.values()


def test_dictionary_of_an_account(ledger, account):
    ledger.account = account
    ledger.record_trade_result("XRP/USDT", D("8.50"))
    ledger.record_trade_result("XRP/BTC", D("-0.00003900"), report_pnl=D("-3.12"))

    summary = ledger.to_dict()

    assert summary["strategy"] == "market_making"
    assert summary["usdt"] == 95.5
    assert summary["assets"] == {"XRP": 42.5}
    assert summary["asset_values"] == {"XRP": {"amount": 42.5, "price": 2.35, "value_usd": 99.88}}
    assert summary["equity"] == 195.38
    assert summary["pnl"] == 5.7
    assert summary["roi_pct"] == 3.0
    assert summary["max_drawdown_pct"] == 1.25
    assert summary["open_positions"] == 1
    assert (summary["trades"], summary["win_rate"]) == (2, 50.0)
    assert list(summary["symbol_stats"]["XRP/BTC"]) == STATS_KEYS
    assert summary["currency"] == "USDT"
    assert summary["currencies"] == {"XRP/USDT": "USDT", "XRP/BTC": "BTC"}
    assert summary["exact"] == {
        "pnl_by_symbol": {"XRP/USDT": "8.50 USDT", "XRP/BTC": "-0.00003900 BTC"},
        "balances": {"USDT": "95.50 USDT", "XRP": "42.5 XRP"},
        "values": {"USDT": "95.50 USDT", "XRP": "99.88 USDT"},
        "equity": "195.38 USDT",
        "pnl": "5.70 USDT",
    }


def test_exact_amounts_have_no_exponent(ledger):
    ledger.record_trade_result("XRP/BTC", D("1E-8"), report_pnl=D(0))

    assert ledger.to_dict()["exact"]["pnl_by_symbol"]["XRP/BTC"] == "0.00000001 BTC"


def test_a_report_currency_without_a_balance_counts_as_none_of_it(ledger):
    ledger.account = AccountSnapshot(
        "USDT", {"XRP": D(10)}, {"XRP": D("2.5")}, {"XRP": D(25)}, D(0), D(0), D(1), 0.0, 0
    )

    assert ledger.to_dict()["usdt"] == 0.0
    assert ledger.account.equity == 25
    assert ledger.account.roi_pct == 0.0


# -- Results of positions -----------------------------------------------------------------------------


def test_opening_and_adding_are_no_trades_but_carry_their_fees():
    results = PositionResults(decimals=2)

    opened = results.on_position(D(10), D("-0.10"))
    added = results.on_position(D(30), D("-0.30"))

    assert (opened, added) == (None, None)
    assert results.open_fees == D("0.30")


def test_a_partial_exit_is_charged_its_share_of_the_opening_fees():
    results = PositionResults(decimals=2)
    results.on_position(D(10), D("-1.00"))

    # 4 of 10 are sold: +2.00 before fees, 0.40 of its own fee, and 0.40 of the opening fee.
    first = results.on_position(D(6), D("0.60"))
    last = results.on_position(D(0), D("3.00"))

    assert first == D("1.20")
    assert last == D("1.80")
    assert results.open_fees == 0


def test_a_rebate_is_a_negative_fee():
    results = PositionResults(decimals=2)
    results.on_position(D(10), D("0.10"))

    assert results.open_fees == D("-0.10")
    assert results.on_position(D(0), D("0.30")) == D("0.30")


def test_a_charge_that_changes_no_size_is_carried_like_a_fee():
    results = PositionResults(decimals=2)
    results.on_position(D(10), D("-1.00"))

    assert results.on_position(D(10), D("-1.25")) is None
    assert results.open_fees == D("1.25")
    assert results.on_position(D(0), D("2.00")) == D("2.00")


def test_rounding_of_a_share_is_made_good_by_the_last_exit():
    results = PositionResults(decimals=2)
    results.on_position(D(3), D("-0.01"))

    shares = [results.on_position(D(left), D("-0.01")) for left in (2, 1, 0)]

    assert sum(shares) == D("-0.01")
    assert all(share == share.quantize(D("0.01")) for share in shares)


def test_the_next_position_starts_from_nothing():
    results = PositionResults(decimals=2)
    results.on_position(D(10), D("-1.00"))
    results.on_position(D(0), D("5.00"))

    results.on_position(D(10), D("-0.50"))

    assert results.open_fees == D("0.50")
    assert results.on_position(D(0), D("-0.50")) == D("-0.50")


def test_a_position_that_closes_unseen_is_a_trade_and_spoils_nothing():
    results = PositionResults(decimals=2)

    assert results.on_position(D(0), D("5.00")) == D("5.00")

    assert results.on_position(D(10), D("-0.50")) is None
    assert results.open_fees == D("0.50")


class Engine:
    """An exact netting position: what the engine's position events would tell, flips split in two."""

    def __init__(self, decimals):
        self.digit = D(1).scaleb(-decimals)
        self.quantity = 0
        self.average = Fraction(0)
        self.cycle = self.total = D(0)

    def fill(self, signed, price, fee):
        """Return the position events of one fill as (unsigned quantity, realised PnL of the cycle)."""
        closing = 0
        if self.quantity * signed < 0:
            closing = min(abs(signed), abs(self.quantity))
        rest = abs(signed) - closing
        events = []
        if closing:
            close_fee = fee if not rest else (fee * closing / abs(signed)).quantize(self.digit)
            gain = (price - self.average) * closing * (1 if self.quantity > 0 else -1)
            change = (D(gain.numerator) / D(gain.denominator)).quantize(self.digit) - close_fee
            self.quantity += closing if self.quantity < 0 else -closing
            events.append(self._book(change))
            fee -= close_fee
        if rest:
            held = abs(self.quantity)
            self.average = (self.average * held + Fraction(price) * rest) / (held + rest)
            self.quantity += rest if signed > 0 else -rest
            events.append(self._book(-fee))
        return events

    def _book(self, change):
        self.cycle += change
        self.total += change
        told = self.cycle
        if self.quantity == 0:
            self.cycle = D(0)
        return D(abs(self.quantity)), told


fills = st.lists(
    st.tuples(
        st.integers(-50, 50).filter(bool),
        st.integers(1, 500).map(lambda ticks: Fraction(ticks, 100)),
        st.integers(-300, 999),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=200)
@given(fills=fills, decimals=st.sampled_from([2, 8]))
def test_results_add_up_to_the_realised_pnl_to_the_last_digit(fills, decimals):
    engine, results = Engine(decimals), PositionResults(decimals)
    booked, in_cycle, reductions, trades, last = D(0), D(0), 0, 0, D(0)

    for signed, price, fee in fills:
        for quantity, cycle in engine.fill(signed, price, D(fee).scaleb(-decimals)):
            reductions += quantity < last
            last = quantity
            result = results.on_position(quantity, cycle)
            if result is not None:
                trades += 1
                booked += result
                in_cycle += result
                assert result == result.quantize(engine.digit)
            if quantity == 0:
                assert in_cycle == cycle
                assert results.open_fees == 0
                in_cycle = D(0)
        assert booked - results.open_fees == engine.total

    assert trades == reductions
    assert results.quantity == abs(engine.quantity)


def test_a_restored_ledger_goes_on_where_the_saved_one_was():
    ledger = SymbolLedger(["XRP/USDT", "XRP/BTC"])
    ledger.record_trade_result("XRP/USDT", Decimal("1.25"))
    ledger.record_trade_result("XRP/USDT", Decimal("-0.5"))
    ledger.record_trade_result("XRP/BTC", Decimal("0.00001"))
    ledger.set_open_fees("XRP/BTC", Decimal("0.000002"))
    again = SymbolLedger(["XRP/USDT", "XRP/BTC"])
    again.restore(json.loads(json.dumps(ledger.state())))
    assert again.to_dict() == ledger.to_dict()
    again.record_trade_result("XRP/USDT", Decimal("0.25"))
    assert again.realized_pnl("XRP/USDT") == 1
    assert again.open_fees("XRP/BTC") == Decimal("0.000002")


def test_symbols_that_are_no_longer_listed_are_not_restored():
    ledger = SymbolLedger(["XRP/USDT"])
    ledger.record_trade_result("XRP/USDT", Decimal(1))
    again = SymbolLedger(["BTC/USDT"])
    again.restore(ledger.state())
    assert again.symbols == ["BTC/USDT"]
