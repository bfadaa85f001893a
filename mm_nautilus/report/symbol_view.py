"""One symbol's market, quotes and fills: an overview to draw at once, and all of it for zooming in."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mm_nautilus.market.instrument import decimal_places
from mm_nautilus.report.figures import (
    Figure,
    bars,
    figure,
    hatching,
    milliseconds,
    pack,
    significant,
    thin_line,
    thinned_rows,
)
from mm_nautilus.report.run_files import RunFiles, numbers, texts, times

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

OVERVIEW_BUCKETS: Final = 600
"""Stretches a line of the overview is drawn with."""
SHARE_BUCKETS: Final = 120
"""Bars of the time without a quote."""
_MOST_FILLS: Final = 400
"""Fills of a side that are drawn at once."""
_FEW_FILLS: Final = 120
"""Fills of a side that are drawn large."""
_MOST_ROWS: Final = 130_000
"""Rows of the market, and of the quotes, that the page carries for one symbol: a day and a half of seconds."""
_NS_PER_MS: Final = 1_000_000
_MOST_MS: Final = 2**31 - 1
_BPS: Final = 10_000.0
_SHIFT_DIGITS: Final = 4


class OuterQuotes(NamedTuple):
    """Prices of our quotes of one level beyond the nearest, and their moments in nanoseconds since the epoch."""

    level: int
    ts_ns: Ints
    bid: Floats
    ask: Floats


@dataclass(frozen=True, slots=True)
class SymbolTraces:
    """What the run recorded of one symbol; moments are in nanoseconds since the epoch."""

    symbol: str
    base: str
    quote: str
    tick: float
    decimals: int
    """Price increment, and the digits behind the point of a mid."""
    market: dict[str, Floats]
    market_ns: Ints
    quotes: dict[str, Floats]
    """Columns of ``market.parquet`` and, of the nearest quotes, ``quotes.parquet``; sizes in base currency."""
    quotes_ns: Ints
    bid_reasons: Ints
    ask_reasons: Ints
    """For each row of the quotes the number of the reason in `reasons`, -1 while the side is wanted."""
    reasons: tuple[str, ...]
    fills: dict[str, Floats]
    fills_ns: Ints
    outer: tuple[OuterQuotes, ...] = ()
    """Quotes of the levels further out, the nearest first."""

    @property
    def shift_bps(self) -> Floats:
        """Reservation price minus mid, bps of the mid, at the moments of the market; free of binary rounding."""
        market = self.market
        return np.round(_BPS * (market["reservation_price"] / market["mid_price"] - 1.0), _SHIFT_DIGITS)


_MARKET: Final = (
    "best_bid",
    "best_ask",
    "mid_price",
    "reservation_price",
    "inventory",
    "inventory_cap",
    "trailing_stop_price",
)
_QUOTES: Final = ("bid_price", "bid_size", "ask_price", "ask_size")
_FILLS: Final = ("price", "quantity", "commission")


def symbol_traces(files: RunFiles, symbol: str) -> SymbolTraces:
    """Read what a run recorded of one symbol; a DataError says that a table is missing or damaged."""
    figures = files.summary["symbols"][symbol]
    market = files.table("market", ["ts_event", *_MARKET], symbol)
    all_quotes = files.table("quotes", ["ts_event", *_QUOTES, "bid_reason", "ask_reason", "level"], symbol)
    quotes = all_quotes.filter(pc.field("level") == 1)
    fills = files.table("fills", ["ts_event", *_FILLS, "side", "liquidity"], symbol)
    bid_reasons, ask_reasons = texts(quotes, "bid_reason"), texts(quotes, "ask_reason")
    reasons = tuple(sorted({reason for reason in (*bid_reasons, *ask_reasons) if reason is not None}))
    codes = {reason: code for code, reason in enumerate(reasons)} | {None: -1}
    increment = Decimal(figures["price_increment"])
    return SymbolTraces(
        symbol=symbol,
        base=figures["base_currency"],
        quote=figures["currency"],
        tick=float(increment),
        decimals=price_decimals(figures),
        market={name: numbers(market, name) for name in _MARKET},
        market_ns=times(market),
        quotes={name: numbers(quotes, name) for name in _QUOTES},
        quotes_ns=times(quotes),
        bid_reasons=np.array([codes[reason] for reason in bid_reasons], dtype=np.int64),
        ask_reasons=np.array([codes[reason] for reason in ask_reasons], dtype=np.int64),
        reasons=reasons,
        fills=_fill_columns(fills),
        fills_ns=times(fills),
        outer=_outer_quotes(all_quotes),
    )


def _outer_quotes(table: pa.Table) -> tuple[OuterQuotes, ...]:
    """Return the quotes of all levels but the nearest."""
    found = []
    for level in range(2, (pc.max(table["level"]).as_py() or 1) + 1):
        rows = table.filter(pc.field("level") == level)
        found.append(OuterQuotes(level, times(rows), numbers(rows, "bid_price"), numbers(rows, "ask_price")))
    return tuple(found)


def price_decimals(figures: Mapping[str, Any]) -> int:
    """Return the decimals that a symbol's prices are shown with, one more than its own: a mid may need it."""
    return decimal_places(Decimal(figures["price_increment"])) + 1


