"""How commands leave the process: exit codes, messages for people and for machines."""

import json
import platform
import signal
from importlib import metadata

import pytest
import typer

from mm_nautilus.cli.frame import run_command
from mm_nautilus.errors import ConfigError, DataError, InterruptedRunError, RunFailedError


def app_that_raises(error: BaseException | None) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def work(*, as_json: bool = typer.Option(False, "--json")) -> None:
        if error is not None:
            raise error

    return app


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (ConfigError(["a must be b, was c", "d"]), 2, ["a must be b, was c", "d"]),
        (DataError("no catalog"), 2, ["no catalog"]),
        (RunFailedError("the run failed"), 1, ["the run failed"]),
        (InterruptedRunError("interrupted by SIGTERM", 143), 143, ["interrupted by SIGTERM"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (PermissionError(13, "Permission denied", "x.yaml"), 1, ["x.yaml: Permission denied"]),
        (OSError("odd"), 1, ["odd"]),
        (typer.Abort(), 1, ["aborted: the input ended"]),
        (typer.Exit(7), 7, []),
        (None, 0, []),
    ],
)
def test_every_end_has_its_exit_code_and_its_message(capsys, error, code, lines):
    assert run_command(app_that_raises(error), []) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err.splitlines()) == ("", [f"error: {line}" for line in lines])


def test_with_json_the_errors_are_one_object_on_one_line(capsys):
    assert run_command(app_that_raises(ConfigError(["a", "b"])), ["--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert json.loads(captured.err) == {"exit_code": 2, "errors": ["a", "b"]}


def test_an_error_that_was_not_meant_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(app_that_raises(ZeroDivisionError()), [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bactest"], "no such command 'bactest' (did you mean backtest?); `mm-nautilus --help` lists all"),
        (["data", "lst"], "no such command 'lst' (did you mean list?); `mm-nautilus data --help` lists all"),
        (["backtest", "--sett"], "no such option --sett (did you mean --set?); `mm-nautilus backtest --help` lists "),
        (["config", "check", "x.yaml", "--jsn"], "no such option --jsn (did you mean --json?)"),
        (["data", "import", "tardis", "x.csv"], "missing option '--catalog'"),
        (["calibrate"], "missing argument 'catalog'; `mm-nautilus calibrate --help` lists all"),
        (["backtest", "a.yaml", "b.yaml"], "got unexpected extra argument(s) (b.yaml); `mm-nautilus backtest --help`"),
        (["backtest", "--set"], "option '--set' requires an argument"),
        (["data", "simulate", "x", "--minutes", "zero"], "--minutes must be a valid number, was 'zero'"),
        (["data", "simulate", "x", "--minutes=0"], "--minutes must be greater than or equal to 1, was '0'"),
        (["data", "simulate", "x", "--seed", "-1"], "--seed must be greater than or equal to 0, was '-1'"),
        (["data", "export", "x", "--out", "y", "--format", "csv"], "--format must be one of tardis, parquet, was"),
        (
            ["data", "import", "tardis", "x", "--catalog", "c", "--on-bad-rows", "keep"],
            "--on-bad-rows must be one of refuse, skip, was 'keep'",
        ),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_that_says_what_is_allowed(command, words, message):
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"error: {message}")
    assert json.loads(command(*words, "--json")[2])["exit_code"] == 2


@pytest.mark.parametrize("words", [(), ("data",), ("config",)])
def test_a_group_alone_shows_its_help_and_is_no_success(command, words):
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"Usage: {' '.join(('mm-nautilus', *words))} ")


def test_version_names_package_engine_and_python(command):
    code, out, _ = command("--version")
    versions = [metadata.version(name) for name in ("mm-nautilus", "nautilus_trader")]
    assert code == 0
    assert (
        out
        == f"mm-nautilus {versions[0]} (nautilus_trader {versions[1]}, Python {platform.python_version()})\n"
    )


def test_a_command_can_be_ended_by_signals_that_its_parent_has_blocked(command):
    ending = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        assert command("--version")[0] == 0
        assert not ending & signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
