"""Whether a catalog holds what a run asks for, in a form that a run reads correctly."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import pyarrow as pa

from mm_nautilus.data.catalog import CatalogReader, files_within, refuse_overlaps
from mm_nautilus.data.catalog_files import (
    CatalogFile,
    DataKind,
    file_spans,
    folder_name,
    format_time,
    last_row,
    read_batches,
)
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Flag
from mm_nautilus.system.store_url import CatalogPath

_ORDER_COLUMNS = ["action", "side", "price", "order_id", "ts_init"]
_OTHER_BOOKS = {"order_book_depths": "snapshots of some levels", "quotes": "best quotes"}


def require_data(
    folder: CatalogPath,
    symbols: Sequence[str],
    venue: str | None = None,
    *,
    start: int | None = None,
    end: int | None = None,
    needs_trades: bool = False,
) -> list[InstrumentSpec]:
    """Return the instruments of `symbols` after making sure that a run over them can start.

    Every footer of their files is read, and the last rows. All rows are read only where there are order ids.

    Parameters
    ----------
    symbols
        Symbols such as ``BTC/USDT``, or ids such as ``BTC/USDT.KRAKEN`` when `venue` is None.
    venue
        The venue they trade at; None takes the only one the catalog has.
    start, end
        First and last ``ts_init`` of the run, nanoseconds, both inclusive; None is unbounded.
    needs_trades
        Whether a missing tape is an error.

    Raises
    ------
    DataError
        With one line per problem: no catalog, an import that is not finished, unknown instruments, damaged or
        overlapping files, no book changes (or trades) at all or none in the span, an instrument that is redefined
        within the span, or data that a run would misread.
    """
    reader = CatalogReader(folder, start)
    specs: list[InstrumentSpec] = []
    problems: list[str] = []
    try:
        refuse_other_span(reader, start, end)
    except DataError as error:
        problems.append(str(error))
        start = end = None
    kinds = [DataKind.DELTAS, DataKind.TRADES] if needs_trades else [DataKind.DELTAS]
    for symbol in symbols:
        try:
            spec = reader.instrument(symbol, venue)
            specs.append(spec)
            problems.extend(_redefinitions(reader, spec, end))
            problems.extend(_expiry(reader, spec, end))
            for kind in kinds:
                problems.extend(_unfit_data(reader, spec, kind, start, end))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))
    return specs


def refuse_several_venues(specs: Sequence[InstrumentSpec], noun: str) -> None:
    """Raise a `DataError` that names their ids if instruments are of several venues; `noun` names what they are for."""
    if len({spec.venue for spec in specs}) > 1:
        ids = ", ".join(spec.instrument_id for spec in specs)
        raise DataError(f"a {noun} must use one venue, was {ids}; name the symbols of one, by these ids")


def refuse_other_span(reader: CatalogReader, start: int | None, end: int | None) -> None:
    """Raise a `DataError` where a catalog has data, and by the files' names none in a span (ns, ends inclusive)."""
    spans = file_spans(
        path for kind in DataKind for path in (reader.folder / "data" / kind).glob("*/*.parquet")
    )
    if not spans or any(
        (start is None or start <= last) and (end is None or first <= end) for first, last in spans
    ):
        return
    raise DataError(
        f"start and end must leave some of what {reader.folder} holds, "
        f"{_span_text(spans[0][0], max(last for _, last in spans))}, was {_span_text(start, end)}"
    )


def _span_text(start: int | None, end: int | None) -> str:
    return " to ".join("open" if bound is None else format_time(bound) for bound in (start, end))


def _expiry(reader: CatalogReader, spec: InstrumentSpec, end: int | None) -> Iterator[str]:
    """Yield that a future is settled before a run ends, when the engine closes its position by itself."""
    bounds = reader.bounds(spec.instrument_id, DataKind.DELTAS)
    if bounds is None or spec.expires_ns is None:
        return
    last = bounds[1] if end is None else min(end, bounds[1])
    if spec.expires_ns <= last:
        yield (
            f"{spec.instrument_id} expires at {format_time(spec.expires_ns)}, within the data used, which reaches to "
            f"{format_time(last)}; end before that"
        )


def _redefinitions(reader: CatalogReader, spec: InstrumentSpec, end: int | None) -> Iterator[str]:
    """Yield the definitions that come into force before a run ends, which the engine cannot follow."""
    bounds = reader.bounds(spec.instrument_id, DataKind.DELTAS)
    if bounds is None:
        return
    last = bounds[1] if end is None else min(end, bounds[1])
    for found in reader.definitions.later.get(spec.instrument_id, ()):
        if found.since <= last:
            yield f"{reader.folder}: {found.text}, within the data used; end before that, or start then"


