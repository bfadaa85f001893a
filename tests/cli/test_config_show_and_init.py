"""The `config show` and `config init` commands as a user runs them."""

import functools
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mm_nautilus.checks.config_source import load_config, load_sandbox_config

ROOT = Path(__file__).resolve().parents[2]
BACKTEST = ROOT / "configs" / "v1_4.yaml"
SANDBOX = ROOT / "configs" / "sandbox_local.yaml"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(command):
    return functools.partial(command, "config")


# -- show ---------------------------------------------------------------------------------------------------


def test_show_prints_every_symbol_with_the_source_of_each_value(run):
    code, out, err = run("show", BACKTEST, "--set", "strategy.gamma=0.3")
    assert (code, err) == (0, "")
    lines = {tuple(line.split("#")[0].split()): line.rpartition("# ")[2] for line in out.splitlines()}
    assert lines["stop_loss_pct:", "0.35"].startswith(f"{BACKTEST}:")
    assert lines["gamma:", "0.3"] == "--set"
    assert lines["fair_price:", "mid"] == "default"
    assert [symbol for symbol in ("XRP/USDT:", "BTC/USDT:", "XRP/BTC:") if (symbol,) in lines]
    Path("shown.yaml").write_text(out)
    assert load_config(Path("shown.yaml")).config.strategy.for_symbol("XRP/BTC").gamma == 0.3


def test_show_of_one_symbol_without_defaults(run):
    _, out, _ = run("show", BACKTEST, "--symbol", "BTC/USDT", "--given")
    assert "BTC/USDT:" in out
    assert "XRP/BTC:" not in out
    assert "# default" not in out


def test_show_as_json(run):
    code, out, err = run("show", BACKTEST, "--json", "--given", "--symbol", "XRP/BTC")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["file"], document["kind"]) == (str(BACKTEST), "backtest")
    assert document["values"]["venue.account_type"]["value"] == "cash"
    assert list(document["symbols"]) == ["XRP/BTC"]
    given = document["symbols"]["XRP/BTC"]
    assert given["position_size"] == {"value": "25 XRP", "source": given["position_size"]["source"]}
    assert given["position_size"]["source"].startswith(f"{BACKTEST}:")
    assert "horizon_seconds" not in given


def test_show_of_a_sandbox_has_its_own_sections(run):
    code, out, err = run("show", SANDBOX, "--set", "recording.enabled=true", "--set", "recording.catalog=rec")
    assert (code, err) == (0, "")
    lines = {tuple(line.split("#")[0].split()): line.rpartition("# ")[2] for line in out.splitlines()}
    assert lines["source:", "local"].startswith(f"{SANDBOX}:")
    assert lines["enabled:", "true"] == "--set"
    assert lines["rotate_minutes:", "60.0"] == "default"
    assert lines["stop_loss_pct:", "0.35"].startswith(f"{SANDBOX}:")
    assert {("feed:",), ("state:",), ("recording:",), ("web:",)} <= lines.keys()


def test_what_is_shown_of_a_sandbox_is_the_same_configuration(run):
    words = ("--set", "strategy.symbols.XRP/BTC.gamma=0.3", "--set", "recording.catalog=rec")
    _, out, _ = run("show", SANDBOX, *words)
    Path("shown.yaml").write_text(out)
    before = load_sandbox_config(SANDBOX, [word for word in words if word != "--set"]).config
    after = load_sandbox_config(Path("shown.yaml")).config
    assert after.model_dump(exclude={"strategy"}) == before.model_dump(exclude={"strategy"})
    for symbol in before.strategy.symbols:
        assert after.strategy.for_symbol(symbol) == before.strategy.for_symbol(symbol)


def test_show_of_a_sandbox_as_json(run):
    _, out, _ = run("show", SANDBOX, "--json", "--symbol", "BTC/USDT")
    document = json.loads(out)
    assert document["kind"] == "sandbox"
    assert document["values"]["duration"]["value"] == "2m"
    assert document["values"]["state.directory"]["value"] is None
    assert document["values"]["web.enabled"] == {"value": False, "source": "default"}
    assert list(document["symbols"]) == ["BTC/USDT"]


# -- check --------------------------------------------------------------------------------------------------


