"""Rows of Tardis CSV files as typed arrays, exact, with the line number of everything that is wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from mm_nautilus.data.catalog_files import decimal_words
from mm_nautilus.data.csv_files import CsvKind, blocks, shape_problem, shown
from mm_nautilus.data.findings import FindingKind, Findings
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec, decimal_places
from mm_nautilus.market.rows import Columns, Ints

type Mask = NDArray[np.bool_]

_TRADE_ID_CHARACTERS = 36
_TRADE_ID_PATTERN = rf"^[!-~]{{0,{_TRADE_ID_CHARACTERS}}}$"
_MARKS: Final = {
    text: value for word, value in (("false", 0), ("true", 1)) for text in (word, word.title(), word.upper())
}
"""What the column is_snapshot may hold; pandas and spreadsheets write capitals."""
_MOST_MULTIPLES = 10**17
_FIRST_US, _LAST_US = 10**15, 9 * 10**15 - 1
"""Microseconds since 1970 with 16 digits, as `mm_nautilus.data.csv_files.shape_problem` checks."""
_NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class CsvRows(Columns):
    """Well-formed rows of one file."""

    line: Ints
    """Line numbers in the file; the header is line 1."""
    ts_event: Ints
    ts_init: Ints
    """Exchange and local time, nanoseconds."""
    side: Ints
    """`Side.BID` or `Side.ASK`; `Side.NONE` for a trade whose taker is not known."""
    price_ticks: Ints
    size_lots: Ints
    """Whole numbers of increments."""
    snapshot: Mask
    """The is_snapshot column; all False for trades."""
    trade_id: NDArray[np.object_]
    """The id column; empty for book rows, and for trades that have none."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of one file together with what they must fit."""

    path: Path
    kind: CsvKind
    spec: InstrumentSpec
    source: tuple[str, str]
    round_sizes_down: bool
    text: bytes
    first_line: int

    def line(self, number: int) -> str:
        """Return one line by its number in the file."""
        row = number - self.first_line
        return self.text.split(b"\n", row + 1)[row].decode(errors="replace").rstrip("\r")


def read_rows(
    path: Path,
    kind: CsvKind,
    spec: InstrumentSpec,
    source: tuple[str, str],
    findings: Findings,
    *,
    round_sizes_down: bool,
) -> Iterator[tuple[CsvRows, int, int]]:
    """Yield a file's well-formed rows block by block, in the file's order, with flat memory.

    With each block of rows come how many there were with the malformed ones, and how far into the file (as stored,
    compressed or not) it reaches, bytes. Every row must name the exchange and symbol of `source`; a size that is no
    whole number of lots is malformed or rounded down. Malformed and rounded rows, and a last line without a line break,
    are noted in `findings`. A `DataError` says that the file is cut off or damaged.
    """
    line = 2
    for text, bytes_read, terminated in blocks(path):
        count = text.count(b"\n")
        yield (
            _parse(_Block(path, kind, spec, source, round_sizes_down, text, line), count, findings),
            count,
            bytes_read,
        )
        if not terminated:
            findings.count(path, FindingKind.UNTERMINATED, 1)
        line += count


