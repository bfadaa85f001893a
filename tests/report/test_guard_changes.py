import json

import pytest

from mm_nautilus.errors import DataError
from mm_nautilus.report.guard_changes import GuardEntry, GuardLog, read_guard_log, state_times
from mm_nautilus.report.journal import Journal
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.risk.state import QuotingState

QUOTING, PAUSED, HALTED = QuotingState.QUOTING, QuotingState.PAUSED, QuotingState.HALTED
SECOND = 1_000_000_000


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path, {}, "")


def change(second, symbol, state, text="why"):
    return {"ts_event": second * SECOND, "symbol": symbol, "state": state, "text": text}


def write_journal(folder, changes, rotate_bytes=None, keep_files=None):
    with Journal(folder / "journal.jsonl", lambda _line: None, rotate_bytes, keep_files) as journal:
        for one in changes:
            journal.log("guard", one, "s")
            journal.log("signal", {"text": '"type": "guard"'}, "s", "id")


def entry(second, state, symbol="A/B"):
    return GuardEntry(second * SECOND, symbol, state, "why")


def test_changes_are_read_from_all_files_of_a_rotated_journal(files):
    write_journal(files.folder, [change(n, "A/B", "paused", f"no {n}") for n in range(30)], rotate_bytes=300)

    assert len(list(files.folder.glob("journal*.jsonl"))) > 5
    assert [(one.ts_ns, one.text) for one in read_guard_log(files).entries] == [
        (n * SECOND, f"no {n}") for n in range(30)
    ]


def test_a_run_without_its_journal_tells_nothing(files):
    assert read_guard_log(files) is None


def test_a_journal_without_changes_is_empty(files):
    write_journal(files.folder, [])
    assert read_guard_log(files).entries == ()


def test_a_line_that_was_cut_off_at_the_end_is_left_out(files):
    write_journal(files.folder, [change(1, "A/B", "quoting")])
    with (files.folder / "journal.jsonl").open("a") as file:
        file.write('{"type": "guard", "strategy": "s", "guard": {"ts_ev')

    assert len(read_guard_log(files).entries) == 1


@pytest.mark.parametrize(
    "line", ["{", json.dumps({"symbol": "A/B"}), json.dumps(change(1, "A/B", "sleeping"))]
)
def test_a_damaged_line_is_named(files, line):
    (files.folder / "journal.jsonl").write_text(f'{{"type": "guard", "guard": {line}}}\n')
    with pytest.raises(DataError, match=r"journal\.jsonl:1 must be a line of a guard, was "):
        read_guard_log(files)


def test_times_do_not_step_back_with_the_clock(files):
    write_journal(files.folder, [change(n, "A/B", "quoting") for n in (10, 50, 20, 30)])
    assert [one.ts_ns // SECOND for one in read_guard_log(files).entries] == [10, 20, 20, 30]


def test_a_symbol_is_paused_until_it_is_told_otherwise():
    entries = [entry(3, QUOTING), entry(5, PAUSED), entry(6, PAUSED), entry(7, HALTED), entry(20, QUOTING)]

    found = state_times(GuardLog(tuple(entries), True), ["A/B", "C/D"], 1 * SECOND, 10 * SECOND)

    assert found["A/B"] == {
        QUOTING: (2.0, 1),
        PAUSED: (4.0, 2),
        HALTED: (3.0, 1),
    }
    assert found["C/D"] == {PAUSED: (9.0, 1)}


def test_what_was_told_before_the_start_holds_from_it():
    found = state_times(GuardLog((entry(0, QUOTING),), True), ["A/B"], 5 * SECOND, 10 * SECOND)
    assert found["A/B"] == {QUOTING: (5.0, 1)}


def test_a_journal_that_lost_its_oldest_files_counts_from_what_is_left(files):
    states = ["quoting", "paused"] * 15
    changes = [change(n, "A/B", state) for n, state in enumerate(states)]
    write_journal(files.folder, changes, rotate_bytes=300, keep_files=3)

    log = read_guard_log(files)

    assert not log.is_whole
    assert 2 <= len(log.entries) <= 6
    found = state_times(log, ["A/B", "C/D"], 0, 30 * SECOND)
    counted = sum(seconds for seconds, _ in found["A/B"].values())
    assert counted == 30 - log.entries[0].ts_ns // SECOND
    assert found["C/D"] == {}
