"""What the doctor looks at of a sandbox, and what it says of what is not right."""

import importlib.util
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from whole_runs import ROOT

from mm_nautilus.checks.config_source import load_sandbox_config
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch
from mm_nautilus.runs.health import Check, CheckState, run_checks
from mm_nautilus.runs.state_file import RunState, StateFile, fingerprint_of
from mm_nautilus.trading.saved_account import SavedAccount, SavedPosition

OK, WARNING, PROBLEM = CheckState.OK, CheckState.WARNING, CheckState.PROBLEM
LONG_ENOUGH = "x" * 16

type Configure = Callable[..., SandboxConfig]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def configure(*overrides: str, file: str = "sandbox_local.yaml") -> SandboxConfig:
        named = {text.partition("=")[0] for text in overrides}
        folders = {"output.directory": tmp_path / "runs", "state.directory": tmp_path / "state"}
        given = [f"{key}={folder}" for key, folder in folders.items() if key not in named]
        return load_sandbox_config(ROOT / "configs" / file, [*overrides, *given]).config

    return configure


@pytest.fixture
def without_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes a module look as if it was not installed."""
    find = importlib.util.find_spec

    def hide(name: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == name else find(asked))

    return hide


def looked(config: SandboxConfig) -> dict[str, Check]:
    checks = run_checks(config)
    found = {check.name: check for check in checks}
    assert len(found) == len(checks)
    return found


def test_a_sandbox_on_the_sample_has_what_it_needs_and_nothing_is_written(
    configure: Configure, tmp_path: Path
) -> None:
    found = looked(configure())
    assert {check.state for check in found.values()} == {OK}
    assert found["feed"].text == f"a local venue that plays {ROOT / 'catalog'}"
    assert found["feed.catalog"].text.startswith(f"{ROOT / 'catalog'} is clean: 3 instruments")
    assert (
        found["state"].text
        == f"there is no {tmp_path / 'state' / 'sandbox_local.json'} yet: the first run starts fresh"
    )
    assert found["recording"].text == "off"
    assert found["live page"].text == "off; `--web` switches it on"
    assert {"output.directory", "state.directory", "disk of state.directory"} <= set(found)
    assert "kill switch" not in found
    assert list(tmp_path.iterdir()) == []


# -- The feed -----------------------------------------------------------------------------------------------


def test_a_live_feed_is_not_asked(configure: Configure) -> None:
    found = looked(configure(file="sandbox.yaml"))
    assert found["feed"] == Check(
        "feed", OK, "Kraken's public feed, which was not contacted: no network is used here"
    )
    other = looked(configure("feed.rest_url=http://127.0.0.1:1", file="sandbox.yaml"))
    assert other["feed"].text.startswith("http://127.0.0.1:1, which was not contacted")


def test_a_local_venue_needs_its_extra(configure: Configure, without_module: Callable[[str], None]) -> None:
    without_module("aiohttp")
    check = looked(configure())["feed"]
    text = "a local venue needs aiohttp, not installed; pip install 'mm-nautilus[venue]' adds it"
    assert check == Check("feed", PROBLEM, text)
    assert looked(configure(file="sandbox.yaml"))["feed"].state is OK


def test_a_catalog_that_is_played_matters_more_than_one_that_may_be(
    configure: Configure, tmp_path: Path
) -> None:
    missing = f"feed.catalog={tmp_path / 'absent'}"
    assert looked(configure(missing))["feed.catalog"].state is PROBLEM
    check = looked(configure(missing, file="sandbox.yaml"))["feed.catalog"]
    assert check.state is WARNING
    assert check.text.endswith("(only `--venue local` plays it)")


def test_without_a_catalog_the_simulator_is_played(configure: Configure) -> None:
    found = looked(configure("feed.catalog=null"))
    assert found["feed"].text == "a local venue that plays the simulator"
    assert "feed.catalog" not in found


# -- State --------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(configure: Configure) -> SandboxConfig:
    """Return a configuration whose state file is there, with a position."""
    config = configure()
    assert config.state.directory is not None
    account = SavedAccount(
        {"USDT": Decimal("990.5")},
        (SavedPosition("XRP/USDT", "XRP", "USDT", Decimal("4.2"), 2.35, Decimal(0)),),
    )
    with StateFile.open(config.state.directory, config.name, fingerprint_of(config)) as file:
        file.write(RunState(account, {}))
    return config


def test_the_state_file_says_what_the_next_run_goes_on_from(saved: SandboxConfig, tmp_path: Path) -> None:
    check = looked(saved)["state"]
    path = tmp_path / "state" / "sandbox_local.json"
    assert (check.state, check.text) == (OK, f"the next run continues from {path}: 4.2 XRP at 2.35 USDT")


def test_a_state_file_that_a_run_has_is_read_too(saved: SandboxConfig) -> None:
    assert saved.state.directory is not None
    with StateFile.open(saved.state.directory, saved.name, fingerprint_of(saved)):
        assert looked(saved)["state"].state is OK


def test_a_state_file_of_another_configuration_is_a_problem(
    saved: SandboxConfig, configure: Configure
) -> None:
    check = looked(configure("venue.starting_balances=[5 USDT, 500 XRP, 0.01 BTC]"))["state"]
    assert check.state is PROBLEM
    assert "belongs to another configuration: starting_balances was" in check.text
    assert "--fresh starts without this file" in check.text


def test_nothing_is_kept_without_a_folder(configure: Configure) -> None:
    found = looked(configure("state.directory=null"))
    assert found["state"].text == "no state is kept: every run starts fresh"
    assert "state.directory" not in found


def test_a_halt_that_holds_is_told(configure: Configure, tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "state" / "sandbox_local.json")
    switch.halt(HaltOrder("I want to sleep"))
    check = looked(configure())["kill switch"]
    assert check.state is WARNING
    assert check.text == (
        f"halted by {switch.halt_path} (I want to sleep): a run quotes nothing until `mm-nautilus resume`"
    )
    switch.resume("the resume command")
    assert "kill switch" not in looked(configure())


# -- Recording and page -------------------------------------------------------------------------------------


def test_a_recording_needs_a_folder_with_room(configure: Configure, tmp_path: Path) -> None:
    found = looked(configure("recording.enabled=true", f"recording.catalog={tmp_path / 'rec'}"))
    assert found["recording"] == Check("recording", OK, f"into {tmp_path / 'rec'}")
    assert found["recording.catalog"].text == f"{tmp_path / 'rec'} can be made"
    assert found["disk of recording.catalog"].state is OK


def test_recordings_that_wait_are_told_with_the_command_for_them(
    configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "rec" / ".recording" / "session-1").mkdir(parents=True)
    check = looked(configure("recording.enabled=true", f"recording.catalog={tmp_path / 'rec'}"))["recording"]
    assert check.state is WARNING
    assert "has recordings that go on or were interrupted: 1; the next recording, or `mm-" in check.text
    assert f"`mm-nautilus data recover {tmp_path / 'rec'}`" in check.text


def test_a_page_needs_its_extra(configure: Configure, without_module: Callable[[str], None]) -> None:
    without_module("uvicorn")
    check = looked(configure("web.enabled=true"))["live page"]
    text = "it needs uvicorn, not installed; pip install 'mm-nautilus[web]' adds it"
    assert check == Check("live page", PROBLEM, text)
    assert looked(configure())["live page"].state is OK


def test_a_page_for_others_needs_a_token_that_is_not_told(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MM_NAUTILUS_WEB_TOKEN", raising=False)
    assert (
        looked(configure("web.enabled=true"))["live page"].text == "at 127.0.0.1, port 8787, without a token"
    )
    check = looked(configure("web.enabled=true", "web.host=0.0.0.0"))["live page"]
    assert check.state is PROBLEM
    assert "MM_NAUTILUS_WEB_TOKEN" in check.text
    monkeypatch.setenv("MM_NAUTILUS_WEB_TOKEN", LONG_ENOUGH)
    check = looked(configure("web.enabled=true", "web.host=0.0.0.0"))["live page"]
    assert check == Check("live page", OK, "at 0.0.0.0, port 8787, with the token in MM_NAUTILUS_WEB_TOKEN")
