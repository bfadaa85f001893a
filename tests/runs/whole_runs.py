"""What a finished run shows to the tests."""

import functools
import hashlib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from mm_nautilus.config.run import RunConfig
from mm_nautilus.runs.winding_down import RunOutcome

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


@functools.lru_cache(maxsize=16)
def _read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended, with its files at hand."""

    config: RunConfig
    outcome: RunOutcome

    @property
    def summary(self) -> dict[str, Any]:
        return self.outcome.summary

    def symbol(self, name: str) -> dict[str, Any]:
        return self.summary["symbols"][name]

    def table(self, name: str) -> pd.DataFrame:
        return _read(self.outcome.folder / f"{name}.parquet").copy()

    @property
    def balances(self) -> dict[str, Decimal]:
        return {code: Decimal(text) for code, text in self.summary["equity"]["balances"].items()}


_FILL_COLUMNS = [
    *("ts_event", "symbol", "side", "price", "quantity"),
    *("commission", "commission_currency", "liquidity", "purpose"),
]


def fills_digest(fills: pd.DataFrame) -> str:
    """Return what any change of any fill changes: the first digits of the SHA-256 of its rows as text."""
    rows = fills[_FILL_COLUMNS].assign(ts_event=fills.ts_event.astype("int64"))
    for name in ("price", "quantity", "commission"):
        rows[name] = rows[name].map(lambda value: f"{value.normalize():f}")
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()[:16]
