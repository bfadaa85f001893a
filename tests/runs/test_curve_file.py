"""The file of the account's curves: what comes back, and that no fault of it ends a run."""

import json
import stat
from decimal import Decimal
from pathlib import Path

import pytest

from mm_nautilus.metrics.ledger import AccountSnapshot
from mm_nautilus.runs.curve_file import CurveFile
from mm_nautilus.runs.state_file import RunState, StateFile
from mm_nautilus.trading.saved_account import SavedAccount

SECOND_NS = 1_000_000_000
FINGERPRINT = {"venue": "KRAKEN", "symbols": ["XRP/USDT"]}
BALANCES = {"USDT": Decimal(1000)}


def snapshot(trading_pnl: str) -> AccountSnapshot:
    return AccountSnapshot(
        report_currency="USDT",
        balances=BALANCES,
        prices={"USDT": Decimal(1)},
        values=BALANCES,
        start_equity=Decimal(1000),
        revaluation=Decimal(0),
        trading_pnl=Decimal(trading_pnl),
        max_drawdown_pct=0.0,
        open_positions=0,
    )


def session(folder: Path, said: list[str], *values: str, first_second: int = 0, fresh: bool = False) -> None:
    """Start, add points, and end with both files written."""
    with StateFile.open(folder, "probe", FINGERPRINT, fresh=fresh) as state:
        file = CurveFile(state, said.append)
        for second, value in enumerate(values, start=first_second):
            file.curves.add(second * SECOND_NS, snapshot(value))
        file.write()
        state.write(RunState(SavedAccount(BALANCES), {}))


def points(folder: Path) -> list[list[float]]:
    kept: list[list[float]] = json.loads((folder / "probe.curve").read_text("utf-8"))["trading_pnl"]["points"]
    return kept


def test_a_curve_goes_on_over_restarts_and_fresh_puts_it_aside(tmp_path: Path) -> None:
    said: list[str] = []
    session(tmp_path, said, "1", "2")
    session(tmp_path, said, "-3", first_second=5)
    assert points(tmp_path) == [[0, 1.0], [SECOND_NS, 2.0], [5 * SECOND_NS, -3.0]]
    assert stat.S_IMODE((tmp_path / "probe.curve").stat().st_mode) == 0o600
    session(tmp_path, said, "7", first_second=6, fresh=True)
    assert points(tmp_path) == [[6 * SECOND_NS, 7.0]]
    (aside,) = tmp_path.glob("probe.*Z.curve")
    assert aside.with_suffix(".json").is_file()
    (tmp_path / "probe.json").unlink()
    session(tmp_path, said, "8", first_second=7)
    assert points(tmp_path) == [[7 * SECOND_NS, 8.0]], "the curve of a state that is gone"
    assert said == []


TOO_LARGE = b'{"equity": {"stretch_ns": 1000000000, "points": [[0, 1%s]]}}' % (b"0" * 400)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"equity": 1}', b"[" * 100_000, TOO_LARGE])
def test_a_damaged_curve_is_reported_and_begins_anew(tmp_path: Path, content: bytes) -> None:
    said: list[str] = []
    session(tmp_path, said, "1", "2")
    (tmp_path / "probe.curve").write_bytes(content)
    session(tmp_path, said, "3", first_second=9)
    (line,) = said
    assert line.startswith(f"Warning: the curve file {tmp_path / 'probe.curve'} is damaged: ")
    assert line.endswith("; the curves begin anew")
    assert points(tmp_path) == [[9 * SECOND_NS, 3.0]]


def test_a_curve_that_cannot_be_read_or_written_is_reported_once_each(tmp_path: Path) -> None:
    said: list[str] = []
    session(tmp_path, said, "1")
    (tmp_path / "probe.curve").unlink()
    (tmp_path / "probe.curve").mkdir()
    session(tmp_path, said, "2")
    assert [line.partition(": ")[2].partition(":")[0] for line in said] == [
        f"the curve file {tmp_path / 'probe.curve'} cannot be read",
        "the curve file cannot be written",
    ]


def test_without_a_state_nothing_is_kept(tmp_path: Path) -> None:
    file = CurveFile(None, pytest.fail)
    file.curves.add(0, snapshot("1"))
    file.write()
    assert list(tmp_path.iterdir()) == []
