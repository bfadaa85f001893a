import io
import re
from copy import deepcopy

import pytest
from rich.console import Console

from mm_nautilus.report.console import PartedTable, summary_view, text_table


def quality(seconds, **changes):
    """What fills were worth at a horizon."""
    figures = {
        "seconds": seconds,
        "fills": 44,
        "value": 900.0,
        "spread_bps": 2.5,
        "adverse_bps": 1.25,
        "mark_out_bps": 1.25,
        "standard_error_bps": 0.3,
        "fees_bps": 10.0,
        "net_bps": -8.75,
        "net": -0.7875,
    }
    return figures | changes


NO_FILLS = dict.fromkeys(
    ("spread_bps", "adverse_bps", "mark_out_bps", "standard_error_bps", "fees_bps", "net_bps")
)
SYMBOL = {
    "fills": 1284,
    "trades": 44,
    "wins": 30,
    "losses": 13,
    "win_rate": 68.2,
    "currency": "USDT",
    "base_currency": "XRP",
    "realized_pnl": 8.5,
    "total_pnl": 7.25,
    "avg_pnl": 0.19,
    "fees": 1.5,
    "turnover": 1034.93,
    "pnl_turnover_bps": 70.05,
    "maker_share_pct": 97.6,
    "inventory": -1234567.8,
    "average_inventory": 0.00001,
    "seconds_at_cap": 2.34,
    "orders_placed": 99,
    "orders_amended": 1011,
    "orders_cancelled": 18,
    "orders_rejected": 8,
    "orders_denied": 2,
    "rate_limited": 0,
    "rate_points": 0,
    "points_waits": 0,
    "points_wait_seconds": 0.0,
    "points_wait_bps": None,
    "exits_refused": 0,
    "old_trades": 0,
    "repeated_trades": 0,
    "phantom_fills": 0,
    "quotes_per_fill": 13.214,
    "quote_model": {
        "model": "glft",
        "source": "gamma 0.1",
        "gamma": 0.1,
        "half_width_bps": 2.4567,
        "half_width_ticks": 57.73,
        "skew_bps": 1.2,
        "skew_ticks": 28.2,
        "volatility_pct": 0.0812,
        "volatility_source": "5-second returns",
        "volatility_since": "2025-12-13T12:00:45+00:00",
        "maker_fee_bps": 2.0,
        "spread_bps": 0.4251,
        "spread_source": "median spread",
        "estimates": 0,
        "refused_estimates": 0,
    },
    "fill_quality": {
        "maker": [
            quality(0.0, standard_error_bps=None),
            quality(1.0),
            quality(5.0, standard_error_bps=None),
            quality(30.0),
        ],
        "taker": [],
    },
    "not_quoting": {
        "bid": {"cooldown": {"count": 45, "seconds": 227.81}},
        "ask": {"inventory cap": {"count": 1, "seconds": 2.34}},
    },
}
IDLE = {
    **SYMBOL,
    "fills": 0,
    "currency": "BTC",
    "realized_pnl": -0.00004388,
    "total_pnl": None,
    "turnover": 0.0,
    "pnl_turnover_bps": None,
    "maker_share_pct": None,
    "quotes_per_fill": None,
    "inventory": -0.0,
    "quote_model": None,
    "fill_quality": {
        "maker": [
            quality(seconds, fills=0, value=0.0, net=0.0, **NO_FILLS) for seconds in (0.0, 1.0, 5.0, 30.0)
        ],
        "taker": [],
    },
    "not_quoting": {"bid": {}, "ask": {}},
}
SUMMARY = {
    "report_currency": "USDT",
    "name": "backtest",
    "simulated_data": True,
    "venue": {
        "name": "KRAKEN",
        "account_type": "cash",
        "queue_position": True,
        "liquidity_consumption": True,
        "latency": {"insert_ms": 50.0},
        "fees": {"maker_fee_pct": 0.0, "taker_fee_pct": 0.02},
        "fee_schedule": None,
        "symbol_fees": {},
    },
    "period": {"start": "2025-12-06T05:46:40+00:00", "end": "2025-12-06T05:55:03+00:00"},
    "symbols": {"XRP/USDT": SYMBOL, "XRP/BTC": IDLE},
    "total": {
        "fills": 1284,
        "trades": 88,
        "wins": 60,
        "losses": 26,
        "win_rate": 68.2,
        "currency": "USDT",
        "realized_pnl": 4.1,
        "total_pnl": None,
        "avg_pnl": 0.0044,
        "fees": 150001.5,
        "turnover": 1034.93,
        "pnl_turnover_bps": None,
        "maker_share_pct": 97.6,
        "orders_placed": 198,
        "orders_amended": 2022,
        "orders_cancelled": 36,
        "orders_rejected": 16,
        "orders_denied": 4,
        "rate_limited": 0,
        "rate_points": 0,
        "exits_refused": 0,
        "old_trades": 0,
        "repeated_trades": 0,
        "phantom_fills": 0,
        "quotes_per_fill": 1.73,
    },
    "answer": {"lines": ["Result: one", "Where: two", "Why: three", "Change: four"]},
    "exits": {
        "stop_loss": {"count": 3, "trades": 4, "pnl": {"BTC": -0.00001, "USDT": -1.25}},
        "halt": {"count": 1, "trades": 0, "pnl": {}},
    },
    "equity": {
        "currency": "USDT",
        "start": 3175.39,
        "end": 3162.41,
        "change": -12.98,
        "trading_pnl": -11.74,
        "trading_pnl_before_fees": -10.24,
        "fees": 1.5,
        "revaluation": -1.24,
        "max_drawdown_pct": 0.37,
    },
    "events": 17983,
    "orders": 369,
    "elapsed_seconds": 0.9,
    "events_per_second": 19791,
}


