"""Rows of a table as `SourceRows`, exact, with the place of everything that is wrong."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow.compute as pc

from mm_nautilus.data.column_map import ColumnMap
from mm_nautilus.data.csv_files import was
from mm_nautilus.data.exact_numbers import as_mask, number_rule
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, Mask, RowKind, SourceFile, SourceRows
from mm_nautilus.data.table_columns import (
    as_text,
    choices,
    id_rule,
    ids,
    multiples,
    time_rule,
    times,
)
from mm_nautilus.data.whole_books import WholeBooks
from mm_nautilus.market.rows import Ints, Side


@dataclass(frozen=True, slots=True)
class TableBlock:
    """Some rows of a table."""

    columns: Mapping[str, Any]
    """Arrow arrays of the columns that the map names."""
    line: Ints
    misshapen: Ints
    """Lines between them that are no rows."""
    shape: Callable[[int], str | None]
    """Says what keeps a line from being a row, None where it is one."""
    is_cut: bool = False
    """Whether its last line has no line break."""


class TableRows:
    """Turn the blocks of one file into rows, and note what is malformed or rounded."""

    def __init__(self, file: SourceFile, columns: ColumnMap, units: tuple[str, str], fit: Fit) -> None:
        self._file, self._map, self._fit = file, columns, fit
        self._event_unit, self._received_unit = units
        self._first_time: int | None = None
        self._books = None if columns.levels is None else WholeBooks()

    def rows(self, block: TableBlock) -> SourceRows:
        """Return the well-formed rows of a block."""
        ts_event, ts_init, fine = self._times(block)
        fine = fine.copy()
        for role, wanted in zip(("exchange", "symbol"), self._fit.source, strict=True):
            name = getattr(self._map, role)
            if name is not None:
                fine &= choices(block.columns[name], {wanted: 0}).fine
        read = self._level_rows if self._books is None else self._whole_books
        return read(block, ts_event, ts_init, fine)

    def _times(self, block: TableBlock) -> tuple[Ints, Ints, Mask]:
        columns = self._map
        event = received = None
        if columns.time is not None:
            event = times(block.columns[columns.time], self._event_unit)
        if columns.received is not None:
            received = times(block.columns[columns.received], self._received_unit)
        first, second = event or received, received or event
        if first is None or second is None:
            raise ValueError("a map names a column of time")
        return first.values, second.values, first.fine & second.fine

    def _level_rows(self, block: TableBlock, ts_event: Ints, ts_init: Ints, fine: Mask) -> SourceRows:
        columns, spec, count = self._map, self._fit.spec, len(block.line)
        is_trade = columns.row_kind is RowKind.TRADES
        ticks, exact, _ = multiples(block.columns[columns.price or ""], spec.price_increment)
        fine &= exact & (ticks > 0)
        lots, exact, between = multiples(block.columns[columns.size or ""], spec.size_increment)
        rounded = between & self._fit.round_sizes_down
        fine &= (exact | rounded) & (lots > 0 if is_trade else lots >= 0)
        side = np.full(count, Side.NONE, dtype=np.int64)
        if columns.side is not None:
            found = choices(block.columns[columns.side], columns.sides())
            side, fine = found.values, fine & found.fine
        trade_id = np.full(count, "", dtype=object)
        if columns.id is not None:
            found = ids(block.columns[columns.id])
            trade_id, fine = found.values, fine & found.fine
        snapshot = np.zeros(count, dtype=bool)
        if columns.snapshot is not None:
            found = choices(block.columns[columns.snapshot], columns.marks())
            snapshot, fine = found.values == 1, fine & found.fine
        self._note(block, fine, rounded)
        rows = SourceRows(block.line, ts_event, ts_init, side, ticks, lots, snapshot, trade_id)
        rows = rows if fine.all() else rows.select(fine)
        if columns.kind == "book" and columns.snapshot is None and len(rows):
            if self._first_time is None:
                self._first_time = int(rows.ts_init[0])
            rows.snapshot[:] = rows.ts_init == self._first_time
        return rows

    def _whole_books(self, block: TableBlock, ts_event: Ints, ts_init: Ints, fine: Mask) -> SourceRows:
        spec, levels = self._fit.spec, self._map.levels
        if levels is None or self._books is None:
            raise ValueError("a map of whole books names its levels")
        sides, prices, sizes = [], [], []
        rounded = np.zeros(len(fine), dtype=bool)
        for side, price, size in levels.columns():
            is_empty = _empty(block.columns[price]) & _empty(block.columns[size])
            ticks, exact, _ = multiples(block.columns[price], spec.price_increment)
            lots, whole, between = multiples(block.columns[size], spec.size_increment)
            cut = between & self._fit.round_sizes_down
            rounded |= cut & ~is_empty
            fine &= is_empty | (exact & (ticks > 0) & (whole | cut))
            sides.append(side)
            prices.append(ticks)
            sizes.append(np.where(is_empty, 0, lots))
        self._note(block, fine, rounded)
        table = np.array(sides), np.stack(prices, axis=1)[fine], np.stack(sizes, axis=1)[fine]
        return self._books.differences((block.line[fine], ts_event[fine], ts_init[fine]), *table)

    def _note(self, block: TableBlock, fine: Mask, rounded: Mask) -> None:
        path, line, findings = self._file.path, block.line, self._fit.findings
        bad = np.sort(np.concatenate([block.misshapen, line[~fine]]))

        def reason(position: int) -> str:
            wrong = block.shape(int(bad[position]))
            if wrong is not None:
                return wrong
            row = int(np.searchsorted(line, bad[position]))
            for name, text, allowed in self._rules(block, row):
                if allowed:
                    return f"{name} must be {allowed}, {was(text)}"
            return "the row cannot be read"

        findings.add(path, FindingKind.MALFORMED, bad, reason)
        cut = np.flatnonzero(fine & rounded)
        findings.add(path, FindingKind.ROUNDED_SIZE, line[cut], lambda at: self._rounded(block, int(cut[at])))

    def _rounded(self, block: TableBlock, row: int) -> str:
        lot = self._fit.spec.size_increment
        names = [self._map.size] if self._map.levels is None else [it[2] for it in self._map.levels.columns()]
        name = next(it for it in names if it and multiples(block.columns[it].slice(row, 1), lot)[2][0])
        return f"{name} {as_text(block.columns[name], row)} was rounded down to a multiple of {lot}"

    def _rules(self, block: TableBlock, row: int) -> Iterator[tuple[str, str, str | None]]:
        """Yield for each field of a row its column, its text and what it must be, None where it is right."""
        columns, spec = self._map, self._fit.spec
        is_trade = columns.row_kind is RowKind.TRADES

        def field(name: str) -> tuple[str, str]:
            return name, as_text(block.columns[name], row)

        for name, unit in ((columns.time, self._event_unit), (columns.received, self._received_unit)):
            if name is not None:
                column = block.columns[name]
                is_right = bool(times(column.slice(row, 1), unit).fine[0])
                yield *field(name), None if is_right else time_rule(as_text(column, row), unit) or "a time"
        for part, name, words in ((0, columns.exchange, " as in the first row"), (1, columns.symbol, "")):
            if name is not None:
                wanted = self._fit.source[part]
                yield *field(name), None if field(name)[1] == wanted else f"{wanted}{words}"
        if columns.id is not None:
            yield *field(columns.id), id_rule(field(columns.id)[1])
        if columns.snapshot is not None:
            marks, text = columns.marks(), field(columns.snapshot)[1]
            yes, no = columns.snapshot_words.yes[0], columns.snapshot_words.no[0]
            yield columns.snapshot, text, None if text in marks else f"{yes} or {no}"
        if columns.side is not None:
            sides, text = columns.sides(), field(columns.side)[1]
            yield columns.side, text, None if text in sides else f"one of {', '.join(sides)}"
        pairs = (
            [(columns.price, columns.size)]
            if columns.levels is None
            else [(price, size) for _, price, size in columns.levels.columns()]
        )
        for price, size in pairs:
            if price is None or size is None:
                continue
            level = [block.columns[name].slice(row, 1) for name in (price, size)]
            if columns.levels is not None and all(_empty(column)[0] for column in level):
                continue
            yield _number(block, row, price, spec.price_increment, positive=True, between=False)
            between = self._fit.round_sizes_down
            yield _number(block, row, size, spec.size_increment, positive=is_trade, between=between)


def _number(
    block: TableBlock, row: int, name: str, increment: Decimal, *, positive: bool, between: bool
) -> tuple[str, str, str | None]:
    """Return a number's column, its text and what it must be, None where it is right."""
    column, text = block.columns[name], as_text(block.columns[name], row)
    rule = number_rule(text, increment, positive=positive, between=between)
    _, exact, is_between = multiples(column.slice(row, 1), increment)
    if rule is None and not exact[0] and not is_between[0]:
        rule = f"a text or a double, as a {column.type} has too few digits for multiples of {increment}"
    return name, text, rule


def _empty(column: Any) -> Mask:
    """Return where a level of a whole book is left out."""
    missing: Mask = as_mask(pc.is_null(column, nan_is_null=True))
    if str(column.type) in ("string", "binary"):
        missing |= as_mask(pc.binary_length(column).fill_null(0)) == 0
    return missing
