"""Runs side by side: the parameters that differ, the figures, and what each had earned over time."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.errors import DataError
from mm_nautilus.report.derived import read_run
from mm_nautilus.report.rows import (
    EQUITY_ROWS,
    FILL_ROWS,
    SYMBOL_ROWS,
    Row,
    maker_quality,
    texts,
    with_decimals,
)
from mm_nautilus.report.run_files import RunFiles, numbers, times
from mm_nautilus.report.run_folders import (
    halted_symbols,
    is_parent,
    only_run,
    run_folders,
    run_labels,
    silent_since,
    silent_words,
)
from mm_nautilus.report.session import moment_text, short_data_text
from mm_nautilus.report.summary_check import refuse_damaged
from mm_nautilus.system.plain_text import printable

type Floats = NDArray[np.float64]

_FILL_FIGURES: Final = ((0.0, "spread captured"), (1.0, "mark-out"), (5.0, "mark-out"), (30.0, "mark-out"))
RESULT: Final = "trading PnL, net of fees"
_BETTER: Final = {
    **dict.fromkeys(
        ("trading_pnl", "trading_pnl_before_fees", "roi_pct", "profit_factor", "avg_trade_pnl"), 1
    ),
    **dict.fromkeys(
        ("realized_pnl", "total_pnl", "avg_pnl", "pnl_turnover_bps", "spread_bps", "mark_out_bps"), 1
    ),
    **dict.fromkeys(("fees", "max_drawdown_pct"), -1),
}
"""Figures of which more (1) or less (-1) is better; of others neither is."""
_TOTAL_ROWS: Final = ("fills", "total PnL, of turnover")
"""Of all symbols together, among the account's figures."""
FEW: Final = 6
"""Most runs whose tables have a difference beside each figure, in the order given; more are sorted by their result."""
_MOST_FINER: Final = 6
"""Most digits more that figures are written with where they would look equal and are not."""
_FIRST_KEYS: Final = ("strategy", "venue.fee", "venue.symbol_fees", "venue.instrument_fees", "venue")
_LAST_KEYS: Final = (
    *(
        "output",
        "display",
        "log",
        "logging",
        "web",
        "prometheus",
        "notify",
        "state",
        "metrics",
        "compare_fee_pct",
    ),
)
"""Sections of parameters in the order in which they matter to a result; others are between these."""
_ERRORS: Final = 2.0
"""Standard errors within which two mark-outs are the same."""


class ComparedRun(NamedTuple):
    """One of the runs: what it is called, its files, its configuration by dotted keys, and what it had earned."""

    label: str
    files: RunFiles
    parameters: Mapping[str, Any]
    ts_ns: NDArray[np.int64]
    trading_pnl: Floats
    """Trading PnL net of fees over time, report currency, at moments in nanoseconds since the epoch."""


class Delta(NamedTuple):
    """What a figure is more than the baseline's."""

    value: float
    text: str
    """With its sign and unit."""
    verdict: str
    """``better`` or ``worse``; empty where neither is, or the difference is none."""


class FigureRow(NamedTuple):
    """One figure of every run."""

    group: str
    """``account`` or a symbol."""
    name: str
    texts: tuple[str, ...]
    """As it is shown, one a run."""
    values: tuple[Mapping[str, Any] | None, ...]
    """The figures themselves, by their keys in the summary; None where a run has none."""
    deltas: tuple[Delta | None, ...]
    """Against the baseline; None for itself, and where there is nothing to subtract."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side, in the order given; more than six by their result, after the baseline."""

    runs: tuple[ComparedRun, ...]
    baseline: int
    """Which run the others are compared with."""
    parameters: tuple[tuple[str, tuple[Any, ...]], ...]
    """Keys whose values differ, with the value of each run; None where a run lacks the key."""
    of_one_kind: tuple[str, ...]
    """Keys that only backtests or only paper trading has, where there are both."""
    figures: tuple[FigureRow, ...]
    unfair: tuple[str, ...]
    """Why the runs are not comparable."""
    remarks: tuple[str, ...]
    """What has to be known of single runs."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that a reader has to know before the figures."""
        return self.unfair + self.remarks

    @property
    def shows_deltas(self) -> bool:
        """Whether tables have a difference beside each figure."""
        return len(self.runs) <= FEW

    @property
    def is_simulated(self) -> bool:
        """Whether any run had simulated data."""
        return any(run.files.summary["simulated_data"] for run in self.runs)


