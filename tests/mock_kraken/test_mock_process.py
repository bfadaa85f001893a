"""The venue as a process: from the command line and as a child that never outlives its parent."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import python

from mm_nautilus.cli import main
from mm_nautilus.errors import ConfigError, RunFailedError
from mm_nautilus.mock_kraken.process import VenueControl, VenueOptions, VenueProcess
from mm_nautilus.mock_kraken.server import VenueAddresses

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "catalog"
COMMAND = [sys.executable, "-m", "mm_nautilus.cli", "venue"]
_SECONDS = 120.0


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


# -- As a child ---------------------------------------------------------------------------------------------


def test_a_venue_lives_as_long_as_its_context() -> None:
    options = VenueOptions(catalog=CATALOG, symbols=("BTC/USDT", "XRP/BTC"), paused=True)
    with VenueProcess(options) as venue:
        pid = venue.pid
        assert venue.rest_url.startswith("http://127.0.0.1:")
        assert venue.websocket_url == f"ws{venue.rest_url.removeprefix('http')}/v2"
        state = venue.control.state()
        assert set(state["symbols"]) == {"BTC/USDT", "XRP/BTC"}
        assert state["feed"]["state"] == "paused"
    wait_for_end(pid)
    with pytest.raises(RunFailedError, match="the venue has not been started"):
        venue.control.state()
    with pytest.raises(RunFailedError, match="the venue has not been started"):
        _ = venue.pid
    venue.stop()


def test_a_venue_that_cannot_start_says_why(tmp_path: Path) -> None:
    venue = VenueProcess(VenueOptions(catalog=tmp_path / "nowhere"))
    with pytest.raises(RunFailedError) as caught:
        venue.start()
    message = str(caught.value)
    assert message.startswith("the venue ended with exit code 2:\nerror: the catalog ")
    assert "nowhere does not exist" in message


def test_a_venue_ends_with_a_parent_that_is_killed() -> None:
    program = (
        "import time\n"
        "from mm_nautilus.mock_kraken.process import VenueProcess\n"
        "venue = VenueProcess()\n"
        "venue.start()\n"
        "print(venue.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.send_signal(signal.SIGKILL)
        wait_for_end(pid)


def test_the_client_side_needs_no_aiohttp() -> None:
    program = (
        "import sys\n"
        "from mm_nautilus.mock_kraken.process import VenueProcess\n"
        "print(sorted({'aiohttp', 'nautilus_trader', 'pyarrow'} & set(sys.modules)))\n"
    )
    assert python("-c", program).stdout == "[]\n"


@pytest.mark.parametrize(
    "options",
    [
        VenueOptions(),
        VenueOptions(seed=7, speed="max", symbols=("XRP/BTC",), start_after_subscriptions=4),
        VenueOptions(catalog=CATALOG, speed=2.5, at_end="stop", paused=True, trade_snapshot=False),
        VenueOptions(catalog=CATALOG, queue_frames=77, host="127.0.0.2", port=4001, control_port=4002),
    ],
)
def test_options_reach_the_child_as_they_are(options: VenueOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Any] = []

    def note(got: VenueOptions, _announce: Any, *, end_with_stdin: bool) -> int:
        received.append((got, end_with_stdin))
        return 0

    monkeypatch.setattr("mm_nautilus.mock_kraken.server.run_venue", note)
    with pytest.raises(SystemExit) as caught:
        main(VenueProcess(options).command()[3:])
    assert caught.value.code == 0
    assert received == [(options, True)]


@pytest.mark.parametrize(("host", "is_open"), [("127.0.0.2", False), ("localhost", False), ("0.0.0.0", True)])  # noqa: S104
def test_a_venue_that_is_open_to_the_network_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str, is_open: bool
) -> None:
    def listen(_options: VenueOptions, announce: Any, **_kind: Any) -> int:
        announce(VenueAddresses("http://h:1", "ws://h:1/v2", "http://h:2"))
        return 0

    monkeypatch.setattr("mm_nautilus.mock_kraken.server.run_venue", listen)
    with pytest.raises(SystemExit):
        main(["venue", "--simulate", "--json", "--host", host])
    said = capsys.readouterr()
    assert json.loads(said.out)["control_url"] == "http://h:2"
    assert ("anybody who reaches its control side can control it: http://h:2" in said.err) is is_open


# -- From the command line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "as_json"),
    [(signal.SIGINT, 130, True), pytest.param(signal.SIGTERM, 143, False, marks=pytest.mark.long)],
)
def test_a_signal_ends_it_cleanly(number: int, code: int, as_json: bool) -> None:
    words = ["--json"] if as_json else []
    with subprocess.Popen(
        [*COMMAND, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if as_json:
            addresses = json.loads(line)
            assert set(addresses) == {"rest_url", "websocket_url", "control_url"}
            assert VenueControl(addresses["control_url"]).state()["feed"]["state"] == "playing"
        else:
            assert line.startswith("the venue listens: rest_url=http://127.0.0.1:")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=_SECONDS)
        assert (process.returncode, rest) == (code, "")
        told = json.loads(errors) if as_json else errors
        assert told == ({"exit_code": code, "errors": ["interrupted"]} if as_json else "")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere"], "error: the catalog nowhere does not exist"),
        (["--speed", "fast"], "error: speed must be a positive number or max, was fast"),
        (["--speed", "0"], "error: speed must be a positive number or max, was 0.0"),
        (["--symbol", "FOO/BAR"], "error: catalog holds no instrument FOO/BAR"),
        (["--simulate", "catalog"], "error: give a catalog or --simulate, not both"),
        (["--simulate", "--symbol", "A/B"], "error: symbols must be of XRP/USDT, BTC/USDT, XRP/BTC, was A/B"),
        (["--host", "192.0.2.1"], "error: the venue cannot listen on 192.0.2.1: "),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_two(
    words: list[str], problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as caught:
        main(["venue", *words])
    assert caught.value.code == ConfigError.exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(problem)
    assert len(captured.err.splitlines()) == 1


def test_without_aiohttp_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(SystemExit) as caught:
        main(["venue"])
    assert caught.value.code == ConfigError.exit_code
    assert capsys.readouterr().err == (
        "error: the local venue needs aiohttp; install it with: pip install 'mm-nautilus[venue]'\n"
    )
