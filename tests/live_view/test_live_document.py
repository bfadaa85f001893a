"""What page and terminal show: every figure with its unit, and the exact amount beside it."""

import json
from decimal import Decimal

import pytest
from live_states import (
    CROSS,
    DAILY,
    FILL,
    START_NS,
    XRP,
    Clock,
    account,
    eventful_state,
    made_state,
    publish_quotes,
)

from mm_nautilus.live_view.document import (
    ACCOUNT_FIGURES,
    FILL_COLUMNS,
    SYMBOL_FIGURES,
    age_text,
    curve_document,
    days_document,
    fill_documents,
    length_text,
    prices_document,
    state_document,
)
from mm_nautilus.live_view.state import GuardNote, Quotes
from mm_nautilus.metrics.daily import DailyView, DayResult


def texts(figures: dict) -> dict[str, str]:
    return {key: figure["text"] for key, figure in figures.items()}


def test_figures_of_a_symbol_carry_their_units_and_exact_amounts() -> None:
    state = eventful_state()
    publish_quotes(state, XRP, Quotes(2.349, 8.5, None, None, None, "cooldown"))
    dollars, bitcoins = state_document(state.snapshot())["symbols"]
    shown = texts(dollars["figures"])
    assert shown["mid"] == "2.350005 USDT"
    assert shown["bid"] == "8.5 XRP at 2.34900 USDT"
    assert shown["ask"] == "none: cooldown"
    assert shown["reservation"] == "-"
    assert shown["trailing_stop"] == "2.361453 USDT"
    assert shown["inventory"] == "-8.5 XRP"
    assert (shown["realized_pnl"], shown["total_pnl"], shown["fees"]) == ("+$1.25", "-$0.01", "$0.04")
    assert (shown["fills"], shown["trades"], shown["win_rate"]) == ("3", "2 (1 won, 1 lost)", "50.0 %")
    assert dollars["figures"]["total_pnl"]["exact"] == "-0.01250000 USDT"
    assert dollars["figures"]["total_pnl"]["value"] == -0.0125
    assert bitcoins["figures"]["total_pnl"]["text"] == "-0.00000125 BTC"
    assert (dollars["state"], dollars["reason"]) == ("quoting", "bid: cooldown")


def test_quotes_of_further_levels_follow_the_nearest() -> None:
    state = eventful_state()
    for level, bid in ((1, 2.349), (3, 2.347), (2, None)):
        publish_quotes(state, XRP, Quotes(bid, 8.5, 2.36, 8.5, "cooldown" if bid is None else None), level)
    figures = state_document(state.snapshot())["symbols"][0]["figures"]
    assert figures["bid"]["text"] == "8.5 XRP at 2.34900 USDT"
    assert [level["text"] for level in figures["bid"]["outer"]] == [
        "none: cooldown",
        "8.5 XRP at 2.34700 USDT",
    ]
    assert [level["value"] for level in figures["ask"]["outer"]] == [2.36, 2.36]


def test_mid_touch_and_cap_are_those_of_the_quotes_moment() -> None:
    state = eventful_state()
    market = {"best_bid": 2.351, "best_ask": 2.352, "mid_price": 2.3515, "reservation_price": 2.35149}
    publish_quotes(state, XRP, Quotes(2.35, 8.5), inventory_cap=80.0, **market)
    (symbol, other) = state_document(state.snapshot())["symbols"]
    shown = texts(symbol["figures"])
    assert (shown["mid"], shown["touch"]) == ("2.351500 USDT", "2.35100 / 2.35200 USDT")
    assert (shown["reservation"], shown["inventory_cap"]) == ("2.3514900 USDT", "80 XRP")
    assert symbol["quotes_as_of_ms"] == START_NS // 1_000_000
    assert other["quotes_as_of_ms"] is None


def test_account_and_sums_over_symbols() -> None:
    figures = texts(state_document(eventful_state().snapshot())["account"]["figures"])
    assert (figures["equity"], figures["trading_pnl"]) == ("$1000.50", "+$0.50")
    assert (figures["fills"], figures["trades"], figures["win_rate"]) == ("6", "4", "50.0 %")
    assert (figures["roi"], figures["drawdown"]) == ("0.050 %", "0.125 %")


def test_every_figure_that_is_named_is_there_once_all_is_known() -> None:
    state = eventful_state()
    for symbol in (XRP, CROSS):
        publish_quotes(state, symbol, Quotes())
    document = state_document(state.snapshot())
    assert {label.key for label in ACCOUNT_FIGURES} <= set(document["account"]["figures"])
    for symbol in document["symbols"]:
        assert {label.key for label in SYMBOL_FIGURES} <= set(symbol["figures"])
    (fill,) = fill_documents(state.snapshot())
    assert {label.key for label in FILL_COLUMNS} <= set(fill)
    assert all(label.meaning for label in (*ACCOUNT_FIGURES, *SYMBOL_FIGURES, *FILL_COLUMNS))