def _fill_columns(table: pa.Table) -> dict[str, Floats]:
    columns = {name: numbers(table, name) for name in _FILLS}
    columns["is_buy"] = np.array([side == "BUY" for side in texts(table, "side")], dtype=np.float64)
    columns["is_maker"] = np.array([code == "MAKER" for code in texts(table, "liquidity")], dtype=np.float64)
    return columns


def reason_shares(traces: SymbolTraces, start_ns: int, end_ns: int, buckets: int) -> Floats:
    """Return the share of time each reason kept a side without a quote, both sides together.

    The span, nanoseconds since the epoch, is cut into equal stretches. There is one row a reason and one column a
    stretch; % of twice the stretch, as there are two sides.
    """
    edges = np.linspace(0.0, end_ns - start_ns, buckets + 1)
    shares = np.zeros((len(traces.reasons), buckets))
    if end_ns <= start_ns or not len(traces.quotes_ns):
        return shares
    moments = (traces.quotes_ns - start_ns).astype(np.float64)
    for codes in (traces.bid_reasons, traces.ask_reasons):
        for code in range(len(traces.reasons)):
            held = np.concatenate([[0.0], np.cumsum(np.diff(moments) * (codes[:-1] == code))])
            shares[code] += np.diff(np.interp(edges, moments, held))
    return 100.0 * shares / (2.0 * (end_ns - start_ns) / buckets)


def symbol_view(traces: SymbolTraces, start_ns: int, end_ns: int) -> dict[str, Any]:
    """Return what a page shows of one symbol in a run's span, nanoseconds since the epoch.

    ``figure`` of the overview, and for zooming in the packed columns of ``market``, ``quotes`` and ``fills``.
    """
    market_rows = thinned_rows(len(traces.market_ns), _MOST_ROWS)
    quote_rows = thinned_rows(len(traces.quotes_ns), _MOST_ROWS)
    outer = [(quotes, thinned_rows(len(quotes.ts_ns), _MOST_ROWS)) for quotes in traces.outer]
    return {
        "figure": _overview(traces, start_ns, end_ns),
        "reasons": list(traces.reasons),
        "start_ms": start_ns // _NS_PER_MS,
        "end_ms": end_ns // _NS_PER_MS,
        "share_buckets": SHARE_BUCKETS,
        "most_points": 2 * OVERVIEW_BUCKETS,
        "most_fills": _MOST_FILLS,
        "few_fills": _FEW_FILLS,
        "base": traces.base,
        "quote": traces.quote,
        "decimals": traces.decimals,
        "left_out": {
            "market": len(traces.market_ns) - len(market_rows),
            "quotes": len(traces.quotes_ns)
            - len(quote_rows)
            + sum(len(quotes.ts_ns) - len(rows) for quotes, rows in outer),
        },
        "market": _packed(traces.market_ns, start_ns, market_rows, _market_columns(traces)),
        "quotes": _packed(traces.quotes_ns, start_ns, quote_rows, _quote_columns(traces)),
        "outer": [
            _packed(ts_ns, start_ns, rows, {"bid": (bid, traces.tick), "ask": (ask, traces.tick)})
            for (_, ts_ns, bid, ask), rows in outer
        ],
        "fills": _packed(traces.fills_ns, start_ns, slice(None), _fill_columns_of(traces)),
    }


type _Columns = dict[str, tuple[Floats | Ints, float]]


