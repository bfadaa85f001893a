"""What commands tell of a run that has ended: its tables, its answer, its report, and that in a browser."""

import io
import sys
import webbrowser

import pytest

from mm_nautilus.cli.app import exit_code
from mm_nautilus.cli.console import print_outcome
from mm_nautilus.runs.winding_down import RunOutcome

SUMMARY = {
    "name": "r",
    "simulated_data": True,
    "venue": {
        "name": "K",
        "account_type": "cash",
        "queue_position": True,
        "liquidity_consumption": True,
        "latency": {"insert_ms": 50.0},
        "fees": {"maker_fee_pct": 0.0, "taker_fee_pct": 0.02},
        "fee_schedule": None,
        "symbol_fees": {},
    },
    "report_currency": "USDT",
    "period": {"start": "2025-12-06T05:46:40+00:00", "end": "2025-12-06T05:55:03+00:00"},
    "symbols": {},
    "total": {},
    "exits": {},
    "equity": None,
    "events": 1,
    "orders": 1,
    "elapsed_seconds": 1.0,
    "events_per_second": 1,
    "answer": {"lines": ["Result: a", "Where: b", "Why: c", "Change: d"]},
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def opened(monkeypatch):
    """Return the addresses that a browser was asked to open."""
    found = []
    monkeypatch.setattr(webbrowser, "open", lambda address: found.append(address) or True)
    return found


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "report.html").write_text("page")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json"], "--open must stand without --json and --quiet, was beside --json"),
        (
            ["--json", "--quiet"],
            "--open must stand without --json and --quiet, was beside --json and --quiet",
        ),
        ([], "--open needs a terminal on stdout, was a pipe or a file"),
    ],
)
@pytest.mark.parametrize("command", ["backtest", "sandbox"])
def test_a_report_that_nobody_would_see_is_not_opened(
    command, words, message, opened, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert exit_code([command, "--open", *words]) == 2
    assert message in capsys.readouterr().err
    assert opened == []
    assert list(tmp_path.iterdir()) == []


def test_the_report_is_opened_after_the_answer(folder, opened, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    print_outcome(RunOutcome(SUMMARY, folder, ()), as_json=False, quiet=False, opens=True)

    lines = [line.rstrip() for line in sys.stdout.getvalue().splitlines()]
    assert lines[-4:] == SUMMARY["answer"]["lines"]
    assert capsys.readouterr().err == f"written to {folder / 'report.html'}\n"
    assert opened == [(folder / "report.html").as_uri()]


def test_nothing_is_opened_unless_it_is_asked_for(folder, opened, capsys):
    print_outcome(RunOutcome(SUMMARY, folder, ()), as_json=False, quiet=False)
    assert opened == []
    assert capsys.readouterr().err == f"written to {folder / 'report.html'}\n"


@pytest.mark.parametrize(
    ("has_page", "words"),
    [(True, "no browser could be opened"), (False, "there is no report to open (output.report)")],
)
def test_a_page_that_cannot_be_opened_is_told(folder, has_page, words, capsys, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda _address: False)
    if not has_page:
        (folder / "report.html").unlink()

    print_outcome(RunOutcome(SUMMARY, folder, ()), as_json=False, quiet=False, opens=True)

    assert words in capsys.readouterr().err


def test_a_run_whose_tables_are_not_joined_yet_says_what_completes_its_figures(folder, capsys):
    summary = {key: value for key, value in SUMMARY.items() if key != "answer"}
    print_outcome(RunOutcome(summary, folder, ()), as_json=False, quiet=False)

    printed = capsys.readouterr()
    assert printed.out == "05:55:03 equity not known yet, 0 fills\n"
    assert f"`mm-nautilus report {folder}` completes its figures" in printed.err