@pytest.fixture
def summary():
    return deepcopy(SUMMARY)


def printed(summary, width=240):
    stream = io.StringIO()
    Console(file=stream, width=width).print(summary_view(summary))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def row(lines, name):
    return next(line for line in lines if line.strip().startswith(name)).strip()[len(name) :].split("  ")


def cells(lines, name):
    return [cell.strip() for cell in row(lines, name) if cell.strip()]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (
            "Symbols",
            {
                "fills": ["1,284", "0", "1,284"],
                "trades": ["44", "44", "88"],
                "wins": ["30", "30", "60"],
                "losses": ["13", "13", "26"],
                "win rate": ["68.2 %", "68.2 %", "68.2 %"],
                "realized PnL, net of fees": ["+$8.50", "-0.00004388 BTC", "+$4.10"],
                "total PnL, net of fees": ["+$7.25", "-", "-"],
                "average PnL per trade": ["+$0.1900", "+0.19000000 BTC", "+$0.0044"],
                "fees": ["$1.50", "1.50000000 BTC", "$150001.50"],
                "turnover": ["$1034.93", "0.00000000 BTC", "$1034.93"],
                "total PnL, of turnover": ["+70.05 bps", "-", "-"],
                "maker share of fills": ["97.6 %", "-", "97.6 %"],
                "inventory at the end": ["-1,234,567.8 XRP", "0 XRP"],
                "average inventory, absolute": ["0.00001 XRP", "0.00001 XRP"],
                "time at the inventory cap": ["2.3 s", "2.3 s"],
                "orders placed": ["99", "99", "198"],
                "amended": ["1,011", "1,011", "2,022"],
                "cancelled": ["18", "18", "36"],
                "refused by venue / engine": ["8 / 2", "8 / 2", "16 / 4"],
                "quotes per fill": ["13.21", "-", "1.73"],
            },
        ),
        (
            "Quote model",
            {
                "model": ["glft", "-"],
                "distance from the centre": ["2.46 bps (57.7 ticks)", "-"],
                "moved by full inventory": ["1.20 bps (28.2 ticks)", "-"],
                "maker fee": ["2 bps", "-"],
                "one-minute volatility": ["0.0812 %", "-"],
                "volatility measured from": ["5-second returns", "-"],
                "volatility since, UTC": ["12:00:45", "-"],
                "the market's spread": ["0.4251 bps (median)", "-"],
            },
        ),
        (
            "Fills that made liquidity, of their value",
            {
                "spread captured": ["+2.50 bps", "-"],
                "mark-out after 1 s": ["+1.25 bps ± 0.30", "-"],
                "mark-out after 5 s": ["+1.25 bps", "-"],
                "net of fees after 30 s": ["-8.75 bps", "-"],
            },
        ),
    ],
    ids=["symbols", "quote model", "fills"],
)
def test_figures_of_each_table_stand_side_by_side(summary, title, expected):
    lines = printed(summary)

    assert title in lines
    assert {name: cells(lines, name) for name in expected} == expected