def _packed(ts_ns: Ints, start_ns: int, rows: Ints | slice, columns: _Columns) -> dict[str, Any]:
    """Return rows of columns with their moments: milliseconds since the start, in a unit that fits into 32 bits."""
    since = (ts_ns - start_ns) / _NS_PER_MS
    unit = 1.0 if since.max(initial=0.0) <= _MOST_MS else 1000.0
    return pack({name: (values[rows], of) for name, (values, of) in {"t": (since, unit), **columns}.items()})


def _market_columns(traces: SymbolTraces) -> _Columns:
    market, tick = traces.market, traces.tick
    sizes = np.concatenate([np.abs(market["inventory"]), market["inventory_cap"]])
    largest = float(np.nanmax(sizes)) if np.isfinite(sizes).any() else 1.0
    size_unit = (largest or 1.0) / 1e6
    return {
        "bid": (market["best_bid"], tick),
        "ask": (market["best_ask"], tick),
        "mid": (market["mid_price"], tick / 2),
        "trail": (market["trailing_stop_price"], tick / 100),
        "shift": (traces.shift_bps, 10.0**-_SHIFT_DIGITS),
        "inventory": (market["inventory"], size_unit),
        "cap": (market["inventory_cap"], size_unit),
    }


def _quote_columns(traces: SymbolTraces) -> _Columns:
    return {
        "bid": (traces.quotes["bid_price"], traces.tick),
        "ask": (traces.quotes["ask_price"], traces.tick),
        "bid_reason": (traces.bid_reasons, 1.0),
        "ask_reason": (traces.ask_reasons, 1.0),
    }


def _fill_columns_of(traces: SymbolTraces) -> _Columns:
    units = {"price": traces.tick, "quantity": 1e-8, "commission": 1e-10, "is_buy": 1.0, "is_maker": 1.0}
    return {
        "fee" if name == "commission" else name: (traces.fills[name], unit) for name, unit in units.items()
    }


# -- The overview -------------------------------------------------------------------------------------------


