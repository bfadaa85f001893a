"""Commands find the configurations, the catalog and the calibration of the repository from any folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("config check configs/conservative.yaml", "configs/conservative.yaml: no errors"),
        ("config show configs/sandbox.yaml --given --json", '"kind": "sandbox"'),
        (
            "config check configs/calibrated.yaml --set strategy.calibration=calibration/sample.yaml",
            "no errors",
        ),
        ("config init --symbols XRP/USDT", "XRP/USDT:"),
        (
            "backtest configs/backtest.yaml --set end=2025-12-13T12:00:30 --set output.report=false --json",
            "completed",
        ),
        ("backtest --set catalog=catalog --set start=2031-01-01", f"{ROOT / 'catalog'} holds"),
        ("calibrate catalog --symbols BTC/USDT --json", '"BTC/USDT"'),
        ("data list catalog", "XRP/BTC.KRAKEN"),
        ("data export catalog --symbols BTC/USDT --out flat --end 2025-12-13T12:01", "written to flat"),
        ("halt configs/sandbox_local.yaml", "halted by "),
        ("data check configs", f"{ROOT / 'configs'}"),
        ("data list configs/../catalog", "the catalog configs/../catalog does not exist"),
        ("data recover catalog", "the catalog catalog does not exist"),
        ("config check configs/none.yaml", "configs/none.yaml"),
    ],
    ids=lambda value: value if " " in value else "",
)
def test_commands_find_what_is_shipped_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], words: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _, printed, errors = command(*words.split())
    assert expected in printed + errors
    assert not (tmp_path / "catalog").exists()


def test_what_is_in_the_working_directory_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    own = (ROOT / "configs" / "backtest.yaml").read_text(encoding="utf-8")
    (tmp_path / "configs" / "backtest.yaml").write_text(
        own.replace("name: backtest", "name: own"), encoding="utf-8"
    )
    code, printed, _ = command("config", "show", "configs/backtest.yaml", "--json")
    assert (code, '"value": "own"' in printed) == (0, True)
