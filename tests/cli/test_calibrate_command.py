"""The `calibrate` command as a user runs it: output, files, messages and exit codes."""

import functools
import json
import os
import shutil
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from processes import python

from mm_nautilus.calibration.file import load_calibration

ROOT = Path(__file__).resolve().parents[2]
CATALOG = str(ROOT / "catalog")
ONE = ("--symbols", "XRP/BTC")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(command):
    return functools.partial(command, "calibrate")


def written():
    """Return all files below the working directory."""
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def test_tables_file_and_plot_as_a_process(tmp_path):
    words = ["calibrate", CATALOG, "--symbols", "XRP/BTC,XRP/USDT", "--plot", "plots/calibration.html"]
    done = python("-m", "mm_nautilus.cli", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Calibration from SIMULATED data of KRAKEN in {CATALOG}, ")
    assert done.stdout.index("XRP/BTC: SIMULATED") < done.stdout.index("XRP/USDT: SIMULATED")
    assert done.stdout.count("Verdict: ") == 2
    assert done.stderr == "written to calibration/catalog.yaml\nwritten to plots/calibration.html\n"
    assert written() == ["calibration/catalog.yaml", "plots/calibration.html"]
    calibration = load_calibration(Path("calibration/catalog.yaml"))
    assert list(calibration.symbols) == ["XRP/BTC", "XRP/USDT"]
    assert (calibration.source.catalog, calibration.source.simulated) == (CATALOG, True)
    assert "XRP/USDT" in Path("plots/calibration.html").read_text(encoding="utf-8")


def test_json_alone_on_stdout_is_what_the_file_holds(run):
    code, out, err = run(CATALOG, *ONE, "--json", "--out", "x.yaml")
    assert (code, err) == (0, "written to x.yaml\n")
    document = json.loads(out)
    assert (document.pop("failures"), document.pop("notes")) == ({}, [])
    assert document == load_calibration(Path("x.yaml")).model_dump(mode="json")


def test_window_takes_the_end_of_the_data(run):
    code, _, _ = run(CATALOG, *ONE, "--window", "15m", "--out", "x.yaml")
    assert code == 0
    symbol = load_calibration(Path("x.yaml")).symbols["XRP/BTC"]
    assert symbol.seconds == pytest.approx(900)
    assert symbol.end.isoformat().startswith("2025-12-13T12:29:59.95")


def test_start_end_and_fee_are_passed_on(run):
    code, out, _ = run(
        CATALOG, *ONE, "--start", "2025-12-13T12:05:00Z", "--end", "2025-12-13T13:25:00+01:00",
        "--maker-fee-pct", "-0.01", "--out", "x.yaml", "--json",
    )  # fmt: skip
    assert code == 0
    symbol = json.loads(out)["symbols"]["XRP/BTC"]
    assert (symbol["start"], symbol["seconds"]) == ("2025-12-13T12:05:00+00:00", 1200.0)
    assert symbol["fees"]["maker_fee_bps"] == pytest.approx(-1)
    assert symbol["fees"]["pays"] is True


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", timedelta(seconds=90)), ("1.5h", timedelta(hours=1.5)), ("2d", timedelta(days=2))],
)
def test_window_reads_seconds_to_days(run, monkeypatch, text, length):
    given = {}

    def stop(_catalog, **arguments):
        given.update(arguments)
        sys.exit(0)

    monkeypatch.setattr("mm_nautilus.runs.calibration.calibrate_catalog", stop)
    run(CATALOG, "--window", text)
    assert given["last_seconds"] == length.total_seconds()
    assert given["symbols"] is None


# -- Files that exist ---------------------------------------------------------------------------------------


def test_files_that_exist_are_kept_unless_forced(run):
    Path("x.yaml").write_text("mine")
    Path("x.html").write_text("mine too")
    words = (CATALOG, *ONE, "--out", "x.yaml", "--plot", "x.html")
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: x.yaml exists; --force replaces it, --out names another file",
        "error: x.html exists; --force replaces it, --plot names another file",
    ]
    assert (Path("x.yaml").read_text(), Path("x.html").read_text()) == ("mine", "mine too")
    assert run(*words, "--force")[0] == 0
    assert list(load_calibration(Path("x.yaml")).symbols) == ["XRP/BTC"]
    assert written() == ["x.html", "x.yaml"]


