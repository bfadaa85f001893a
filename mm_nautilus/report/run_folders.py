"""Folders of runs: which there are under a folder, what people call them, and whether their runs went on to the end."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mm_nautilus.errors import DataError
from mm_nautilus.pricing.not_quoting import HALTS
from mm_nautilus.report.rows import NONE
from mm_nautilus.report.summary_check import SUMMARY
from mm_nautilus.system.plain_text import counted

_MOST_KEYS: Final = 3
"""Most parameters that a run is named by."""
_SILENT_SECONDS: Final = 180.0
"""Age of a summary from which on its run is not taken to go on: a live run writes it once a minute."""


def run_folders(parent: Path) -> list[Path]:
    """Return the folders of runs in a folder and in its folders, as ``--out runs/first`` makes them, by name."""
    found = (path.parent for pattern in ("*", "*/*") for path in parent.glob(f"{pattern}/{SUMMARY}"))
    return sorted(found, key=lambda folder: (folder.name, str(folder)))


def is_parent(folder: Path) -> bool:
    """Return whether a folder is no run's own, but holds some."""
    return not (folder / SUMMARY).exists() and bool(run_folders(folder))


def only_run(folder: Path) -> Path:
    """Return the one run that a folder is, or holds; a DataError says that it holds several."""
    if not is_parent(folder):
        return folder
    found = run_folders(folder)
    if len(found) > 1:
        held = counted(len(found), "run")
        raise DataError(
            f"--baseline must be one run, was {folder}, which holds {held}; name one, as {found[-1]}"
        )
    return found[0]


def halted_symbols(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the symbols that were halted at the end of a summary, and why; the reason may be empty."""
    symbols = (summary.get("symbols") or {}).items()
    return {
        symbol: next((text for text in figures.get("quoting", {}).values() if text in HALTS), "")
        for symbol, figures in symbols
        if figures.get("halted", False)
    }


def silent_since(folder: Path, status: str) -> datetime | None:
    """Return when a run's summary was last written, if that is too long ago for one that goes on; None if it is not.

    So a run is told that was killed: nobody has written its end.
    """
    if status not in {"starting", "running"}:
        return None
    written = (folder / SUMMARY).stat().st_mtime
    return datetime.fromtimestamp(written, UTC) if time.time() - written > _SILENT_SECONDS else None


def silent_words(since: datetime) -> str:
    """Return how to say that a run has not ended, and is not heard of."""
    return f"not ended, last written {since:%H:%M:%S}"


def value_text(value: Any) -> str:
    """Return a parameter's value as YAML has it, and a dash for none."""
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_labels(
    folders: Sequence[Path], names: Sequence[str], parameters: Mapping[str, Sequence[Any]]
) -> list[str]:
    """Return what to call runs: what was asked for, the same kind of name for all.

    The first that tells all apart: their names (``--name``), the folders they were put into (``--out``), the
    parameters that differ, and otherwise names where they are given once, and for the others the shortest beginnings of
    their paths below the folder that holds them all.
    `names` and each of `parameters` have one a run.
    """
    parents = [folder.parent.name for folder in folders]
    by_parameter = _parameter_labels(len(folders), parameters)
    paths = _short_paths(folders)
    mixed = [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]
    candidates: Iterable[Sequence[str]] = (names, parents, by_parameter, mixed, paths)
    return list(next((one for one in candidates if _tell_apart(one)), map(str, folders)))


def _short_paths(folders: Sequence[Path]) -> list[str]:
    """Return the shortest beginning of each path below the folder that holds all that no other one shares."""
    above = Path(os.path.commonpath(folders))
    inner = [folder.relative_to(above).parts for folder in folders]

    def is_own(start: Sequence[str]) -> bool:
        return sum(other[: len(start)] == start for other in inner) == 1

    starts = (
        next((parts[:size] for size in range(1, len(parts) + 1) if is_own(parts[:size])), parts)
        for parts in inner
    )
    return ["/".join(start) for start in starts]


def _tell_apart(labels: Sequence[str]) -> bool:
    return all(labels) and len(set(labels)) == len(labels)


def _parameter_labels(count: int, parameters: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return labels of the first parameters, as few as tell the runs apart; empty ones if they do not."""
    labels: list[str] = [""] * count
    for key, values in list(parameters.items())[:_MOST_KEYS]:
        if any(isinstance(value, list) for value in values):
            return [""] * count
        words = [f"{short_key(key)} {'default' if value is None else value_text(value)}" for value in values]
        labels = [f"{label}, {word}" if label else word for label, word in zip(labels, words, strict=True)]
        if _tell_apart(labels):
            return labels
    return [""] * count


def short_key(key: str) -> str:
    """Return a dotted key for people: ``XRP/USDT gamma`` for ``strategy.symbols.XRP/USDT.gamma``."""
    section, _, rest = key.partition(".")
    symbol, _, name = rest.removeprefix("symbols.").partition(".")
    if section == "strategy" and rest.startswith("symbols.") and name:
        return f"{symbol} {name}"
    return rest if section == "strategy" and rest else key