def _unfit_data(
    reader: CatalogReader, spec: InstrumentSpec, kind: DataKind, start: int | None, end: int | None
) -> list[str]:
    files = [file for file in reader.files(spec.instrument_id, kind) if file.rows]
    refuse_overlaps(files)
    if not files:
        return [
            f"{reader.folder} holds no {kind.label} of {spec.instrument_id}{_other_books(reader, spec, kind)}; import "
            "them or choose another catalog"
        ]
    used = files_within(files, start, end)
    if used:
        return list(footer_problems(used, spec, end))
    return [
        f"{reader.folder} holds no {kind.label} of {spec.instrument_id} in the wanted time span; it holds them from "
        f"{_span_text(files[0].start, files[-1].end)}, was {_span_text(start, end)}"
    ]


def _other_books(reader: CatalogReader, spec: InstrumentSpec, kind: DataKind) -> str:
    """Return which other kinds of book a catalog holds where it lacks book changes."""
    stored = folder_name(spec.instrument_id)
    names = [
        words
        for folder, words in _OTHER_BOOKS.items()
        if kind is DataKind.DELTAS and any((reader.folder / "data" / folder / stored).glob("*.parquet"))
    ]
    return f", but {' and '.join(names)}, which only a node of your own can play" if names else ""


def footer_problems(
    files: Sequence[CatalogFile], spec: InstrumentSpec, end: int | None = None
) -> Iterator[str]:
    """Yield what is wrong with the files a run up to `end` (nanoseconds) reads, by their footers and last rows.

    All rows are read only where there are order ids. A damaged file raises a `DataError`.
    """
    for file in files:
        found = [precision_problem(file, spec), order_problem(file)]
        if end is None or file.end <= end:
            found.append(_unfinished_problem(file))
        yield from (text for text in found if text is not None)


def precision_problem(file: CatalogFile, spec: InstrumentSpec) -> str | None:
    """Return what is wrong where prices or sizes have other digits than the instrument's, which the engine refuses."""
    for name in ("price", "size"):
        stored, defined = (getattr(owner, f"{name}_precision") for owner in (file, spec))
        if stored != defined:
            increment = getattr(spec, f"{name}_increment")
            return (
                f"{file.path} must hold {name}s of {defined} decimal places, as the {name}_increment {increment:f} of "
                f"{spec.instrument_id} has, was {stored}; the definition does not belong to this data"
            )
    return None


def order_problem(file: CatalogFile) -> str | None:
    """Return what is wrong where several orders rest at one level (market-by-order data).

    The book of a run holds levels: each would count as its last order alone. Ids that name levels do no harm.
    """
    moment = _first_shared_level(file) if file.has_order_ids else None
    if moment is None:
        return None
    return (
        f"{file.path} must hold the total size of each level, was single orders with their ids (market-by-order data), "
        f"two of them at one price first at {format_time(moment)}; add them up by level"
    )


def _first_shared_level(file: CatalogFile) -> int | None:
    """Return when two orders first rested at the same side and price, nanoseconds."""
    level_of: dict[int, tuple[str, int]] = {}
    orders: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for batch in read_batches(file.path, _ORDER_COLUMNS):
        columns = (batch.column(name) for name in _ORDER_COLUMNS[:-1])
        times = batch.column("ts_init").cast(pa.int64())
        rows = zip(*(column.to_pylist() for column in columns), times.to_pylist(), strict=True)
        for action, side, price, order_id, time in rows:
            if action == "CLEAR":
                level_of.clear()
                orders.clear()
                continue
            orders[level_of.pop(order_id, (side, price))].discard(order_id)
            if action == "DELETE":
                continue
            level_of[order_id] = (side, price)
            orders[side, price].add(order_id)
            if len(orders[side, price]) > 1:
                return int(time)
    return None


def _unfinished_problem(file: CatalogFile) -> str | None:
    """Return what is wrong where a file of book changes ends within a group, for which a run has no book event."""
    if (
        file.kind is not DataKind.DELTAS
        or not file.rows
        or last_row(file.path, ["flags"])["flags"] & Flag.LAST
    ):
        return None
    return (
        f"{file.path} must end with a finished group of book changes (its last row with F_LAST among its flags), "
        f"was cut off within one at {format_time(file.end)}"
    )