def _overview(traces: SymbolTraces, start_ns: int, end_ns: int) -> Figure:
    """Return the figure as it is before zooming; the page's script knows its traces by ``meta``."""
    shift = traces.shift_bps
    shift_look: dict[str, Any] = {"colour": "@s4", "hover": "%{y:.3f} bps", "row": 3, "is_step": True}
    drawn = [
        *_price_lines(traces),
        _fill_marks(traces, "buys", is_buy=True),
        _fill_marks(traces, "sells", is_buy=False),
        *_inventory_lines(traces),
        _thin_line("shift", "reservation - mid", traces.market_ns, shift, **shift_look),
        *_share_bars(traces, start_ns, end_ns),
    ]
    has_shift = bool((np.nan_to_num(shift) != 0).any())
    titles = (
        f"mid, our quotes and fills, {traces.quote}",
        f"inventory since the start and its cap, {traces.base}",
        f"reservation price minus mid, bps of the mid{'' if has_shift else ': none in this run'}",
        "time without a quote, % of both sides",
    )
    made = figure(drawn, titles, (5, 2, 2, 2), pixels=900, barmode="stack", bargap=0)
    made["layout"]["yaxis"] |= {"tickformat": f",.{traces.decimals}~f"}
    made["layout"]["yaxis2"] |= {"tickformat": ",.8~f"}
    made["layout"]["yaxis3"] |= {"rangemode": "tozero"}
    made["layout"]["yaxis4"] |= {"range": [0, 100]}
    made["layout"]["xaxis"] |= {"range": [start_ns // _NS_PER_MS, end_ns // _NS_PER_MS]}
    return made


def _price_lines(traces: SymbolTraces) -> list[Figure]:
    """Return mid, our quotes and the trailing stop; further levels are thinner, and are hidden with the nearest."""
    price = f"%{{y:,.{traces.decimals}f}} {traces.quote}"
    own = f"%{{y:,.{traces.decimals - 1}f}} {traces.quote}"
    market_ns, market, quotes_ns, quotes = traces.market_ns, traces.market, traces.quotes_ns, traces.quotes
    bid: dict[str, Any] = {"colour": "@bid", "hover": own, "is_step": True}
    ask: dict[str, Any] = {"colour": "@ask", "hover": own, "is_step": True, "dash": "dot"}
    trail: dict[str, Any] = {"colour": "@trail", "hover": price, "dash": "dashdot"}
    outer = [
        _thin_line(side, f"our {side} {number}", ts_ns, prices, width=0.7, **look)
        | {"meta": {"key": side, "level": number}, "legendgroup": side, "showlegend": False}
        for number, ts_ns, bids, asks in traces.outer
        for side, prices, look in (("bid", bids, bid), ("ask", asks, ask))
    ]
    return [
        _thin_line("mid", "mid", market_ns, market["mid_price"], colour="@mid", hover=price, width=1.2),
        _thin_line("bid", "our bid", quotes_ns, quotes["bid_price"], legendgroup="bid", **bid),
        _thin_line("ask", "our ask", quotes_ns, quotes["ask_price"], legendgroup="ask", **ask),
        *outer,
        _thin_line("trail", "trailing stop", market_ns, market["trailing_stop_price"], **trail),
    ]


def _inventory_lines(traces: SymbolTraces) -> list[Figure]:
    """Return the inventory between its caps."""
    size = f"%{{y:,.6~f}} {traces.base}"
    held: dict[str, Any] = {"colour": "@total", "row": 2, "is_step": True, "hover": size}
    cap: dict[str, Any] = held | {"colour": "@warn", "dash": "dash"}
    market_ns, caps = traces.market_ns, traces.market["inventory_cap"]
    return [
        _thin_line("inventory", "inventory", market_ns, traces.market["inventory"], **held),
        _thin_line("cap", "cap", market_ns, caps, **cap),
        _thin_line("floor", "cap, short", market_ns, -caps, **cap) | {"showlegend": False},
    ]


def _thin_line(key: str, name: str, ts_ns: Ints, values: Floats, **look: Any) -> Figure:
    """Return a line of as many points as can be seen, with the key by which the page's script knows it."""
    return thin_line(OVERVIEW_BUCKETS, name, ts_ns, values, meta={"key": key}, **look)


def _fill_marks(traces: SymbolTraces, key: str, *, is_buy: bool) -> Figure:
    """Return the fills of one side as marks: full ones made liquidity, open ones took it."""
    fills = traces.fills
    rows = np.flatnonzero(fills["is_buy"] == float(is_buy))
    rows = rows[thinned_rows(len(rows), _MOST_FILLS)]
    shape = "triangle-up" if is_buy else "triangle-down"
    makers = fills["is_maker"][rows] == 1.0
    word = "bought" if is_buy else "sold"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": word,
        "x": milliseconds(traces.fills_ns[rows]),
        "y": significant(fills["price"][rows]),
        "yaxis": "y",
        "meta": {"key": key},
        "customdata": [
            [quantity, fee, "made liquidity" if maker else "took liquidity"]
            for quantity, fee, maker in zip(
                significant(fills["quantity"][rows]),
                significant(fills["commission"][rows]),
                makers.tolist(),
                strict=True,
            )
        ],
        "marker": {
            "symbol": [shape if maker else f"{shape}-open" for maker in makers.tolist()],
            "color": "@buy" if is_buy else "@sell",
            "size": 9 if len(rows) <= _FEW_FILLS else 5,
            "line": {"width": 1 if len(rows) <= _FEW_FILLS else 0, "color": "@text"},
        },
        "hovertemplate": (
            f"{word} %{{customdata[0]}} {traces.base} at %{{y:,.{traces.decimals - 1}f}} {traces.quote}, "
            f"fee %{{customdata[1]}} {traces.quote}, %{{customdata[2]}}<extra></extra>"
        ),
    }


def _share_bars(traces: SymbolTraces, start_ns: int, end_ns: int) -> list[Figure]:
    shares = reason_shares(traces, start_ns, end_ns, SHARE_BUCKETS)
    width_ms = (end_ns - start_ns) / _NS_PER_MS / SHARE_BUCKETS
    middles = [start_ns / _NS_PER_MS + width_ms * (number + 0.5) for number in range(SHARE_BUCKETS)]
    return [
        bars(
            reason,
            middles,
            significant(shares[code]),
            **hatching(code),
            hover="%{y:.1f} % of the time",
            row=4,
            width=width_ms,
            meta={"key": "reason", "code": code},
            legendgroup="reasons",
        )
        for code, reason in enumerate(traces.reasons)
    ]
