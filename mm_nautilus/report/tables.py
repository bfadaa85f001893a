"""The tables of a run's summary, for the terminal and the page: a name and cells a row."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from mm_nautilus.report.money import signed_amount, unsigned_amount
from mm_nautilus.report.rows import MODEL_ROWS, NONE, SYMBOL_ROWS, Row
from mm_nautilus.system.moments import moment

type Figures = Mapping[str, Any]


class Cell(NamedTuple):
    """One figure of a table."""

    text: str
    keys: tuple[str, ...] = ()
    """Where the figure stands in the summary: JSON pointers."""
    is_result: bool = False
    """Whether it is money made or lost, or a share of it, whose sign is worth a colour."""


type Rows = list[tuple[str, list[Cell]]]


def pointer(*keys: str) -> str:
    """Return a path of keys as a JSON pointer, which knows how to write a slash inside a key."""
    return "/" + "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)


def cell(row: Row, figures: Figures | None, *where: str) -> Cell:
    """Return what a row shows of figures that stand under the keys `where`, a dash where there are none."""
    if figures is None:
        return Cell(NONE)
    return Cell(row.text(figures), tuple(pointer(*where, key) for key in row.keys), row.is_result)


def with_total(symbols: Iterable[str]) -> list[str]:
    """Return the columns of a table of symbols: one more where there are several."""
    names = list(symbols)
    return [*names, "TOTAL"] if len(names) > 1 else names


def symbol_table(summary: Figures, rows: Iterable[Row] = SYMBOL_ROWS) -> Rows:
    """Return rows of every symbol and, where there are several, what can be added up."""
    symbols, total = summary["symbols"], summary["total"]
    found = []
    for row in rows:
        cells = [cell(row, figures, "symbols", symbol) for symbol, figures in symbols.items()]
        if len(symbols) > 1:
            cells.append(cell(row, total, "total") if all(key in total for key in row.keys) else Cell(""))
        found.append((row.name, cells))
    return found


def model_table(symbols: Figures, rows: Iterable[Row] = MODEL_ROWS) -> Rows:
    """Return how each symbol was quoted."""
    return [
        (
            row.name,
            [
                cell(row, figures["quote_model"], "symbols", symbol, "quote_model")
                for symbol, figures in symbols.items()
            ],
        )
        for row in rows
    ]


def reason_table(symbols: Figures) -> tuple[list[str], Rows]:
    """Return the sides of all symbols, and for each reason how long and how often it kept them without a quote."""
    sides = [(symbol, side) for symbol in symbols for side in symbols[symbol]["not_quoting"]]
    held = {sided: symbols[sided[0]]["not_quoting"][sided[1]] for sided in sides}
    reasons = sorted({reason for entries in held.values() for reason in entries})

    def reason_cell(symbol: str, side: str, reason: str) -> Cell:
        entry = held[symbol, side].get(reason)
        if entry is None:
            return Cell(NONE)
        where = ("symbols", symbol, "not_quoting", side, reason)
        text = f"{entry['seconds']:,.1f} ({entry['count']:,})"
        return Cell(text, (pointer(*where, "seconds"), pointer(*where, "count")))

    rows = [(reason, [reason_cell(*sided, reason) for sided in sides]) for reason in reasons]
    return [" ".join(sided) for sided in sides], rows


def exit_table(exits: Figures) -> Rows:
    """Return, for each kind of exit, how often it came, its trades and their results by currency."""
    rows = []
    for reason, totals in exits.items():
        counts = [
            Cell(f"{totals[name]:,}", (pointer("exits", reason, name),)) for name in ("count", "trades")
        ]
        pnl = totals["pnl"]
        text = ", ".join(signed_amount(value, currency) for currency, value in pnl.items()) or NONE
        keys = tuple(pointer("exits", reason, "pnl", code) for code in pnl)
        rows.append((reason.replace("_", " "), [*counts, Cell(text, keys, len(pnl) == 1)]))
    return rows


FEE_COLUMNS: Final = ("since", "maker fee", "taker fee", "fills")


def fee_table(summary: Figures) -> Rows:
    """Return which fee held from which volume of the last thirty days on; nothing with fixed fees."""
    rows = []
    for number, tier in enumerate(summary.get("fee_tiers") or ()):
        texts = {
            "maker_fee_pct": f"{tier['maker_fee_pct']:g} %",
            "taker_fee_pct": f"{tier['taker_fee_pct']:g} %",
            "fills": f"{tier['fills']:,}",
        }
        cells = [Cell(text, (pointer("fee_tiers", str(number), name),)) for name, text in texts.items()]
        since = Cell(f"{moment(tier['since_ns']):%m-%d %H:%M:%S}")
        rows.append((f"at {unsigned_amount(tier['volume'], summary['report_currency'])}", [since, *cells]))
    return rows
