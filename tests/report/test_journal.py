import json
import math
from decimal import Decimal
from types import MappingProxyType

import pytest

from mm_nautilus.metrics.ledger import AccountSnapshot, SymbolLedger
from mm_nautilus.report.journal import Journal

D = Decimal
STATS = {
    "symbol": "XRP/USDT",
    "trades": 4,
    "wins": 3,
    "losses": 1,
    "win_rate": 75.0,
    "pnl": 8.5,
    "avg_pnl": 2.1,
}
BTC_STATS = {**STATS, "symbol": "BTC/USDT", "pnl": -3.12}
FILL = {"symbol": "XRP/USDT", "side": "BUY", "price": D("2.35"), "quantity": D(8), "pnl": D("1.25")}
PORTFOLIO = {
    "currency": "USDT",
    "usdt": 95.5,
    "assets": {"XRP": 42.5},
    "equity": 195.38,
    "pnl": 5.38,
}


@pytest.fixture
def lines():
    return []


@pytest.fixture
def journal(tmp_path, lines):
    with Journal(tmp_path / "journal.jsonl", lines.append) as opened:
        yield opened


@pytest.fixture
def records(tmp_path, journal):
    def read():
        def refuse(name):
            raise ValueError(f"{name} is no JSON")

        text = (tmp_path / "journal.jsonl").read_text(encoding="utf-8")
        return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]

    return read


def log(journal, stats=STATS, **changes):
    return journal.log_fill({**FILL, **changes}, "O-1", "market_making", None, {"quantity": D(8)}, stats)


# -- Fills --------------------------------------------------------------------------------------------


def test_golden_line_of_a_fill(journal, lines):
    line = log(journal)

    assert line == "[FILL] [market_making] BUY XRP/USDT @ 2.350000 P&L: +$1.25 [XRP/USDT total: +$8.50]"
    assert lines == [line]


def test_line_of_a_losing_sale_that_is_not_in_dollars(journal):
    stats = {**STATS, "symbol": "XRP/BTC", "pnl": 0.000039}

    line = log(journal, stats, symbol="XRP/BTC", side="SELL", price=D("0.00002412"), pnl=D("-0.00000125"))

    assert line == (
        "[FILL] [market_making] SELL XRP/BTC @ 0.00002412 P&L: -0.00000125 BTC "
        "[XRP/BTC total: +0.00003900 BTC]"
    )


def test_a_symbol_that_does_not_name_its_currency_takes_the_fills(journal):
    line = log(journal, symbol="XRPBTC", currency="BTC")

    assert "P&L: +1.25000000 BTC [XRPBTC total: +8.50000000 BTC]" in line


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (2.35, "2.350000"),
        (2, "2.000000"),
        ("2.35", "2.350000"),
        (D("100018.6"), "100018.600000"),
        (D("0.00002410"), "0.00002410"),
        (D("0.00000024"), "0.00000024"),  # printed by Python as 2.4E-7
        ("0.000000012345", "0.000000012345"),
        (D("1E+2"), "100.000000"),
    ],
)
def test_price_of_a_fill_has_at_least_six_decimals_and_all_that_are_exact(journal, price, text):
    assert f" @ {text} P&L" in log(journal, price=price)


def test_json_of_a_fill_keeps_amounts_exact_and_links_by_correlation(journal, records):
    log(journal, fee=D("5.9E-7"))

    assert records() == [
        {
            "type": "fill",
            "correlation_id": "O-1",
            "strategy": "market_making",
            "fill": {
                "symbol": "XRP/USDT",
                "side": "BUY",
                "price": "2.35",
                "quantity": "8",
                "pnl": "1.25",
                "fee": "0.00000059",
            },
            "position": {"quantity": "8"},
            "portfolio": None,
            "symbol_stats": STATS,
        }
    ]


# -- Snapshots ----------------------------------------------------------------------------------------


def test_golden_lines_of_a_portfolio(journal, lines):
    text = journal.log_portfolio_snapshot(
        "market_making", PORTFOLIO, {"XRP/USDT": 2.35}, {"XRP/USDT": STATS, "BTC/USDT": BTC_STATS}
    )

    assert text == (
        "[PORTFOLIO] [market_making] Equity: $195.38 | P&L: +$5.38 | USDT: $95.50 | Assets: XRP:42.5000\n"
        "            Per-pair P&L: XRP/USDT:+$8.50 BTC/USDT:-$3.12"
    )
    assert lines == [text]


