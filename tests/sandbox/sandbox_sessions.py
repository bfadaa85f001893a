"""Sandbox sessions in processes of their own, on a local venue that the test steers, and what they leave."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from mm_nautilus.mock_kraken.process import VenueProcess
from mm_nautilus.report.journal import journal_files

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "catalog"
CHILD = Path(__file__).with_name("session_child.py")
XRP, BTC, CROSS = "XRP/USDT", "BTC/USDT", "XRP/BTC"
SYMBOLS = (XRP, BTC, CROSS)
PATIENCE_SECONDS = 120.0
"""Longest wait for anything; a busy machine takes its time."""
_REST = 0.05
_TIME_TO_CANCEL_NS = 400_000_000
DIGITS = Decimal("1e-8")
"""What the engine keeps of USDT and BTC."""
OPEN = "open for quoting again"
SLOWNESS = {"paused: stale book", "paused: book recovering", "paused: stale tape"}
"""What the guards may tell besides, and rightly, where the machine has no time for the session for a while."""

type Report = dict[str, Any]


def configuration(folder: Path, venue: VenueProcess, **strategy: Any) -> Path:
    """Write the configuration of a session on a running venue."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "min_spread_pct": 0.02,
        "cooldown_seconds": 0.2,
        "stale_after_seconds": 3.0,
        "stale_tape_after_seconds": 4.0,
        "resume_after_seconds": 0.5,
        "max_order_actions_per_second": 200,
        "symbols": {
            XRP: {"position_size": "8 XRP", "max_inventory": "80 XRP"},
            BTC: {"position_size": "0.0005 BTC", "max_inventory": "0.005 BTC"},
            CROSS: {"position_size": "25 XRP", "max_inventory": "250 XRP"},
        },
    }
    document = {
        "name": "faults",
        "feed": {
            "source": "live",
            "rest_url": venue.rest_url,
            "websocket_url": venue.websocket_url,
            "book_depth": 25,
            "status_interval_seconds": 0.2,
        },
        "venue": {
            "name": "KRAKEN",
            "starting_balances": [f"{amount} {code}" for code, amount in START.items()],
            "fees": {"maker_fee_pct": 0.1, "taker_fee_pct": 0.1},
            "latency": {"insert_ms": 5, "amend_ms": 5, "cancel_ms": 5},
        },
        "strategy": given | strategy,
        "metrics": {"interval_seconds": 0.5},
        "state": {"directory": str(folder / "state")},
        "output": {"directory": str(folder / "runs"), "report": False},
    }
    path = folder / "session.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


class SandboxSession:
    """A sandbox run under way.

    Parameters
    ----------
    config
        Its configuration.
    overrides
        Values to replace, as on the command line.
    """

    def __init__(self, config: Path, overrides: Sequence[str] = ()) -> None:
        self.folder = config.parent
        self._errors = (self.folder / "stderr.txt").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), str(config), *overrides],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    # -- Talking ----------------------------------------------------------------------------------------

    def read_until(self, words: str) -> str:
        """Return the next line that has these words."""
        while (line := self._lines.get(timeout=PATIENCE_SECONDS)) is not None:
            self.said.append(line)
            if words in line:
                return line
        self._lines.put(None)
        raise AssertionError("the session has ended:\n" + "\n".join(self.said[-5:]) + self.errors)

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send a command and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.read_until("REPLY ").removeprefix("REPLY "))
        self.said.pop()
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def report(self) -> Report:
        """Return orders, guards and figures at this moment."""
        report: Report = self.ask("report")
        return report

    def history(self, since: Report) -> list[Report]:
        """Return the orders that lived since an earlier report."""
        orders: list[Report] = self.ask("history", since["now_ns"])
        return orders

    def assert_money_adds_up(self) -> None:
        """Check that the account has, at this moment, what the journal's fills have made of its first balances."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (money := self.ask("money"))["is_settled"]:
            assert time.monotonic() < deadline, "a fill was never booked"
        assert amounts(money["balances"]) == after_fills(START, money["fills"])

    def wait_until(self, holds: Callable[[Report], bool], what: str) -> Report:
        """Return the first report of which something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            report = self.report()
            if holds(report):
                return report
            time.sleep(_REST)
        raise AssertionError(
            f"waited in vain for {what}; symbols: {report['symbols']}; changes: {report['changes'][-8:]}"
        )

    @property
    def errors(self) -> str:
        """What the process wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read()

    # -- The end ----------------------------------------------------------------------------------------

    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code."""
        self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return self.process.returncode

    def close(self) -> None:
        """Kill the process where it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for file in (self.process.stdin, self.process.stdout, self._errors):
            assert file is not None
            with suppress(BrokenPipeError):
                file.close()


@contextmanager
def session_of(config: Path, *overrides: str) -> Iterator[SandboxSession]:
    """Run a session while the context lasts."""
    session = SandboxSession(config, overrides)
    try:
        yield session
    finally:
        session.close()


START = {"USDT": Decimal(1000), "XRP": Decimal(500), "BTC": Decimal("0.01")}
"""A session's first balances."""


