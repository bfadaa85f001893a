"""What a catalog holds, by its files' names and footers, without reading a row."""

from dataclasses import dataclass
from pathlib import Path

from mm_nautilus.data.catalog import CatalogReader, DataKind, format_time

__all__ = ["ContentsEntry", "catalog_contents"]


@dataclass(frozen=True, slots=True)
class ContentsEntry:
    """One instrument's data of one type.

    Parameters
    ----------
    instrument_id
        Symbol and venue.
    kind
        The type of data.
    files, rows
        How many of each.
    first, last
        First and last ``ts_init`` by the files' names, nanoseconds, or None without files.
    simulated
        Whether the data was simulated.
    refused
        Why the instrument cannot be quoted, empty where it can.
    """

    instrument_id: str
    kind: DataKind
    files: int
    rows: int
    first: int | None
    last: int | None
    simulated: bool
    refused: str = ""

    def to_dict(self) -> dict[str, str | int]:
        """Return plain values for tables and JSON; times as text, empty without files."""
        return {
            "instrument": self.instrument_id,
            "type": self.kind.label,
            "files": self.files,
            "rows": self.rows,
            "first": "" if self.first is None else format_time(self.first),
            "last": "" if self.last is None else format_time(self.last),
            "source": "simulated" if self.simulated else "recorded",
            "refused": self.refused,
        }


def catalog_contents(folder: Path) -> list[ContentsEntry]:
    """List a catalog's instruments with their book changes and trades.

    Raises
    ------
    DataError
        If the folder is no catalog or an empty one, or one of its files is damaged.
    """
    reader = CatalogReader(folder)
    simulated = {spec.instrument_id: spec.simulated for spec in reader.some_instruments()}
    refused = reader.definitions.refused
    entries = []
    for instrument_id in (*simulated, *sorted(refused)):
        for kind in DataKind:
            files = reader.files(instrument_id, kind)
            entries.append(
                ContentsEntry(
                    instrument_id=instrument_id,
                    kind=kind,
                    files=len(files),
                    rows=sum(file.rows for file in files),
                    first=files[0].start if files else None,
                    last=max(file.end for file in files) if files else None,
                    simulated=simulated.get(instrument_id, False),
                    refused=refused.get(instrument_id, ""),
                )
            )
    return entries