def compare_runs(folders: Sequence[Path], baseline: Path | None = None) -> Comparison:
    """Read runs and put them side by side; a folder that holds runs stands for all of them.

    The baseline is by default the first; one that is none of them comes before them. A DataError says that there are
    fewer than two, one is given twice, a folder is not a run's, or the baseline is a folder of several.
    """
    if baseline is None and len(folders) == 1 and not is_parent(folders[0]):
        raise DataError("compare needs at least two runs, was 1")
    given, remarks = _given(folders)
    base = None if baseline is None else only_run(baseline).resolve()
    if base is not None and base not in {files.folder for files in given}:
        given.insert(0, read_run(base))
    if len(given) < 2:
        left_out = f"; {'; '.join(remarks)}" if remarks else ""
        raise DataError(f"compare needs at least two runs, was {len(given)}{left_out}")
    resolved = [files.folder for files in given]
    for folder in resolved:
        if resolved.count(folder) > 1:
            raise DataError(f"the runs to compare must differ, was {folder} twice")
    first = 0 if base is None else resolved.index(base)
    runs = [_compared(files) for files in given]
    if len(runs) > FEW:
        others = sorted((run for run in runs if run is not runs[first]), key=trading_result, reverse=True)
        runs, first = [runs[first], *others], 0
    differing, of_one_kind = _differing(runs)
    names = [run.files.summary["name"] for run in runs]
    labels = run_labels([run.files.folder for run in runs], names, dict(differing))
    runs = [run._replace(label=printable(label)) for run, label in zip(runs, labels, strict=True)]
    remarks += [note for run in runs for note in _notes_of(run)]
    return Comparison(
        tuple(runs),
        first,
        differing,
        of_one_kind,
        tuple(_figures(runs, first)),
        tuple(_unfair(runs)),
        tuple(map(printable, remarks)),
    )


def _given(folders: Sequence[Path]) -> tuple[list[RunFiles], list[str]]:
    """Return the runs, and what in a folder of runs cannot be read."""
    found, remarks = [], []
    for folder in folders:
        if not is_parent(folder):
            found.append(read_run(folder.resolve()))
            continue
        for inner in run_folders(folder):
            try:
                found.append(read_run(inner.resolve()))
            except DataError as error:
                remarks.append(f"left out: {error}")
    return found, remarks


def trading_result(run: ComparedRun) -> float:
    """Return a run's trading PnL, minus infinity where it is not known."""
    equity = run.files.summary["equity"]
    return float("-inf") if equity is None else float(equity["trading_pnl"])


def _compared(files: RunFiles) -> ComparedRun:
    refuse_damaged(files.summary, files.folder, is_complete=True)
    table = files.table("equity", ["ts_event", "trading_pnl"])
    document = files.config
    for key in ("output", "name"):  # they say nothing about results
        document.pop(key, None)
    pnl = numbers(table, "trading_pnl")
    return ComparedRun(files.folder.name, files, dict(_flat(document)), times(table), pnl)


def _flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, (*path, str(key)))
    else:
        yield ".".join(path), value


def _differing(
    runs: Sequence[ComparedRun],
) -> tuple[tuple[tuple[str, tuple[Any, ...]], ...], tuple[str, ...]]:
    """Return the parameters that differ, those that matter most first, and the keys that only one kind of run has."""
    keys = dict.fromkeys(key for run in runs for key in run.parameters)
    of_one_kind = [key for key in keys if _is_of_one_kind(key, runs)]
    rows = [
        (key, tuple(run.parameters.get(key) for run in runs))
        for key in sorted(keys.keys() - of_one_kind, key=[*keys].index)
    ]
    found = [
        (key, values)
        for key, values in rows
        if any(value != values[0] for value in values) or any(key not in run.parameters for run in runs)
    ]
    return tuple(sorted(found, key=lambda row: _rank(row[0]))), tuple(of_one_kind)


def _is_of_one_kind(key: str, runs: Sequence[ComparedRun]) -> bool:
    kinds = {run.files.is_sandbox for run in runs}
    found = {run.files.is_sandbox for run in runs if key in run.parameters}
    return found != kinds and not key.startswith("strategy.")


def _rank(key: str) -> int:
    first = next((place for place, start in enumerate(_FIRST_KEYS) if key.startswith(start)), None)
    return len(_FIRST_KEYS) + (key.split(".", maxsplit=1)[0] in _LAST_KEYS) if first is None else first


def _figures(runs: Sequence[ComparedRun], baseline: int) -> Iterator[FigureRow]:
    summaries = [run.files.summary for run in runs]
    for row in EQUITY_ROWS:
        equities = [summary["equity"] and with_decimals(summary["equity"]) for summary in summaries]
        yield _row("account", row.name, row, equities, baseline)
    for row in SYMBOL_ROWS:
        if row.name in _TOTAL_ROWS:
            yield _row("account", row.name, row, [summary["total"] for summary in summaries], baseline)
    symbols = dict.fromkeys(symbol for summary in summaries for symbol in summary["symbols"])
    rows = {row.name: row for row in FILL_ROWS}
    for symbol in symbols:
        found = [summary["symbols"].get(symbol) for summary in summaries]
        for row in SYMBOL_ROWS:
            yield _row(symbol, row.name, row, found, baseline)
        for seconds, name in _FILL_FIGURES:
            label = name if seconds == 0 else f"{name} after {seconds:g} s"
            qualities = [None if figures is None else maker_quality(figures, seconds) for figures in found]
            yield _row(symbol, label, rows[name], qualities, baseline)


