"""The end of a run's log."""

import os
from pathlib import Path

from mm_nautilus.live_view.publisher import LogTail


def write(path: Path, lines: list[str], modified_at: int) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.utime(path, (modified_at, modified_at))


def test_there_is_no_log_yet(tmp_path: Path) -> None:
    assert LogTail(tmp_path).read() == ()


def test_last_lines_of_the_newest_log_are_read_again_when_it_has_grown(tmp_path: Path) -> None:
    write(tmp_path / "run_1.log", ["old"], 1_000)
    write(tmp_path / "run_2.log", [f"line {index}" for index in range(80)], 2_000)
    write(tmp_path / "report.log", ["another program's"], 3_000)
    tail = LogTail(tmp_path)
    first = tail.read()
    assert first == tuple(f"line {index}" for index in range(30, 80))
    assert tail.read() is first
    write(tmp_path / "run_2.log", ["anew"], 2_001)
    assert tail.read() == ("anew",)
    write(tmp_path / "run_3.log", ["rotated"], 2_002)
    assert tail.read() == ("rotated",)


def test_a_large_log_gives_whole_lines_and_a_long_line_is_cut(tmp_path: Path) -> None:
    write(tmp_path / "run_1.log", [f"{index:06} {'x' * 900}" for index in range(500)], 1_000)
    lines = LogTail(tmp_path).read()
    assert 20 < len(lines) <= 50
    assert lines[-1].startswith("000499 ")
    assert [int(line[:6]) for line in lines] == list(range(500 - len(lines), 500))
    assert {len(line) for line in lines} == {400}


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "run_1.log").write_bytes(b"fine\n\xff\xfe broken\n")
    assert LogTail(tmp_path).read()[0] == "fine"