def test_a_run_that_has_published_nothing_can_be_shown() -> None:
    document = state_document(made_state().snapshot())
    assert {symbol["state"] for symbol in document["symbols"]} == {"waiting"}
    assert document["account"]["figures"]["fills"]["value"] == 0
    assert (document["has_ended"], document["is_halted"]) == (False, False)
    json.dumps(document, allow_nan=False)


def test_documents_are_plain_json_without_nan() -> None:
    state = eventful_state(Clock())
    whole = [
        state_document(state.snapshot()),
        fill_documents(state.snapshot()),
        curve_document(state),
    ]
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


def test_a_fill_is_told_in_its_own_currencies() -> None:
    (fill,) = fill_documents(eventful_state().snapshot())
    assert (fill["time"], fill["side"], fill["purpose"]) == ("12:00:05", "BUY maker", "take profit")
    assert (fill["price"], fill["quantity"]) == ("2.34900 USDT", "8.5 XRP")
    assert (fill["fee"], fill["pnl"], fill["position"]) == ("$0.02", "+$1.25", "-8.5 XRP")
    assert fill["ts_ms"] == FILL.ts_event // 1_000_000


def test_a_run_is_halted_where_all_of_its_symbols_are() -> None:
    state = eventful_state()
    for symbol, expected in ((XRP, False), (CROSS, True)):
        state.on_guard(GuardNote(START_NS, symbol, "halted", "halted by the kill switch: a test"))
        document = state_document(state.snapshot())
        assert document["is_halted"] is expected
    assert document["guards"][0] == {
        "ts_ms": START_NS // 1_000_000,
        "time": "12:00:00",
        "symbol": CROSS,
        "state": "halted",
        "text": "halted by the kill switch: a test",
    }


def test_days_come_last_first_and_the_rest_as_one_sum() -> None:
    state = eventful_state()
    document = days_document(state.snapshot())
    shown = [{key: row[key]["text"] for key in ("trading_pnl", "fees", "fills")} for row in document["days"]]
    assert [row["day"] for row in document["days"]] == ["2025-12-13", "2025-12-12"]
    assert shown[0] == {"trading_pnl": "+$0.75", "fees": "$0.04", "fills": "6"}
    assert document["days"][0]["trading_pnl"]["exact"] == "0.75 USDT"
    assert document["earlier"] is None
    assert state_document(state.snapshot())["account"]["figures"]["today"]["text"] == "+$0.75"
    days = tuple(DayResult(f"2026-01-{day:02}", Decimal(day), None, 1, 0) for day in range(1, 32))
    state.on_account(
        START_NS, account(), DailyView((*DAILY.days, *days), DayResult("", Decimal(2), None, 7, 3))
    )
    document = days_document(state.snapshot())
    assert (len(document["days"]), document["days"][-1]["day"]) == (31, "2026-01-01")
    assert document["days"][0]["fees"]["text"] == "-"
    earlier = document["earlier"]
    assert (earlier["day"], earlier["trading_pnl"]["exact"]) == ("before", "2.50 USDT")
    assert (earlier["fees"]["text"], earlier["fills"]["value"], earlier["trades"]["value"]) == ("-", 17, 9)


def test_prices_are_columns() -> None:
    state = eventful_state()
    publish_quotes(state, XRP, Quotes(2.35, 8.5), best_bid=2.351, best_ask=2.352)
    state.keep_price(XRP)
    at_ms = START_NS // 1_000_000
    assert prices_document(state) == {
        XRP: {"ms": [at_ms], "best_bid": [2.351], "best_ask": [2.352], "bid": [2.35], "ask": [None]},
        CROSS: {"ms": [], "best_bid": [], "best_ask": [], "bid": [], "ask": []},
    }


@pytest.mark.parametrize("status", ["completed", "interrupted", "failed"])
def test_an_end_is_told_with_its_reason(status: str) -> None:
    state = eventful_state()
    state.set_status(status, "the configured duration is over")
    document = state_document(state.snapshot())
    assert (document["status"], document["has_ended"]) == (status, True)
    assert document["status_text"] == "the configured duration is over"


def test_the_curve_is_in_milliseconds_and_amounts() -> None:
    state = eventful_state()
    document = curve_document(state)
    assert document["currency"] == "USDT"
    assert document["equity"]["value"] == [1000.0, 999.0, 1000.5]
    start_ms = START_NS // 1_000_000
    assert document["equity"]["ms"] == [start_ms, start_ms + 1_000, start_ms + 2_000]
    assert len(document["trading_pnl"]["value"]) == 3
    assert state.last_account == account("1000.5")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00:00"), (3_725.9, "01:02:05"), (2 * 86_400 + 61, "2 d 00:01:01")]
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert length_text(seconds) == text


def test_ages() -> None:
    assert age_text(None) == "nothing yet"
    assert age_text(1234.56) == "at most 1,234.6 s"