def test_lines_of_a_portfolio_in_another_currency(journal):
    portfolio = {**PORTFOLIO, "currency": "BTC", "assets": {"XRP": 42.5, "USDT": 3.0}}

    text = journal.log_portfolio_snapshot("mm", portfolio, {}, {"XRP/BTC": {**STATS, "pnl": -0.00001}})

    assert text == (
        "[PORTFOLIO] [mm] Equity: 195.38000000 BTC | P&L: +5.38000000 BTC | BTC: 95.50000000 BTC | "
        "Assets: XRP:42.5000 USDT:3.0000\n"
        "            Per-pair P&L: XRP/BTC:-0.00001000 BTC"
    )


def test_a_ledger_is_logged_with_each_symbols_own_currency(journal, records):
    ledger = SymbolLedger(currencies={"XRPBTC": "BTC"})
    ledger.record_trade_result("XRPBTC", D("0.00001"), report_pnl=D("0.8"))
    ledger.account = AccountSnapshot(
        "USDT", {"USDT": D(9)}, {"USDT": D(1)}, {"USDT": D(9)}, D(8), D(0), D(1), 0.5, 0
    )

    text = journal.log_portfolio_snapshot("mm", ledger.to_dict(), {}, ledger.get_all_symbol_stats())

    assert text == (
        "[PORTFOLIO] [mm] Equity: $9.00 | P&L: +$1.00 | USDT: $9.00 | Assets: \n"
        "            Per-pair P&L: XRPBTC:+0.00001000 BTC"
    )
    assert records()[0]["portfolio"]["exact"]["pnl_by_symbol"] == {"XRPBTC": "0.00001 BTC"}


def test_what_is_not_known_yet_is_called_unknown(journal):
    ledger = SymbolLedger(["XRP/USDT"])

    text = journal.log_portfolio_snapshot("mm", ledger.to_dict(), {}, ledger.get_all_symbol_stats())

    assert text == (
        "[PORTFOLIO] [mm] Equity: unknown | P&L: unknown | USDT: unknown | Assets: \n"
        "            Per-pair P&L: XRP/USDT:+$0.00"
    )


@pytest.mark.parametrize("price", [math.nan, math.inf])
def test_a_price_that_is_no_number_is_null_in_json(journal, records, price):
    journal.log_portfolio_snapshot("mm", PORTFOLIO, {"XRP/USDT": price, "BTC/USDT": 1.5}, {})

    assert records()[0]["prices"] == {"XRP/USDT": None, "BTC/USDT": 1.5}


def test_mappings_and_sequences_of_any_kind_become_json(journal, records):
    portfolio = {**PORTFOLIO, "tags": ("a", D("0.1")), "exact": MappingProxyType({"pnl": D("1E-8")})}

    journal.log_portfolio_snapshot("mm", portfolio, {}, {})

    assert records()[0]["portfolio"]["tags"] == ["a", "0.1"]
    assert records()[0]["portfolio"]["exact"] == {"pnl": "0.00000001"}


# -- What belongs to a fill ---------------------------------------------------------------------------


def test_signal_order_and_metrics_share_the_fills_id_and_have_no_console_line(journal, lines, records):
    journal.log("signal", {"price": D("2.35"), "mid_price": 2.351, "imbalance": None}, "market_making", "O-1")
    journal.log("order", {"price": D("2.35"), "amends": 3}, "market_making", "O-1")
    log(journal)
    journal.log("metrics", {"fills": 1, "trailing_stop_price": math.nan}, "market_making", "O-1")

    found = records()
    assert [record["type"] for record in found] == ["signal", "order", "fill", "metrics"]
    assert {record["correlation_id"] for record in found} == {"O-1"}
    assert {record["strategy"] for record in found} == {"market_making"}
    assert found[0]["signal"] == {"price": "2.35", "mid_price": 2.351, "imbalance": None}
    assert found[1]["order"] == {"price": "2.35", "amends": 3}
    assert found[3]["metrics"] == {"fills": 1, "trailing_stop_price": None}
    assert len(lines) == 1


# -- The file -----------------------------------------------------------------------------------------


def test_every_record_is_one_line_and_is_readable_at_once(journal, records):
    log(journal)
    journal.log_portfolio_snapshot("mm", PORTFOLIO, {}, {})

    assert [record["type"] for record in records()] == ["fill", "portfolio"]


def test_the_file_is_closed_with_the_block(tmp_path):
    with Journal(tmp_path / "journal.jsonl", lambda _line: None) as journal:
        log(journal)

    with pytest.raises(ValueError, match="closed file"):
        log(journal)


def test_a_guards_change_is_a_line_for_machines_alone(tmp_path):
    lines: list[str] = []
    path = tmp_path / "journal.jsonl"
    change = {"ts_event": 5, "symbol": "XRP/USDT", "state": "paused", "text": "paused: stale book"}
    with Journal(path, lines.append) as journal:
        journal.log("guard", change, "market_making")
    assert lines == [], "it was logged where it happened"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"type": "guard", "strategy": "market_making", "guard": change}
    ]
