"""Sessions that end at the wrong moment, and the ones that follow them."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from sandbox_sessions import (
    START,
    SYMBOLS,
    LeftBehind,
    Report,
    SandboxSession,
    after_fills,
    amounts,
    configuration,
    is_held,
    quotes,
    session_of,
)

from mm_nautilus.mock_kraken.process import VenueProcess

pytestmark = pytest.mark.long


def has_traded(report: Report) -> bool:
    return bool(report["fills"] >= 4 and quotes(report))


def saved(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "state" / "faults.json").read_text(encoding="utf-8"))
    return document


def test_a_killed_session_is_gone_on_from_to_the_last_decimal_and_stays_halted(
    venue: VenueProcess, tmp_path: Path, command: Any
) -> None:
    config = configuration(tmp_path, venue)
    with session_of(config) as first:
        first.wait_until(has_traded, "four fills")
        first.process.send_signal(signal.SIGUSR1)
        first.wait_until(lambda report: is_held(report, "halted by the kill switch"), "a halt")
        first.end(signal.SIGKILL)
    left = LeftBehind(tmp_path)
    balances = amounts(saved(tmp_path)["account"]["balances"])
    assert left.summary["status"] in ("starting", "running")
    assert balances == after_fills(START, left.fills), "every fill was saved with its event"
    (tmp_path / "state" / "faults.halt").unlink()
    with session_of(config) as second:
        held = second.wait_until(lambda report: report["symbols"]["XRP/USDT"]["book_events"] > 50, "books")
        assert is_held(held, "halted by the kill switch: a signal")
        assert [order for order in second.ask("history") if order["tag"] == "quote"] == []
        refused = SandboxSession(config)
        code, said = refused.wait(), refused.errors
        refused.close()
        assert code == 2
        assert f"is in use by process {second.process.pid}" in said
        assert second.end() == 143
    halted = LeftBehind(tmp_path)
    assert amounts(halted.summary["start"]["balances"]) == halted.balances == balances
    for symbol in SYMBOLS:
        assert len(halted.logged(f"MM: {symbol} is still halted by the kill switch: a signal")) == 1
    assert command("resume", tmp_path / "state" / "faults.json").returncode == 0
    with session_of(config) as third:
        third.wait_until(has_traded, "quotes of the third session")
        third.wait_until(lambda _: len(third.ask("money")["fills"]) >= 4, "four fills of it")
        assert third.end() == 143
    again = LeftBehind(tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 3, "the refused one wrote nothing"
    assert amounts(again.summary["start"]["balances"]) == balances
    assert again.summary["open_orders"] == 0
    again.assert_money_adds_up()
    assert again.balances == after_fills(START, [*left.fills, *again.fills])


@pytest.mark.parametrize("words", ["with its state in", "quoting XRP/USDT"])
def test_a_signal_while_the_session_starts_ends_it(venue: VenueProcess, tmp_path: Path, words: str) -> None:
    config = configuration(tmp_path, venue)
    with session_of(config) as session:
        session.read_until(words)
        assert session.end() == 143, session.errors
        assert "Traceback" not in session.errors
    runs = list((tmp_path / "runs").glob("*"))
    assert [json.loads((run / "summary.json").read_text())["status"] for run in runs] in ([], ["interrupted"])


def test_a_signal_while_the_venue_keeps_the_session_waiting(venue: VenueProcess, tmp_path: Path) -> None:
    venue.control.silence()
    try:
        with session_of(configuration(tmp_path, venue)) as session:
            session.read_until("live feed of")
            assert session.end() == 143, session.errors
    finally:
        venue.control.clear_faults()
    assert not (tmp_path / "runs").exists()
