"""Files that are there whole or not at all, on a disk that is full: what stands in for one is /dev/full."""

import errno
from pathlib import Path

import pytest

from mm_nautilus.system.whole_file import failure_text, naming, reason, remove_unfinished, whole_file

HINT = "No space left on device; free some there, or give another folder"


def write(path: Path, text: str) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def fill_disk(path: Path) -> None:
    """Make the next write of a file end as on a full disk."""
    path.with_name(f".{path.name}.part").symlink_to("/dev/full")


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, "old")
    with whole_file(path) as unfinished:
        unfinished.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, "old"])
def test_a_full_disk_leaves_what_was_there_and_is_told_with_the_file(
    tmp_path: Path, before: str | None
) -> None:
    path = tmp_path / "x.json"
    if before is not None:
        path.write_text(before, encoding="utf-8")
    fill_disk(path)
    with pytest.raises(OSError, match="No space") as refused:
        write(path, "new")
    assert failure_text(refused.value) == f"{path}: {HINT}"
    assert reason(refused.value) == HINT
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == [before] * (
        before is not None
    )


def test_what_fails_otherwise_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "x", "half of it \ud800")
    assert list(tmp_path.iterdir()) == []


def test_errors_without_a_number_keep_their_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd") as refused, naming(tmp_path / "x"):
        raise OSError("odd")
    assert failure_text(refused.value) == f"{tmp_path / 'x'}: odd"
    assert failure_text(OSError("odd")) == "odd"
    assert failure_text(PermissionError(errno.EACCES, "Permission denied", "y")) == "y: Permission denied"


def test_what_nobody_finishes_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("table.parquet", ".table.parquet.part", ".hidden"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"table.parquet", ".hidden"}
