"""The tables of a run's summary, for the terminal and the page: a name and cells a row."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mm_nautilus.report.money import adding_decimals, shared_decimals, signed_amount, unsigned_amount
from mm_nautilus.report.rows import MODEL_ROWS, NONE, SYMBOL_ROWS, Row, texts
from mm_nautilus.system.moments import moment

type Figures = Mapping[str, Any]


class Cell(NamedTuple):
    """One figure of a table."""

    text: str
    keys: tuple[str, ...] = ()
    """Where the figure stands in the summary: JSON pointers."""
    is_result: bool = False
    """Whether it is money made or lost, or a share of it, whose sign is worth a colour."""

    @property
    def sign(self) -> str:
        """``gain`` or ``loss``; an empty text where it is neither, or its digits are all 0."""
        if not self.is_result or not any(digit in self.text for digit in "123456789"):
            return ""
        return {"+": "gain", "-": "loss"}.get(self.text[:1], "")


type Rows = list[tuple[str, list[Cell]]]


def pointer(*keys: str) -> str:
    """Return a path of keys as a JSON pointer, which knows how to write a slash inside a key."""
    return "/" + "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)


def cells(row: Row, found: Sequence[Figures | None], *where: Sequence[str]) -> list[Cell]:
    """Return what a row shows of figures side by side, each under its keys `where`; a dash where there are none."""
    return [
        Cell(NONE)
        if figures is None
        else Cell(text, tuple(pointer(*keys, key) for key in row.keys), row.is_result)
        for figures, text, keys in zip(found, texts(row, found), where, strict=True)
    ]


def with_total(symbols: Iterable[str]) -> list[str]:
    """Return the columns of a table of symbols: one more where there are several."""
    names = list(symbols)
    return [*names, "TOTAL"] if len(names) > 1 else names


def symbol_table(summary: Figures, rows: Iterable[Row] = SYMBOL_ROWS) -> Rows:
    """Return rows of every symbol and, where there are several, what can be added up."""
    symbols, total = summary["symbols"], summary["total"]
    found = []
    for row in rows:
        figures = list(symbols.values())
        where: list[tuple[str, ...]] = [("symbols", symbol) for symbol in symbols]
        has_total = len(symbols) > 1 and all(key in total for key in row.keys)
        if has_total:
            figures, where = [*figures, _adding(row, total, figures)], [*where, ("total",)]
        blank = [Cell("")] if len(symbols) > 1 and not has_total else []
        found.append((row.name, [*cells(row, figures, *where), *blank]))
    return found


def _adding(row: Row, total: Figures, symbols: Sequence[Figures]) -> Figures:
    """Return a total's figures with the digits with which its parts add up as written, where one can add them."""
    parts = [figures[key] for figures in symbols for key in row.keys]
    if not row.is_money or row.keys == ("avg_pnl",) or None in [*parts, total[row.keys[0]]]:
        return total
    if any(figures["currency"] != total["currency"] for figures in symbols):
        return total
    return {**total, "decimals": adding_decimals(total[row.keys[0]], parts, total["currency"])}


def model_table(symbols: Figures, rows: Iterable[Row] = MODEL_ROWS) -> Rows:
    """Return how each symbol was quoted."""
    models = [figures["quote_model"] for figures in symbols.values()]
    where = [("symbols", symbol, "quote_model") for symbol in symbols]
    return [(row.name, cells(row, models, *where)) for row in rows]


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
    rows, amounts = [], defaultdict[str, list[float]](list)
    for totals in exits.values():
        for currency, value in totals["pnl"].items():
            amounts[currency].append(value)
    decimals = {currency: shared_decimals(values, currency) for currency, values in amounts.items()}
    for reason, totals in exits.items():
        counts = [
            Cell(f"{totals[name]:,}", (pointer("exits", reason, name),)) for name in ("count", "trades")
        ]
        pnl = totals["pnl"]
        money = (signed_amount(value, currency, decimals[currency]) for currency, value in pnl.items())
        text = ", ".join(money) or NONE
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
