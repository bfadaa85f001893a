"""The run's journal: console lines of fills and portfolio snapshots, a JSON object for each and for its causes."""

import glob
import json
import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

from mm_nautilus.config.strategy import REPORT_CURRENCY
from mm_nautilus.market.instrument import decimal_places
from mm_nautilus.metrics.ledger import quote_currency
from mm_nautilus.report.money import signed_amount, unsigned_amount
from mm_nautilus.system.whole_file import naming

_MIN_PRICE_DECIMALS: Final = 6


class Journal:
    """Write fills and portfolio snapshots as lines for people and as JSON lines for machines.

    A journal that exists is continued: none of its files is overwritten. A last line that was cut off by the end of a
    process stays as it is, and the next line begins below it. A ValueError refuses a limit below 1; an OSError says
    that the file cannot be opened or written, and lines that were written before stay.

    Parameters
    ----------
    echo
        Receives the lines for people.
    rotate_bytes
        Largest size of a file; before a line that would exceed it the file is set aside under a number,
        ``journal-0001.jsonl``, and a new one begun. A longer line has a file of its own. None never sets aside.
    keep_files
        Most files set aside that are kept; beyond that the oldest is removed, which a line of type ``journal``, on top
        of the file's limit, and one for people report. None keeps all.
    batch_lines
        Number of lines encoded and written at once. What is handed over must not change until then.

    Attributes
    ----------
    lines
        Number of lines taken; one that cannot be written at once is written with the next one.
    """

    def __init__(
        self,
        path: Path,
        echo: Callable[[str], None],
        rotate_bytes: int | None = None,
        keep_files: int | None = None,
        batch_lines: int = 1,
    ) -> None:
        for name, limit in (("rotate_bytes", rotate_bytes), ("keep_files", keep_files)):
            if limit is not None and limit < 1:
                raise ValueError(f"{name} must be at least 1 or None, was {limit}")
        self._path = path
        self._echo = echo
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._batch_lines = batch_lines
        self._batch: deque[Mapping[str, Any]] = deque()
        aside = _files_aside(path)
        self._rotations = _number(aside[-1]) if aside else 0
        self.lines = 0
        self._open()

    def _open(self) -> None:
        self._file = self._path.open("ab")
        self._bytes = self._file.tell()
        if self._bytes and not _ends_with_a_line(self._path):
            self._put(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left and close the file."""
        with naming(self._path), self._file:
            self._write_batch()

    def log_fill(  # noqa: PLR0917 - v1.4.0's signature
        self,
        fill: Mapping[str, Any],
        correlation_id: str,
        strategy: str,
        portfolio: Mapping[str, Any] | None,
        position: Mapping[str, Any] | None,
        symbol_stats: Mapping[str, Any],
    ) -> str:
        """Write one fill, and return its line for people.

        `fill` has ``symbol, side, price`` and ``pnl``, the change of realised PnL in the symbol's quote currency, which
        ``currency`` names where the symbol does not; more keys go to the JSON line, as `portfolio` and `position`, the
        state after it, do. `correlation_id`, the client order id, links signal, order, fill and metrics; `symbol_stats`
        is `SymbolLedger.get_symbol_stats` after the fill.
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

    def log(
        self, kind: str, values: Mapping[str, Any], strategy: str, correlation_id: str | None = None
    ) -> None:
        """Write a line for machines alone: what led to a fill or followed from it, or a change of a guard.

        Its type, ``signal``, ``order``, ``metrics`` or ``guard``, is also the key of its values; `correlation_id`, the
        client order id, links it with the fill.
        """
        linked = {} if correlation_id is None else {"correlation_id": correlation_id}
        self._write(None, type=kind, **linked, strategy=strategy, **{kind: values})

    def log_portfolio_snapshot(
        self,
        strategy: str,
        portfolio: Mapping[str, Any],
        prices: Mapping[str, float],
        symbol_stats: Mapping[str, Mapping[str, Any]],
    ) -> str:
        """Write one portfolio snapshot, and return its two lines for people.

        `portfolio` is `SymbolLedger.to_dict`, in which account figures that are None are written as unknown; `prices`
        has each symbol's mid, and `symbol_stats` is `SymbolLedger.get_all_symbol_stats`.
        """
        currency = portfolio.get("currency", REPORT_CURRENCY)
        currencies = portfolio.get("currencies") or {}
        assets = " ".join(f"{code}:{amount:z.4f}" for code, amount in (portfolio["assets"] or {}).items())
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

    def _write(self, line: str | None, **record: Any) -> None:
        if line is not None:
            self._echo(line)
        self._batch.append(record)
        self.lines += 1
        if len(self._batch) >= self._batch_lines:
            self._write_batch()

    def _write_batch(self) -> None:
        """Write the lines so far; what cannot be written now is tried again with the next ones."""
        failure: OSError | None = None
        while self._batch:
            content = _encoded(self._batch[0])
            try:
                if self._is_full(len(content)):
                    self._rotate()
            except OSError as error:  # the file that is full takes the line, so that none is lost
                failure = failure or error
            self._put(content)
            self._batch.popleft()
        with naming(self._path):
            self._file.flush()
        if failure is not None:
            raise failure

    def _is_full(self, more_bytes: int) -> bool:
        limit = self._rotate_bytes
        return limit is not None and self._bytes > 0 and self._bytes + more_bytes > limit

    def _put(self, content: bytes) -> None:
        with naming(self._path):
            self._file.write(content)
        self._bytes += len(content)

    def _rotate(self) -> None:
        """Set the file aside; a process that ends in between leaves every line in one file or another."""
        full = self._file
        self._rotations += 1
        self._path.rename(self._path.with_stem(f"{self._path.stem}-{self._rotations:04d}"))
        self._open()
        full.close()
        if self._keep_files is not None:
            self._remove(_files_aside(self._path)[: -self._keep_files])

    def _remove(self, files: Sequence[Path]) -> None:
        """Remove files that were set aside, and say so."""
        if not files:
            return
        for file in files:
            file.unlink()
        names = [file.name for file in files]
        self._echo(
            f"[JOURNAL] removed {', '.join(names)}: the oldest beyond the {self._keep_files} that are kept"
        )
        self._put(_encoded({"type": "journal", "removed": names, "kept": self._keep_files}))


def _encoded(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(_plain(record), default=str, allow_nan=False) + "\n").encode()


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _files_aside(path: Path) -> list[Path]:
    """Return the files that were set aside, oldest first."""
    found = path.parent.glob(f"{glob.escape(path.stem)}-*{glob.escape(path.suffix)}")
    numbered = [file for file in found if file.stem.removeprefix(f"{path.stem}-").isdecimal()]
    return sorted(numbered, key=_number)


def journal_files(path: Path) -> list[Path]:
    """Return the files of a journal that may have been rotated, by the name of the one being written, oldest first."""
    return [*_files_aside(path), *([path] if path.exists() else [])]


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _price_text(price: Decimal | float | str) -> str:
    """Return a price with at least six decimals, an exact one with all that it is written with."""
    exact = Decimal(price) if isinstance(price, str) else price
    written = decimal_places(exact) if isinstance(exact, Decimal) else 0
    return f"{exact:.{max(_MIN_PRICE_DECIMALS, written)}f}"


def _known(write: Callable[[float, str], str], amount: float | None, currency: str) -> str:
    return "unknown" if amount is None else write(amount, currency)


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
