"""The run's journal: one console line and one JSON object a fill and a portfolio snapshot."""

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from mm_nautilus.core.config import REPORT_CURRENCY
from mm_nautilus.core.instrument import decimal_places
from mm_nautilus.core.ledger import quote_currency
from mm_nautilus.report.money import signed_amount, unsigned_amount

__all__ = ["Journal", "journal_files"]

_MIN_PRICE_DECIMALS: Final = 6
_UNKNOWN: Final = "unknown"


class Journal:
    """Write fills and portfolio snapshots as lines for people and as JSON lines for machines.

    Parameters
    ----------
    path
        The JSON lines file; lines are flushed as they are written.
    echo
        Receives the line for people.
    rotate_bytes
        Size at which the file is set aside under a number, ``journal-0001.jsonl``, and a new one begun; None
        never does. Nothing is deleted: `journal_files` returns all of them.
    """

    def __init__(self, path: Path, echo: Callable[[str], None], rotate_bytes: int | None = None) -> None:
        self._path = path
        self._echo = echo
        self._rotate_bytes = rotate_bytes
        self._rotations = 0
        self._open()

    def _open(self) -> None:
        self._file = self._path.open("w", encoding="utf-8")
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def log_fill(  # noqa: PLR0917 - v1.4.0's signature
        self,
        fill: Mapping[str, Any],
        correlation_id: str,
        strategy: str,
        portfolio: Mapping[str, Any] | None,
        position: Mapping[str, Any] | None,
        symbol_stats: Mapping[str, Any],
    ) -> str:
        """Write one fill.

        Parameters
        ----------
        fill
            ``symbol, side, price`` and ``pnl``, the change of realised PnL in the symbol's quote currency.
            ``currency`` names that currency where the symbol does not. More keys go to the JSON line.
        correlation_id
            Links signal, order, fill and metrics.
        strategy
            The strategy's name.
        portfolio, position
            State after the fill, for the JSON line.
        symbol_stats
            The symbol's `SymbolLedger.get_symbol_stats` after the fill.

        Returns
        -------
        str
            The line for people.
        """
        symbol = fill["symbol"]
        currency = fill.get("currency") or quote_currency(symbol)
        line = (
            f"[FILL] [{strategy}] {fill['side']} {symbol} @ {_price_text(fill['price'])} "
            f"P&L: {signed_amount(float(fill['pnl']), currency)} "
            f"[{symbol} total: {signed_amount(float(symbol_stats['pnl']), currency)}]"
        )
        self._write(
            line,
            type="fill",
            correlation_id=correlation_id,
            strategy=strategy,
            fill=fill,
            position=position,
            portfolio=portfolio,
            symbol_stats=symbol_stats,
        )
        return line

    def log_portfolio_snapshot(
        self,
        strategy: str,
        portfolio: Mapping[str, Any],
        prices: Mapping[str, float],
        symbol_stats: Mapping[str, Mapping[str, Any]],
    ) -> str:
        """Write one portfolio snapshot.

        Parameters
        ----------
        strategy
            The strategy's name.
        portfolio
            `SymbolLedger.to_dict`; account figures that are None are written as unknown.
        prices
            Mid of each symbol, for the JSON line.
        symbol_stats
            `SymbolLedger.get_all_symbol_stats`.

        Returns
        -------
        str
            The two lines for people.
        """
        currency = portfolio.get("currency", REPORT_CURRENCY)
        currencies = portfolio.get("currencies") or {}
        assets = " ".join(f"{code}:{amount:.4f}" for code, amount in (portfolio["assets"] or {}).items())
        pairs = " ".join(
            f"{symbol}:{signed_amount(float(stats['pnl']), currencies.get(symbol) or quote_currency(symbol))}"
            for symbol, stats in symbol_stats.items()
        )
        lines = (
            f"[PORTFOLIO] [{strategy}] Equity: {_known(unsigned_amount, portfolio['equity'], currency)} | "
            f"P&L: {_known(signed_amount, portfolio['pnl'], currency)} | "
            f"{currency}: {_known(unsigned_amount, portfolio['usdt'], currency)} | Assets: {assets}\n"
            f"            Per-pair P&L: {pairs}"
        )
        self._write(
            lines,
            type="portfolio",
            strategy=strategy,
            portfolio=portfolio,
            prices=prices,
            symbol_stats=symbol_stats,
        )
        return lines

    def log_guard(self, change: Mapping[str, Any], strategy: str) -> None:
        """Write a change of a guard, which has been logged for people where it happened.

        Parameters
        ----------
        change
            ``ts_event, symbol, state, text``.
        strategy
            The strategy's name.
        """
        self._write(None, type="guard", strategy=strategy, guard=change)

    def _write(self, line: str | None, **record: Any) -> None:
        if line is not None:
            self._echo(line)
        text = json.dumps(_plain(record), default=str, allow_nan=False) + "\n"
        self._file.write(text)
        self._file.flush()
        self._bytes += len(text)
        if self._rotate_bytes is not None and self._bytes >= self._rotate_bytes:
            self._rotate()

    def _rotate(self) -> None:
        """Set the file aside; a process that ends in between leaves every line in one file or another."""
        self._file.close()
        self._rotations += 1
        self._path.rename(_set_aside(self._path, self._rotations))
        self._open()


def _set_aside(path: Path, number: int) -> Path:
    return path.with_stem(f"{path.stem}-{number:04d}")


def journal_files(path: Path) -> list[Path]:
    """Return the files of a journal that may have been rotated, oldest first.

    Parameters
    ----------
    path
        The journal's own name; the file that is written.
    """
    aside = path.parent.glob(f"{path.stem}-[0-9]*{path.suffix}")
    return [*sorted(aside, key=_number), *([path] if path.exists() else [])]


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _price_text(price: Decimal | float | str) -> str:
    """Return a price with at least six decimals, an exact one with all that it is written with."""
    exact = Decimal(price) if isinstance(price, str) else price
    written = decimal_places(exact) if isinstance(exact, Decimal) else 0
    return f"{exact:.{max(_MIN_PRICE_DECIMALS, written)}f}"


def _known(write: Callable[[float, str], str], amount: float | None, currency: str) -> str:
    return _UNKNOWN if amount is None else write(amount, currency)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: amounts as plain decimal text, a number that is none as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
