"""Levels and trades gathered from messages as texts, checked as columns a block at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mm_nautilus.data.csv_files import shown, was
from mm_nautilus.data.exact_numbers import multiples_of_texts, number_rule
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, Mask, RowKind, SourceRows
from mm_nautilus.data.readers.message_lines import MalformedMessageError
from mm_nautilus.data.table_columns import id_rule
from mm_nautilus.market.rows import Ints, Side


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a message stands and its times."""

    line: int
    ts_event: int
    ts_init: int


class GatheredRows:
    """The levels, or the trades, of messages since the last block."""

    def __init__(self, kind: RowKind, price_name: str, size_name: str) -> None:
        self._kind, self._names = kind, (price_name, size_name)
        self._clear()

    def _clear(self) -> None:
        self._runs: list[tuple[int, ...]] = []
        self._prices: list[Any] = []
        self._sizes: list[Any] = []
        self._ids: list[str] = []

    def add_book(self, stamp: Stamp, bids: Any, asks: Any, *, snapshot: bool) -> None:
        """Take a message's levels, pairs of price and size. A `MalformedMessageError` says that they are none."""
        sides = [(Side.BID, *_columns(bids)), (Side.ASK, *_columns(asks))]
        for side, prices, sizes in sides:
            self._prices += prices
            self._sizes += sizes
            self._runs.append((stamp.line, stamp.ts_event, stamp.ts_init, side, snapshot, len(prices)))

    def add_trade(self, stamp: Stamp, side: int, price: Any, size: Any, trade_id: Any) -> None:
        """Take a trade. A `MalformedMessageError` says that its id cannot be kept."""
        text = str(trade_id)
        rule = id_rule(text)
        if rule is not None:
            raise MalformedMessageError(f"a trade id must be {rule}, {was(text)}")
        self._prices.append(price)
        self._sizes.append(size)
        self._ids.append(text)
        self._runs.append((stamp.line, stamp.ts_event, stamp.ts_init, side, False, 1))

    def checked(self, path: Path, fit: Fit) -> tuple[int, SourceRows, frozenset[int]]:
        """Return how many rows were gathered, the well-formed ones, and the lines of the others; begin anew.

        Malformed and rounded rows are noted in ``fit.findings``.
        """
        runs = np.array(self._runs, dtype=np.int64).reshape(-1, 6)
        line, ts_event, ts_init, side, snapshot = np.repeat(runs[:, :5], runs[:, 5], axis=0).T.copy()
        trades = self._kind is RowKind.TRADES
        ids = np.array(self._ids, dtype=object) if trades else np.full(len(line), "", dtype=object)
        prices, sizes = _texts(self._prices), _texts(self._sizes)
        self._clear()
        ticks, exact, _ = multiples_of_texts(prices, fit.spec.price_increment)
        ok = exact & (ticks > 0)
        lots, exact, between = multiples_of_texts(sizes, fit.spec.size_increment)
        rounded = between & fit.round_sizes_down
        ok &= (exact | rounded) & (lots > 0 if trades else lots >= 0)
        self._note(path, fit, line, (prices, sizes), ok=ok, rounded=rounded)
        rows = SourceRows(line, ts_event, ts_init, side, ticks, lots, snapshot == 1, ids)
        return len(ok), rows if ok.all() else rows.select(ok), frozenset(line[~ok].tolist())

    def _note(
        self, path: Path, fit: Fit, line: Ints, texts: tuple[Any, Any], *, ok: Mask, rounded: Mask
    ) -> None:
        bad, cut = np.flatnonzero(~ok), np.flatnonzero(ok & rounded)
        spec, (price_name, size_name) = fit.spec, self._names
        trades = self._kind is RowKind.TRADES

        def reason(row: int) -> str:
            price, size = (column[int(bad[row])].as_py() for column in texts)
            rule = number_rule(price, spec.price_increment, positive=True, between=False)
            name, text = price_name, price
            if rule is None:
                between = fit.round_sizes_down
                rule = number_rule(size, spec.size_increment, positive=trades, between=between)
                name, text = size_name, size
            return f"{name} must be {rule}, {was(text)}"

        fit.findings.add(path, FindingKind.MALFORMED, line[bad], reason)
        fit.findings.add(
            path,
            FindingKind.ROUNDED_SIZE,
            line[cut],
            lambda row: (
                f"{size_name} {texts[1][int(cut[row])]} was rounded down to a multiple of {spec.size_increment}"
            ),
        )


def _columns(levels: Any) -> tuple[list[Any], list[Any]]:
    try:
        if str in set(map(type, levels)):
            raise TypeError
        return [level[0] for level in levels], [level[1] for level in levels]
    except (TypeError, LookupError) as error:
        text = shown(str(levels))
        raise MalformedMessageError(f"levels must be pairs of price and size, was `{text}`") from error


def _texts(values: Sequence[Any]) -> Any:
    """Return numbers as texts, whether messages write them so or bare."""
    try:
        column: Any = pa.array(values, pa.string())
        return column.fill_null("") if column.null_count else column
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        return pa.array([value if isinstance(value, str) else str(value) for value in values], pa.string())


def side_of(words: dict[str, int], name: str, value: Any) -> int:
    """Return the side that a message names. A `MalformedMessageError` says what it may be."""
    side = words.get(value) if isinstance(value, str) else None
    if side is None:
        text = "" if value is None else str(value)
        raise MalformedMessageError(f"{name} must be one of {', '.join(words)}, {was(text)}")
    return side
