"""Runs on disks that are full: tables are whole or absent, and what is told names the folder and what to do.

A limit on the size of files stands in for a full disk.
"""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from processes import python

from mm_nautilus.runs.tables import Rows
from mm_nautilus.runs.winding_down import note_failed, run_failed

SCHEMA = pa.schema([("number", pa.int64())])
HINT = "No space left on device; free some there, or give another folder"


LIMITED = """
import resource, sys
from mm_nautilus.cli import process_main

resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, resource.RLIM_INFINITY))
process_main(["backtest", *sys.argv[1:]])
"""
"""A process whose files may not grow beyond 80,000 bytes: of its own, as what pytest captures is a file, too."""


@contextmanager
def largest_files(size: int) -> Iterator[None]:
    """Refuse to let files grow beyond a size, bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill_disk(path: Path) -> None:
    """Make the next write of a file end as on a full disk."""
    path.with_name(f".{path.name}.part").symlink_to("/dev/full")


def test_a_backtest_leaves_whole_files_and_says_what_to_do(tmp_path: Path) -> None:
    words = ["--set", "end=2025-12-13T12:05:00Z", "--set", "output.report=false", "--out", tmp_path]
    done = python("-c", LIMITED, *words)
    assert done.returncode == 1
    (folder,) = tmp_path.iterdir()
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert (
        f"{folder / 'journal.jsonl'}: File too large; quotes cancelled; see {folder / 'failure.txt'}, which"
        in line
    )
    assert json.loads((folder / "summary.json").read_text())["status"] == "failed"
    assert "Traceback" in (folder / "failure.txt").read_text()
    tables = {path.stem: pq.read_table(path) for path in folder.glob("*.parquet")}
    assert {"fills", "orders", "market", "metrics", "equity"} <= set(tables)
    assert tables["fills"].num_rows > 0
    assert list(folder.glob(".*")) == []


def test_rows_are_written_once_there_is_room(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "table.parquet", SCHEMA)
    rows.append((1,))
    with largest_files(10), pytest.raises(OSError, match=r"File too large.*000001\.parquet"):
        rows.flush()
    assert list((tmp_path / "table.parts").iterdir()) == []
    rows.append((2,))
    with largest_files(10), pytest.raises(OSError, match=r"000001\.parquet"):
        rows.close()
    assert not (tmp_path / "table.parquet").exists()
    rows.close()
    assert pq.read_table(tmp_path / "table.parquet").column("number").to_pylist() == [1, 2]


def test_a_failed_run_says_so_where_there_is_room_for_hardly_anything(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"status": "running"}')
    fill_disk(tmp_path / "summary.json")  # the second write finds room again
    note_failed(tmp_path, {"name": "night", "status": "running", "symbols": {}}, "no room")
    assert json.loads((tmp_path / "summary.json").read_text()) == {"name": "night", "status": "failed"}
    fill_disk(tmp_path / "failure.txt")
    told = str(run_failed(tmp_path, OSError(28, "No space left on device", "there/fills.parquet")))
    assert told == (
        f"the run failed: there/fills.parquet: {HINT}; failure.txt could not be written either; what could be saved "
        f"is in {tmp_path}"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
