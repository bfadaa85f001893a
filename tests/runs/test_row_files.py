from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.errors import DataError
from mm_nautilus.runs.tables import Rows, join_parts

SCHEMA = pa.schema([("number", pa.int64()), ("text", pa.string())])


def row(number: int) -> tuple[object, ...]:
    return number, f"row {number}"


def numbers(path: Path) -> list[int]:
    found: list[int] = pq.read_table(path).column("number").to_pylist()
    return found


@settings(max_examples=30)
@given(flushes=st.lists(st.integers(0, 12), max_size=8), most_rows=st.integers(1, 9), last=st.integers(0, 3))
def test_parts_hold_every_row_after_each_flush_and_join_in_order(
    tmp_path_factory: pytest.TempPathFactory, flushes: list[int], most_rows: int, last: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "table.parquet"
    rows, count = Rows(path, SCHEMA, most_rows), 0
    for added in flushes:
        for _ in range(added):
            rows.append(row(count))
            count += 1
        rows.flush()
        if count:
            assert numbers(path.with_suffix(".parts")) == list(range(count))
    for _ in range(last):
        rows.append(row(count))
        count += 1
    rows.close()
    assert numbers(path) == list(range(count))
    assert pq.read_schema(path).equals(SCHEMA)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_rows_since_the_last_flush_are_all_that_an_end_costs(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows = Rows(path, SCHEMA, most_rows=4)
    for number in range(10):
        rows.append(row(number))
    rows.flush()
    rows.append(row(10))
    del rows  # as if the process had ended
    assert numbers(path.with_suffix(".parts")) == list(range(10))
    join_parts(path.with_suffix(".parts"))
    assert numbers(path) == list(range(10))


def test_part_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows = Rows(path, SCHEMA)
    rows.append(row(0))
    rows.flush()
    (path.with_suffix(".parts") / ".000001.parquet.part").write_bytes(b"PAR1 cut off")
    join_parts(path.with_suffix(".parts"))
    assert numbers(path) == [0]
    assert not path.with_suffix(".parts").exists()


def test_memory_of_parts_is_bounded(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "table.parquet", SCHEMA, most_rows=10)
    for number in range(1_000):
        rows.append(row(number))
        assert len(rows._rows) + sum(part.num_rows for part in rows._part) < 10


def test_a_table_left_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    Rows(path, SCHEMA).leave()
    join_parts(path.with_suffix(".parts"))
    assert pq.read_table(path).equals(SCHEMA.empty_table())


def test_a_closed_file_has_groups_of_five_thousand_rows(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows = Rows(path, SCHEMA)
    for number in range(12_000):
        rows.append(row(number))
    rows.close()
    assert numbers(path) == list(range(12_000))
    assert pq.ParquetFile(path).num_row_groups == 3


def test_a_join_that_was_ended_while_it_removed_the_parts_keeps_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows = Rows(path, SCHEMA)
    for number in range(2):
        rows.append(row(number))
        rows.flush()
    last = max(path.with_suffix(".parts").glob("*.parquet"))
    kept = last.read_bytes()
    join_parts(path.with_suffix(".parts"))
    last.parent.mkdir()
    last.write_bytes(kept)
    join_parts(last.parent)
    assert numbers(path) == [0, 1]
    assert not last.parent.exists()


def test_a_folder_without_parts_is_named(tmp_path: Path) -> None:
    Rows(tmp_path / "table.parquet", SCHEMA)
    with pytest.raises(DataError, match=r"table\.parts must hold the rows of table\.parquet, was empty"):
        join_parts(tmp_path / "table.parts")
    assert not (tmp_path / "table.parquet").exists()
