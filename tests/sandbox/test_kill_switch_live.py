"""The kill switch of a running session: by command, by signal, by message; and what it takes to go on."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from sandbox_sessions import ROOT, SYMBOLS, is_held, live_orders, quotes

HALTED = "halted by the kill switch: {}"


def command(name: str, *arguments: Any) -> str:
    """Run ``mm-nautilus NAME ARGUMENTS`` and return what it said."""
    words = [sys.executable, "-m", "mm_nautilus.cli", name, *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_halt_command_cancels_everything_until_the_resume_command(pair: Any, folder: Path) -> None:
    config, state = folder / "session.yaml", folder / "state" / "faults.json"
    said = command("halt", config)
    assert f"mm-nautilus resume {config}" in said
    held = pair.session.wait_until(
        lambda report: is_held(report, HALTED.format("the halt command")), "a halt"
    )
    later = pair.session.wait_until(
        lambda report: report["now_ns"] - held["now_ns"] > 500_000_000, "time to pass"
    )
    assert is_held(later, HALTED.format("the halt command"))
    assert {row["state"] for row in later["symbols"].values()} == {"halted"}
    saved = json.loads(state.read_text(encoding="utf-8"))["components"]
    assert saved, "the halt is saved at once"
    command("resume", state)
    pair.session.wait_until(quotes, "quotes again")
    assert sorted(path.name for path in state.parent.iterdir()) == ["faults.json", "faults.json.lock"]


def test_the_signal_halts_and_a_message_resumes(pair: Any, folder: Path) -> None:
    pair.session.process.send_signal(signal.SIGUSR1)
    pair.session.wait_until(lambda report: is_held(report, HALTED.format("a signal")), "a halt")
    kept = json.loads((folder / "state" / "faults.halt").read_text(encoding="utf-8"))
    assert kept["reason"] == "a signal"
    pair.session.ask("publish", "ResumeQuoting", {"reason": "a test"})
    pair.session.wait_until(quotes, "quotes again")
    assert not (folder / "state" / "faults.halt").exists()


def test_a_halt_by_hand_may_close_the_positions(pair: Any, folder: Path) -> None:
    before = pair.session.wait_until(
        lambda report: any(abs(row["position"]) > 0 for row in report["symbols"].values()), "a position"
    )
    command("halt", folder / "session.yaml", "--flatten", "--reason", "fire drill")

    def is_flat(report: Any) -> bool:
        flat = all(abs(report["symbols"][symbol]["position"]) < least for symbol, least in LEAST.items())
        return flat and is_held(report, HALTED.format("fire drill"))

    after = pair.session.wait_until(is_flat, "flat positions")
    assert live_orders(after) == []
    closed = [order for order in pair.session.history(before) if order["tag"] == "halt"]
    assert "FILLED" in {order["status"] for order in closed}
    assert {order["symbol"] for order in closed} <= set(SYMBOLS)
    assert all(order["ts_init"] > before["now_ns"] for order in closed)
    pair.session.ask("publish", "ResumeQuoting", {"reason": "a test"})
    pair.session.wait_until(quotes, "quotes again")


LEAST = {"XRP/USDT": 2.0, "BTC/USDT": 0.00005, "XRP/BTC": 2.0}
"""The venue's smallest orders; less than that cannot be closed."""
