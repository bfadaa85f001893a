"""Answers of Kraken's public REST side, as plain values."""

from collections.abc import Iterable, Mapping
from email.utils import format_datetime
from typing import Any, Final

from mm_nautilus.mock_kraken.commands import DropPair, OddPair, PairStatus, RestFault
from mm_nautilus.mock_kraken.exchange import Exchange
from mm_nautilus.mock_kraken.pairs import Pair, asset_pair
from mm_nautilus.system.moments import moment

_MOST_LEVELS: Final = 500
_DEFAULT_LEVELS: Final = "100"
_UNKNOWN_PAIR: Final = {"error": ["EQuery:Unknown asset pair"]}


def answer(exchange: Exchange, method: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the document that answers a public request.

    The method is ``AssetPairs``, ``Depth``, ``OHLC``, ``Time`` or ``SystemStatus``; anything else is refused.
    """
    fault = exchange.active(RestFault)
    if fault is not None and fault.how == "error":
        return {"error": ["EService:Unavailable"]}
    now = moment(exchange.now_ns())
    match method:
        case "Time":
            result = {"unixtime": int(now.timestamp()), "rfc1123": format_datetime(now, usegmt=True)}
        case "SystemStatus":
            result = {"status": exchange.system_status, "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        case "AssetPairs" if query.get("aclass_base") == "tokenized_asset" or fault is not None:
            result = {}
        case "AssetPairs":
            return _asset_pairs(exchange, query)
        case "Depth":
            return _depth(exchange, query, int(now.timestamp()))
        case "OHLC":
            return _bars(exchange, query)
        case _:
            return {"error": ["EGeneral:Unknown method"]}
    return _result(result)


def _pair(exchange: Exchange, query: Mapping[str, str]) -> Pair | None:
    """Return the pair that a query names; None where it names none that is known."""
    return _by_any_name(market.pair for market in exchange.markets.values()).get(query["pair"])


def _depth(exchange: Exchange, query: Mapping[str, str], seconds: int) -> dict[str, Any]:
    """Return a pair's best levels; each is dated with the present time, as the times of changes are not kept."""
    count = query.get("count", _DEFAULT_LEVELS)
    if "pair" not in query or not count.isdecimal() or not 1 <= int(count) <= _MOST_LEVELS:
        return {"error": ["EGeneral:Invalid arguments"]}
    pair = _pair(exchange, query)
    if pair is None:
        return _UNKNOWN_PAIR
    sides = exchange.book_levels(pair.symbol, int(count))
    return _result(
        {pair.key: {side: [[*level, seconds] for level in sides[side]] for side in ("asks", "bids")}}
    )


def _bars(exchange: Exchange, query: Mapping[str, str]) -> dict[str, Any]:
    """Return a pair's bars of one minute since the venue began, the last one of the minute that goes on."""
    if query.get("interval", "1") != "1" or "pair" not in query:
        return {"error": ["EGeneral:Invalid arguments"]}
    pair = _pair(exchange, query)
    if pair is None:
        return _UNKNOWN_PAIR
    digits = pair.digits
    rows: list[list[Any]] = [
        [
            60 * bar.minute,
            *(digits.price(ticks) for ticks in (bar.open, bar.high, bar.low, bar.close)),
            digits.price(round(bar.value / bar.lots)),
            digits.size(bar.lots),
            bar.trades,
        ]
        for bar in exchange.markets[pair.symbol].minutes
    ]
    return _result({pair.key: rows, "last": rows[-2][0] if len(rows) > 1 else 0})


def _asset_pairs(exchange: Exchange, query: Mapping[str, str]) -> dict[str, Any]:
    pairs = [
        market.pair
        for symbol, market in exchange.markets.items()
        if exchange.active(DropPair, symbol) is None
    ]
    if "pair" in query:
        known = _by_any_name(pairs)
        names = query["pair"].split(",")
        if any(name not in known for name in names):
            return _UNKNOWN_PAIR
        return _result({known[name].key: _entry(exchange, known[name]) for name in names})
    first = asset_pair(next(iter(exchange.markets.values())).pair)
    odd = {
        fault.key: first | fault.fields for fault in exchange.faults.values() if isinstance(fault, OddPair)
    }
    return _result({pair.key: _entry(exchange, pair) for pair in pairs} | odd)


def _entry(exchange: Exchange, pair: Pair) -> dict[str, Any]:
    fault = exchange.active(PairStatus, pair.symbol)
    return asset_pair(pair) | ({} if fault is None else {"status": fault.status})


def _by_any_name(pairs: Iterable[Pair]) -> dict[str, Pair]:
    return {name: pair for pair in pairs for name in (pair.key, pair.altname, pair.wsname, pair.symbol)}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": [], "result": dict(result)}