def test_check_as_json(run):
    code, out, err = run("check", BACKTEST, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    warnings = document.pop("warnings")
    assert document == {
        "file": str(BACKTEST),
        "kind": "backtest",
        "venue": "KRAKEN",
        "symbols": ["XRP/USDT", "BTC/USDT", "XRP/BTC"],
    }
    assert len(warnings) == 6
    assert all(text.startswith("Warning: ") for text in warnings)


def test_check_of_a_sandbox(run):
    code, out, err = run("check", SANDBOX, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["kind"], document["venue"]) == ("sandbox", "KRAKEN")
    assert any("below two maker fees" in text for text in document["warnings"])


MINE = """catalog: data
venue: {name: KRAKEN, starting_balances: [1000 USDT, 500 XRP]}
strategy:
  symbols:
    XRP/USDT: {position_size: 10 XRP, max_inventory: 50 XRP}
"""


def test_check_finds_that_the_catalog_is_missing(run):
    Path("mine.yaml").write_text(MINE)
    code, out, err = run("check", "mine.yaml")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: mine\.yaml:1: catalog: the catalog .*data does not exist; .*\n", err)


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        (
            ["strategy.symbols={XRP/USDT: {}, XPR/USDT: {}}", "start=2030-01-01T00:00:00Z"],
            [
                r"--set strategy\.symbols\.XPR/USDT: .* holds no instrument XPR/USDT\.KRAKEN; did you mean XRP/USDT",
                r"--set start: start and end must leave some of what .* holds, .*, was 2030-.*",
            ],
        ),
        (
            ["end=2020-01-01T00:00:00Z"],
            [r"--set end: start and end must leave some of what .*, was open to 2020-.*"],
        ),
        (
            ["strategy.symbols.XRP/USDT.position_size=1 XRP", "venue.starting_balances=[10 EUR]"],
            [
                r"--set strategy\.symbols\.XRP/USDT\.position_size: .*at least .*2.*, was 1 XRP",
                r"--set venue\.starting_balances\.0: .* was 10 EUR",
                r"--set venue\.starting_balances: .*was 10 EUR",
            ],
        ),
    ],
)
def test_check_finds_what_a_backtest_would_refuse(run, command, given, messages):
    Path("data").symlink_to(ROOT / "catalog")
    Path("mine.yaml").write_text(MINE)
    sets = [word for text in given for word in ("--set", text)]
    code, out, err = run("check", "mine.yaml", *sets)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == len(messages), err
    for line, message in zip(lines, messages, strict=True):
        assert re.search(message, line), line
    assert command("backtest", "mine.yaml", *sets)[::2] == (2, err)


def test_check_finds_missing_trades_and_wrong_sizes_at_once(run):
    shutil.copytree(ROOT / "catalog", "data")
    shutil.rmtree("data/data/trades")
    Path("mine.yaml").write_text(MINE)
    code, _, err = run("check", "mine.yaml", "--set", "strategy.symbols.XRP/USDT.position_size=1 XRP")
    assert code == 2
    trades, size = err.splitlines()
    assert re.search(r"mine\.yaml:1: catalog: .*no trades of XRP/USDT", trades)
    assert re.search(r"position_size.*, was 1 XRP", size)


def test_check_of_a_sandbox_needs_no_catalog(run):
    assert run("init", "--sandbox", "--catalog", ROOT / "catalog", "--out", "paper.yaml")[0] == 0
    assert run("check", "paper.yaml", "--set", "feed.catalog=nowhere")[0] == 0


# -- init ---------------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_passes_the_check_without_warnings_where_widths_pay(run):
    words = ("--symbols", "XRP/USDT,BTC/USDT", "--catalog", ROOT / "catalog", "--out", "configs/mine.yaml")
    code, out, err = run("init", *words, "--maker-fee", "0", "--taker-fee", "0.1")
    assert (code, err) == (0, "")
    *expected, written = out.splitlines()
    assert [re.sub(r"\d[\d.]*", "N", text) for text in expected] == [
        f"{symbol}: quotes N % apart, about N fills an hour expected; each keeps N bps after a maker fee of N %, "
        "before the price moves."
        for symbol in ("XRP/USDT", "BTC/USDT")
    ]
    assert written == (
        "written to configs/mine.yaml; next: mm-nautilus config check configs/mine.yaml, "
        "mm-nautilus backtest configs/mine.yaml"
    )
    assert run("check", "configs/mine.yaml") == (
        0,
        "configs/mine.yaml: no errors, 0 warnings; quotes XRP/USDT, BTC/USDT at KRAKEN\n",
        "",
    )
    config = load_config(Path("configs/mine.yaml")).config
    assert config.catalog == ROOT / "catalog"
    assert (config.venue.fees.maker_fee_pct, config.venue.fees.taker_fee_pct) == (0.0, 0.1)


def test_init_tells_on_the_terminal_and_in_the_file_that_the_proposal_loses(run):
    words = ("--symbols", "XRP/USDT", "--catalog", ROOT / "catalog", "--out", "mine.yaml")
    code, out, err = run("init", *words)
    told, _ = out.splitlines()
    assert (code, err) == (0, "")
    assert told.startswith("XRP/USDT IS EXPECTED TO LOSE: a maker fee of 0.25 % needs quotes 0.5 % apart, ")
    head = Path("mine.yaml").read_text().split("\n\n")[0].replace("\n# ", " ")
    assert told in head
    code, _, err = run("check", "mine.yaml")
    (warning,) = err.splitlines()
    assert code == 0
    assert re.fullmatch(
        r"Warning: XRP/USDT: min_spread_pct .*our own quotes loses.* \(mine\.yaml:\d+\)", warning
    )


