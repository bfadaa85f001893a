"""One symbol's market, quotes and fills: packed columns, and the figure that the page's script draws of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mm_nautilus.market.instrument import decimal_places
from mm_nautilus.report.derived import merged_params
from mm_nautilus.report.figures import Figure, bars, figure, hatching, line, pack, thinned_rows
from mm_nautilus.report.fill_rows import FillRows
from mm_nautilus.report.run_files import RunFiles, numbers, texts, times
from mm_nautilus.report.stretches import MINUTE_NS
from mm_nautilus.system.moments import SECOND_NS, nanoseconds

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

MOST_POINTS: Final = 1_200
"""Points that a line is drawn with at once: two of each stretch, its lowest and its highest."""
SHARE_BUCKETS: Final = 120
"""Bars of the time without a quote."""
MOST_FILLS: Final = 400
"""Fills of a side that are drawn at once."""
_FEW_FILLS: Final = 120
"""Fills of both sides that are drawn large."""
MOST_TRADES: Final = 500
"""Trades of the market that are drawn at once, the largest."""
_MOST_ROWS: Final = 130_000
"""Rows of the market, and of the quotes, that the page carries for one symbol: a day and a half of seconds."""
_MOST_MARKET_TRADES: Final = 12_000
"""The market's trades that the page carries for one symbol, the largest."""
_OPENING_NS: Final = (300 * SECOND_NS, 900 * SECOND_NS, 3_600 * SECOND_NS)
_OPENING_FILLS: Final = 3
"""A figure opens at the shortest of these stretches with so many fills."""
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


class MarketTrades(NamedTuple):
    """The trades of everybody, their moments in nanoseconds since the epoch, prices in quote and sizes in base."""

    ts_ns: Ints
    price: Floats
    size: Floats
    direction: Floats
    """1 where the taker bought, -1 where it sold, 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class SymbolTraces:
    """What the run recorded of one symbol; moments are in nanoseconds since the epoch."""

    symbol: str
    base: str
    quote: str
    tick: float
    lot: float
    decimals: int
    """Price and size increment, and the digits behind the point of a mid."""
    market: dict[str, Floats]
    market_ns: Ints
    quotes: dict[str, Floats]
    """Columns of ``market.parquet`` and, of the nearest quotes, ``quotes.parquet``."""
    quotes_ns: Ints
    bid_reasons: Ints
    ask_reasons: Ints
    """For each row of the quotes the number of the reason in `reasons`, -1 while the side is wanted."""
    reasons: tuple[str, ...]
    trades: MarketTrades
    left_out_trades: int
    """How many smaller trades of the market are left out."""
    fills: FillRows
    moves_quotes: bool
    """Whether the quotes' middle may be another price than the mid."""
    outer: tuple[OuterQuotes, ...] = ()
    """Quotes of the levels further out, the nearest first."""

    @property
    def shift_bps(self) -> Floats:
        """Reservation price minus mid, bps of the mid, both of each change of the quotes; free of binary rounding."""
        mid = (self.quotes["best_bid"] + self.quotes["best_ask"]) / 2.0
        return np.round(_BPS * (self.quotes["reservation_price"] / mid - 1.0), _SHIFT_DIGITS)


_MARKET: Final = (
    "best_bid",
    "best_ask",
    "inventory",
    "inventory_cap",
    "trailing_stop_price",
)
_QUOTES: Final = ("bid_price", "ask_price", "best_bid", "best_ask", "reservation_price")
_DIRECTIONS: Final = {"BUY": 1.0, "SELL": -1.0, None: 0.0}


def symbol_traces(files: RunFiles, fills: FillRows) -> SymbolTraces:
    """Read what a run recorded of its fills' symbol; a DataError says that a table is missing or damaged."""
    symbol = fills.symbol
    figures = files.summary["symbols"][symbol]
    market = files.table("market", ["ts_event", *_MARKET], symbol)
    all_quotes = files.table("quotes", ["ts_event", *_QUOTES, "bid_reason", "ask_reason", "level"], symbol)
    quotes = all_quotes.filter(pc.field("level") == 1)
    bid_reasons, ask_reasons = texts(quotes, "bid_reason"), texts(quotes, "ask_reason")
    reasons = tuple(sorted({reason for reason in (*bid_reasons, *ask_reasons) if reason is not None}))
    codes = {reason: code for code, reason in enumerate(reasons)} | {None: -1}
    trades, left_out = _market_trades(files, symbol)
    return SymbolTraces(
        symbol=symbol,
        base=figures["base_currency"],
        quote=figures["currency"],
        tick=float(figures["price_increment"]),
        lot=float(figures["size_increment"]),
        decimals=price_decimals(figures),
        market={name: numbers(market, name) for name in _MARKET},
        market_ns=times(market),
        quotes={name: numbers(quotes, name) for name in _QUOTES},
        quotes_ns=times(quotes),
        bid_reasons=np.array([codes[reason] for reason in bid_reasons], dtype=np.int64),
        ask_reasons=np.array([codes[reason] for reason in ask_reasons], dtype=np.int64),
        reasons=reasons,
        trades=trades,
        left_out_trades=left_out,
        fills=fills,
        moves_quotes=_moves_quotes(merged_params(files)[symbol]),
        outer=_outer_quotes(all_quotes),
    )


