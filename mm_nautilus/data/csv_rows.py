"""Rows of Tardis CSV files as typed arrays, exact, with the line number of everything that is wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from mm_nautilus.data.csv_files import CsvKind, blocks, shape_problem, shown
from mm_nautilus.data.exact_numbers import as_mask, multiples_of_texts, number_rule, texts_where
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, Mask, SourceRows
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Ints

_TRADE_ID_CHARACTERS = 36
_TRADE_ID_PATTERN = rf"^[!-~]{{0,{_TRADE_ID_CHARACTERS}}}$"
_MARKS: Final = {
    text: value for word, value in (("false", 0), ("true", 1)) for text in (word, word.title(), word.upper())
}
"""What the column is_snapshot may hold; pandas and spreadsheets write capitals."""
_FIRST_US, _LAST_US = 10**15, 9 * 10**15 - 1
"""Microseconds since 1970 with 16 digits, as `mm_nautilus.data.csv_files.shape_problem` checks."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of one file together with what they must fit."""

    path: Path
    kind: CsvKind
    fit: Fit
    text: bytes
    first_line: int

    def line(self, number: int) -> str:
        """Return one line by its number in the file."""
        row = number - self.first_line
        return self.text.split(b"\n", row + 1)[row].decode(errors="replace").rstrip("\r")


def read_rows(path: Path, kind: CsvKind, fit: Fit) -> Iterator[tuple[SourceRows, int, int]]:
    """Yield a file's well-formed rows block by block, in the file's order, with flat memory.

    With each block of rows come how many there were with the malformed ones, and how far into the file (as stored,
    compressed or not) it reaches, bytes. Malformed and rounded rows, and a last line without a line break, are noted. A
    `DataError` says that the file is cut off or damaged.
    """
    line = 2
    for text, bytes_read, terminated in blocks(path):
        count = text.count(b"\n")
        yield _parse(_Block(path, kind, fit, text, line), count), count, bytes_read
        if not terminated:
            fit.findings.count(path, FindingKind.UNTERMINATED, 1)
        line += count


def _parse(block: _Block, count: int) -> SourceRows:
    """Return the well-formed rows, and note the malformed and the rounded ones."""
    table, misshapen = _table(block, count)
    line = np.delete(np.arange(block.first_line, block.first_line + count), misshapen - block.first_line)
    exchange, symbol, event, local, fifth, side, price, amount = (
        column.combine_chunks() for column in table.itercolumns()
    )
    trades = block.kind is CsvKind.TRADES
    ok = np.ones(len(line), dtype=np.bool_)
    for column, wanted in zip((exchange, symbol), block.fit.source, strict=True):
        ok &= _choices(column, {wanted: 0})[1]
    ts_event, is_time = _times(event)
    ts_init, is_local_time = _times(local)
    sides, is_side = _choices(side, block.kind.sides)
    ok &= is_time & is_local_time & is_side
    ticks, fine, _ = multiples_of_texts(price, block.fit.spec.price_increment)
    ok &= fine & (ticks > 0)
    lots, fine, between = multiples_of_texts(amount, block.fit.spec.size_increment)
    rounded = between & block.fit.round_sizes_down
    ok &= (fine | rounded) & (lots > 0 if trades else lots >= 0)
    if trades:
        snapshot, ids = np.zeros(len(ok), dtype=bool), np.array(fifth.to_pylist(), dtype=object)
        ok &= as_mask(pc.match_substring_regex(fifth, _TRADE_ID_PATTERN))
    else:
        flags, fine = _choices(fifth, _MARKS)
        snapshot, ids = flags == 1, np.full(len(ok), "", dtype=object)
        ok &= fine
    rows = SourceRows(line, ts_event * 1000, ts_init * 1000, sides, ticks, lots, snapshot, ids)
    bad, cut = np.sort(np.concatenate([misshapen, line[~ok]])), line[ok & rounded]
    block.fit.findings.add(
        block.path, FindingKind.MALFORMED, bad, lambda row: _reason(block, block.line(bad[row]))
    )
    block.fit.findings.add(
        block.path, FindingKind.ROUNDED_SIZE, cut, lambda row: _rounded_text(block, block.line(cut[row]))
    )
    return rows if ok.all() else rows.select(ok)


