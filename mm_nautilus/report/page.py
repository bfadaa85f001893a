"""A run's report: one HTML page that holds all it needs and opens without a network."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mm_nautilus.report.answer import change_words
from mm_nautilus.report.attribution import HORIZON_SECONDS
from mm_nautilus.report.charts import (
    EQUITY_BUTTONS,
    actions_figure,
    equity_figure,
    equity_paths,
    fill_quality_figure,
    points_figure,
    reasons_figure,
)
from mm_nautilus.report.derived import read_run
from mm_nautilus.report.exits import exit_rows, trail_panels, trail_paths
from mm_nautilus.report.figures import Figure
from mm_nautilus.report.fill_rows import fill_rows, fill_view
from mm_nautilus.report.folded import folded_words
from mm_nautilus.report.guard_changes import GuardEntry, GuardLog, read_guard_log, state_times
from mm_nautilus.report.html import digest, html, plotly_basic, source, templates
from mm_nautilus.report.money import decimal_text, shared_decimals, signed_amount, unsigned_amount
from mm_nautilus.report.result_charts import (
    PARTS,
    bridge_figure,
    by_day_figure,
    by_time_figure,
    shown_parts,
    stretch_name,
)
from mm_nautilus.report.rows import EQUITY_ROWS, FILL_ROWS, NONE, with_decimals
from mm_nautilus.report.run_files import RunFiles, recorded_times, times
from mm_nautilus.report.session import (
    data_text,
    ending_note,
    fee_rows,
    fee_words,
    moment_text,
    resumed_note,
    session_rows,
)
from mm_nautilus.report.statistics_table import statistics_rows
from mm_nautilus.report.symbol_view import opening_window, price_decimals, symbol_traces, symbol_view
from mm_nautilus.report.tables import (
    FEE_COLUMNS,
    Cell,
    cells,
    fee_table,
    model_table,
    pointer,
    reason_table,
    symbol_table,
    with_total,
)
from mm_nautilus.risk.rate_limit import rate_rules
from mm_nautilus.risk.state import QuotingState
from mm_nautilus.system.moments import SECOND_NS, moment, nanoseconds
from mm_nautilus.system.plain_text import counted
from mm_nautilus.system.whole_file import write_whole

REPORT: Final = "report.html"
"""The report's name in the run's folder."""
_MOST_LISTED: Final = 100
"""Changes of guards that are listed: the last ones."""
_FAILURE: Final = "failure.txt"
_DAY_SECONDS: Final = 86_400
_LABELS: Final = frozenset({"Result", "Where", "Why", "Change"})
"""What the lines of an answer begin with that are set apart from their text."""


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write a run's report from the files in its folder, to `out` or ``report.html`` there, and return its path.

    A DataError says that the folder is not a run's, the run has written no figures yet, or a file in it is missing or
    damaged.
    """
    page = render("report.html.jinja", "fills.js", "market.js", **page_parts(read_run(folder)))
    path = out or folder / REPORT
    write_whole(path, page)
    return path


def render(template: str, *more_scripts: str, **parts: Any) -> str:
    """Return a page from one of the package's templates; ``figures`` are what its script draws.

    `more_scripts` lie beside the templates and come after the script of all pages.
    """
    environment = templates("mm_nautilus.report")
    scripts = [plotly_basic(), source(environment, "page.js", *more_scripts)]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(digest, scripts))}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    style = source(environment, "page.css", "market.css")
    return html(environment, template, style=style, scripts=scripts, policy=policy, **parts)