@pytest.mark.parametrize(
    ("answers", "fees"), [("0.02\n0.05\n", (0.02, 0.05)), pytest.param("\n\n", None, marks=pytest.mark.long)]
)
def test_init_asks_for_fees_on_a_terminal(answers, fees):
    words = ["config", "init", "--symbols", "XRP/USDT", "--catalog", ROOT / "catalog", "--out", "mine.yaml"]
    master, slave = pty.openpty()
    with os.fdopen(master, "r+b", buffering=0) as user:
        command = [sys.executable, "-m", "mm_nautilus.cli", *map(str, words)]
        process = subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=slave)
        os.close(slave)
        user.write(answers.encode())
        out, _ = process.communicate(timeout=60)
        shown = user.read(4096).decode()
    assert process.returncode == 0, shown
    assert "maker fee, % of value (Enter takes the catalog's 0.25)" in shown
    assert b"written to mine.yaml" in out
    charged = load_config(Path("mine.yaml")).config.venue.fees
    assert (charged and (charged.maker_fee_pct, charged.taker_fee_pct)) == fees


def test_init_does_not_sign_post_a_backtest_that_would_be_refused(run):
    shutil.copytree(ROOT / "catalog", "quiet")
    shutil.rmtree("quiet/data/trades")
    code, out, err = run("init", "--symbols", "XRP/USDT", "--catalog", "quiet", "--out", "mine.yaml")
    assert code == 0
    assert out.splitlines() == [
        "XRP/USDT: fills cannot be estimated, as the data has no trades; quotes are 0.5 % apart.",
        "written to mine.yaml; next: mm-nautilus config check mine.yaml",
    ]
    (warning,) = err.splitlines()
    assert re.match(
        r"warning: a backtest would be refused: mine\.yaml:\d+: catalog: .*no trades of ", warning
    )


def test_init_prints_where_no_file_is_named(run):
    code, out, _ = run("init", "--catalog", ROOT / "catalog")
    assert code == 0
    assert "SIMULATED data" in out.splitlines()[0]
    assert list(Path().iterdir()) == []
    Path("printed.yaml").write_text(out)
    symbols = load_config(Path("printed.yaml")).config.strategy.symbols
    assert list(symbols) == ["BTC/USDT", "XRP/BTC", "XRP/USDT"]


def test_init_keeps_a_file_unless_forced(run):
    Path("mine.yaml").write_text("precious")
    words = ("init", "--catalog", ROOT / "catalog", "--symbols", "XRP/USDT", "--out", "mine.yaml")
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err == "error: mine.yaml exists; --force replaces it, --out names another file\n"
    assert Path("mine.yaml").read_text() == "precious"
    assert run(*words, "--force")[0] == 0
    assert list(load_config(Path("mine.yaml")).config.strategy.symbols) == ["XRP/USDT"]


def test_init_writes_a_sandbox_that_passes_the_check_and_is_called_what_its_file_is(run):
    given = ("--symbols", "XRP/USDT,XRP/BTC", "--catalog", ROOT / "catalog", "--out", "configs/paper.yaml")
    words = ("--sandbox", *given)
    code, out, err = run("init", *words, "--maker-fee", "0")
    assert (code, err) == (0, "")
    assert out.endswith(
        "before the price moves.\nwritten to configs/paper.yaml; next: mm-nautilus config check configs/paper.yaml, "
        "mm-nautilus sandbox configs/paper.yaml --venue local\n"
    )
    assert run("check", "configs/paper.yaml") == (
        0,
        "configs/paper.yaml: no errors, 0 warnings; quotes XRP/USDT, XRP/BTC at KRAKEN\n",
        "",
    )
    config = load_sandbox_config(Path("configs/paper.yaml")).config
    assert (config.name, config.feed.source, config.feed.catalog) == ("paper", "live", ROOT / "catalog")
    assert config.venue.fees is not None
    assert config.state.directory == Path("state")


@pytest.mark.parametrize("name", ["my run.yaml", f"{'x' * 61}.yaml"])
def test_init_of_a_sandbox_whose_file_has_no_name_for_a_run(run, name):
    words = ("--sandbox", "--symbols", "XRP/USDT", "--catalog", ROOT / "catalog", "--out", name)
    assert run("init", *words)[0] == 0
    assert load_sandbox_config(Path(name)).config.name == "sandbox"


def test_init_of_a_sandbox_prints_where_no_file_is_named(run):
    code, out, _ = run("init", "--sandbox", "--catalog", ROOT / "catalog")
    assert code == 0
    assert out.startswith("# A sandbox run, begun by `mm-nautilus config init`")
    assert "SIMULATED" in out.split("\n\n")[0]
    assert list(Path().iterdir()) == []
