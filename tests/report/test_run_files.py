import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_nautilus.errors import DataError
from mm_nautilus.report.page import write_report
from mm_nautilus.report.run_files import RunFiles, numbers, times


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"symbols": {}}))
    (tmp_path / "config.yaml").write_text("name: a\n")
    return tmp_path


def write_table(folder, **columns):
    pq.write_table(pa.table(columns), folder / "rows.parquet")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=rf"a run's folder is needed.*was {tmp_path}/none"):
        RunFiles.read(tmp_path / "none")


def test_the_folder_of_all_runs_names_the_last_one(tmp_path):
    for name in ("20250101T000000Z-a", "20250102T000000Z-b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text("{}")

    with pytest.raises(DataError, match=r"folders of 2 runs; name one of them, such as .*20250102T000000Z-b"):
        RunFiles.read(tmp_path)


def test_a_folder_without_a_run_says_so(tmp_path):
    (tmp_path / "killed").mkdir()
    for name in ("config.yaml", "run.log"):
        (tmp_path / "killed" / name).touch()
    with pytest.raises(DataError, match=r"has no summary\.json: its run was killed before it wrote one"):
        RunFiles.read(tmp_path / "killed")
    with pytest.raises(DataError, match=r"has no summary\.json: it must be a run's own folder"):
        RunFiles.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "cannot be read"), ("[]", "must hold"), ("{}", "must hold a run's summary")]
)
def test_a_damaged_summary_is_refused(folder, text, words):
    (folder / "summary.json").write_text(text)

    with pytest.raises(DataError, match=words):
        RunFiles.read(folder)


def test_a_missing_configuration_is_refused(folder):
    (folder / "config.yaml").unlink()

    with pytest.raises(DataError, match=r"config\.yaml"):
        RunFiles.read(folder)


def test_tables_are_read_by_symbol(folder):
    write_table(folder, symbol=pa.array(["A/B", "C/D", "A/B"]).dictionary_encode(), value=[1.0, 2.0, 3.0])

    table = RunFiles.read(folder).table("rows", ["value"], "A/B")

    assert numbers(table, "value").tolist() == [1.0, 3.0]


def test_moments_are_nanoseconds_whatever_the_file_keeps(folder):
    write_table(folder, ts_event=pa.array([1_000_001], pa.timestamp("us", tz="UTC")))

    assert times(RunFiles.read(folder).table("rows", ["ts_event"])).tolist() == [1_000_001_000]


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_table_names_its_file(folder, damage):
    write_table(folder, value=[1.0])
    path = folder / "rows.parquet"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-6])

    with pytest.raises(DataError, match=r"rows\.parquet cannot be read"):
        RunFiles.read(folder).table("rows", ["value"])


def test_a_table_of_an_earlier_version_says_so_and_what_to_do(folder):
    write_table(folder, symbol=["A/B"], value=[1.0])

    with pytest.raises(DataError) as refused:
        RunFiles.read(folder).table("rows", ["value", "newer", "newest"], "A/B")

    assert str(refused.value) == (
        f"{folder}/rows.parquet lacks newer, newest: the run is of an earlier version of mm-nautilus; run it again"
    )


def test_a_report_that_cannot_be_built_leaves_nothing_behind(folder):
    summary = {
        "symbols": {"A/B": {}},
        "report_currency": "B",
        "period": {"start": "2025-01-01", "end": "2025-01-02"},
    }
    (folder / "summary.json").write_text(json.dumps(summary))

    with pytest.raises(DataError):
        write_report(folder)

    assert {path.name for path in folder.iterdir()} == {"summary.json", "config.yaml"}
