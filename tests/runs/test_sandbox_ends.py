"""How a sandbox run ends when it is not left alone: signals, failing callbacks, venues that do not answer."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sandbox_runs import (
    CATALOG,
    LONGEST_WAIT,
    Left,
    configuration,
    finished,
    read_until,
    start,
    wait_for_fill,
)

from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.mock_kraken.process import VenueOptions, VenueProcess
from mm_nautilus.report.journal import Journal
from mm_nautilus.runs import sandbox
from mm_nautilus.runs.recorder import RunRecorder
from mm_nautilus.runs.traces import TraceRecorder
from mm_nautilus.runs.winding_down import Run
from mm_nautilus.trading import fail_fast
from mm_nautilus.trading.strategy import MarketMaker

Command = Callable[..., Any]
SIGNALS = [pytest.param(signal.SIGINT, 130, marks=pytest.mark.long), (signal.SIGTERM, 143)]


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the end and return what was told as an error."""
    return process.communicate(timeout=LONGEST_WAIT)[1]


# -- Signals ------------------------------------------------------------------------------------------


@pytest.mark.long
def test_signal_while_the_run_is_prepared_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a venue that takes connections and never answers
        port = silent.getsockname()[1]
        feed = live(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", 60)
        process = start(str(configuration(tmp_path, feed)))
        read_until(process, "live feed of")
        os.kill(process.pid, signal.SIGTERM)
        errors = ended(process)
    assert process.returncode == 143
    assert "nothing was written" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


@pytest.mark.long
def test_signal_at_the_start_of_the_node_ends_it_in_order(tmp_path: Path) -> None:
    process = start(str(configuration(tmp_path)))
    read_until(process, "Ctrl-C ends the run")
    os.kill(process.pid, signal.SIGTERM)
    ended(process)
    assert process.returncode == 143
    left = Left.only(tmp_path)
    assert left.summary["status"] == "interrupted"
    assert left.summary["open_orders"] == 0
    assert not (left.folder / "failure.txt").exists()


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_signals_during_the_run_and_during_its_end_save_everything(
    tmp_path: Path, number: int, code: int
) -> None:
    process = start(str(configuration(tmp_path)), "--json")
    wait_for_fill(process, tmp_path)
    os.kill(process.pid, number)
    for other in (signal.SIGTERM, signal.SIGINT) * 5:  # none of these changes anything
        time.sleep(0.1)
        if process.poll() is None:
            os.kill(process.pid, other)
    said, errors = process.communicate(timeout=LONGEST_WAIT)
    assert process.returncode == code
    left = Left.only(tmp_path)
    assert json.loads(said) == left.summary
    words = "stopped by you (SIGINT)" if number == signal.SIGINT else "interrupted by SIGTERM"
    assert f"{words}: quotes cancelled" in errors
    assert str(left.folder) in errors
    left.assert_ended("interrupted")
    assert left.summary["stop"]["cause"] == "signal"
    assert not (left.folder / "failure.txt").exists()
    assert (tmp_path / "state" / "probe.json").exists()


@pytest.mark.long
def test_the_page_delays_neither_the_end_nor_the_next_run(tmp_path: Path) -> None:
    """It is written by a process of its own, while the next run continues from the state in the same folders."""
    config = str(configuration(tmp_path))
    process = start(config, "--set", "output.report=true")
    wait_for_fill(process, tmp_path)
    os.kill(process.pid, signal.SIGTERM)
    process.wait(LONGEST_WAIT)
    gone_ns = time.time_ns()
    first = Left.only(tmp_path)
    before = first.summary
    done = finished(config, "--duration", "1s")
    ended(process)
    assert process.returncode == 143
    assert done.returncode == 0, done.stderr
    assert "continues from" in done.stdout
    second = Left(max((tmp_path / "runs").iterdir()))
    assert second.summary["start"]["balances"] == before["equity"]["balances"]
    second.assert_ended("completed")
    deadline = time.monotonic() + LONGEST_WAIT
    while not (first.folder / "report.html").exists():
        assert time.monotonic() < deadline, (first.folder / "report.log").read_text(encoding="utf-8")
        time.sleep(0.1)
    assert (first.folder / "report.html").stat().st_mtime_ns > gone_ns
    assert not (second.folder / "report.html").exists()
    assert first.summary["equity"] == before["equity"]
    first.assert_ended("interrupted")


# -- Failures -----------------------------------------------------------------------------------------

FAILING = """\
def failing(self, *arguments):
    if next(calls) == count:
        raise ZeroDivisionError("planted")
    return original(self, *arguments)
"""
"""Fails once; compiled from no file, so that the place that is told is the package's."""
OWNERS = {
    owner.__name__: owner for owner in (MarketMaker, MetricsActor, RunRecorder, Journal, Run, TraceRecorder)
}
FAILED = " of (XRP/USDT|BTC/USDT|XRP/BTC) raised ZeroDivisionError{}"
"""What a callback that was given a pair's event raised, and where."""


@pytest.mark.parametrize(
    ("method", "count", "callback", "place"),
    [
        pytest.param(
            "MarketMaker.on_book_deltas",
            900,
            "MarketMaker.on_book_deltas",
            FAILED.format(""),
            marks=pytest.mark.long,
        ),
        (
            "MarketMaker._on_fill",
            3,
            "MarketMaker.on_order_event",
            FAILED.format(r" at \S+/trading/strategy\.py:\d+"),
        ),
        pytest.param(
            "MetricsActor._book",
            3,
            "MetricsActor._on_event",
            FAILED.format(r" at \S+/metrics/actor\.py:\d+"),
            marks=pytest.mark.long,
        ),
        pytest.param(
            "RunRecorder.on_data",
            20,
            "RunRecorder.on_data",
            " raised ZeroDivisionError",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "Journal.log_fill",
            3,
            "RunRecorder._on_event",
            FAILED.format(r" at \S+/runs/recorder\.py:\d+"),
            marks=pytest.mark.long,
        ),
    ],
)
def test_failing_callback_ends_the_run_and_keeps_the_books(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
    method: str,
    count: int,
    callback: str,
    place: str,
) -> None:
    """Journal, table of fills, account and summary hold the same fills, those after the failure included."""
    owner, _, name = method.partition(".")
    original = getattr(OWNERS[owner], name)
    names = {"original": original, "count": count, "calls": itertools.count(1)}
    exec(FAILING, names)  # noqa: S102
    failing: Any = names["failing"]
    failing.__name__, failing.__qualname__ = original.__name__, original.__qualname__
    planted = fail_fast._guarded(failing) if name.startswith("on_") else failing
    monkeypatch.setattr(OWNERS[owner], name, planted)
    done = command("sandbox", configuration(tmp_path), "--quiet")
    assert done.returncode == 1
    told = rf"the run failed: {callback}{place}: planted; quotes cancelled; see "
    assert re.search(told, done.stderr)
    assert "Traceback" not in done.stderr
    left = Left.only(tmp_path)
    left.assert_ended("failed")
    left.assert_shows_no_quotes()
    words, _, details = (left.folder / "failure.txt").read_text(encoding="utf-8").partition("\n")
    assert "Traceback" in details
    assert left.summary["stop"] == {"cause": "failure", "text": words}
    assert len(left.fills) == sum(symbol["fills"] for symbol in left.summary["symbols"].values())
    assert not left.fills.empty or callback == "MarketMaker.on_book_deltas"


@pytest.mark.parametrize(
    "step",
    [
        "build_sandbox",
        *(pytest.param(step, marks=pytest.mark.long) for step in ("Run.summarise", "TraceRecorder.close")),
    ],
)
def test_a_failure_beside_the_callbacks_shows_in_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, step: str
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError("planted")

    owner, _, name = step.rpartition(".")
    monkeypatch.setattr(OWNERS.get(owner, sandbox), name, fail)
    code, _, errors = command("sandbox", configuration(tmp_path), "--duration", "1s", "--quiet")
    left = Left.only(tmp_path)
    assert (code, left.summary["status"]) == (1, "failed")
    assert "planted" in errors
    words, _, details = (left.folder / "failure.txt").read_text(encoding="utf-8").partition("\n")
    assert "ZeroDivisionError" in details
    assert left.summary["stop"] == {"cause": "failure", "text": words}


@pytest.mark.long
def test_venue_that_dies_under_the_run_ends_it(tmp_path: Path) -> None:
    process = start(str(configuration(tmp_path)))
    read_until(process, "Ctrl-C ends the run")
    wait_for_fill(process, tmp_path)
    (venue,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    os.kill(int(venue), signal.SIGKILL)
    errors = ended(process)
    assert process.returncode == 1
    assert "the local venue does not answer" in errors
    Left.only(tmp_path).assert_ended("failed")


@pytest.mark.long
def test_killed_run_leaves_the_rows_up_to_its_last_flush(tmp_path: Path) -> None:
    import pandas as pd  # noqa: PLC0415

    process = start(str(configuration(tmp_path)))
    wait_for_fill(process, tmp_path)
    process.kill()
    ended(process)
    left = Left.only(tmp_path)
    assert left.summary["status"] == "running"
    assert len(left.journal_fills) > 0
    for parts in left.folder.glob("*.parts"):
        assert all(len(pd.read_parquet(part)) for part in parts.iterdir())


# -- Connecting ---------------------------------------------------------------------------------------


@contextmanager
def silent_port() -> Iterator[int]:
    """Listen, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def live(rest: str, websocket: str, seconds: int) -> str:
    urls = f"rest_url: '{rest}', websocket_url: '{websocket}'"
    return f"feed: {{source: live, {urls}, connect_timeout_seconds: {seconds}}}\n"


def test_unreachable_venue_is_named_and_nothing_is_written(tmp_path: Path, command: Command) -> None:
    port = closed_port()
    urls = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/v2"
    done = command("sandbox", configuration(tmp_path, live(*urls, 2)))
    assert done.returncode == 1
    assert f"did not list its pairs within 2 s: tried {urls[0]}" in done.stderr
    assert "Connection refused" in done.stderr
    assert not (tmp_path / "runs").exists()


ODD = {
    "A": {"wsname": "A/USD", "tick_size": "0"},
    "B": {"wsname": "/USD", "base": ""},
    "C": {"wsname": "C/USD", "status": "delisted"},
    "D": {"wsname": "D/USD", "pair_decimals": "many"},
    "E": {"wsname": None, "lot_multiplier": "x"},
    "XRPUSDT.d": {"wsname": "XRP/USDT", "tick_size": "-1"},
}
"""Entries of a list of pairs of which each would end the engine's client, or its process."""


@pytest.mark.long
def test_what_a_venue_lists_besides_ends_no_start(tmp_path: Path) -> None:
    with VenueProcess(VenueOptions(catalog=CATALOG, speed=20)) as venue:
        for key, fields in ODD.items():
            venue.control.odd_pair(key, fields)
        feed = live(venue.rest_url, venue.websocket_url, 30)
        done = finished(str(configuration(tmp_path, feed)), "--duration", "1s")
        assert done.returncode == 0, done.stderr
    Left.only(tmp_path).assert_ended("completed")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unavailable", "HTTP status 503"),
        pytest.param("error", "EService:Unavailable", marks=pytest.mark.long),
        pytest.param("empty", "it lists no pairs", marks=pytest.mark.long),
        ("odd", "tick_size of XRP/USDT must be above 0, was 0"),
    ],
)
def test_a_venue_without_pairs_is_asked_again_and_then_given_up(
    tmp_path: Path, command: Command, venue: VenueProcess, fault: str, words: str
) -> None:
    """It is the venue's fault, never the configuration's: a supervisor tries again."""
    if fault == "odd":
        venue.control.drop_pair("XRP/USDT")
        venue.control.odd_pair("XRPUSDT", {"wsname": "XRP/USDT", "tick_size": "0"})
    else:
        venue.control.rest_fault(fault)
    path = configuration(tmp_path, live(venue.rest_url, venue.websocket_url, 2))
    code, out, errors = command("sandbox", path, "--plain")
    assert code == 1
    assert f"the venue's pairs cannot be read: {words}; it is asked again in 1 s" in out
    assert f"tried {venue.rest_url}: {words}; nothing was written" in errors
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def lasting_venue() -> Iterator[VenueProcess]:
    with VenueProcess(VenueOptions(catalog=CATALOG)) as running:
        yield running


