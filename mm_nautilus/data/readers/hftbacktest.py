"""hftbacktest's event arrays (`.npz`, `.npy`), and the captures of its collector."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from mm_nautilus.config.near_files import near_file_hint
from mm_nautilus.data.exact_numbers import multiples_of_floats, number_rule
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, Mask, RowBlock, RowKind, SourceFile, SourceRows, Words
from mm_nautilus.data.readers.binance import BinanceReader
from mm_nautilus.data.readers.message_lines import FIRST_NS, LAST_NS, unit_rule
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Side

_EXCH, _LOCAL, _BUY, _SELL = (1 << bit for bit in (31, 30, 29, 28))
_DEPTH, _TRADE, _CLEAR, _SNAPSHOT = 1, 2, 3, 4
_ORDERS: Final = {10: "ADD_ORDER_EVENT", 11: "CANCEL_ORDER_EVENT", 12: "MODIFY_ORDER_EVENT", 13: "FILL_EVENT"}
_FIELDS: Final = ("ev", "exch_ts", "local_ts", "px", "qty")
_BLOCK_ROWS: Final = 100_000
_LABEL: Final = "hftbacktest events"
_NOTES: Final = (
    "no ids of trades: made of the time of receipt and the number among trades of that time",
    "floats: each is read as the multiple of the increment that it is nearest to",
    "a snapshot is the whole book, though hftbacktest keeps the levels beyond its range",
)
_WORDS: Final = Words(
    received="local_ts",
    event="exch_ts",
    snapshot_rule="ev must be DEPTH_SNAPSHOT_EVENT until the book is known, was DEPTH_EVENT",
    trade_id="trade id",
    unit_ns=1,
)

type Events = NDArray[np.void]


class HftbacktestReader:
    """Reads event arrays, and what hftbacktest's collector captured of Binance; one reader an import."""

    def __init__(self) -> None:
        self._captures = BinanceReader()

    def recognises(self, path: Path, start: bytes) -> bool:
        """Return whether a file holds an array, or messages of Binance."""
        if start.startswith(b"PK\x03\x04"):
            try:
                return all(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist())
            except (OSError, zipfile.BadZipFile):
                return path.suffix == ".npz"
        return start.startswith(b"\x93NUMPY") or self._captures.recognises(path, start)

    def inspect(self, path: Path) -> SourceFile:
        """Describe a file by its beginning."""
        if not _is_array(path):
            return self._captures.inspect(path)
        with _opened(path) as (_, blocks):
            first = next(blocks, None)
        received = [] if first is None else first["local_ts"][_is_local(first)].tolist()
        return SourceFile(
            path,
            (RowKind.BOOK, RowKind.TRADES),
            _LABEL,
            None if first is None else next(iter(received), 0),
            notes=_NOTES,
            words=_WORDS,
            place="row",
        )

    def read(self, file: SourceFile, fit: Fit) -> Iterator[RowBlock]:
        """Yield the well-formed rows, in the order in which they were received."""
        if file.label != _LABEL:
            yield from self._captures.read(file, fit)
            return
        number, clears = 1, np.empty(0, dtype=np.int64)
        with _opened(file.path) as (stored, blocks):
            for events in blocks:
                rows, chosen = np.arange(number, number + len(events)), _is_local(events)
                number += len(events)
                block = _Block(file.path, fit, events[chosen], rows[chosen], clears)
                yield block.rows(stored.tell())
                clears = block.open_clears
        _note_clears(file.path, fit, clears)


def _is_local(events: Events) -> Mask:
    """Return the rows of what was received: those for the exchange alone tell of the same events a second time."""
    ev = events["ev"].astype(np.uint64)
    local: Mask = (ev & np.uint64(_LOCAL) != 0) | (ev & np.uint64(_EXCH) == 0)
    return local


def _note_clears(path: Path, fit: Fit, rows: NDArray[np.int64]) -> None:
    text = "DEPTH_CLEAR_EVENT must be followed by the DEPTH_SNAPSHOT_EVENT rows of its local_ts, was not"
    fit.findings.add(path, FindingKind.MALFORMED, rows, lambda _: text)


