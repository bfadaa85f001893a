"""A market as each kind of table writes it: whole books and trades, made at random, exact."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from mm_nautilus.market.instrument import InstrumentSpec

BTC = InstrumentSpec("BTC/USDT", "BINANCE", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))
T0_MS = 1_736_500_000_000
TICK, LOT = BTC.price_increment, BTC.size_increment


def price(ticks):
    return str(ticks * TICK)


def size(lots):
    return f"{lots * LOT:f}"


def iso(ms):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")


def made_books(count=60, levels=5, seed=4):
    """Return (ms, bids, asks) of whole books, each side a mapping of ticks to lots."""
    rng, found, mid = random.Random(seed), [], 10_000
    for number in range(count):
        mid += rng.choice((-2, -1, 0, 0, 0, 1, 2))
        depth = levels if number % 7 else levels - 2
        bids = {mid - 1 - step: rng.randint(1, 4) * 7 for step in rng.sample(range(levels + 2), depth)}
        asks = {mid + 1 + step: rng.randint(1, 4) * 9 for step in rng.sample(range(levels + 2), depth)}
        found.append((T0_MS + 100 * number, bids, asks))
    return found


def changes(books):
    """Return (ms, is snapshot, side, ticks, lots) of books as levels that change."""
    found, before = [], None
    for ms, bids, asks in books:
        for name, now, at in (("bid", bids, 0), ("ask", asks, 1)):
            old = {} if before is None else before[at]
            levels = {**dict.fromkeys(old, 0), **now}
            found += [
                (ms, before is None, name, ticks, lots)
                for ticks, lots in levels.items()
                if old.get(ticks) != lots
            ]
        before = (bids, asks)
    return found


def made_trades(count=40, seed=5):
    """Return (ms, id, side, ticks, lots), several of one moment among them."""
    rng = random.Random(seed)
    return [
        (T0_MS + 30 + 50 * (number // 2), 7000 + number, rng.choice(("buy", "sell")), 10_000 + rng.randint(-9, 9),
         rng.randint(1, 10**6))
        for number in range(count)
    ]  # fmt: skip


def wide(book, levels, order):
    """Return prices and sizes of one book's levels, best first, in an order of (side, field)."""
    _, bids, asks = book
    sides = {"bid": sorted(bids.items(), reverse=True), "ask": sorted(asks.items())}
    cells = []
    for level in range(levels):
        for side, field in order:
            pair = sides[side][level] if level < len(sides[side]) else None
            cells.append("" if pair is None else price(pair[0]) if field == "price" else size(pair[1]))
    return cells