@pytest.fixture
def venue(lasting_venue: VenueProcess) -> VenueProcess:
    lasting_venue.control.clear_faults()
    return lasting_venue


@pytest.mark.long
def test_venue_that_never_answers_is_given_up_or_interrupted(tmp_path: Path) -> None:
    with silent_port() as port:
        urls = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/v2"
        done = finished(str(configuration(tmp_path / "a", live(*urls, 1))))
        assert (done.returncode, (tmp_path / "a" / "runs").exists()) == (1, False)
        assert f"within 1 s: tried {urls[0]}" in done.stderr
        process = start(str(configuration(tmp_path / "b", live(*urls, 60))))
        read_until(process, "live feed of")
        os.kill(process.pid, signal.SIGINT)
        assert "nothing was written" in ended(process)
        assert process.returncode == 130


@pytest.mark.long
def test_lost_websocket_at_the_start_is_given_up_or_interrupted(tmp_path: Path) -> None:
    with VenueProcess(VenueOptions(catalog=CATALOG)) as venue, silent_port() as port:
        url = f"ws://127.0.0.1:{port}/v2"
        done = finished(str(configuration(tmp_path / "a", live(venue.rest_url, url, 1))))
        assert done.returncode == 1
        assert f"within 1 s: tried {venue.rest_url} and {url}" in done.stderr
        assert Left.only(tmp_path / "a").summary["status"] == "failed"
        process = start(str(configuration(tmp_path / "b", live(venue.rest_url, url, 60))))
        read_until(process, "Ctrl-C ends the run")
        os.kill(process.pid, signal.SIGTERM)
        ended(process)
        assert process.returncode == 143
        assert Left.only(tmp_path / "b").summary["status"] == "interrupted"