def _parse(block: _Block, count: int, findings: Findings) -> CsvRows:
    """Return the well-formed rows, and note the malformed and the rounded ones."""
    table, misshapen = _table(block, count)
    line = np.delete(np.arange(block.first_line, block.first_line + count), misshapen - block.first_line)
    exchange, symbol, event, local, fifth, side, price, amount = (
        column.combine_chunks() for column in table.itercolumns()
    )
    trades = block.kind is CsvKind.TRADES
    ok = np.ones(len(line), dtype=np.bool_)
    for column, wanted in zip((exchange, symbol), block.source, strict=True):
        ok &= _choices(column, {wanted: 0})[1]
    ts_event, is_time = _times(event)
    ts_init, is_local_time = _times(local)
    sides, is_side = _choices(side, block.kind.sides)
    ok &= is_time & is_local_time & is_side
    ticks, fine, _ = _multiples(price, block.spec.price_increment)
    ok &= fine & (ticks > 0)
    lots, fine, between = _multiples(amount, block.spec.size_increment)
    rounded = between & block.round_sizes_down
    ok &= (fine | rounded) & (lots > 0 if trades else lots >= 0)
    if trades:
        snapshot, ids = np.zeros(len(ok), dtype=bool), np.array(fifth.to_pylist(), dtype=object)
        ok &= _mask(pc.match_substring_regex(fifth, _TRADE_ID_PATTERN))
    else:
        flags, fine = _choices(fifth, _MARKS)
        snapshot, ids = flags == 1, np.full(len(ok), "", dtype=object)
        ok &= fine
    rows = CsvRows(line, ts_event * 1000, ts_init * 1000, sides, ticks, lots, snapshot, ids)
    bad, cut = np.sort(np.concatenate([misshapen, line[~ok]])), line[ok & rounded]
    findings.add(block.path, FindingKind.MALFORMED, bad, lambda row: _reason(block, block.line(bad[row])))
    findings.add(
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


def _mask(values: Any) -> Mask:
    mask: Mask = values.to_numpy(zero_copy_only=False)
    return mask


def _choices(column: Any, codes: dict[str, int]) -> tuple[Ints, Mask]:
    """Return the codes of texts, and which texts have one."""
    known = {text.encode(): code for text, code in codes.items()}
    table = np.array([known.get(text, -1) for text in column.dictionary.to_pylist()] or [-1], dtype=np.int64)
    values = table[column.indices.to_numpy()]
    return values, values >= 0


def _texts(column: Any, kept: Mask) -> Any:
    """Return texts, with 0 in place of those that are not kept."""
    return (column if kept.all() else pc.if_else(pa.array(kept), column, b"0")).cast(pa.string())


def _times(column: Any) -> tuple[Ints, Mask]:
    is_whole = _mask(pc.ascii_is_decimal(column.cast(pa.string()))) & (_mask(pc.binary_length(column)) == 16)
    values: Ints = _texts(column, is_whole).cast(pa.int64()).to_numpy()
    return values, is_whole & (values >= _FIRST_US) & (values <= _LAST_US)


def _multiples(column: Any, increment: Decimal) -> tuple[Ints, Mask, Mask]:
    """Return decimal texts as multiples of `increment`, rounded down; which are exact; which lie between."""
    digits = decimal_places(increment)
    behind = f"[0-9]{{1,{digits}}}0{{0,12}}" if digits else "0{1,12}"
    pattern = rf"^[0-9]{{1,{max(1, 17 - digits)}}}(\.{behind})?$"
    plain = _mask(pc.match_substring_regex(column, pattern))
    finer = np.zeros(len(plain), dtype=bool)
    if not plain.all():  # cut what is finer than the increment's digits
        whole = rf"[0-9]{{1,{max(1, 17 - digits)}}}" + (rf"\.[0-9]{{{digits}}}" if digits else "")
        point = "" if digits else r"\."
        cut = _mask(pc.match_substring_regex(column, rf"^{whole}{point}[0-9]+$")) & ~plain
        finer = cut & _mask(pc.match_substring_regex(column, rf"^{whole}{point}[0-9]*[1-9]"))
        shorter = pc.replace_substring_regex(column, rf"^({whole}){point}[0-9]+$", r"\1")
        column, plain = pc.if_else(pa.array(cut), shorter, column), plain | cut
    numbers = _texts(column, plain).cast(pa.decimal128(38, digits))
    multiples, rest = np.divmod(decimal_words(numbers)[:, 0], int(increment.scaleb(digits)))
    exact = plain & (rest == 0) & ~finer
    between = plain & ~exact
    for row in np.flatnonzero(~plain).tolist():
        try:
            multiples[row], exact[row] = _multiple(column[row].as_py().decode(errors="replace"), increment)
            between[row] = not exact[row]
        except ValueError:
            continue
    return multiples, exact, between


def _multiple(text: str, increment: Decimal) -> tuple[int, bool]:
    """Return a number's multiple of `increment`, rounded down, and whether it is exact.

    The `ValueError` for a text that is no such number says what is allowed.
    """
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("a number that is not negative")
    multiple = Fraction(text) / Fraction(increment)
    if multiple >= _MOST_MULTIPLES:
        raise ValueError(f"less than {_MOST_MULTIPLES} times {increment}")
    return int(multiple), multiple.denominator == 1


def _rounded_text(block: _Block, text: str) -> str:
    return f"amount {shown(text.split(',')[7])} was rounded down to a multiple of {block.spec.size_increment}"


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
    wanted = shown(block.source[0])
    yield "exchange", exchange, None if exchange == block.source[0] else f"{wanted} as in the first row"
    yield "symbol", symbol, None if symbol == block.source[1] else shown(block.source[1])
    if trades:
        rule = f"at most {_TRADE_ID_CHARACTERS} printable characters without spaces"
        yield "id", fifth, None if re.fullmatch(_TRADE_ID_PATTERN, fifth) else rule
    else:
        yield "is_snapshot", fifth, None if fifth in _MARKS else "true or false"
    yield "side", side, None if side in block.kind.sides else f"one of {', '.join(block.kind.sides)}"
    yield "price", price, _number_rule(price, block.spec.price_increment, positive=True, between=False)
    between = block.round_sizes_down
    yield "amount", amount, _number_rule(amount, block.spec.size_increment, positive=trades, between=between)


def _number_rule(text: str, increment: Decimal, *, positive: bool, between: bool) -> str | None:
    try:
        multiple, exact = _multiple(text, increment)
    except ValueError as error:
        return str(error)
    if not exact and not between:
        return f"a multiple of {increment}"
    return f"at least {increment}" if positive and not multiple else None
