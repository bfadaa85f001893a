"""The instruments that a catalog defines: which can be quoted, and which definition is in force when."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from nautilus_trader.model import NautilusInstrumentType
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data.catalog_files import (
    DataKind,
    file_spans,
    folder_name,
    format_time,
    named_instrument,
    open_parquet,
)
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.trading.instruments import ONLY_PAIRS, instrument_differences, instrument_spec, quotable

INSTRUMENT_FOLDER: Final = "currency_pair"
_OTHER_TYPES: Final = {
    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): name
    for name in dir(NautilusInstrumentType)
    if name[0].isupper() and name != "CurrencyPair"
}
"""The engine's other types of instrument, by the folder a catalog keeps them in."""


class Redefinition(NamedTuple):
    """A definition that differs from the one in force: since when, nanoseconds, and what it changes."""

    since: int
    text: str


@dataclass(frozen=True, slots=True)
class CatalogInstruments:
    """What a catalog defines, as it was in force at one time; mappings are by instrument id."""

    specs: tuple[InstrumentSpec, ...]
    """The instruments that can be quoted, ordered by id."""
    refused: Mapping[str, str]
    """Why the others cannot."""
    pairs: Mapping[str, Any]
    """The engine's instruments."""
    since: Mapping[str, int]
    """Since when each is defined, nanoseconds."""
    later: Mapping[str, tuple[Redefinition, ...]]
    """Later definitions that differ, where there are any."""
    repeated: frozenset[str]
    """Ids that have several definitions."""


def read_instruments(folder: Path, at: int | None) -> CatalogInstruments:
    """Read a catalog's definitions; a `DataError` says that a file of them is empty, cut off or damaged.

    Wanted are those in force at the time `at`, nanoseconds, or when the instrument's data begins where that is later or
    no time is given. An instrument that is only defined later has its first definition.
    """
    definitions: dict[str, list[Any]] = {}
    for pair in _pairs(folder):
        definitions.setdefault(str(pair.id), []).append(pair)
    in_force: list[Any] = []
    later: dict[str, tuple[Redefinition, ...]] = {}
    for name, found in definitions.items():
        moment = max(at or 0, _first_data(folder, name))
        earlier = [pair for pair in found if pair.ts_init <= moment]
        used = earlier[-1] if earlier else found[0]
        in_force.append(used)
        others = tuple(_redefinitions(used, found[max(len(earlier), 1) :]))
        if others:
            later[name] = others
    specs, refused = quotable(in_force)
    return CatalogInstruments(
        specs=tuple(sorted(specs, key=lambda spec: spec.instrument_id)),
        refused={**refused, **_others(folder)},
        pairs={str(pair.id): pair for pair in in_force},
        since={str(pair.id): int(pair.ts_init) for pair in in_force},
        later=later,
        repeated=frozenset(name for name, found in definitions.items() if len(found) > 1),
    )


def _pairs(folder: Path) -> list[Any]:
    """Return all definitions of currency pairs, in time order."""
    root = folder / "data" / INSTRUMENT_FOLDER
    paths = sorted(root.glob("*/*.parquet"))
    for path in paths:
        open_parquet(path).close()
    if not paths:
        return []
    catalog = ParquetDataCatalog(str(folder.resolve()))
    try:
        found = catalog.instruments(instrument_type=NautilusInstrumentType("CurrencyPair"))
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"the instruments in {root} cannot be read: {error}") from error
    return sorted(found, key=lambda pair: pair.ts_init)


def _first_data(folder: Path, instrument_id: str) -> int:
    folders = (folder / "data" / kind / folder_name(instrument_id) for kind in DataKind)
    spans = file_spans(path for stored in folders for path in stored.glob("*.parquet"))
    return spans[0][0] if spans else 0


def _redefinitions(used: Any, later: Iterable[Any]) -> Iterator[Redefinition]:
    for pair in later:
        try:
            changes = instrument_differences(
                instrument_spec(used), instrument_spec(pair), ("before", "from then on")
            )
        except ValueError as error:
            changes = [str(error)]
        if changes:
            text = f"{pair.id} is redefined at {format_time(pair.ts_init)} ({'; '.join(changes)})"
            yield Redefinition(int(pair.ts_init), text)


def _others(folder: Path) -> dict[str, str]:
    """Return why instruments of other types cannot be quoted, by id."""
    found = {}
    for name, type_name in _OTHER_TYPES.items():
        for stored in sorted((folder / "data" / name).glob("*")):
            path = next(iter(sorted(stored.glob("*.parquet"))), None)
            if path is not None:
                instrument_id = named_instrument(path)
                found[instrument_id] = f"{instrument_id} is a {type_name}; {ONLY_PAIRS}"
    return found