# -- Reports ------------------------------------------------------------------------------------------------


def live_orders(report: Report, *symbols: str) -> list[Report]:
    """Return the orders that the venue has or is about to have."""
    return [
        order for order in report["orders"] if order["is_live"] and order["symbol"] in (symbols or SYMBOLS)
    ]


def quotes(report: Report, *symbols: str) -> bool:
    """Whether these pairs (all, without names) are quoted."""
    wanted = symbols or tuple(report["symbols"])
    return all(
        report["symbols"][symbol]["state"] == "quoting" and live_orders(report, symbol) for symbol in wanted
    )


def is_held(report: Report, reason: str, *symbols: str) -> bool:
    """Whether these pairs are paused or halted for a reason, with no order left."""
    wanted = symbols or tuple(report["symbols"])
    states = [report["symbols"][symbol] for symbol in wanted]
    return all(state["reason"].startswith(reason) for state in states) and not live_orders(report, *wanted)


def told_since(report: Report, before: Report, symbol: str) -> list[str]:
    """Return what was told of a symbol's guards since an earlier report, without how long it took."""
    new = report["changes"][len(before["changes"]) :]
    return [change["text"].partition(" after ")[0] for change in new if change["symbol"] == symbol]


def was_told(report: Report, before: Report, reason: str, *symbols: str) -> bool:
    """Whether these pairs (all, without names) were paused for a reason since an earlier report."""
    wanted = symbols or tuple(report["symbols"])
    return all(f"paused: {reason}" in told_since(report, before, symbol) for symbol in wanted)


def assert_paused(report: Report, before: Report, symbol: str, *reasons: str) -> None:
    """Check that a pair was paused for these reasons in this order, then opened, and for no other reason."""
    told = told_since(report, before, symbol)
    rest = iter(told)
    wanted = [f"paused: {reason}" for reason in reasons]
    assert all(text in rest for text in wanted), f"{told} are to have {wanted}, in this order"
    assert told[-1] == OPEN
    assert set(told) <= {*wanted, OPEN} | SLOWNESS


def assert_undisturbed(report: Report, before: Report, *symbols: str) -> None:
    """Check that no guard has said anything of these pairs, but for what a slow machine makes it say."""
    for symbol in symbols or SYMBOLS:
        assert set(told_since(report, before, symbol)) <= {OPEN} | SLOWNESS


