"""What a run has left in its folder, for everything that reads it afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from mm_nautilus.config.near_files import near_folder_hint
from mm_nautilus.errors import DataError
from mm_nautilus.report.summary_check import SUMMARY, read_json
from mm_nautilus.system.plain_text import counted

_CONFIG: Final = "config.yaml"
_PARTS_SUFFIX: Final = ".parts"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A run's folder."""

    folder: Path
    summary: dict[str, Any]
    config_text: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a run's summary and configuration; tables are read when they are asked for.

        A DataError says that the folder is not one that a run has written, or a file in it cannot be read.
        """
        if not folder.is_dir():
            hint = near_folder_hint(folder, SUMMARY, "folder of a run")
            raise DataError(f"a run's folder is needed, was {folder} ({hint})")
        path = folder / SUMMARY
        if not path.is_file():
            raise DataError(f"{folder} has no {SUMMARY}: {_instead(folder)}")
        summary = read_json(folder)
        try:
            config_text = (folder / _CONFIG).read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {_CONFIG}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{folder} cannot be read: {_CONFIG} is no text in UTF-8") from error
        if "symbols" not in summary and "status" not in summary:
            raise DataError(f"{path} must hold a run's summary")
        if "symbols" not in summary:
            raise DataError(
                f"{folder} has no figures yet, its run is {summary['status']}: a live run writes them once a minute"
            )
        return cls(folder, summary, config_text)

    @property
    def config(self) -> dict[str, Any]:
        """The run's configuration; a DataError says that its text is no mapping of keys."""
        path = self.folder / _CONFIG
        try:
            found = yaml.load(self.config_text, yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise DataError(f"{path} is not YAML: {error}") from error
        if not isinstance(found, dict):
            raise DataError(f"{path} must be a mapping of keys, was {type(found).__name__}")
        return found

    @property
    def is_sandbox(self) -> bool:
        """Whether the run traded on paper, on a feed; else it was a backtest."""
        return "feed" in self.summary

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end and closed its tables: its summary has all that follows from them."""
        return "statistics" in self.summary

    @property
    def has_traces(self) -> bool:
        """Whether the run recorded market, mark-outs, quotes and actions; one of an earlier version always did."""
        return bool(self.summary.get("records", {}).get("traces", True))

    @property
    def has_guards(self) -> bool:
        """Whether the run's journal has the changes of its guards."""
        return bool(self.summary.get("records", {}).get("journal", "full") == "full")

    @property
    def mids(self) -> str:
        """The table that has the mids: once a second or, without traces, at each publication of metrics."""
        return "market" if self.has_traces else "metrics"

    def table(self, name: str, columns: Sequence[str], symbol: str | None = None) -> pa.Table:
        """Return columns of one of the run's tables, of one symbol where one is given.

        A live run that is still going on, or was cut off, has folders of parts in place of the files. A DataError says
        that the file is missing or damaged, or lacks a column, as that of an earlier version does.
        """
        path = self.folder / f"{name}.parquet"
        parts = path.with_suffix(_PARTS_SUFFIX)
        filters = None if symbol is None else pc.field("symbol") == symbol
        try:
            files = [path] if path.exists() or not parts.is_dir() else sorted(parts.glob("*.parquet"))
            if not files:
                return pa.table({name: pa.nulls(0) for name in columns})
            known = pq.read_schema(files[0]).names
            if lacking := [column for column in columns if column not in known]:
                raise DataError(
                    f"{path} lacks {', '.join(lacking)}: the run is of an earlier version of mm-nautilus; run it again"
                )
            return pq.read_table(files, columns=list(columns), filters=filters)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path} cannot be read: {reason}") from error


def _instead(folder: Path) -> str:
    """Return what to do about a folder that is not a run's."""
    runs = sorted(path.parent for path in folder.glob(f"*/{SUMMARY}"))
    if runs:
        return f"it holds the folders of {counted(len(runs), 'run')}; name one of them, such as {runs[-1]}"
    if (folder / _CONFIG).is_file() and (folder / "run.log").is_file():
        return (
            "its run was killed before it wrote one; run.log and journal.jsonl have what happened until then"
        )
    return "it must be a run's own folder"


def times(table: pa.Table) -> NDArray[np.int64]:
    """Return the moments of rows, nanoseconds since the epoch, in an order that never steps back.

    Rows stand in the order in which they were written. Where a live run's clock was set back, or an event came with
    an earlier time than the one before, the rows ahead of it that claim a later moment are taken to be of its moment.
    """
    values = recorded_times(table)
    ordered: NDArray[np.int64] = np.minimum.accumulate(values[::-1])[::-1]
    return ordered


def recorded_times(table: pa.Table, column: str = "ts_event") -> NDArray[np.int64]:
    """Return the moments of rows as they were written, nanoseconds since the epoch; 0 where there is none."""
    moments: Any = pc.cast(table[column], pa.timestamp("ns", tz="UTC")).cast(pa.int64())
    filled: Any = pc.fill_null(moments, 0)
    values: NDArray[np.int64] = filled.to_numpy()
    return values


def numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    """Return a column of numbers, decimals among them; NaN where there is none."""
    values: NDArray[np.float64] = pc.cast(table[column], pa.float64()).to_numpy()
    return values


def texts(table: pa.Table, column: str) -> list[str | None]:
    """Return a column of texts."""
    values: list[str | None] = table[column].to_pylist()
    return values


def exact_amounts(table: pa.Table, column: str) -> list[Decimal | None]:
    """Return the numbers of a column of amounts such as ``1.25 USDT``, as they are written; None for an empty one."""
    return [exact_amount(text or "") for text in texts(table, column)]


def exact_amount(text: str) -> Decimal | None:
    """Return the number of an amount such as ``1.25 USDT``, None for an empty text, an unknown one."""
    return Decimal(text.split(maxsplit=1)[0]) if text else None


def amounts(table: pa.Table, column: str) -> NDArray[np.float64]:
    """Return the numbers of a column of amounts such as ``1.25 USDT``; NaN for an empty one."""
    words: Any = pc.split_pattern(pc.cast(table[column], pa.string()), " ", max_splits=1)
    firsts: Any = pc.list_element(words, 0)
    known: Any = pc.if_else(pc.equal(firsts, pa.scalar("")), pa.scalar(None, pa.string()), firsts)
    values: NDArray[np.float64] = pc.cast(known, pa.float64()).to_numpy()
    return values