def test_figures_of_a_quote_model_never_have_an_exponent(summary):
    summary["symbols"]["XRP/USDT"]["quote_model"] |= {"skew_bps": 0.0412, "skew_ticks": 123456.7}

    assert cells(printed(summary), "moved by full inventory")[0] == "0.0412 bps (123,457 ticks)"


def test_reasons_for_not_quoting_are_told_a_side(summary):
    lines = printed(summary)

    assert cells(lines, "cooldown") == ["227.8 (45)", "-", "-", "-"]
    assert cells(lines, "inventory cap") == ["-", "2.3 (1)", "-", "-"]


def test_exits_name_their_results_in_each_currency(summary):
    lines = printed(summary)

    assert cells(lines, "stop loss") == ["3", "4", "-0.00001000 BTC, -$1.25"]
    assert cells(lines, "halt") == ["1", "0", "-"]


def test_tables_and_rows_without_anything_in_them_are_left_out(summary):
    symbol = summary["symbols"]["XRP/USDT"]
    symbol["quote_model"] |= {"model": "none", "skew_bps": 0.0, "skew_ticks": 0.0}
    symbol["not_quoting"] = {"bid": {}, "ask": {}}
    text = "\n".join(printed(summary | {"exits": {}}))

    for name in (
        "Exits",
        "Not quoting",
        " model ",
        "moved by full inventory",
        "refused exits",
        "trades left out",
    ):
        assert name not in text
    for name in ("distance from the centre", "refused by venue / engine"):
        assert name in text


def test_without_a_book_there_is_no_table_of_the_quote_model(summary):
    summary["symbols"]["XRP/USDT"]["quote_model"] = None
    assert "Quote model" not in printed(summary)


def test_a_single_symbol_has_no_total(summary):
    del summary["symbols"]["XRP/BTC"]
    assert cells(printed(summary), "fills") == ["1,284"]