def assert_held_back(report: Report, orders: Sequence[Report]) -> int:
    """Check that in no pause or halt was a quote sent, and that those from before were gone by its end.

    A pause that is over at once, as short ones are where a machine is slow, ends before its cancels are confirmed.

    Returns
    -------
    int
        How many pauses and halts there were.
    """
    shut: dict[str, int] = {}
    spans: list[tuple[str, int, int]] = []
    for change in report["changes"]:
        symbol, ns = change["symbol"], change["ns"]
        if change["state"] != "quoting":
            shut.setdefault(symbol, ns)
        elif symbol in shut:
            spans.append((symbol, shut.pop(symbol), ns))
    unended = {symbol: (symbol, began, report["now_ns"]) for symbol, began in shut.items()}
    quoted = [order for order in orders if order["tag"] == "quote"]
    for symbol, began, ended in (*spans, *unended.values()):
        for order in quoted:
            if order["symbol"] == symbol and order["ts_init"] < ended:
                assert order["ts_init"] <= began, f"sent while paused, {(symbol, began, ended)}: {order}"
                is_gone = not order["is_live"] and order["ts_closed"] <= ended
                may_be_left = symbol in unended or ended - began < _TIME_TO_CANCEL_NS
                assert is_gone or may_be_left, f"left in a pause, {(symbol, began, ended)}: {order}"
    return len(spans) + len(unended)


# -- What is left -------------------------------------------------------------------------------------------


class LeftBehind:
    """What a run has left.

    Parameters
    ----------
    folder
        The session's folder.
    number
        Which of its runs: 0 is the first, -1 the last.
    """

    def __init__(self, folder: Path, number: int = -1) -> None:
        self.folder = sorted((folder / "runs").iterdir())[number]
        self.summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        self.state: dict[str, Any] = json.loads(
            (folder / "state" / "faults.json").read_text(encoding="utf-8")
        )

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The journal's lines."""
        files = journal_files(self.folder / "journal.jsonl")
        return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]

    @property
    def fills(self) -> list[dict[str, Any]]:
        """The journal's fills."""
        return [line["fill"] for line in self.journal if line["type"] == "fill"]

    @property
    def log(self) -> list[str]:
        """The log's lines."""
        return [
            line for path in sorted(self.folder.glob("run*.log")) for line in path.read_text().splitlines()
        ]

    def logged(self, words: str) -> list[str]:
        """Return the log's lines with these words."""
        return [line for line in self.log if words in line]

    def assert_told_once(self, report: Report) -> None:
        """Check that every change of a guard is in the log and in the journal, once each."""
        told = Counter(f"MM: {change['symbol']} {change['text']}" for change in report["changes"])
        logged = Counter(line.partition(": ")[2] for line in self.log)
        assert told, "nothing was told"
        assert {text: logged[text] for text in told} == told
        journal = [line["guard"] for line in self.journal if line["type"] == "guard"]
        assert Counter(f"MM: {guard['symbol']} {guard['text']}" for guard in journal) == told

    def assert_money_adds_up(self) -> None:
        """Check that balances are those at the start plus what the journal's fills did, to the last decimal."""
        start = amounts(self.summary["start"]["balances"])
        assert self.balances == after_fills(start, self.fills)
        assert self.balances == amounts(self.state["account"]["balances"])

    @property
    def balances(self) -> dict[str, Decimal]:
        """The account's balances at the end."""
        return amounts(self.summary["equity"]["balances"])


def amounts(texts: dict[str, str]) -> dict[str, Decimal]:
    """Return balances as decimals."""
    return {code: Decimal(text) for code, text in texts.items()}


def after_fills(balances: dict[str, Decimal], fills: Sequence[dict[str, Any]]) -> dict[str, Decimal]:
    """Return balances after a journal's fills on a cash account."""
    totals = defaultdict(Decimal, balances)
    for fill in fills:
        base, quote = fill["symbol"].split("/")
        sign = 1 if fill["side"] == "BUY" else -1
        quantity = Decimal(fill["quantity"])
        value = (quantity * Decimal(fill["price"])).quantize(DIGITS)
        totals[base] += sign * quantity
        totals[quote] -= sign * value + Decimal(fill["fee"])
    return dict(totals)