# -- Configurations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("feed.speed=0", "speed must be a number above 0"),
        (
            "strategy.symbols.XRP/USDT.position_size=1 XRP",
            "at least 2.000000 XRP (the least size of an order)",
        ),
        (
            "strategy.symbols.BTC/USDT={position_size_usd: 1}",
            "the least size of an order), was 1 USDT, worth",
        ),
        ("feed.catalog=/nonexistent", "the catalog /nonexistent does not exist"),
        ("state.directory=/proc/nowhere", "--set state.directory: directory must be a writable folder"),
        (
            "output.directory=/proc/nowhere",
            "--set output.directory: directory must be a writable folder",
        ),
    ],
)
def test_bad_configuration_is_refused_before_anything_is_written(
    tmp_path: Path, command: Command, override: str, words: str
) -> None:
    code, _, errors = command("sandbox", configuration(tmp_path), "--set", override)
    assert code == 2
    assert words in errors
    assert not (tmp_path / "runs").exists()


def test_symbols_and_sizes_that_a_live_venue_does_not_take_are_refused(
    tmp_path: Path, command: Command, venue: VenueProcess
) -> None:
    """Sizes are compared at the prices that the venue tells."""
    symbols = {
        "{XRP/USD: {}}": "must be one of those with data",
        "{BTC/USDT: {position_size_usd: 1}}": "the least size of an order), was 1 USDT, worth",
    }
    path = configuration(tmp_path, live(venue.rest_url, venue.websocket_url, 30))
    for given, words in symbols.items():
        code, out, errors = command("sandbox", path, "--set", f"strategy.symbols={given}")
        assert code == 2
        assert words in errors
        assert "were not compared" not in out + errors
    assert not (tmp_path / "runs").exists()
