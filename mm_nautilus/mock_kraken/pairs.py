"""Kraken's names and figures of a pair, as its REST side tells them."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.mock_kraken.frames import Digits

_SHORT_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""Currencies that Kraken's REST side calls by another name."""

_LONG_NAMES: Final = {
    **{
        code: f"X{code}"
        for code in ("XBT", "XDG", "ETC", "ETH", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC")
    },
    **{code: f"Z{code}" for code in ("AUD", "CAD", "EUR", "GBP", "JPY", "USD")},
}
"""Codes of Kraken's oldest currencies: X before a coin's name, Z before a state's currency."""

_COST_DECIMALS: Final = 8
_PERCENT: Final = 100


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

    A DataError says that two instruments would have the same name, or a lot is not 1, 0.1, 0.01 ..., which is all that
    Kraken's protocol can say.
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
            spec.price_precision,
            spec.size_precision,
            int(spec.price_increment.scaleb(spec.price_precision)),
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
        "cost_decimals": _COST_DECIMALS,
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
    return [] if rate is None else [[0, float(rate * _PERCENT)]]