class _Block:
    """Some events of one file."""

    def __init__(
        self, path: Path, fit: Fit, events: Events, number: NDArray[np.int64], clears: NDArray[np.int64]
    ) -> None:
        self._path, self._fit, self._events, self._number = path, fit, events, number
        self._ev = events["ev"].astype(np.int64)
        self._kind = self._ev & (_SELL - 1)
        self._refuse_orders()
        self.open_clears = self._after_clears(clears)
        """Rows of clears that only the next block tells what follows them."""

    def _refuse_orders(self) -> None:
        orders = np.flatnonzero(np.isin(self._kind, list(_ORDERS)))
        if len(orders):
            row = orders[0]
            raise DataError(
                f"{self._path}: row {self._number[row]}: ev must be an event of a book of levels or a trade, was "
                f"{_ORDERS[int(self._kind[row])]}; market-by-order events are not read"
            )

    def _after_clears(self, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """Note the clears without a snapshot behind them, and return those at the end of the block."""
        book = np.flatnonzero(np.isin(self._kind, (_DEPTH, _CLEAR, _SNAPSHOT)))
        number = np.append(before, self._number[book])
        kind = np.append(np.full(len(before), _CLEAR), self._kind[book])
        last = np.flatnonzero(kind != _CLEAR)
        stop = int(last[-1]) + 1 if len(last) else 0
        following = np.append(kind[1:stop], _SNAPSHOT)[:stop]
        lonely = (kind[:stop] == _CLEAR) & (following == _DEPTH)
        _note_clears(self._path, self._fit, number[:stop][lonely])
        return number[stop:]

    def rows(self, bytes_read: int) -> RowBlock:
        """Return the well-formed levels and trades, and note the others."""
        events, spec = self._events, self._fit.spec
        is_book, is_trade = np.isin(self._kind, (_DEPTH, _SNAPSHOT)), self._kind == _TRADE
        is_row = is_book | is_trade
        others = ~is_row & (self._kind != _CLEAR)
        self._fit.findings.count(self._path, FindingKind.OTHER_MESSAGE, int(others.sum()))
        sides = self._ev & (_BUY | _SELL)
        side = np.select([sides == _BUY, sides == _SELL], [Side.BID, Side.ASK], Side.NONE)
        ok = is_row & (self._ev & (_LOCAL | _EXCH) != 0) & ((side != Side.NONE) | (is_trade & (sides == 0)))
        for name in ("exch_ts", "local_ts"):
            ok &= (events[name] >= FIRST_NS) & (events[name] <= LAST_NS)
        ticks, exact, _ = multiples_of_floats(events["px"].astype(np.float64), spec.price_increment)
        ok &= exact & (ticks > 0)
        lots, exact, between = multiples_of_floats(events["qty"].astype(np.float64), spec.size_increment)
        rounded = between & self._fit.round_sizes_down
        ok &= (exact | rounded) & np.where(is_trade, lots > 0, lots >= 0)
        self._note(is_row & ~ok, FindingKind.MALFORMED, self._reason)
        self._note(ok & rounded, FindingKind.ROUNDED_SIZE, self._rounding)
        snapshot, ids = self._kind == _SNAPSHOT, np.full(len(events), "", dtype=object)
        exch_ts, local_ts = (events[name].astype(np.int64) for name in ("exch_ts", "local_ts"))
        rows = SourceRows(self._number, exch_ts, local_ts, side.astype(np.int64), ticks, lots, snapshot, ids)
        return RowBlock(int(is_row.sum()), bytes_read, rows.select(ok & is_book), rows.select(ok & is_trade))

    def _note(self, chosen: Mask, kind: FindingKind, text: Callable[[Any], str]) -> None:
        rows = np.flatnonzero(chosen)
        self._fit.findings.add(self._path, kind, self._number[rows], lambda at: text(self._events[rows[at]]))

    def _rounding(self, event: Any) -> str:
        return f"qty {event['qty']!s} was rounded down to a multiple of {self._fit.spec.size_increment}"

    def _reason(self, event: Any) -> str:
        """Say what the first wrong field of an event must be and what it was."""
        ev, spec = int(event["ev"]), self._fit.spec
        if not ev & (_LOCAL | _EXCH):
            return f"ev must have LOCAL_EVENT (1 << 30) or EXCH_EVENT (1 << 31), was {ev}"
        is_trade = ev & (_SELL - 1) == _TRADE
        if (ev & _BUY != 0) == (ev & _SELL != 0) and not (is_trade and not ev & (_BUY | _SELL)):
            return f"ev must have one of BUY_EVENT (1 << 29) and SELL_EVENT (1 << 28), was {ev}"
        for name in ("exch_ts", "local_ts"):
            time = int(event[name])
            if not FIRST_NS <= time <= LAST_NS:
                return f"{name} must be {unit_rule(time, 19)}, was {time}"
        px, qty = (repr(float(event[name])) for name in ("px", "qty"))
        rule = number_rule(px, spec.price_increment, positive=True, between=False)
        if rule is not None:
            return f"px must be {rule}, was {px}"
        between = self._fit.round_sizes_down
        return f"qty must be {number_rule(qty, spec.size_increment, positive=is_trade, between=between)}, was {qty}"


# -- Files --------------------------------------------------------------------------------------------------


def _is_array(path: Path) -> bool:
    """Return whether a file is an archive or an array by its first bytes, or by its name if it is missing or empty."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError:
        start = b""
    return start.startswith((b"PK\x03\x04", b"\x93NUMPY")) or (not start and path.suffix in (".npz", ".npy"))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], Iterator[Events]]]:
    """Open a file; yields it as stored and the blocks of its array. What fails becomes a `DataError`."""
    try:
        with path.open("rb") as stored:
            if not stored.peek(1):
                raise DataError(f"{path} is empty; hftbacktest's files hold an array of events")
            is_archive = stored.peek(4)[:4] == b"PK\x03\x04"
            yield stored, _blocks(path, _member(path, stored) if is_archive else stored)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist ({near_file_hint(path, ('*.npz',), 'npz file')})") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path} is cut off or damaged ({error}); copy it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _member(path: Path, stored: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(stored)
    names = archive.namelist()
    if len(names) != 1:
        raise DataError(f"{path} must hold one array, holds {len(names)}: {', '.join(names)}")
    return archive.open(names[0])


def _blocks(path: Path, stream: IO[bytes]) -> Iterator[Events]:
    try:
        version = npy_format.read_magic(stream)
        read_header = (
            npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        )
        shape, _, dtype = read_header(stream)
    except ValueError as error:
        raise DataError(f"{path} is cut off or holds no array ({error})") from error
    _refuse_other_arrays(path, shape, dtype)
    left = shape[0]
    while left:
        count = min(left, _BLOCK_ROWS)
        text = stream.read(count * dtype.itemsize)
        if len(text) < count * dtype.itemsize:
            rows = shape[0] - left + len(text) // dtype.itemsize
            raise DataError(
                f"{path} is cut off: its array ends after {rows} of {shape[0]} rows; copy it again"
            )
        yield np.frombuffer(text, dtype)
        left -= count
    stream.read(1)  # the end, where an archive's checksum is compared


def _refuse_other_arrays(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    fields = dtype.fields
    if fields is None or len(shape) != 1:
        old = "; hftbacktest 1's arrays of six columns must be migrated first" if shape[1:] == (6,) else ""
        raise DataError(
            f"{path} is no array of hftbacktest's events: it must have the fields {', '.join(_FIELDS)}, "
            f"was {dtype} of shape {shape}{old}"
        )
    missing = [name for name in _FIELDS if name not in fields]
    if missing:
        raise DataError(
            f"{path} lacks the field{'s' if missing[1:] else ''} {', '.join(missing)}; it has {', '.join(fields)}"
        )
    for name in _FIELDS:
        wanted = "f" if name in ("px", "qty") else "iu"
        if fields[name][0].kind not in wanted:
            kind = "a float" if wanted == "f" else "a whole number"
            raise DataError(f"{path}: field {name} must be {kind}, was {fields[name][0]}")
