"""The live view of whole sandbox runs: the real command, a local venue, and a client on the page's port."""

import fcntl
import http.client
import json
import math
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from live_pages import BEARER, TOKEN, VARIABLE, Seen, events, live_run
from processes import python
from prometheus_client.parser import text_string_to_metric_families
from sandbox_runs import COMMAND, LONGEST_WAIT, Left, configuration, ending
from whole_runs import ROOT, FinishedRun

# -- Figures ------------------------------------------------------------------------------------------------


@pytest.fixture
def left(paper_run: FinishedRun) -> Left:
    return Left(paper_run.outcome.folder)


def test_page_follows_the_run_from_fill_to_fill(seen: Seen) -> None:
    fills = [state["fills_seen"] for state in seen["state"]]
    assert fills[0] < fills[-1]
    assert fills == sorted(fills)
    assert len(set(fills)) > 3
    newest = [rows[0]["id"] for rows in seen["fills"] if rows]
    assert len(set(newest)) > 3
    assert "quoting" in {symbol["state"] for state in seen["state"] for symbol in state["symbols"]}
    statuses = [state["status"] for state in seen["state"]]
    assert statuses[-1] == "completed"
    assert "running" in statuses


def test_figures_at_the_end_are_those_of_the_summary(seen: Seen, left: Left) -> None:
    left.assert_ended("completed")
    summary, last = left.summary, seen["state"][-1]
    assert last["status_text"] == summary["stop"]["text"]
    for symbol in last["symbols"]:
        told, figures = summary["symbols"][symbol["symbol"]], symbol["figures"]
        exact = ("realized_pnl", "total_pnl", "fees", "inventory")
        for key in ("fills", "trades", "wins", "losses", "win_rate", *exact):
            assert figures[key]["value"] == told[key], key
        for key in exact:
            assert figures[key]["exact"] == told["exact"][key]
    equity, figures = summary["equity"], last["account"]["figures"]
    for key, name in (("equity", "end"), ("trading_pnl", "trading_pnl"), ("revaluation", "revaluation")):
        assert figures[key]["exact"] == equity["exact"][name]
        assert figures[key]["value"] == equity[name]
    assert figures["drawdown"]["value"] == equity["max_drawdown_pct"]
    assert last["account"]["balances"] == equity["balances"]
    assert seen["curve"][-1]["equity"]["value"][-1] == pytest.approx(equity["end"], abs=1e-8)
    assert last["fills_seen"] == len(left.fills)
    shown, kept = (Decimal(text.split()[0]) for text in (figures["fees"]["exact"], equity["exact"]["fees"]))
    assert shown == kept > 0
    (day,) = seen["days"][-1]["days"]
    assert seen["days"][-1]["earlier"] is None
    assert day["trading_pnl"]["exact"] == figures["today"]["exact"]
    assert Decimal(day["trading_pnl"]["exact"].split()[0]) == Decimal(
        equity["exact"]["trading_pnl"].split()[0]
    )
    assert day["fills"]["value"] == len(left.fills)


def test_no_quote_crosses_the_mid_beside_it(seen: Seen) -> None:
    """The market is that of the quotes' moment."""
    compared = 0
    for state in seen["state"]:
        for symbol in state["symbols"]:
            if "mid" in symbol["figures"]:
                bid, mid, ask = (symbol["figures"][key]["value"] for key in ("bid", "mid", "ask"))
                assert bid is None or bid < mid, symbol
                assert ask is None or mid < ask, symbol
                compared += (bid is not None) + (ask is not None)
    assert compared > 60


def test_fills_on_the_page_are_those_of_the_table(seen: Seen, left: Left) -> None:
    table = left.fills
    shown = list(reversed(seen["fills"][-1]))
    assert len(shown) == min(50, len(table))
    for fill, row in zip(shown, table.tail(len(shown)).itertuples(), strict=True):
        assert (fill["id"], fill["symbol"]) == (row.client_order_id, row.symbol)
        assert fill["side"] == f"{row.side} {row.liquidity.lower()}"
        assert float(fill["price"].split()[0].replace(",", "")) == float(row.price)
        assert float(fill["quantity"].split()[0].replace(",", "")) == float(row.quantity)