def _row(
    group: str, name: str, row: Row, found: Sequence[Mapping[str, Any] | None], baseline: int
) -> FigureRow:
    written, base = _distinct_texts(row, found), found[baseline]
    deltas = (
        None if index == baseline else _delta(row, (figures, base), (written[index], written[baseline]))
        for index, figures in enumerate(found)
    )
    return FigureRow(
        group,
        name,
        tuple(written),
        tuple(None if figures is None else {key: figures.get(key) for key in row.keys} for figures in found),
        tuple(deltas),
    )


def _distinct_texts(row: Row, found: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """Return what a row shows, with as many digits as figures that differ need to look different."""
    known = [figures for figures in found if figures is not None]
    differ = len({tuple(figures.get(key) for key in row.keys) for figures in known})
    written = texts(row, found)
    for finer in range(1, _MOST_FINER + 1):
        if len({text for text, figures in zip(written, found, strict=True) if figures is not None}) == differ:
            break
        written = texts(row, found, finer)
    return written


def _delta(
    row: Row, found: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None], written: tuple[str, str]
) -> Delta | None:
    """Return a run's difference from the baseline, as figures and as they are written; None where there is none.

    Its text is the difference of the texts, so that what stands in a row adds up.
    """
    figures, base = found
    if figures is None or base is None or not row.keys or figures.get("currency") != base.get("currency"):
        return None
    key, *others = row.keys
    values: tuple[Any, Any] = figures.get(key), base.get(key)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    if others not in ([], ["standard_error_bps"]):
        return None  # of several numbers in one row
    decimals = max(map(written_decimals, written))
    shown = written_difference(*values, decimals)
    whole = all(isinstance(value, int) for value in values)
    delta = {**figures, key: int(shown) if whole else float(shown), "standard_error_bps": None}
    text = row.text({**delta, "decimals": decimals, "least": decimals})
    text = f"{text.removesuffix('%')}pp" if text.endswith(" %") else text
    sign, is_clear = _BETTER.get(key, 0), True
    if key == "mark_out_bps":
        error = math.hypot(*(each.get("standard_error_bps") or 0.0 for each in (figures, base)))
        is_clear = abs(shown) > _ERRORS * error
    verdict = "" if not (shown and sign and is_clear) else "better" if shown * sign > 0 else "worse"
    signed = text if text.startswith(("-", "+")) else f"+{text}"
    exact = Decimal(repr(values[0])) - Decimal(repr(values[1]))
    return Delta(float(exact) if shown else 0.0, signed if shown else "same", verdict)


def written_decimals(text: str) -> int:
    """Return how many digits after the decimal point the number in a text has."""
    found = re.search(r"\d\.(\d+)", text)
    return 0 if found is None else len(found[1])


def written_difference(one: float, two: float, decimals: int) -> Decimal:
    """Return the difference of two numbers as they are written with so many digits after the decimal point."""
    first, second = (Decimal(f"{value:.{decimals}f}") for value in (one, two))
    return first - second


def _unfair(runs: Sequence[ComparedRun]) -> Iterator[str]:
    """Yield what makes a comparison of these runs unfair."""
    summaries = [run.files.summary for run in runs]
    differing: Mapping[str, Sequence[Any]] = {
        "cover different periods": [(s["period"]["start"], s["period"]["end"]) for s in summaries],
        "are partly backtests and partly paper trading": [run.files.is_sandbox for run in runs],
        "have different kinds of data": [short_data_text(s) for s in summaries],
        "report in different currencies": [s["report_currency"] for s in summaries],
        "have different catalogs": [
            run.parameters.get("feed.catalog" if run.files.is_sandbox else "catalog") for run in runs
        ],
    }
    for words, values in differing.items():
        if any(value != values[0] for value in values):
            yield f"these runs {words}"
    folders = [run.files.folder for run in runs]  # they hold copies of modules of one's own
    sources = [
        {str(file.relative_to(each)): file.read_bytes() for file in each.rglob("*.py")} for each in folders
    ]
    for name in sorted({name for found in sources for name in found}):
        texts = [found[name] for found in sources if name in found]
        if any(text != texts[0] for text in texts):
            yield f"these runs have different versions of {name}"


def _notes_of(run: ComparedRun) -> Iterator[str]:
    """Yield what has to be known of one run."""
    summary = run.files.summary
    status = summary["status"]
    silent = silent_since(run.files.folder, status)
    if status in {"starting", "running"}:
        words = "had not ended" if silent is None else f"has {silent_words(silent)}"
        yield f"{run.label} {words}: its figures are those of {moment_text(summary['period']['end'])}"
    elif status != "completed":
        yield f"{run.label} {'was interrupted' if status == 'interrupted' else status}"
    if summary.get("start", {}).get("is_resumed", False):
        yield f"{run.label} continued from a saved state: its fills, trades, orders and money include earlier runs"
    halted: dict[str, list[str]] = {}
    for symbol, reason in halted_symbols(summary).items():
        halted.setdefault(reason, []).append(symbol)
    for reason, symbols in halted.items():
        why = f" ({reason.removeprefix('halted ')})" if reason else ""
        yield f"{run.label}: {', '.join(symbols)} {'was' if len(symbols) == 1 else 'were'} halted{why}"
    if not run.files.has_traces:
        yield f"{run.label} has no spread captured and no mark-outs: output.traces was false"
