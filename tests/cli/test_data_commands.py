"""The `data` commands as a user runs them: output, messages and exit codes."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from processes import python
from typer.testing import CliRunner

from mm_nautilus.cli import main
from mm_nautilus.cli.app import app
from mm_nautilus.cli.console import ending_on_signals, print_line, progress_bar
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.errors import ConfigError, InterruptedRunError

BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
T0 = 1_723_161_255_000_000
DEFINITION = """\
symbol: BTC/USDT
venue: BINANCE
base: BTC
quote: USDT
price_increment: 0.01
size_increment: 0.00001
source_symbol: BTCUSDT
"""


@pytest.fixture
def files(tmp_path):
    book = "".join(
        f"binance,BTCUSDT,{T0 + at},{T0 + at},{flag},{side},{price},1\n"
        for at, flag, side, price in (
            (0, "true", "bid", "100"),
            (0, "true", "ask", "100.01"),
            (5, "false", "bid", "99.99"),
        )
    )
    trades = f"binance,BTCUSDT,{T0},{T0},1,buy,100.01,0.5\n"
    (tmp_path / "book.csv").write_text(BOOK + book)
    (tmp_path / "trades.csv").write_text(TRADES + trades)
    (tmp_path / "btc.yaml").write_text(DEFINITION)
    return tmp_path


def run(folder, *words):
    return python("-m", "mm_nautilus.cli", *words, cwd=folder)


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def import_files(folder):
    result = invoke(
        "data", "import", "tardis", folder / "book.csv", folder / "trades.csv", "--catalog", folder / "c",
        "--instrument", folder / "btc.yaml",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "c"


def test_import_as_a_process_then_check_and_import_again(files, command, monkeypatch):
    words = [
        "data",
        "import",
        "tardis",
        "book.csv",
        "trades.csv",
        "--catalog",
        "c",
        "--instrument",
        "btc.yaml",
    ]
    done = run(files, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("BTC/USDT.BINANCE in c: 4 book changes in 2 groups (1 snapshot), 1 trade\n")

    monkeypatch.chdir(files)
    checked = command("data", "check", "c")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith("c: clean\n")

    again = command(*words)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith("error: c/data/order_book_deltas/BTCUSDT.BINANCE already holds data from ")
    assert "Traceback" not in again.stderr


def test_refused_rows_leave_nothing(files, command, monkeypatch):
    monkeypatch.chdir(files)
    (files / "book.csv").write_text((files / "book.csv").read_text() + "x,y\n")
    before = sorted(entry.name for entry in files.iterdir())
    done = command("data", "import", "tardis", "book.csv", "--catalog", "c", "--instrument", "btc.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: book.csv: malformed rows: 1; line 5: a row has 8 fields, was 2: `x,y`\n"
    assert sorted(entry.name for entry in files.iterdir()) == before


def test_no_control_character_of_a_file_is_printed(files, capfd):
    escapes = "\x1b]0;owned\x07\x85\u2028"
    odd = files / f"{escapes}\r.csv"
    odd.write_text((files / "book.csv").read_text() + f"x,{escapes}\n")
    (files / "odd.yaml").write_text(DEFINITION + r'min_quantity: "\e[31m\n1"' + "\n")
    for policy, definition in (("refuse", "btc.yaml"), ("skip", "btc.yaml"), ("skip", "odd.yaml")):
        words = [odd, "--catalog", files / "c", "--on-bad-rows", policy, "--instrument", files / definition]
        with pytest.raises(SystemExit):
            main(["data", "import", "tardis", *map(str, words)])
        out, err = capfd.readouterr()
        assert all(line.isprintable() for line in (out + err).split("\n"))
        assert r"\x1b" in out + err
        assert err.count("\n") == (definition == "odd.yaml" or policy == "refuse")


def test_folders_may_have_names_that_mean_something_in_a_url(files):
    odd = files / "100%25 #1?"
    import_files(files).rename(odd)
    for words in (["check", odd], ["list", odd], ["export", odd, "--out", files / "flat #2"]):
        result = invoke("data", *words)
        assert result.exit_code == 0, result.output


def test_skipped_rows_are_reported(files):
    (files / "book.csv").write_text((files / "book.csv").read_text() + "x,y\n")
    result = invoke(
        "data", "import", "tardis", files / "book.csv", "--catalog", files / "c",
        "--instrument", files / "btc.yaml", "--on-bad-rows", "skip",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "warning: " in result.stdout
    assert "malformed rows: 1; line 5: a row has 8 fields" in result.stdout


def test_an_instrument_from_flags_and_json_alone_on_stdout(files):
    result = invoke(
        "data", "import", "tardis", files / "trades.csv", "--catalog", files / "c", "--json",
        "--symbol", "BTC/USDT", "--venue", "X", "--base", "BTC", "--quote", "USDT",
        "--price-increment", "0.01", "--size-increment", "0.1", "--min-quantity", "0.1",
        "--min-notional", "5", "--maker-fee-pct", "0.1", "--taker-fee-pct", "0.2",
    )  # fmt: skip
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    kept = report["instrument_id"], report["trades"], report["source_symbol"]
    assert kept == ("BTC/USDT.X", 1, "BTCUSDT")
    listed = json.loads(invoke("data", "list", files / "c", "--json").stdout)
    assert [(entry["type"], entry["rows"]) for entry in listed] == [("book changes", 0), ("trades", 1)]


def test_every_config_problem_is_its_own_line(files, capsys):
    (files / "btc.yaml").write_text(DEFINITION.replace("0.01", "-1").replace("venue", "venu"))
    words = ["data", "import", "tardis", str(files / "book.csv"), "--catalog", str(files / "c")]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--instrument", str(files / "btc.yaml")])
    assert caught.value.code == ConfigError.exit_code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)
    assert not (files / "c").exists()


def test_check_exits_with_one_for_problems(files):
    catalog = import_files(files)
    for path in (catalog / "data" / "trades").rglob("*.parquet"):
        path.unlink()
    result = invoke("data", "check", catalog)
    assert result.exit_code == 1
    assert "problem (no_trades): there are no trades of BTC/USDT.BINANCE" in result.stdout
    assert result.stdout.endswith("1 problem\n")
    report = json.loads(invoke("data", "check", catalog, "--json").stdout)
    assert (report["ok"], report["problems"][0]["kind"]) == (False, "no_trades")


def test_check_takes_the_gap_as_an_option(files):
    catalog = import_files(files)
    result = invoke("data", "check", catalog, "--gap-seconds", "0.001")
    assert result.exit_code == 0
    assert invoke("data", "check", catalog, "--gap-seconds", "0").exit_code == 2


def test_list_shows_a_table(files):
    result = invoke("data", "list", import_files(files))
    assert result.exit_code == 0
    assert "BTC/USDT.BINANCE" in result.stdout
    assert "2024-08-08T23:54:15.000005Z" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_become_an_error_with_their_exit_code(number):
    before = signal.getsignal(number)
    with (
        pytest.raises(InterruptedRunError, match="nothing was written") as caught,
        ending_on_signals("nothing was written"),
    ):
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("err", [False, True])
def test_a_terminal_gets_lines_that_are_broken_between_words_and_paths_whole(capsys, monkeypatch, err):
    monkeypatch.setenv("COLUMNS", "20")
    text = "Warning: [a] wide word and a/path/longer/than/the/terminal end"
    monkeypatch.setattr(sys.stderr if err else sys.stdout, "isatty", lambda: True)
    print_line(text, err=err)
    print_line("a line\x1b", err=not err)
    told = capsys.readouterr()[::-1] if err else capsys.readouterr()
    lines = ["Warning: [a] wide", "word and", "a/path/longer/than/the/terminal", "end"]
    assert told[0].splitlines() == lines
    assert told[1] == "a line\\x1b\n"


def test_no_progress_bar_without_a_terminal(capsys):
    with progress_bar("working") as on_progress:
        on_progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_progress_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar("working") as on_progress:
        on_progress(1, 2)
        print_line("a warning", err=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "working" in captured.err
    assert "a warning" in re.sub(r"\x1b\[[\d?]*[A-Za-z]", "", captured.err).replace("\r", "\n").splitlines()


def test_the_format_is_told_by_the_first_file_where_it_is_left_out(files):
    words = [files / "book.csv", files / "trades.csv", "--instrument", files / "btc.yaml"]
    said = invoke("data", "import", *words, "--catalog", files / "a").output.splitlines()
    assert said[0] == "format: tardis"
    named = invoke("data", "import", "tardis", *words, "--catalog", files / "b").output.splitlines()
    assert named[:-1] == said[1:-1]
    found = invoke("data", "import", *words, "--catalog", files / "c", "--json")
    assert json.loads(found.stdout)["format"] == "tardis"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tardi", "book.csv"], "tardi is neither a format nor a file; did you mean the format tardis?"),
        (["tardis"], "data import needs files after the format tardis, was given none"),
        (["tardis", "book.csv", "--map", "btc.yaml"], "--map is for the format table, was given with tardis"),
        (["book.csv", "--map", "absent.yaml"], "absent.yaml: the column map must be an existing file"),
    ],
)
def test_a_wrong_format_is_one_sentence(files, monkeypatch, capsys, words, message):
    monkeypatch.chdir(files)
    with pytest.raises(SystemExit) as stopped:
        main(["data", "import", *words, "--catalog", "c", "--instrument", "btc.yaml"])
    assert stopped.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (files / "c").exists()


def test_help_and_documentation_name_every_format():
    said = invoke("data", "import", "--help").output
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for name in FORMATS:
        assert name in said
        assert f"`{name}`" in page
