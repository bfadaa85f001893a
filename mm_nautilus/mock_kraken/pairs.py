"""One pair at the venue: Kraken's names and figures of it, its book as the feed and as a script have it, its trades."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.mock_kraken.book import BookView, Change, VenueBook
from mm_nautilus.mock_kraken.frames import Digits

_SHORT_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""Currencies that Kraken's REST side calls by another name."""

_LONG_NAMES: Final = {
    **{
        code: f"X{code}"
        for code in ["XBT", "XDG", "ETC", "ETH", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC"]
    },
    **{code: f"Z{code}" for code in ["AUD", "CAD", "EUR", "GBP", "JPY", "USD"]},
}
"""Codes of Kraken's oldest currencies: X before a coin's name, Z before a state's currency."""

_LAST_TRADES: Final = 50
"""Trades that a subscription to trades is answered with."""
_MINUTES_KEPT: Final = 720
_MINUTE_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair at the venue."""

    spec: InstrumentSpec
    symbol: str
    """Its name in WebSocket v2, such as ``XRP/BTC``."""
    key: str
    altname: str
    wsname: str
    """Its key and its other names in REST answers, such as ``XXRPXXBT``, ``XRPXBT`` and ``XRP/XBT``."""
    base: str
    quote: str
    """The currencies' codes there, such as ``XXRP`` and ``XXBT``."""
    digits: Digits

    def ticks_and_lots(self, price: Decimal, size: Decimal) -> tuple[int, int]:
        """Return a price and a size as multiples of the pair's increments; a ConfigError says that either is none."""
        return self._multiple("price", price), self._multiple("size", size)

    def _multiple(self, name: str, value: Decimal) -> int:
        increment: Decimal = getattr(self.spec, f"{name}_increment")
        count = value / increment
        if count != int(count):
            raise ConfigError(
                f"{name} of {self.spec.symbol} must be a multiple of {increment:f}, was {value:f}"
            )
        return int(count)


def kraken_pairs(specs: Iterable[InstrumentSpec]) -> dict[str, Pair]:
    """Return the pairs of instruments by their WebSocket v2 names.

    A DataError says that an instrument is no spot pair, two of them would have the same name, or a lot is not 1, 0.1,
    0.01 ..., as Kraken's protocol requires.
    """
    pairs: dict[str, Pair] = {}
    for spec in specs:
        pair = _kraken_pair(spec)
        if pair.symbol in pairs:
            other = pairs[pair.symbol].spec.instrument_id
            raise DataError(f"{spec.instrument_id} and {other} would both be {pair.symbol}; play one of them")
        pairs[pair.symbol] = pair
    return pairs


def _kraken_pair(spec: InstrumentSpec) -> Pair:
    if spec.kind != "spot":
        raise DataError(
            f"{spec.instrument_id} is a {spec.kind}; the local venue speaks Kraken's protocol of spot pairs"
        )
    if spec.size_increment != Decimal(1).scaleb(-spec.size_precision):
        raise DataError(
            f"the lot of {spec.instrument_id} must be 1, 0.1, 0.01 ... to be expressed in Kraken's protocol, "
            f"was {spec.size_increment}"
        )
    short = [_SHORT_NAMES.get(code, code) for code in (spec.base, spec.quote)]
    base, quote = (_LONG_NAMES.get(code, code) for code in short)
    # Only pairs of two old currencies keep their long names in the key.
    is_old = all(code in _LONG_NAMES for code in short)
    return Pair(
        spec=spec,
        symbol=f"{spec.base}/{spec.quote}",
        key=base + quote if is_old else "".join(short),
        altname="".join(short),
        wsname="/".join(short),
        base=base,
        quote=quote,
        digits=Digits(
            spec.price_precision, spec.size_precision, int(spec.price_increment.scaleb(spec.price_precision))
        ),
    )


def asset_pair(pair: Pair) -> dict[str, Any]:
    """Return the entry of a pair in the answer of ``AssetPairs``; what the instrument leaves open is left out."""
    spec = pair.spec
    entry: dict[str, Any] = {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": pair.base,
        "aclass_quote": "currency",
        "quote": pair.quote,
        "lot": "unit",
        "cost_decimals": 8,
        "pair_decimals": spec.price_precision,
        "lot_decimals": spec.size_precision,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": _fee_table(spec.taker_fee_rate),
        "fees_maker": _fee_table(spec.maker_fee_rate),
        "fee_volume_currency": "ZUSD",
        "tick_size": f"{spec.price_increment:f}",
        "status": "online",
    }
    for name, value in (("ordermin", spec.min_quantity), ("costmin", spec.min_notional)):
        if value is not None:
            entry[name] = f"{value:f}"
    return entry


def _fee_table(rate: Decimal | None) -> list[list[float]]:
    """Return one tier, from volume 0 on, of a fee in percent."""
    return [] if rate is None else [[0, float(100 * rate)]]


@dataclass(slots=True)
class MinuteBar:
    """The trades of one minute since the epoch: prices in ticks, sizes in lots, value in ticks times lots."""

    minute: int
    open: int
    high: int
    low: int
    close: int = 0
    value: int = 0
    lots: int = 0
    trades: int = 0


class Market:
    """One pair's state: the feed's book, the book that a test has set instead, and the last trades."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.book = VenueBook()
        self.script: VenueBook | None = None
        self.last_trades: deque[str] = deque(maxlen=_LAST_TRADES)
        # Ids count from the venue's start in microseconds, so that a venue that is started again uses none twice.
        self.next_trade_id = time.time_ns() // 1000
        self.minutes: deque[MinuteBar] = deque(maxlen=_MINUTES_KEPT)

    def add_to_minute(self, now_ns: int, ticks: int, lots: int) -> None:
        """Count a trade into the bar of its minute."""
        minute = now_ns // _MINUTE_NS
        if not self.minutes or self.minutes[-1].minute != minute:
            self.minutes.append(MinuteBar(minute, ticks, ticks, ticks))
        bar = self.minutes[-1]
        bar.high, bar.low, bar.close = max(bar.high, ticks), min(bar.low, ticks), ticks
        bar.value, bar.lots, bar.trades = bar.value + ticks * lots, bar.lots + lots, bar.trades + 1

    def is_above_mid(self, ticks: int) -> bool:
        """Return whether a price is nearer to the feed's asks than to its bids; False for a book without a side."""
        touch = self.book.view(1)
        return bool(touch.bids and touch.asks) and 2 * ticks > touch.bids[0][0] + touch.asks[0][0]

    def set_script(self, changes: Iterable[Change]) -> None:
        """Show a book of these levels instead of the feed's."""
        script = VenueBook()
        script.apply(changes)
        self.script = script

    def view(self, depth: int, cross_ticks: int = 0) -> BookView:
        """Return what a subscriber is to see; `cross_ticks` above 0 crosses it."""
        shown = self.book if self.script is None else self.script
        return shown.crossed_view(depth, cross_ticks) if cross_ticks else shown.view(depth)