def _table(block: _Block, count: int) -> tuple[pa.Table, Ints]:
    misshapen: list[int] = []

    def note(row: Any) -> Literal["skip"]:
        misshapen.append(block.first_line + row.number - 1)
        return "skip"

    few, many = pa.dictionary(pa.int32(), pa.binary()), pa.binary()
    fifth = pa.string() if block.kind is CsvKind.TRADES else few
    types = dict(zip("01234567", (few, few, many, many, fifth, few, many, many), strict=True))
    text = block.text.replace(b"\r\n", b"\n") if b"\r" in block.text else block.text
    if not text.isascii():
        # The reader fails on bytes that are no UTF-8; the fields that have them are malformed.
        text = text.decode(errors="replace").encode()
    source: Any = pa.BufferReader(text)
    table = arrow_csv.read_csv(
        source,
        read_options=arrow_csv.ReadOptions(
            column_names=list(types), use_threads=False, block_size=len(text) + 1
        ),
        parse_options=arrow_csv.ParseOptions(
            quote_char=False, ignore_empty_lines=False, invalid_row_handler=note
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types, check_utf8=False, strings_can_be_null=False
        ),
    )
    if table.num_rows + len(misshapen) != count:
        last = block.first_line + count - 1
        raise DataError(
            f"{block.path} has a carriage return inside a line between lines {block.first_line} and {last}; "
            "lines must end with a line feed"
        )
    return table, np.array(misshapen, dtype=np.int64)


def _choices(column: Any, codes: dict[str, int]) -> tuple[Ints, Mask]:
    """Return the codes of texts, and which texts have one."""
    known = {text.encode(): code for text, code in codes.items()}
    table = np.array([known.get(text, -1) for text in column.dictionary.to_pylist()] or [-1], dtype=np.int64)
    values = table[column.indices.to_numpy()]
    return values, values >= 0


def _times(column: Any) -> tuple[Ints, Mask]:
    is_whole = as_mask(pc.ascii_is_decimal(column.cast(pa.string()))) & (
        as_mask(pc.binary_length(column)) == 16
    )
    values: Ints = texts_where(column, is_whole).cast(pa.int64()).to_numpy()
    return values, is_whole & (values >= _FIRST_US) & (values <= _LAST_US)


def _rounded_text(block: _Block, text: str) -> str:
    return f"amount {shown(text.split(',')[7])} was rounded down to a multiple of {block.fit.spec.size_increment}"


def _reason(block: _Block, text: str) -> str:
    """Say what the first wrong field of a line must be and what it was."""
    problem = shape_problem(text)
    if problem is not None:
        return problem
    for name, value, allowed in _field_rules(block, text.split(",")):
        if allowed:
            return f"{name} must be {allowed}, was {f'`{shown(value)}`' if value else 'empty'}"
    return f"the row cannot be read: `{shown(text)}`"


def _field_rules(block: _Block, fields: list[str]) -> Iterator[tuple[str, str, str | None]]:
    trades = block.kind is CsvKind.TRADES
    exchange, symbol, _, _, fifth, side, price, amount = fields
    wanted = shown(block.fit.source[0])
    yield "exchange", exchange, None if exchange == block.fit.source[0] else f"{wanted} as in the first row"
    yield "symbol", symbol, None if symbol == block.fit.source[1] else shown(block.fit.source[1])
    if trades:
        rule = f"at most {_TRADE_ID_CHARACTERS} printable characters without spaces"
        yield "id", fifth, None if re.fullmatch(_TRADE_ID_PATTERN, fifth) else rule
    else:
        yield "is_snapshot", fifth, None if fifth in _MARKS else "true or false"
    yield "side", side, None if side in block.kind.sides else f"one of {', '.join(block.kind.sides)}"
    yield "price", price, number_rule(price, block.fit.spec.price_increment, positive=True, between=False)
    between = block.fit.round_sizes_down
    yield (
        "amount",
        amount,
        number_rule(amount, block.fit.spec.size_increment, positive=trades, between=between),
    )