def test_profits_are_green_and_losses_red_on_a_terminal_alone(summary, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)

    def output(**options):
        stream = io.StringIO()
        Console(file=stream, width=240, **options).print(summary_view(summary))
        return stream.getvalue()

    on_terminal = output(force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[32m *\+\$8\.50", on_terminal)
    assert re.search(r"\x1b\[31m *-0\.00004388 BTC", on_terminal)
    assert not re.search(r"\x1b\[3[12]m *-1,234,567\.8 XRP", on_terminal)
    assert "\x1b" not in output()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in output(force_terminal=True, color_system="standard").replace("\x1b[3m", "")


def test_equity_and_its_parts(summary):
    assert (
        "Equity $3175.39 -> $3162.41 (-$12.98): trading -$11.74 (-$10.24 before $1.50 of fees), "
        "revaluation of the starting balances -$1.24; largest drawdown 0.370 %"
    ) in printed(summary)


def test_equity_and_its_parts_add_up_as_they_are_written(summary):
    summary["equity"] |= {"start": 3175.056, "end": 3166.762, "change": -8.294, "revaluation": -9.497}
    summary["equity"] |= {"trading_pnl": 1.2066, "trading_pnl_before_fees": 1.3047, "fees": 0.0981}

    assert (
        "Equity $3175.056 -> $3166.762 (-$8.294): trading +$1.207 (+$1.305 before $0.098 of fees), "
        "revaluation of the starting balances -$9.497, rounding -$0.004; largest drawdown 0.370 %"
    ) in printed(summary)


def test_pairs_of_one_currency_add_up_to_their_total_as_they_are_written(summary):
    summary["symbols"]["XRP/BTC"] |= {"currency": "USDT", "fees": 0.014}
    summary["symbols"]["XRP/USDT"]["fees"] = 0.014
    summary["total"]["fees"] = 0.028

    assert cells(printed(summary), "fees") == ["$0.014", "$0.014", "$0.028"]


def test_fees_that_cannot_be_converted_are_left_out(summary):
    summary["equity"] |= {"fees": None, "trading_pnl_before_fees": None}

    assert any("trading -$11.74, revaluation" in line for line in printed(summary))


def test_equity_that_is_not_known(summary):
    lines = printed(summary | {"equity": None})

    assert "Equity: unknown, because a balance never had a price" in lines


@pytest.mark.parametrize(("simulated", "words"), [(True, "SIMULATED data"), (False, "recorded data")])
def test_heading_says_where_the_data_come_from(summary, simulated, words):
    lines = printed(summary | {"simulated_data": simulated})

    assert lines[0] == f"backtest: {words}, 2025-12-06 05:46:40 UTC to 2025-12-06 05:55:03 UTC"


@pytest.mark.parametrize(
    ("queue", "consumption", "words"),
    [
        (True, True, "queue position and liquidity consumption"),
        (True, False, "queue position"),
        (False, True, "liquidity consumption"),
        (False, False, "no queue model"),
    ],
)
def test_heading_says_how_fills_are_decided(summary, queue, consumption, words):
    summary["venue"] |= {"queue_position": queue, "liquidity_consumption": consumption}

    assert printed(summary)[1] == f"KRAKEN, cash account, {words}, latency 50 ms"


CHEAP, DEAR = {"maker_fee_pct": -0.01, "taker_fee_pct": 0.02}, {"maker_fee_pct": 0.25, "taker_fee_pct": 0.4}
TIERS = {"published": "kraken_spot", "tiers": None, "starting_volume": 60_000.0}


@pytest.mark.parametrize(
    ("venue", "words"),
    [
        ({}, "maker 0 %, taker 0.02 % of the value"),
        (
            {"symbol_fees": {"XRP/BTC": CHEAP}},
            "maker 0 %, taker 0.02 % of the value; maker -0.01 %, taker 0.02 % of the value (XRP/BTC)",
        ),
        (
            {"fees": None, "instrument_fees": {"XRP/USDT": DEAR, "XRP/BTC": DEAR}},
            "each instrument's own; maker 0.25 %, taker 0.4 % of the value (XRP/USDT, XRP/BTC)",
        ),
        (
            {"fees": None, "fee_schedule": TIERS},
            "by the volume of thirty days (kraken_spot), at first maker 0.14 %, taker 0.24 % of the value at a volume "
            "of $60000.00",
        ),
    ],
)
def test_heading_says_loudly_which_fees_are_assumed(summary, venue, words):
    summary["venue"] |= venue

    assert printed(summary)[2] == f"FEES ASSUMED: {words}"


def test_a_name_with_brackets_is_no_markup(summary):
    assert printed(summary | {"name": "[red]run[/]"})[0].startswith("[red]run[/]: ")


def test_the_answer_stands_last_after_the_timing(summary):
    assert printed(summary)[-6:] == [
        "17,983 events, 369 orders in 0.9 s (19,791 events/s)",
        "",
        *summary["answer"]["lines"],
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_parts_tables_and_breaks_nothing_inside_a_word(summary, width):
    summary["symbols"] |= {"BTC/USDT": IDLE}

    lines = printed(summary, width=width)

    assert max(map(len, lines)) <= width
    whole = {word for line in printed(summary, width=1_000) for word in line.split() if "─" not in word}
    assert {word for line in lines for word in line.split() if "─" not in word} == whole
    assert "\n".join(lines).count("-0.00004388 BTC") == 2


def test_columns_stand_under_each_other_in_ascii_too(summary):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=stream, width=240).print(summary_view(summary))
    stream.seek(0)
    lines = stream.read().splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|spread captured"))

    assert "+1.25 bps +- 0.30" in lines[first + 2]
    assert len({len(line) for line in lines[first : first + 5]}) == 1


def test_where_one_column_is_too_wide_rows_become_lines():
    table = text_table("Parameters", ["", "a-name-as-long-as-this", "b"], is_numeric=False)
    table.add_row("strategy.stop_loss_pct", "a value of words", "-")
    table.caption = "the end"
    stream = io.StringIO()
    Console(file=stream, width=30).print(PartedTable(table))

    assert [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()] == [
        "Parameters",
        "a-name-as-long-as-this",
        " strategy.stop_loss_pct: a",
        "value of words",
        "b",
        " strategy.stop_loss_pct: -",
        "the end",
    ]


def test_the_view_does_not_change_the_summary(summary):
    summary_view(summary)

    assert summary == SUMMARY
