"""Where and how to record, and the definitions of instruments that a recording stores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from nautilus_trader.model import InstrumentId

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.trading.instruments import instrument_differences

__all__ = ["RecordingOptions", "stored_definitions"]


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """Where and how to record.

    Parameters
    ----------
    catalog
        The catalog's folder; made if it does not exist, added to if it does.
    rotate_minutes
        Time after which what was recorded becomes files of the catalog, minutes; counted from midnight UTC.
    rotate_megabytes
        Size of the compressed logs at which that happens earlier, MB.
    flush_seconds
        Time after which what was received is in a log at the latest, seconds: what a kill can lose.
    sync_seconds
        Time after which it is on the disk itself at the latest, seconds: what a power cut can lose.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    catalog: Path
    rotate_minutes: float = 60.0
    rotate_megabytes: float = 64.0
    flush_seconds: float = 5.0
    sync_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("rotate_minutes", "rotate_megabytes", "flush_seconds", "sync_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, was {getattr(self, name)}")


def stored_definitions(
    catalog: Path, specs: Iterable[InstrumentSpec], fee_rates: Mapping[str, tuple[Decimal, Decimal]]
) -> tuple[dict[InstrumentId, InstrumentSpec], list[str]]:
    """Return the definitions to store, which are the catalog's own where it has them, and notes of other fees.

    Parameters
    ----------
    catalog
        The catalog's folder, which may not exist.
    specs
        The instruments that are recorded.
    fee_rates
        Maker and taker fee by symbol, fractions of the value, where they differ from those of `specs`.

    Raises
    ------
    DataError
        If the catalog defines one differently.
    """
    found, notes = {}, []
    held = CatalogReader(catalog).instruments() if (catalog / "data").is_dir() else []
    known = {spec.instrument_id: spec for spec in held}
    for spec in specs:
        maker, taker = fee_rates.get(spec.symbol, (spec.maker_fee_rate, spec.taker_fee_rate))
        wanted = replace(spec, maker_fee_rate=maker, taker_fee_rate=taker)
        stored = known.get(spec.instrument_id, wanted)
        same_fees = replace(
            wanted, maker_fee_rate=stored.maker_fee_rate, taker_fee_rate=stored.taker_fee_rate
        )
        differences = instrument_differences(stored, same_fees)
        if differences:
            raise DataError(
                f"{catalog} already holds {spec.instrument_id} with another definition "
                f"({'; '.join(differences)}); choose another catalog"
            )
        if same_fees != wanted:
            notes.append(
                f"the catalog keeps its own fees of {spec.symbol}, {stored.maker_fee_rate} and "
                f"{stored.taker_fee_rate}; this run has {maker} and {taker}"
            )
        found[InstrumentId.from_str(spec.instrument_id)] = stored
    return found, notes
