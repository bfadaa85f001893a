"""The `data export` command as a user runs it."""

import functools
import json
import os
import signal
from pathlib import Path

import pytest

CATALOG = str(Path(__file__).resolve().parents[2] / "catalog")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(command):
    return functools.partial(command, "data")


def test_export_and_import_as_commands(run):
    code, out, err = run("export", CATALOG, "--out", "flat", "--symbols", "XRP/BTC")
    assert (code, err) == (0, "")
    assert out.endswith("written to flat\n")
    assert "XRPBTC_trades.csv.gz" in out
    files = sorted(str(path) for path in Path("flat").glob("*.csv.gz"))
    code, out, err = run("import", "tardis", *files, "--catalog", "back", "--instrument", "flat/XRPBTC.yaml")
    assert (code, err) == (0, "")
    assert "XRP/BTC.KRAKEN in back: 15,622 book changes in 15,370 groups (1 snapshot), 876 trades" in out
    assert run("check", "back")[1].endswith("back: clean\n")


def test_json_alone_on_stdout_of_a_span_as_parquet(run):
    words = ("--format", "parquet", "--start", "2025-12-13T12:29:00Z", "--end", "2025-12-13T12:29:30Z")
    code, out, err = run("export", CATALOG, "--out", "flat", "--symbols", "XRP/BTC", *words, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["folder"] == "flat"
    assert document["notes"] == []
    assert [entry["name"] for entry in document["files"]] == [
        f"XRPBTC_{name}.parquet" for name in ("book_changes", "trades", "touches")
    ]
    assert all(entry["rows"] > 0 for entry in document["files"])


def test_an_interrupt_leaves_nothing(run, monkeypatch):
    def interrupted(*_arguments):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("mm_nautilus.data.export._TardisBook.write", interrupted)
    code, out, err = run("export", CATALOG, "--out", "flat")
    assert (code, out, err) == (143, "", "error: the export was interrupted; nothing was written\n")
    assert list(Path().iterdir()) == []


def test_simulate_as_json(run):
    code, out, err = run("simulate", "made", "--seed", "7", "--minutes", "1", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"catalog": "made", "minutes": 1.0, "seed": 7}
    assert Path("made/data").is_dir()