def _moves_quotes(params: Mapping[str, Any]) -> bool:
    """Return whether a symbol's parameters let its quotes' middle differ from the mid."""
    is_fair_mid = params.get("fair_price", "mid") == "mid"
    return bool(params.get("use_reservation_price")) or params.get("pricing") is not None or not is_fair_mid


def _market_trades(files: RunFiles, symbol: str) -> tuple[MarketTrades, int]:
    """Return the market's trades, the largest of very many, and how many that leaves out."""
    table = files.table("market_trades", ["ts_event", "price", "size", "aggressor"], symbol)
    sizes = numbers(table, "size")
    if len(sizes) > _MOST_MARKET_TRADES:
        largest = np.argpartition(sizes, -_MOST_MARKET_TRADES)[-_MOST_MARKET_TRADES:]
        table = table.take(np.sort(largest))
    directions = np.array([_DIRECTIONS[side] for side in texts(table, "aggressor")], dtype=np.float64)
    trades = MarketTrades(times(table), numbers(table, "price"), numbers(table, "size"), directions)
    return trades, len(sizes) - len(directions)


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


def opening_span(fills_ns: Ints, start_ns: int, end_ns: int) -> tuple[int, int]:
    """Return the stretch of a run at which its figure opens, nanoseconds since the epoch.

    It is the one with the most fills, of five minutes or, where no such stretch has three, of a quarter of an hour or
    an hour; the whole run where there is no fill or it is no longer than that.
    """
    for length in _OPENING_NS:
        if not len(fills_ns) or end_ns - start_ns <= length:
            break
        counts = np.searchsorted(fills_ns, fills_ns + length, side="right") - np.arange(len(fills_ns))
        if counts.max() >= _OPENING_FILLS or length == _OPENING_NS[-1]:
            first = int(np.argmax(counts))
            last = first + int(counts[first]) - 1
            middle = (int(fills_ns[first]) + int(fills_ns[last])) // 2
            begin = min(max(middle - length // 2, start_ns), end_ns - length)
            return begin, begin + length
    return start_ns, end_ns


def opening_window(
    answer: Mapping[str, Any], fills: Mapping[str, FillRows], start_ns: int, end_ns: int
) -> tuple[str, int, int]:
    """Return at which symbol and stretch the figures open: where the answer says that most was lost, or made.

    It is the pair that lost most of a loss or made most of a profit, within the worst, or the best, stretch of the run
    if it had fills there, else where it had most. Without a result it is the pair with most fills.
    """
    traded = [symbol for symbol, rows in fills.items() if len(rows.ts_ns)]
    result, by_time = answer["result"], answer["by_time"]
    if not traded:
        return next(iter(fills)), start_ns, end_ns
    if result is None or any(answer["pairs"][symbol]["result"] is None for symbol in traded):
        symbol = max(traded, key=lambda name: len(fills[name].ts_ns))
        return symbol, *opening_span(fills[symbol].ts_ns, start_ns, end_ns)
    sign = -1 if result < 0 else 1
    symbol = max(traded, key=lambda name: sign * answer["pairs"][name]["result"])
    fills_ns = fills[symbol].ts_ns
    if by_time is not None and len(by_time["total"]) > 1:
        row = max(range(len(by_time["total"])), key=lambda number: sign * Decimal(by_time["total"][number]))
        begin = nanoseconds(datetime.fromisoformat(by_time["starts"][row]))
        first, last = max(begin, start_ns), min(begin + by_time["minutes"] * MINUTE_NS, end_ns)
        within = fills_ns[(fills_ns >= first) & (fills_ns <= last)]
        if len(within):
            return symbol, *opening_span(within, first, last)
    return symbol, *opening_span(fills_ns, start_ns, end_ns)


def symbol_view(
    traces: SymbolTraces, start_ns: int, end_ns: int, opening_ns: tuple[int, int]
) -> dict[str, Any]:
    """Return what a page shows of one symbol in a run's span and at first, nanoseconds since the epoch.

    ``thinned`` says which tables the page has a part of. ``figure`` has what is drawn without its points, which the
    script takes from the packed columns of ``market``, ``quotes`` and ``trades``, and from those of the fills.
    """
    market_rows = thinned_rows(len(traces.market_ns), _MOST_ROWS)
    quote_rows = thinned_rows(len(traces.quotes_ns), _MOST_ROWS)
    outer = [(quotes, thinned_rows(len(quotes.ts_ns), _MOST_ROWS)) for quotes in traces.outer]
    trades = traces.trades
    trade_columns: _Columns = {
        "price": (trades.price, traces.tick),
        "size": (trades.size, traces.lot),
        "direction": (trades.direction, 1.0),
    }
    return {
        "figure": _figure(traces),
        "reasons": list(traces.reasons),
        "start_ms": start_ns // _NS_PER_MS,
        "end_ms": end_ns // _NS_PER_MS,
        "opening": [edge // _NS_PER_MS for edge in opening_ns],
        "share_buckets": SHARE_BUCKETS,
        "most_points": MOST_POINTS,
        "most_fills": MOST_FILLS,
        "few_fills": _FEW_FILLS,
        "most_trades": MOST_TRADES,
        "base": traces.base,
        "quote": traces.quote,
        "decimals": traces.decimals,
        "thinned": [
            *_thinned("evenly spaced", len(market_rows), len(traces.market_ns), "rows of market.parquet"),
            *_thinned(
                "evenly spaced",
                len(quote_rows) + sum(len(rows) for _, rows in outer),
                len(traces.quotes_ns) + sum(len(quotes.ts_ns) for quotes, _ in outer),
                "rows of quotes.parquet",
            ),
            *_thinned(
                "the largest",
                len(trades.ts_ns),
                len(trades.ts_ns) + traces.left_out_trades,
                "rows of market_trades.parquet",
            ),
        ],
        "market": _packed(traces.market_ns, start_ns, market_rows, _market_columns(traces)),
        "quotes": _packed(traces.quotes_ns, start_ns, quote_rows, _quote_columns(traces)),
        "outer": [
            _packed(ts_ns, start_ns, rows, {"bid": (bid, traces.tick), "ask": (ask, traces.tick)})
            for (_, ts_ns, bid, ask), rows in outer
        ],
        "trades": _packed(trades.ts_ns, start_ns, slice(None), trade_columns),
    }


def _thinned(kind: str, kept: int, count: int, name: str) -> list[str]:
    return [f"{kind} {kept:,} of {count:,} {name}"] if kept < count else []


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
        "best_bid": (market["best_bid"], tick),
        "best_ask": (market["best_ask"], tick),
        "trail": (market["trailing_stop_price"], tick / 100),
        "inventory": (market["inventory"], size_unit),
        "cap": (market["inventory_cap"], size_unit),
    }


def _quote_columns(traces: SymbolTraces) -> _Columns:
    return {
        "bid": (traces.quotes["bid_price"], traces.tick),
        "ask": (traces.quotes["ask_price"], traces.tick),
        "best_bid": (traces.quotes["best_bid"], traces.tick),
        "best_ask": (traces.quotes["best_ask"], traces.tick),
        "bid_reason": (traces.bid_reasons, 1.0),
        "ask_reason": (traces.ask_reasons, 1.0),
        **({"shift": (traces.shift_bps, 10.0**-_SHIFT_DIGITS)} if traces.moves_quotes else {}),
    }


# -- The figure ---------------------------------------------------------------------------------------------


def _figure(traces: SymbolTraces) -> Figure:
    """Return the figure without its points; the page's script knows its traces by ``meta``."""
    rows = [
        (f"touch, our quotes and fills, {traces.quote}", 6.0),
        (f"inventory and max_inventory, {traces.base}", 2.0),
    ]
    drawn = [
        *_price_lines(traces),
        *(_market_marks() if len(traces.trades.ts_ns) else ()),
        *(
            _fill_marks(key, name, colour)
            for key, name, colour, side in (("buys", "bought", "@buy", 1), ("sells", "sold", "@sell", -1))
            if (traces.fills.direction == side).any()
        ),
        _chosen_fill(),
        *_inventory_lines(traces),
    ]
    if traces.moves_quotes:
        rows.append(("reservation price minus mid, bps of the mid", 1.5))
        look: dict[str, Any] = {"colour": "@total", "hover": "%{y:.3f} bps", "is_step": True}
        drawn.append(_line("shift", "reservation - mid", row=len(rows), showlegend=False, **look))
    if traces.reasons:  # an axis without anything on it would be left out
        rows.append(("time without a quote, % of both sides", 1.5))
        drawn += _share_bars(traces, len(rows))
    titles, heights = zip(*rows, strict=True)
    pixels = round(900 * (sum(heights) + 2) / 13)
    made = figure(drawn, titles, heights, pixels=pixels, barmode="stack", bargap=0)
    made["layout"]["yaxis"] |= {"tickformat": f",.{traces.decimals}~f"}
    made["layout"]["yaxis2"] |= {"tickformat": ",.8~f"}
    if traces.moves_quotes:
        made["layout"]["yaxis3"] |= {"rangemode": "tozero"}
    if traces.reasons:
        made["layout"][f"yaxis{len(rows)}"] |= {"range": [0, 100]}
    return made


def _line(key: str, name: str, **look: Any) -> Figure:
    return line(name, [], [], meta={"key": key}, **look)


def _price_lines(traces: SymbolTraces) -> list[Figure]:
    """Return touch, our quotes and the trailing stop; further levels are thinner, and are hidden with the nearest."""
    price = f"%{{y:,.{traces.decimals}f}} {traces.quote}"
    own = f"%{{y:,.{traces.decimals - 1}f}} {traces.quote}"
    touch: dict[str, Any] = {
        "colour": "@market",
        "hover": own,
        "is_step": True,
        "width": 1.2,
        "legendgroup": "touch",
    }
    bid: dict[str, Any] = {"colour": "@bid", "hover": own, "is_step": True, "legendgroup": "bid"}
    ask: dict[str, Any] = {
        "colour": "@ask",
        "hover": own,
        "is_step": True,
        "legendgroup": "ask",
        "dash": "dot",
    }
    trail: dict[str, Any] = {"colour": "@trail", "hover": price, "dash": "dashdot"}
    outer = [
        _line(side, f"our {side} {quotes.level}", width=0.7, **look)
        | {"meta": {"key": side, "level": quotes.level}, "showlegend": False}
        for quotes in traces.outer
        for side, look in (("bid", bid), ("ask", ask))
    ]
    return [
        _line("best_bid", "best bid", **touch) | {"showlegend": False},
        _line("best_ask", "best ask", **touch) | {"name": "touch"},
        _line("bid", "our bid", **bid),
        _line("ask", "our ask", **ask),
        *outer,
        *(
            []
            if np.isnan(traces.market["trailing_stop_price"]).all()
            else [_line("trail", "trailing stop", **trail)]
        ),
    ]


def _marks(key: str, name: str, colour: str, **marker: Any) -> Figure:
    """Return marks whose tooltips the script writes."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [],
        "y": [],
        "text": [],
        "yaxis": "y",
        "meta": {"key": key},
        "marker": {"color": colour, **marker},
        "hovertemplate": "%{text}<extra></extra>",
    }


def _market_marks() -> list[Figure]:
    """Return the market's trades: what takers bought and what they sold by shape; a dot where that is not known."""
    kinds = (("market_buys", "y-up-open"), ("market_sells", "y-down-open"), ("market_unknown", "circle-open"))
    return [
        _marks(key, "the market's trades", "@market", symbol=shape, size=5, opacity=0.7, line={"width": 1})
        | {"legendgroup": "market", "showlegend": key == "market_buys"}
        for key, shape in kinds
    ]


def _fill_marks(key: str, name: str, colour: str) -> Figure:
    """Return our fills of one side: full marks made liquidity, open ones took it."""
    return _marks(key, name, colour, symbol=[], size=11, line={"width": 1, "color": "@text"})


def _chosen_fill() -> Figure:
    """Return the ring around the fill that was chosen."""
    ring = _marks("chosen", "chosen fill", "@text", symbol="circle-open", size=22, line={"width": 2})
    return ring | {"showlegend": False, "hoverinfo": "skip"}


def _inventory_lines(traces: SymbolTraces) -> list[Figure]:
    """Return the inventory between its caps."""
    held: dict[str, Any] = {"row": 2, "is_step": True, "hover": f"%{{y:,.6~f}} {traces.base}"}
    cap: dict[str, Any] = {**held, "colour": "@muted", "dash": "dash"}
    return [
        _line("inventory", "inventory", colour="@total", **held),
        _line("cap", "max_inventory", **cap),
        _line("floor", "max_inventory, short", **cap) | {"showlegend": False},
    ]


def _share_bars(traces: SymbolTraces, row: int) -> list[Figure]:
    return [
        bars(
            reason,
            [],
            [],
            **hatching(code),
            hover="%{y:.1f} % of the time",
            row=row,
            meta={"key": "reason", "code": code},
            legendgroup="reasons",
        )
        for code, reason in enumerate(traces.reasons)
    ]
