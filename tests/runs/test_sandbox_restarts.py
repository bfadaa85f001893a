"""Lives of one run: killed, started again, and the money of all of them together."""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sandbox_runs import LONGEST_WAIT, Left, configuration, read_until, start

from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.errors import ConfigError
from mm_nautilus.metrics.daily import DailyResults
from mm_nautilus.runs.restoration import refuse_coarser_lots
from mm_nautilus.trading.saved_account import SavedAccount, SavedPosition

CENT_OF_COIN = Decimal("1e-8")
START = {"USDT": Decimal(1000), "XRP": Decimal(500), "BTC": Decimal("0.01")}


def lives(folder: Path) -> list[Left]:
    """Return what each life has left, the first one first."""
    return [Left(path) for path in sorted((folder / "runs").iterdir())]


def wait_for_fills(folder: Path, count: int) -> None:
    """Wait until the latest life has written so many fills."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        if len(lives(folder)[-1].journal_fills) >= count:
            return
        time.sleep(0.05)
    pytest.fail(f"the run wrote fewer than {count} fills within {LONGEST_WAIT} seconds")


def state(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "state" / "probe.json").read_text(encoding="utf-8"))
    return document


def kept_days(folder: Path) -> DailyResults:
    daily = DailyResults()
    daily.restore(state(folder)["components"]["metrics"]["metrics"]["daily"])
    return daily


def assert_state_is_of(fills: list[dict[str, Any]], document: dict[str, Any], *, cash: bool) -> None:
    """Compare balances, positions, counts and realised PnL of a state with fills alone, to the last digit."""
    balances, positions = dict(START), dict.fromkeys(("XRP/USDT", "BTC/USDT", "XRP/BTC"), Decimal(0))
    realized = dict.fromkeys(positions, Decimal(0))
    for line in fills:
        told = line["fill"]
        base, quote = told["symbol"].split("/")
        signed = Decimal(told["quantity"]) * (1 if told["side"] == "BUY" else -1)
        positions[told["symbol"]] += signed
        realized[told["symbol"]] += Decimal(told["pnl"])
        if cash:
            balances[base] += signed
            balances[quote] -= (signed * Decimal(told["price"])).quantize(CENT_OF_COIN) + Decimal(told["fee"])
        else:
            balances[quote] += Decimal(told["pnl"])
    account, metrics = document["account"], document["components"]["metrics"]["metrics"]
    assert {code: Decimal(amount) for code, amount in account["balances"].items()} == balances
    held = {position["symbol"]: Decimal(position["quantity"]) for position in account["positions"]}
    assert held == {symbol: quantity for symbol, quantity in positions.items() if quantity}
    counts = {symbol: kept["fills"] for symbol, kept in metrics["symbols"].items()}
    assert counts == {symbol: sum(line["fill"]["symbol"] == symbol for line in fills) for symbol in positions}
    ledger = metrics["ledger"]["symbols"]
    assert {s: Decimal(kept["pnl"]) - Decimal(kept["open_fees"]) for s, kept in ledger.items()} == realized


@pytest.mark.long
@pytest.mark.parametrize(("account_type", "kills"), [("cash", 2), ("margin", 1)])
def test_a_run_that_is_killed_again_and_again_loses_nothing(
    tmp_path: Path, account_type: str, kills: int
) -> None:
    """The last life ends by SIGINT, the others by kill -9; the state is that of all their fills together."""
    path, is_cash = configuration(tmp_path), account_type == "cash"
    command = (str(path), "--set", f"venue.account_type={account_type}")
    fills: list[dict[str, Any]] = []
    for ending in (*[signal.SIGKILL] * kills, signal.SIGINT):
        process = start(*command)
        with process:
            read_until(process, "continues from" if fills else "starts fresh")
            read_until(process, "quoting")
            wait_for_fills(tmp_path, 5)
            process.send_signal(ending)
            process.communicate(timeout=LONGEST_WAIT)
        assert process.returncode == (130 if ending == signal.SIGINT else -signal.SIGKILL)
        # The journal's last fill may be the one whose save the kill has interrupted.
        fills += lives(tmp_path)[-1].journal_fills
        saved = sum(
            kept["fills"] for kept in state(tmp_path)["components"]["metrics"]["metrics"]["symbols"].values()
        )
        assert len(fills) - saved in (0, 1)
        fills = fills[:saved]
        assert_state_is_of(fills, state(tmp_path), cash=is_cash)
        assert sum(day.fills for day in kept_days(tmp_path).days) == saved
    last = lives(tmp_path)[-1]
    assert last.summary["start"]["is_resumed"] is True
    assert last.summary["start"]["positions"] != []
    assert sum(told["fills"] for told in last.summary["symbols"].values()) == len(fills)
    exact = {key: Decimal(text.split()[0]) for key, text in last.summary["equity"]["exact"].items()}
    assert sum(day.trading_pnl for day in kept_days(tmp_path).days) == exact["trading_pnl"] != 0
    slack = len(fills) * CENT_OF_COIN * 100_000
    assert abs(exact["change"] - exact["trading_pnl"] - exact["revaluation"]) <= slack


@pytest.fixture
def refusal(command: Callable[..., Any]) -> Callable[..., str]:
    """Return what runs the command, which has to refuse, and returns what it said, without line ends."""

    def run(*arguments: object) -> str:
        done = command("sandbox", *arguments)
        assert done.returncode == 2
        return " ".join(done.stderr.split())

    return run


@pytest.mark.long
def test_a_state_file_is_for_one_run_of_one_configuration(
    tmp_path: Path, refusal: Callable[..., str], command: Callable[..., Any]
) -> None:
    path, other = configuration(tmp_path), ("--set", "venue.account_type=margin")
    process = start(str(path))
    with process:
        read_until(process, "quoting")
        assert f"is in use by process {process.pid};" in refusal(path)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST_WAIT)
    assert process.returncode == 130
    said = refusal(path, *other)
    assert "account_type was cash there, is margin here" in said
    assert "--fresh starts without this file and keeps it under a dated name" in said
    assert len(lives(tmp_path)) == 1, "those that were refused have written nothing"
    assert command("sandbox", path, "--duration", "1s", "--fresh", *other).returncode == 0
    assert len(list((tmp_path / "state").glob("probe.*Z.json"))) == 1


def test_a_damaged_state_file_is_refused_and_kept(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path, kept = configuration(tmp_path), tmp_path / "state" / "probe.json"
    kept.parent.mkdir()
    kept.write_text('{"version": 1, "acc', encoding="utf-8")
    assert f"the state file {kept} is damaged" in refusal(path)
    assert kept.read_text(encoding="utf-8") == '{"version": 1, "acc'


@pytest.mark.parametrize(("lot", "is_refused"), [("0.01", True), ("0.001", False)])
def test_a_position_that_lots_no_longer_divide_is_refused_with_what_to_do(
    lot: str, *, is_refused: bool
) -> None:
    spec = replace(KRAKEN_SPOT["XRP/USDT"], size_increment=Decimal(lot))
    held = SavedPosition("XRP/USDT", "XRP", "USDT", Decimal("12.345"), 2.35, Decimal(0))
    kept: Any = SimpleNamespace(path=Path("state/probe.json"), account=SavedAccount({}, (held,)))
    if not is_refused:
        refuse_coarser_lots(kept, {"XRP/USDT": spec})
        return
    with pytest.raises(ConfigError) as refused:
        refuse_coarser_lots(kept, {"XRP/USDT": spec})
    assert str(refused.value) == (
        "state/probe.json: the position of XRP/USDT must be a multiple of the venue's lot, which is 0.01 XRP now, was "
        "12.345 XRP; start with --fresh, which keeps this file under another name, and set "
        "venue.starting_balances to its balances"
    )