def test_log_on_the_page_is_the_end_of_the_file(seen: Seen, left: Left) -> None:
    (path,) = left.folder.glob("run_*.log")
    lines = [line[:400] for line in path.read_text(encoding="utf-8").splitlines()]
    shown = seen["log"][-1]
    assert len(shown) == 50
    assert any("[FILL] [market_making]" in line for line in shown)
    # The engine may say the same twice in one nanosecond.
    assert any(lines[first : first + 50] == shown for first, line in enumerate(lines) if line == shown[0])


def test_summary_tells_the_page(left: Left) -> None:
    web = left.summary["web"]
    assert web.pop("url").startswith("http://127.0.0.1:")
    assert web == {"needs_token": False, "can_halt": False, "failure": None}


# -- The Prometheus endpoint --------------------------------------------------------------------------------

COUNTS = ("fills", "trades", "wins", "losses")
AMOUNTS = (
    *("realized_pnl", "unrealized_pnl", "total_pnl", "average_pnl", "fees", "funding", "inventory"),
    *("realized_pnl_report", "unrealized_pnl_report", "total_pnl_report", "funding_report"),
)


def samples(text: str) -> dict[tuple[str, str, str], float]:
    """Return values of a scrape by name, symbol and currency."""
    return {
        (
            one.name.removeprefix("mm_nautilus_"),
            one.labels.get("symbol", ""),
            one.labels.get("currency", ""),
        ): (one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def same(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def test_scrapes_have_the_figures_of_the_table_of_metrics(seen: Seen, left: Left) -> None:
    table = pd.read_parquet(left.folder / "metrics.parquet")
    rows = {(row.symbol, row.ts_event.value / 1e9): row for row in table.itertuples()}
    found, compared = [samples(text) for text in seen["scrapes"]], set()
    for scrape in found:
        updated = {
            key[1]: value for key, value in scrape.items() if key[0] == "symbol_updated_timestamp_seconds"
        }
        for symbol, moment in updated.items():
            row = rows.get((symbol, moment))
            if row is None:
                continue  # published between two rows of the table
            compared.add((symbol, moment))
            for name in COUNTS:
                assert scrape[f"{name}_total", symbol, ""] == getattr(row, name), name
            for name in AMOUNTS:
                number, _, currency = getattr(row, name).partition(" ")
                assert scrape[name, symbol, currency] == float(number), name
            quote = symbol.partition("/")[2]
            name = "trailing_stop_price"
            assert same(scrape[name, symbol, quote], getattr(row, name))
            win_rate = row.win_rate / 100 if row.trades else math.nan
            assert same(scrape["win_ratio", symbol, ""], win_rate)
            assert same(scrape["volatility_ratio", symbol, ""], row.volatility_pct / 100)
    assert len({symbol for symbol, _ in compared}) == 3
    assert len({moment for _, moment in compared}) > 3
    fills = [sum(value for key, value in scrape.items() if key[0] == "fills_total") for scrape in found]
    assert fills == sorted(fills)
    assert fills[-1] > 3


def test_no_scraped_quote_crosses_the_mid_beside_it(seen: Seen) -> None:
    compared = 0
    for text in seen["scrapes"]:
        found = {
            tuple(one.labels.get(label) for label in ("symbol", "side", "level")): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name in ("mm_nautilus_mid_price", "mm_nautilus_quote_price")
        }
        for (symbol, side, _), price in found.items():
            if side is not None and not math.isnan(price):
                assert (price < found[symbol, None, None]) is (side == "bid"), (symbol, side)
                compared += 1
    assert compared > 10


def test_scrapes_have_the_accounts_figures_of_the_page(seen: Seen) -> None:
    shown = [state["account"]["figures"] for state in seen["state"]]
    known = {
        tuple(figures[key]["value"] for key in ("equity", "trading_pnl", "fees"))
        for figures in shown
        if "equity" in figures
    }
    found = [samples(text) for text in seen["scrapes"]]
    keys = ("equity", "trading_pnl", "fees")
    told = [tuple(one[f"account_{key}", "", "USDT"] for key in keys) for one in found]
    assert len(known & set(told)) > 1
    assert all(one["feed_connected", "", ""] == 1 for one in found)
    assert found[-1]["uptime_seconds", "", ""] > found[0]["uptime_seconds", "", ""]


def test_summary_tells_the_endpoint_and_its_port_is_free_afterwards(left: Left) -> None:
    told = left.summary["prometheus"]
    port = int(told["url"].removesuffix("/metrics").rpartition(":")[2])
    assert told == {"url": f"http://127.0.0.1:{port}/metrics", "needs_token": False, "failure": None}
    socket.create_server(("127.0.0.1", port)).close()


# -- Refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (["--web-host", "0.0.0.0"], {}, "web.host: a live page on an address that is no loopback"),  # noqa: S104
        (["--web-halt"], {}, "web.halt: a live page with a halt button (--web-halt) needs a token"),
        (["--web"], {VARIABLE: "too short"}, "must have at least 16 characters, had 9"),
        (["--web-port", "70000"], {}, "port must be"),
        (["--metrics-port", "70000"], {}, "--metrics-port must be between 0 and 65535"),
        (
            ["--metrics-port", "0", "--set", "prometheus.host=0.0.0.0"],
            {},
            "prometheus.host: a Prometheus endpoint on an address that is no loopback",
        ),
        (["--metrics-port", "0"], {"MM_NAUTILUS_METRICS_TOKEN": "too short"}, "must have at least 16"),
        (
            ["--web-port", "9464", "--metrics-port", "9464"],
            {},
            "prometheus.port (--metrics-port) must be another port than web.port (--web-port), was 9464",
        ),
        (
            ["--web", "--metrics-port", "0"],
            {VARIABLE: "x" * 16, "MM_NAUTILUS_METRICS_TOKEN": "x" * 16},
            f"the tokens in MM_NAUTILUS_METRICS_TOKEN and {VARIABLE} must differ",
        ),
        (["--web-host", "a b"], {}, "host must be an address"),
        (["--set", "web={enabled: true, token: abc}"], {}, "unknown key token"),
    ],
)
def test_page_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    environment: dict[str, str],
    words: str,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, _, errors = command("sandbox", configuration(tmp_path), *options)
    assert code == 2
    assert words in errors
    assert not any(value in errors for value in environment.values())
    assert {path.name for path in tmp_path.iterdir()} == {"run.yaml"}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--web-port", "web: 127.0.0.1 port {}: the live page cannot listen there: Address already in use"),
        (
            "--metrics-port",
            "prometheus: 127.0.0.1 port {}: the Prometheus endpoint cannot listen there: Address already in use",
        ),
    ],
)
def test_port_that_is_taken_is_refused_before_anything_is_written(
    tmp_path: Path, command: Callable[..., Any], option: str, words: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, _, errors = command("sandbox", configuration(tmp_path), option, port)
    assert code == 2
    assert words.format(port) in errors
    assert {path.name for path in tmp_path.iterdir()} == {"run.yaml"}


# -- Ends ---------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_the_run_in_time_with_open_pages(tmp_path: Path, number: int, code: int) -> None:
    with live_run(configuration(tmp_path)) as run:
        streams = [run.listen() for _ in range(5)]
        readers = [events(stream) for stream in streams]
        for reader in readers:
            while next(reader)[0] != "state":
                pass
        run.process.send_signal(number)
        run.ended()
        assert run.process.returncode == code
        for reader in readers:
            last = [data for name, data in reader if name == "state"][-1]
            assert last["status"] == "interrupted"
        for stream in streams:
            stream.close()
    left = Left.only(tmp_path)
    left.assert_ended("interrupted")
    assert not (left.folder / "failure.txt").exists(), "written where the end takes almost five seconds"


@pytest.mark.long
def test_page_that_breaks_is_told_once_and_ends_nothing(tmp_path: Path) -> None:
    planted = """\
import sys
import mm_nautilus.live_view.publisher as publisher
from mm_nautilus.cli import process_main

def fail(_snapshot):
    raise ZeroDivisionError("planted")

publisher.state_document = fail
process_main(["sandbox", *sys.argv[1:]])
"""
    words = [str(configuration(tmp_path)), *ending(tmp_path, 120), "--web-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-c", planted, *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = next(line.split()[2] for line in process.stdout if line.startswith("live page: "))
    with suppress(OSError, http.client.HTTPException):  # the stream breaks off in whatever way
        urllib.request.urlopen(url + "events", timeout=LONGEST_WAIT).read()  # noqa: S310 - our own page
    said, errors = process.communicate(timeout=LONGEST_WAIT)
    assert process.returncode == 0, errors
    assert said.count("the live page failed, the run continues: ZeroDivisionError: planted") == 1
    left = Left.only(tmp_path)
    left.assert_ended("completed")
    assert left.summary["web"]["failure"] == "ZeroDivisionError: planted"
    assert len(left.fills) > 0


@pytest.mark.long
def test_failing_callback_of_the_live_view_bridge_ends_the_run(tmp_path: Path) -> None:
    planted = """\
import itertools
import sys
import mm_nautilus.live_view.state as state
from mm_nautilus.cli import process_main

calls = itertools.count()

def fail(self, symbol, market, quotes):
    if next(calls) >= 30:
        raise ZeroDivisionError("planted")

state.LiveState.on_moment = fail
process_main(["sandbox", *sys.argv[1:]])
"""
    done = python("-c", planted, str(configuration(tmp_path)), "--quiet", "--web-port", "0")
    assert done.returncode == 1
    place = r"raised ZeroDivisionError at \S+/runs/live_view_bridge\.py:\d+"
    told = rf"LiveViewBridge\.on_time_event {place}: planted; quotes cancelled; see "
    assert re.search(told, done.stderr)
    Left.only(tmp_path).assert_ended("failed")


# -- The kill switch ----------------------------------------------------------------------------------------


def test_page_resumes_what_it_halted(tmp_path: Path) -> None:
    """The run quotes and trades again, and its files say that nothing is halted."""
    path = configuration(tmp_path)
    with live_run(path, "--web-halt", token=TOKEN) as run, run.listen(**BEARER) as stream:
        reader = events(stream)
        run.ask("api/halt", {"flatten": False}, **BEARER)
        halted = next(data for name, data in reader if name == "state" and data["is_halted"])
        symbols = [symbol["symbol"] for symbol in halted["symbols"]]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            run.ask("api/resume", {"halted": symbols})
        with pytest.raises(urllib.error.HTTPError, match="409"):
            run.ask("api/resume", {"halted": symbols[:1]}, **BEARER)
        answer = run.ask("api/resume", {"halted": symbols}, **BEARER)
        assert answer["halted"] == symbols
        states = (data for name, data in reader if name == "state")
        again = next(
            data for data in states if all(symbol["figures"]["bid"]["value"] for symbol in data["symbols"])
        )
        assert not again["is_halted"]
        resumed = {note["symbol"] for note in again["guards"] if note["text"] == "resumed by the live page"}
        assert resumed == set(symbols)
        next(data for data in states if data["fills_seen"] > again["fills_seen"])
        run.process.send_signal(signal.SIGTERM)
        run.ended()
    left = Left.only(tmp_path)
    assert {told["halted"] for told in left.summary["symbols"].values()} == {False}
    assert not (tmp_path / "state" / "probe.halt").exists()
    assert not (tmp_path / "state" / "probe.resume").exists()


@pytest.mark.long
def test_page_halts_the_run_and_keeps_it_halted(tmp_path: Path) -> None:
    path = configuration(tmp_path)
    with live_run(path, "--web-halt", token=TOKEN) as run, run.listen(**BEARER) as stream:
        reader = events(stream)
        assert any(name == "fills" and data for name, data in reader)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            run.ask("api/halt", {"flatten": False})
        answer = run.ask("api/halt", {"flatten": False}, **BEARER)
        assert answer["halt_file"] == str(tmp_path / "state" / "probe.halt")
        halted = next(data for name, data in reader if name == "state" and data["is_halted"])
        reasons = {symbol["reason"] for symbol in halted["symbols"]}
        assert reasons == {"halted by the kill switch: the live page"}
        run.process.send_signal(signal.SIGTERM)
        last = [data for name, data in reader if name == "state"][-1]
        assert {symbol["figures"]["bid"]["value"] for symbol in last["symbols"]} == {None}
        run.ended()
    left = Left.only(tmp_path)
    left.assert_ended("interrupted")
    assert {told["halted"] for told in left.summary["symbols"].values()} == {True}
    kept = json.loads((tmp_path / "state" / "probe.halt").read_text(encoding="utf-8"))
    assert (kept["reason"], kept["flatten"]) == ("the live page", False)


@pytest.mark.long
def test_without_the_option_there_is_no_way_to_halt_and_the_token_is_nowhere(tmp_path: Path) -> None:
    with live_run(configuration(tmp_path), token=TOKEN) as run:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            run.ask("api/halt", {"flatten": False}, **BEARER)
        assert run.ask("api/state", **BEARER)["run"]["name"] == "probe"
        run.process.send_signal(signal.SIGTERM)
        told = run.ended() + "".join(run.said)
    assert VARIABLE in told
    assert TOKEN not in told
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
    assert not (tmp_path / "state" / "probe.halt").exists()


# -- The terminal -------------------------------------------------------------------------------------------


SIZES = {"COLUMNS", "LINES"}
"""What would tell a size other than the terminal's; a worker of the test suite has it set."""


def in_terminal(words: list[str], *, until: str, rows: int = 40, columns: int = 120) -> tuple[int, str]:
    """Run the command in a terminal, send SIGTERM once it shows some words, and return exit code and output."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in SIZES}
        | {"TERM": "xterm-256color"},
        stdin=follower,
        stdout=follower,
        stderr=subprocess.STDOUT,
    )
    os.close(follower)
    written, has_asked, deadline = b"", False, time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        if not select.select([leader], [], [], 1.0)[0]:
            continue
        try:
            chunk = os.read(leader, 65_536)
        except OSError:  # nobody has the terminal open any more
            break
        written += chunk
        if not has_asked and until.encode() in written:
            has_asked = True
            process.send_signal(signal.SIGTERM)
    os.close(leader)
    process.kill()
    process.wait()
    text = written.decode()
    assert has_asked, f"the terminal never showed {until!r} before code {process.returncode}: {text[-3000:]}"
    return process.returncode, text


def test_terminal_shows_the_run_and_is_left_intact(tmp_path: Path) -> None:
    code, text = in_terminal(
        [str(configuration(tmp_path)), "--set", "metrics.interval_seconds=1"], until="at most", rows=80
    )
    assert code == 143
    for words in ("probe: running for", "SIMULATED data", "our bid", "at most", "equity $"):
        assert words in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    shown, _, after = text.rpartition("\x1b[?25h")
    assert "probe: running" in shown
    assert "probe: running" not in after
    assert "interrupted by SIGTERM" in after
    Left.only(tmp_path).assert_ended("interrupted")


@pytest.mark.long
def test_plain_lines_are_printed_on_a_terminal_where_they_are_wanted(tmp_path: Path) -> None:
    code, text = in_terminal([str(configuration(tmp_path)), "--plain"], until="quoting XRP/USDT")
    assert code == 143
    assert "\x1b[?25l" not in text
    assert "probe: running" not in text
