import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.report.journal import Journal, journal_files

STATS = {"pnl": 1.0}
NOTE_BYTES = 100
"""More than the line that tells of a removed file, which comes on top of a file's limit."""


def write(journal: Journal, number: int, note: str = "") -> None:
    fill = {"symbol": "XRP/USDT", "side": "BUY", "price": "2.35", "pnl": 0.0, "number": number, "note": note}
    journal.log_fill(fill, f"O-{number}", "market_making", None, None, STATS)


def records(path: Path) -> list[dict]:
    lines = (line for file in journal_files(path) for line in file.read_text("utf-8").splitlines())
    return [json.loads(line) for line in lines]


def numbers(path: Path) -> list[int]:
    return [record["fill"]["number"] for record in records(path) if record["type"] == "fill"]


def unread(_line: str) -> None:
    pass


@given(lengths=st.lists(st.integers(0, 400), max_size=60), rotate_bytes=st.integers(1, 4_000))
def test_every_line_is_in_one_of_the_files_in_order_and_no_file_is_larger_than_it_may_be(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], rotate_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path, unread, rotate_bytes=rotate_bytes) as journal:
        for number, length in enumerate(lengths):
            write(journal, number, "ä" * length)
            assert numbers(path) == list(range(number + 1))  # also if the process ended here
    for file in journal_files(path):
        content = file.read_bytes()
        assert len(content) <= rotate_bytes or content.count(b"\n") == 1
    sizes = [file.stat().st_size for file in journal_files(path)]
    assert all(before + after > rotate_bytes for before, after in pairwise(sizes))


@given(
    sessions=st.lists(st.integers(0, 12), max_size=6), rotate_bytes=st.integers(1, 1_500), torn=st.booleans()
)
def test_a_journal_that_exists_is_gone_on_with_and_none_of_its_lines_is_lost(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[int], rotate_bytes: int, torn: bool
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    count = 0
    for lines in sessions:
        with Journal(path, unread, rotate_bytes=rotate_bytes) as journal:
            for _ in range(lines):
                write(journal, count)
                count += 1
        if torn and path.stat().st_size:
            path.write_bytes(
                path.read_bytes() + b'{"type": "fi'
            )  # the process was killed in the middle of a line
    found = [line for file in journal_files(path) for line in file.read_text("utf-8").splitlines()]
    whole = [json.loads(line)["fill"]["number"] for line in found if line.endswith("}")]
    assert whole == list(range(count))


def test_files_are_set_aside_under_numbers(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, unread, rotate_bytes=1) as journal:
        for number in range(4):
            write(journal, number)
    names = [file.name for file in journal_files(path)]
    assert names == ["journal-0001.jsonl", "journal-0002.jsonl", "journal-0003.jsonl", "journal.jsonl"]


def test_files_are_in_order_beyond_four_digits_and_others_are_not_the_journals(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for name in ("journal-9999.jsonl", "journal-10000.jsonl", "journal-old.jsonl", "journal-1.txt"):
        (tmp_path / name).write_text("{}\n")
    with Journal(path, unread, rotate_bytes=1) as journal:
        write(journal, 0)
        write(journal, 1)
    names = [file.name for file in journal_files(path)]
    assert names == ["journal-9999.jsonl", "journal-10000.jsonl", "journal-10001.jsonl", "journal.jsonl"]


def test_journal_without_a_limit_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, unread) as journal:
        for number in range(100):
            write(journal, number)
    assert journal_files(path) == [path]
    assert journal_files(tmp_path / "other.jsonl") == []


# -- The total ----------------------------------------------------------------------------------------------


@given(lines=st.integers(0, 60), rotate_bytes=st.integers(300, 2_000), keep_files=st.integers(1, 4))
def test_the_total_is_bounded_and_what_is_removed_is_told(
    tmp_path_factory: pytest.TempPathFactory, lines: int, rotate_bytes: int, keep_files: int
) -> None:
    path, told = tmp_path_factory.mktemp("journal") / "journal.jsonl", []
    with Journal(path, told.append, rotate_bytes=rotate_bytes, keep_files=keep_files) as journal:
        for number in range(lines):
            write(journal, number)
            files = journal_files(path)
            assert len(files) <= keep_files + 1
            assert sum(file.stat().st_size for file in files) <= (keep_files + 1) * (
                rotate_bytes + NOTE_BYTES
            )
    left = numbers(path)
    assert left == list(range(lines - len(left), lines)), "only the oldest lines may go"
    said = [line for line in told if line.startswith("[JOURNAL] removed journal-")]
    assert bool(said) == (len(left) < lines)
    (*_, newest) = [record for record in records(path) if record["type"] == "journal"] or [None]
    if said and newest is not None:
        first_kept = int(journal_files(path)[0].stem.rpartition("-")[2])
        assert newest == {
            "type": "journal",
            "removed": [f"journal-{first_kept - 1:04d}.jsonl"],
            "kept": keep_files,
        }


@pytest.mark.parametrize("limits", [{"rotate_bytes": 0}, {"rotate_bytes": 10, "keep_files": 0}])
def test_a_limit_below_one_is_refused(tmp_path: Path, limits: dict[str, int]) -> None:
    name = list(limits)[-1]
    with pytest.raises(ValueError, match=f"{name} must be at least 1 or None, was 0"):
        Journal(tmp_path / "journal.jsonl", unread, **limits)
    assert list(tmp_path.iterdir()) == []


# -- What goes wrong ----------------------------------------------------------------------------------------


def test_a_line_is_written_though_its_file_cannot_be_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, unread, rotate_bytes=1) as journal:
        write(journal, 0)
        with monkeypatch.context() as broken:
            broken.setattr(Path, "rename", _refuse)
            with pytest.raises(PermissionError, match="not now"):
                write(journal, 1)
        assert numbers(path) == [0, 1]
        write(journal, 2)
    assert numbers(path) == [0, 1, 2]


def test_a_line_is_written_though_no_new_file_can_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, unread, rotate_bytes=1) as journal:
        write(journal, 0)
        with monkeypatch.context() as broken:
            broken.setattr(Path, "open", _refuse)
            with pytest.raises(PermissionError, match="not now"):
                write(journal, 1)
        assert numbers(path) == [0, 1]


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise PermissionError(os.EX_NOPERM, "not now")


@given(
    lengths=st.lists(st.integers(0, 400), max_size=30),
    rotate_bytes=st.integers(1, 4_000),
    batch=st.integers(2, 9),
)
def test_batches_leave_the_same_files_as_single_lines(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], rotate_bytes: int, batch: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    single, batched = folder / "single.jsonl", folder / "batched.jsonl"
    with (
        Journal(single, unread, rotate_bytes) as one,
        Journal(batched, unread, rotate_bytes, None, batch) as other,
    ):
        for number, length in enumerate(lengths):
            write(one, number, "x" * length)
            write(other, number, "x" * length)
            assert numbers(batched) == list(range((number + 1) // batch * batch))
    assert [path.read_bytes() for path in journal_files(batched)] == [
        path.read_bytes() for path in journal_files(single)
    ]


def test_a_batch_that_could_not_be_set_aside_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    monkeypatch.setattr(Path, "rename", _refuse)
    with Journal(path, unread, 1, None, 3) as journal:
        write(journal, 0)
        write(journal, 1)
        with pytest.raises(PermissionError, match="not now"):
            write(journal, 2)
    assert numbers(path) == [0, 1, 2]
