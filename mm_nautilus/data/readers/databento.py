"""Databento's books and trades: `mbo` aggregated to levels, `mbp-10`, and `trades`."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.data.csv_files import shown
from mm_nautilus.data.exact_numbers import number_rule
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, Mask, RowBlock, RowKind, SourceFile, SourceRows, Words
from mm_nautilus.data.readers.dbn_file import LAST, ZSTD_START, DbnMetadata, Records, opened
from mm_nautilus.data.readers.message_lines import FIRST_NS, LAST_NS
from mm_nautilus.data.readers.order_levels import OrderLevels
from mm_nautilus.data.whole_books import WholeBooks
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Ints, Side

_UNIT: Final = Decimal("1e-9")
"""Prices are multiples of this."""
_NO_PRICE: Final = 2**63 - 1
_MAYBE_BAD_BOOK: Final = 0x04
_LEVEL_SIDES: Final = np.repeat([Side.BID, Side.ASK], 10)
_NOTES: Final = {
    "mbo": "orders are added up to levels: the queue of orders is not kept",
    "mbp-10": "ten levels a side: those that leave them are deleted, others are not known",
    "trades": "",
}
_NO_IDS: Final = "no ids of trades: made of the time of receipt and the number among trades of that time"


class DatabentoReader:
    """Reads DBN files; one reader an import, as a book goes on from file to file.

    The time of receipt is Databento's own (`ts_recv`), and that of an event's last record stands for the event.
    """

    def __init__(self) -> None:
        self._orders = OrderLevels()
        self._books = WholeBooks()

    def recognises(self, path: Path, start: bytes) -> bool:
        """Return whether a file is a DBN file, plain or by its name a compressed one."""
        return start.startswith(b"DBN") or (start.startswith(ZSTD_START) and ".dbn" in path.name)

    def inspect(self, path: Path) -> SourceFile:
        """Describe a file by its metadata and its first record."""
        with opened(path) as (metadata, blocks):
            first = next(blocks, None)
        record = None if first is None else first[0][0]
        kinds = (RowKind.TRADES,) if metadata.schema == "trades" else (RowKind.BOOK, RowKind.TRADES)
        symbol = "" if record is None else metadata.symbols.get(int(record["instrument_id"]), "")
        return SourceFile(
            path,
            kinds,
            f"Databento {metadata.schema}",
            None if record is None else min(int(record["ts_recv"]), LAST_NS),
            (metadata.dataset, symbol),
            tuple(note for note in (_NOTES[metadata.schema], _NO_IDS) if note),
            words=Words(
                received="ts_recv",
                event="ts_event",
                snapshot_rule="the book must begin with a record of action R (clear)",
                trade_id="trade id",
                unit_ns=1,
            ),
            place="row",
        )

    def read(self, file: SourceFile, fit: Fit) -> Iterator[RowBlock]:
        """Yield the well-formed levels and trades."""
        check = _Check(file.path, fit)
        number = 1
        with opened(file.path) as (metadata, blocks):
            for records, bytes_read in blocks:
                rows = np.arange(number, number + len(records))
                number += len(records)
                mine = check.is_mine(metadata, records, rows)
                records, rows = records[mine], rows[mine]  # noqa: PLW2901
                yield self._block(metadata.schema, check, records, rows, bytes_read)
        yield RowBlock(0, file.path.stat().st_size, self._orders.end_file(), None)

    def _block(self, schema: str, check: "_Check", records: Records, rows: Ints, bytes_read: int) -> RowBlock:
        is_trade = records["action"] == b"T"
        ok, ticks, lots = check.well_formed(schema, records, rows)
        given = ok & is_trade
        sides = records["side"][given]
        side = np.select([sides == b"B", sides == b"A"], [Side.BID, Side.ASK], Side.NONE)
        event, init = (records[name].astype(np.int64) for name in ("ts_event", "ts_recv"))
        count = int(given.sum())
        trades = SourceRows(
            rows[given], event[given], init[given], side.astype(np.int64), ticks[given], lots[given],
            np.zeros(count, dtype=bool), np.full(count, "", dtype=object),
        )  # fmt: skip
        book = None
        if schema == "mbo":
            chosen = ok & ~is_trade
            columns = np.stack([rows, event, init, ticks, lots])
            book = self._orders.apply(records[chosen], columns[:, chosen])
        elif schema == "mbp-10":
            ends, *levels = check.books(records, rows)
            book = self._books.differences((rows[ends], event[ends], init[ends]), _LEVEL_SIDES, *levels)
        return RowBlock(len(records), bytes_read, book, trades)


class _Check:
    """What the records of one file must fit."""

    def __init__(self, path: Path, fit: Fit) -> None:
        self._path, self._fit = path, fit
        spec = fit.spec
        self._tick, rest = divmod(Fraction(spec.price_increment), Fraction(_UNIT))
        if rest or not self._tick:
            raise DataError(
                f"price_increment of {spec.symbol} must be a multiple of Databento's {_UNIT:f}, was "
                f"{spec.price_increment}"
            )
        self._known: set[int] = set()

    def is_mine(self, metadata: DbnMetadata, records: Records, rows: Ints) -> Mask:
        """Return the records of the instrument, and note the others."""
        symbol = self._fit.source[1]
        if not self._known:
            named = {number for number, name in metadata.symbols.items() if name == symbol}
            self._known = named or {int(records["instrument_id"][0])}
        mine: Mask = np.isin(records["instrument_id"], list(self._known))
        others = rows[~mine]
        if self._fit.symbol_is_given:
            self._fit.findings.count(self._path, FindingKind.OTHER_SYMBOL, len(others))
        else:
            numbers, wanted = records["instrument_id"][~mine], min(self._known)
            self._fit.findings.add(
                self._path,
                FindingKind.MALFORMED,
                others,
                lambda at: (
                    f"instrument_id must be {wanted}{f' of {symbol}' if symbol else ''} as in the first row, was "
                    f"{numbers[at]} (of several symbols, name the one to import as source_symbol)"
                ),
            )
        return mine

    def well_formed(self, schema: str, records: Records, rows: Ints) -> tuple[Mask, Ints, Ints]:
        """Return the records of trades and orders that can be used, their ticks and lots, and note the others."""
        is_trade = records["action"] == b"T"
        has_price = is_trade if schema != "mbo" else np.isin(records["action"], (b"T", b"A", b"M", b"C"))
        ticks, exact_price = self._ticks(records["price"])
        lots, exact_size = _lots(records["size"], self._fit.spec)
        needs_size = np.isin(records["action"], (b"T", b"A", b"M"))
        ok = exact_price & (ticks > 0) & exact_size & ((lots > 0) | ~needs_size)
        side_known = np.isin(records["side"], (b"A", b"B")) | is_trade
        ok = _timely(records) & (~has_price | (ok & side_known))
        bad = np.flatnonzero(~ok)
        self._fit.findings.add(
            self._path, FindingKind.MALFORMED, rows[bad], lambda at: self._reason(records[bad[at]])
        )
        doubted = rows[(records["flags"] & _MAYBE_BAD_BOOK) != 0]
        self._fit.findings.add(
            self._path,
            FindingKind.SEQUENCE_GAP,
            doubted,
            lambda _: "flags must not have 4, by which Databento says that the book may be wrong after a gap",
        )
        return ok, ticks, lots

    def _ticks(self, price: NDArray[np.int64]) -> tuple[Ints, Mask]:
        ticks, rest = np.divmod(price, int(self._tick))
        return ticks, (rest == 0) & (price != _NO_PRICE)

    def books(self, records: Records, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Return where the book is whole, and its ticks and lots there: bids, then asks; 0 lots for no level.

        It is whole at the last record of each event, of those whose times can be used.
        """
        levels, spec = records["levels"], self._fit.spec
        prices = np.concatenate([levels["bid_px"], levels["ask_px"]], axis=1)
        sizes = np.concatenate([levels["bid_sz"], levels["ask_sz"]], axis=1)
        is_none = prices == _NO_PRICE
        ticks, exact = self._ticks(prices)
        lots, whole = _lots(sizes, spec)
        timely, fits = _timely(records), (is_none | (exact & whole)).all(axis=1)
        bad = np.flatnonzero(timely & ~fits)
        self._fit.findings.add(
            self._path,
            FindingKind.MALFORMED,
            rows[bad],
            lambda _: (
                f"levels must be multiples of {spec.price_increment} and {spec.size_increment}, was one that is not"
            ),
        )
        ends: Ints = np.flatnonzero(timely & fits & ((records["flags"] & LAST) != 0))
        return ends, np.where(is_none, 0, ticks)[ends], np.where(is_none, 0, lots)[ends]

    def _reason(self, record: Any) -> str:
        """Say what the first wrong field of a record must be and what it was."""
        for name in ("ts_event", "ts_recv"):
            if not FIRST_NS <= int(record[name]) <= LAST_NS:
                return f"{name} must be nanoseconds since 1970 (19 digits), was {record[name]}"
        if int(record["price"]) == _NO_PRICE:
            return "price must not be missing"
        spec, price = self._fit.spec, f"{Decimal(int(record['price'])) * _UNIT:f}"
        rule = number_rule(price, spec.price_increment, positive=True, between=False)
        if rule is not None:
            return f"price must be {rule}, was {price}"
        size = str(record["size"])
        rule = number_rule(size, spec.size_increment, positive=record["action"] != b"C", between=False)
        return (
            f"size must be {rule}, was {size}"
            if rule
            else f"side must be A or B, was {shown(record['side'].decode(errors='replace'))}"
        )


def _timely(records: Records) -> Mask:
    times = [records[name] for name in ("ts_event", "ts_recv")]
    timely: Mask = np.logical_and.reduce([(time >= FIRST_NS) & (time <= LAST_NS) for time in times])
    return timely


def _lots(sizes: NDArray[Any], spec: InstrumentSpec) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return whole sizes in lots, and which are whole lots."""
    lots_per_unit = 1 / Fraction(spec.size_increment)
    lots, rest = np.divmod(sizes.astype(np.int64) * lots_per_unit.numerator, lots_per_unit.denominator)
    return lots, rest == 0
