"""Whether a file's market data is what a run takes it for: its digits, its levels and its last group."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import pyarrow as pa

from mm_nautilus.data.catalog_files import CatalogFile, DataKind, format_time, last_flags, read_columns
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import FLAG_LAST

__all__ = ["footer_problems", "order_problem", "precision_problem", "unfinished_problem"]

_ORDER_COLUMNS = ["action", "side", "price", "order_id", "ts_init"]


def footer_problems(
    files: Sequence[CatalogFile], spec: InstrumentSpec, end: int | None = None
) -> Iterator[str]:
    """Yield what is wrong with files, by their footers and last rows; all rows are read only where there are order ids.

    Parameters
    ----------
    files
        The files that a run reads.
    spec
        Their instrument.
    end
        Last moment of the run, nanoseconds, beyond which no file's last row counts; None is unbounded.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    for file in files:
        found = [precision_problem(file, spec), order_problem(file)]
        if end is None or file.end <= end:
            found.append(unfinished_problem(file))
        yield from (text for text in found if text is not None)


def precision_problem(file: CatalogFile, spec: InstrumentSpec) -> str | None:
    """Return what is wrong where prices or sizes have other digits than the instrument's, which the engine refuses."""
    for name, stored, defined in (
        ("price", file.price_precision, spec.price_precision),
        ("size", file.size_precision, spec.size_precision),
    ):
        if stored != defined:
            increment = spec.price_increment if name == "price" else spec.size_increment
            return (
                f"{file.path} must hold {name}s of {defined} decimal places, as the {name}_increment {increment:f} of "
                f"{spec.instrument_id} has, was {stored}; the definition does not belong to this data"
            )
    return None


def order_problem(file: CatalogFile) -> str | None:
    """Return what is wrong where several orders stand at one level (market-by-order data).

    The book of a run holds levels: each would count as its last order alone. Ids that name levels do no harm.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    if not file.has_order_ids:
        return None
    moment = _first_shared_level(file)
    if moment is None:
        return None
    return (
        f"{file.path} must hold the total size of each level, was single orders with their ids (market-by-order data), "
        f"two of them at one price first at {format_time(moment)}; add them up by level"
    )


def _first_shared_level(file: CatalogFile) -> int | None:
    """Return when two orders first stood at the same side and price, nanoseconds."""
    level_of: dict[int, tuple[str, int]] = {}
    orders: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for batch in read_columns(file, _ORDER_COLUMNS):
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


def unfinished_problem(file: CatalogFile) -> str | None:
    """Return what is wrong where a file of book changes ends within a group, which no book event would tell.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    if file.kind is not DataKind.DELTAS or not file.rows:
        return None
    if last_flags(file) & FLAG_LAST:
        return None
    return (
        f"{file.path} must end with a finished group of book changes (its last row with F_LAST among its flags), "
        f"was cut off within one at {format_time(file.end)}"
    )