def page_parts(files: RunFiles) -> dict[str, Any]:
    """Return what the report's template shows; a DataError says that a file of the run is missing or damaged."""
    summary = files.summary
    symbols = summary["symbols"]
    start_ns, end_ns, notes = _span(files)
    return {
        "summary": summary,
        "heading": _heading(summary),
        "notes": notes,
        "resumed": resumed_note(summary),
        "session": session_rows(summary),
        "is_sandbox": files.is_sandbox,
        "tiles": _tiles(summary),
        "account": _account(summary),
        **_answer_parts(summary),
        "equity_views": EQUITY_BUTTONS,
        "told": folded_words(summary),
        "symbol_columns": with_total(symbols),
        "symbol_table": symbol_table(summary),
        "has_traces": files.has_traces,
        "fill_table": _fill_table(symbols) if files.has_traces else [],
        "model_table": model_table(symbols),
        "reason_table": dict(zip(("sides", "rows"), reason_table(symbols), strict=True)),
        **_guard_parts(files, start_ns, end_ns),
        "fee_table": fee_table(summary),
        "fee_columns": FEE_COLUMNS,
        **_fill_parts(files, start_ns, end_ns),
        "statistics": statistics_rows(summary) if files.is_complete else None,
        "venue": _venue_rows(summary),
        "config_text": files.config_text,
        "figures": _figures(files, start_ns, end_ns),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _answer_parts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of the answer."""
    answer, symbols = summary["answer"], summary["symbols"]
    by_time = answer["by_time"]
    return {
        "answer": _answer_cells(answer),
        "answer_table": _answer_table(answer),
        "answer_columns": ["all", "of turnover", *(symbols if len(symbols) > 1 else ())],
        "stretch": stretch_name(by_time["minutes"]) if by_time else None,
    }


def _guard_parts(files: RunFiles, start_ns: int, end_ns: int) -> dict[str, Any]:
    """Return what is shown of the guards between two moments, nanoseconds since the epoch."""
    guards = read_guard_log(files)
    changes = () if guards is None else guards.entries
    listed = [_listed(entry, state=entry.state.value, text=entry.text) for entry in changes[-_MOST_LISTED:]]
    symbols = list(files.summary["symbols"])
    return {
        "guard_table": [] if guards is None else _guard_table(guards, symbols, start_ns, end_ns),
        "guard_list": None if guards is None else listed,
        "keeps_guards": files.has_guards,
        "guards_left_out": max(0, len(changes) - _MOST_LISTED),
        "has_all_guards": guards is not None and guards.is_whole,
    }


def _fill_parts(files: RunFiles, start_ns: int, end_ns: int) -> dict[str, Any]:
    """Return fills, exits and the market beside them between two moments, nanoseconds since the epoch."""
    summary, symbols = files.summary, files.summary["symbols"]
    fills = {symbol: fill_rows(files, symbol) for symbol in symbols}
    currencies = {symbol: figures["currency"] for symbol, figures in symbols.items()}
    views, opening = {}, None
    if files.has_traces and fills:
        opening, *span = opening_window(summary["answer"], fills, start_ns, end_ns)
        views = {
            symbol: symbol_view(symbol_traces(files, rows), start_ns, end_ns, (span[0], span[1]))
            for symbol, rows in fills.items()
        }
    return {
        "views": views,
        "opening": opening,
        "exit_table": exit_rows(summary["exits"], fills, currencies) if summary["exits"] else [],
        "fill_views": [
            fill_view(
                rows, symbols[symbol], summary["report_currency"], start_ns, price_decimals(symbols[symbol])
            )
            for symbol, rows in fills.items()
        ],
        "mark_out_seconds": f"{HORIZON_SECONDS:g}",
        "trails": trail_panels(trail_paths(files, fills)) if files.has_traces else [],
    }


def _figures(files: RunFiles, start_ns: int, end_ns: int) -> dict[str, Figure]:
    """Return the figures of the whole run by their names in the page; some need traces, a limit or fills of a maker."""
    summary, symbols = files.summary, files.summary["symbols"]
    answer = summary["answer"]
    figures = {"equity": equity_figure(equity_paths(files)), "reasons": reasons_figure(symbols)}
    if answer["result"] is not None and summary["total"]["fills"]:
        figures["bridge"] = bridge_figure(answer)
    if answer["by_time"] is not None:
        figures["by-time"] = by_time_figure(answer)
        if summary["period"]["seconds"] > _DAY_SECONDS:
            figures["by-day"] = by_day_figure(answer)
    if not files.has_traces:
        return figures
    figures["actions"] = actions_figure(files, start_ns, end_ns)
    if (limit := summary["venue"].get("rate_limit")) is not None:
        figures["points"] = points_figure(files, start_ns, end_ns, rate_rules(**limit))
    if any(quality["fills"] for found in symbols.values() for quality in found["fill_quality"]["maker"]):
        figures["fill-quality"] = fill_quality_figure(symbols)
    return figures


def _span(files: RunFiles) -> tuple[int, int, list[str]]:
    """Return the first and last moment of what is drawn, and what is to be said of them."""
    period = files.summary["period"]
    start_ns, end_ns = (nanoseconds(datetime.fromisoformat(period[name])) for name in ("start", "end"))
    table = files.table(files.mids, ["ts_event"])
    moments, recorded = times(table), recorded_times(table)
    notes = [note for note in (ending_note(files.summary), _failure_note(files)) if note is not None]
    if len(moments):
        last_ns = int(moments[-1])
        if not files.is_complete:
            until = moment(last_ns)
            notes.append(
                f"The charts end at the latest at {until:%Y-%m-%d %H:%M:%S} UTC, the last row on the disk."
            )
        start_ns, end_ns = min(start_ns, int(moments[0])), max(end_ns, last_ns)
    back_ns = int((recorded - moments).max(initial=0))
    if back_ns >= SECOND_NS:
        notes.append(
            f"The clock was set back during this run, by up to {back_ns / 1e9:.1f} s: rows of repeated times are "
            "drawn at the moment to which it was set."
        )
    return start_ns, max(start_ns, end_ns), notes


def _failure_note(files: RunFiles) -> str | None:
    """Return what a run failed of, as the first line of its ``failure.txt`` has it."""
    path = files.folder / _FAILURE
    if not path.is_file():
        return None
    first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    return f"{first[:1].upper()}{first[1:]}"


def _heading(summary: Mapping[str, Any]) -> dict[str, str]:
    period, venue = summary["period"], summary["venue"]
    return {
        "data": data_text(summary),
        "start": moment_text(period["start"]),
        "end": moment_text(period["end"]),
        "length": _length(period["seconds"]),
        "venue": f"{venue['name']}, {venue['account_type']} account",
        "fees": fee_words(venue, summary["report_currency"]),
    }


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"


def _tiles(summary: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    """Return the four figures beside the answer; none where a balance never had a price."""
    equity = summary["equity"]
    if equity is None:
        return []
    found = dict(_account(summary))
    total = summary["total"]
    value = total["turnover"]
    traded = counted(total["fills"], "fill")
    if value is not None:
        traded = f"{traded}, {unsigned_amount(value, total['currency'])}"
    turnover = Cell(traded, (pointer("total", "fills"), pointer("total", "turnover")))
    return [
        *((name, found[name]) for name in ("largest drawdown", "fees")),
        ("fills, turnover", turnover),
        ("equity at the end", found["equity at the end"]),
    ]


def _account(summary: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    """Return the account's figures; none where a balance never had a price."""
    equity = summary["equity"]
    if equity is None:
        return []
    rows = [row for row in EQUITY_ROWS if not row.hides_zero or any(equity.get(key) for key in row.keys)]
    return [(row.name, cells(row, [with_decimals(equity)], ["equity"])[0]) for row in rows]


def _answer_cells(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lines in parts, every suggestion that is not among them, and the result's sign."""
    change = change_words([(entry["rule"], entry["text"]) for entry in answer["next"]])
    lines = []
    for index, line in enumerate(answer["lines"]):
        label, _, text = line.partition(": ")
        is_labelled, key = label in _LABELS, pointer("answer", "lines", str(index))
        if label == "Why":  # the sum that follows is the chart beside it
            text, key = answer["why"], pointer("answer", "why")
        amount = re.match("[^,;]*", text)
        lines.append(
            {
                "key": key,
                "label": label if is_labelled else "",
                "text": text if is_labelled else line,
                "amount": amount.group() if amount else "",
            }
        )
    suggested = [
        Cell(entry["text"], (pointer("answer", "next", str(index), "text"),))
        for index, entry in enumerate(answer["next"])
    ]
    result = answer["result"]
    sign = "" if not result else "gain" if result > 0 else "loss"
    return {"lines": lines, "next": [cell for cell in suggested if cell.text not in change], "sign": sign}


def _answer_table(answer: Mapping[str, Any]) -> list[tuple[str, list[Cell]]]:
    """Return the parts of the result in money, as shares of turnover, and of each pair."""
    currency, pairs = answer["currency"], answer["pairs"] if len(answer["pairs"]) > 1 else {}
    names = [*shown_parts(answer), "result"]

    def value(found: Mapping[str, Any], name: str) -> float | None:
        amount: float | None = found["result"] if name == "result" else found["parts"][name]
        return amount

    def amounts(*kinds: str) -> list[float]:
        found = (value(each, name) for each in (answer, *pairs.values()) for name in kinds)
        return [amount for amount in found if amount is not None]

    decimals = shared_decimals(amounts(*names), currency)
    if "unattributed" not in names and any(round(amount, decimals) for amount in amounts("unattributed")):
        names.insert(-1, "unattributed")

    def money(found: Mapping[str, Any], name: str, *where: str) -> Cell:
        amount = value(found, name)
        keys = (*where, name) if name == "result" else (*where, "parts", name)
        if (
            amount is not None and name == "unattributed"
        ):  # a last digit of the engine is not worth a wider table
            amount = round(amount, decimals)
        text = NONE if amount is None else signed_amount(amount, currency, decimals)
        return Cell(text, (pointer(*keys),), name == "result")

    rows = []
    for name in names:
        bps = answer["bps"][name]
        text = NONE if bps is None else f"{decimal_text(bps, 2, '+')} bps"
        share = Cell(text, (pointer("answer", "bps", name),))
        of_pairs = [money(found, name, "answer", "pairs", pair) for pair, found in pairs.items()]
        rows.append((PARTS.get(name, name), [money(answer, name, "answer"), share, *of_pairs]))
    return rows


def _fill_table(symbols: Mapping[str, Any]) -> list[tuple[str, str, str, list[Cell]]]:
    """Return symbol, kind of fill, horizon and figures, for kinds of which there were fills."""
    found, where = [], []
    for symbol, figures in symbols.items():
        for kind, qualities in figures["fill_quality"].items():
            for index, quality in enumerate(qualities):
                if quality["fills"]:
                    found.append({**quality, "currency": figures["currency"]})
                    where.append(("symbols", symbol, "fill_quality", kind, str(index)))
    columns = [cells(row, found, *where) for row in FILL_ROWS]
    return [
        (
            keys[1],
            keys[3],
            "at the fill" if not quality["seconds"] else f"{quality['seconds']:g} s",
            list(line),
        )
        for keys, quality, line in zip(where, found, zip(*columns, strict=True), strict=True)
    ]


def _guard_table(
    log: GuardLog, symbols: Iterable[str], start_ns: int, end_ns: int
) -> list[tuple[str, list[Cell]]]:
    """Return the seconds each symbol was in each state, and how often it came into it."""
    times = state_times(log, symbols, start_ns, end_ns).values()
    return [
        (
            state.value,
            [Cell("{:,.1f} ({:,})".format(*of[state]) if state in of else NONE) for of in times],
        )
        for state in QuotingState
        if any(state in of for of in times)
    ]


def _listed(at: GuardEntry, **texts: str) -> dict[str, Any]:
    """Return a line of a list, with its moment in words and for the charts."""
    time = f"{moment(at.ts_ns):%m-%d %H:%M:%S}"
    return {"time": time, "ms": at.ts_ns // 1_000_000, "symbol": at.symbol, **texts}


_SWITCHES: Final = {
    "queue_position": (
        "OFF: the first trade at its price fills a quote",
        "a quote waits behind the size that was displayed when it arrived",
    ),
    "liquidity_consumption": (
        "OFF: the same size may fill several of our orders",
        "size that filled one of our orders is gone for the others",
    ),
}
"""What the simulated venue does with each switch off and on."""


def _venue_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the run assumed of the venue, in words."""
    venue = summary["venue"]
    latency = venue["latency"]
    return [
        ("venue", f"{venue['name']}, {venue['account_type']} account, leverage {venue['leverage']:g}"),
        ("starting balances", ", ".join(venue["starting_balances"])),
        *fee_rows(venue, summary["report_currency"]),
        (
            "order latency",
            f"new {latency['insert_ms']:g} ms, amend {latency['amend_ms']:g} ms, cancel {latency['cancel_ms']:g} ms",
        ),
        *((name.replace("_", " "), words[venue[name]]) for name, words in _SWITCHES.items()),
    ]