def test_a_forced_run_that_fails_leaves_the_old_file(run):
    Path("x.yaml").write_text("mine")
    code, _, _ = run(CATALOG, *ONE, "--window", "5s", "--out", "x.yaml", "--force")
    assert code == 2
    assert Path("x.yaml").read_text() == "mine"


def test_a_folder_and_the_same_file_twice_are_refused(run):
    Path("folder").mkdir()
    code, _, err = run(CATALOG, "--out", "folder", "--plot", "folder", "--force")
    assert code == 2
    assert "error: --out must be a file, was the folder folder" in err
    assert "error: --plot must be another file, was folder" in err


def test_a_file_that_cannot_be_written_is_told(run):
    name = "x" * 300
    code, out, err = run(CATALOG, *ONE, "--out", f"folder/{name}")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: folder/{name} cannot be written: ")
    assert written() == []


def test_an_interrupt_leaves_nothing(run, monkeypatch):
    def interrupted(*_arguments, **_names):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("mm_nautilus.runs.calibration.calibrate_catalog", interrupted)
    code, out, err = run(CATALOG)
    assert (code, out) == (130, "")
    assert err == "error: the calibration was interrupted; nothing was written\n"
    assert written() == []


# -- What is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--symbols", "xrp/usdt"), "holds no instrument xrp/usdt; did you mean XRP/USDT?"),
        (("--symbols", "XRP/USDT,,"), "--symbols must be symbols separated by commas, was 'XRP/USDT,,'"),
        (("--window", "2"), "--window must be a number above 0 followed by s, m, h or d, such as 2h, was '2'"),
        (("--window", "0h"), "--window must be a number above 0"),
        (("--window", "-2h"), "--window must be a number above 0"),
        (("--window", "1h", "--end", "2025-12-13T12:05:00Z"), "cannot be given together with a start or an end"),
        (("--end", "2025-12-13"), "start and end must leave some of what "),
        (
            ("--start", "2025-12-13T12:05:00Z", "--end", "2025-12-13T12:01:00Z"),
            "end must be after start (2025-12-13T12:05:00+00:00), was 2025-12-13T12:01:00+00:00",
        ),
        ((*ONE, "--start", "2026-01-01T00:00:00Z"), "start and end must leave some of what "),
        ((*ONE, "--window", "1s"), "XRP/BTC: "),
        (("--maker-fee-pct", "20"), "the maker fee must be between -5 and 5 %, was 20.0"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_and_nothing_is_written(run, words, message):
    code, out, err = run(CATALOG, *words)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert written() == []


def test_a_market_without_trades_is_left_out_with_a_warning(run):
    shutil.copytree(CATALOG, "c")
    shutil.rmtree("c/data/trades/XRPBTC.KRAKEN")
    code, out, err = run("c", "--symbols", "XRP/BTC,XRP/USDT", "--out", "x.yaml")
    assert code == 0
    assert err.splitlines() == [
        "warning: XRP/BTC is not in the file: c holds no trades of XRP/BTC.KRAKEN; import them or choose another "
        "catalog",
        "written to x.yaml",
    ]
    assert "XRP/BTC: " not in out
    assert list(load_calibration(Path("x.yaml")).symbols) == ["XRP/USDT"]


def test_a_catalog_without_any_trades_is_refused(run):
    shutil.copytree(CATALOG, "c")
    shutil.rmtree("c/data/trades")
    code, out, err = run("c", "--out", "x.yaml")
    assert (code, out) == (2, "")
    assert [line.split(":")[1] for line in err.splitlines()] == [" BTC/USDT", " XRP/BTC", " XRP/USDT"]
    assert all("holds no trades of" in line for line in err.splitlines())
    assert not Path("x.yaml").exists()


# -- Help ---------------------------------------------------------------------------------------------------


def test_a_page_needs_no_plotly_package_and_loads_only_for_a_plot(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['plotly'] = None\n"
        "from mm_nautilus.cli import main\n"
        "for more in ([], ['--plot', 'c.html']):\n"
        "    try:\n"
        f"        main(['calibrate', {CATALOG!r}, '--symbols', 'XRP/BTC', '--json', '--force', *more])\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0, end.code\n"
        "    print('mm_nautilus.report.page' in sys.modules)\n"
    )
    lines = python("-c", code, cwd=tmp_path).stdout.splitlines()
    assert [line for line in lines if line in ("True", "False")] == ["False", "True"]
    assert "Plotly.react" in (tmp_path / "c.html").read_text(encoding="utf-8")
