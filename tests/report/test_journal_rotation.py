import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.report.journal import Journal, journal_files

STATS = {"pnl": 1.0}


def write(journal: Journal, number: int) -> None:
    fill = {"symbol": "XRP/USDT", "side": "BUY", "price": "2.35", "pnl": 0.0, "number": number}
    journal.log_fill(fill, f"O-{number}", "market_making", None, None, STATS)


def numbers(path: Path) -> list[int]:
    lines = (line for file in journal_files(path) for line in file.read_text("utf-8").splitlines())
    return [json.loads(line)["fill"]["number"] for line in lines]


@settings(deadline=None)
@given(lines=st.integers(0, 60), rotate_bytes=st.integers(1, 4_000))
def test_every_line_is_in_one_of_the_files_in_order(
    tmp_path_factory: pytest.TempPathFactory, lines: int, rotate_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path, lambda _line: None, rotate_bytes=rotate_bytes) as journal:
        for number in range(lines):
            write(journal, number)
            assert numbers(path) == list(range(number + 1))  # also if the process ended here
    *aside, current = journal_files(path)
    assert current == path
    assert all(file.stat().st_size >= rotate_bytes for file in aside)
    assert path.stat().st_size < rotate_bytes + 400


def test_files_are_set_aside_under_numbers(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, lambda _line: None, rotate_bytes=1) as journal:
        for number in range(3):
            write(journal, number)
    names = [file.name for file in journal_files(path)]
    assert names == ["journal-0001.jsonl", "journal-0002.jsonl", "journal-0003.jsonl", "journal.jsonl"]


def test_journal_without_a_limit_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, lambda _line: None) as journal:
        for number in range(100):
            write(journal, number)
    assert journal_files(path) == [path]
    assert journal_files(tmp_path / "other.jsonl") == []
