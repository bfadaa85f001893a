"""Answers of Kraken's public REST side, as plain values."""

from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any, Final

from mm_nautilus.mock_kraken.faults import Faults
from mm_nautilus.mock_kraken.pairs import Pair, asset_pair
from mm_nautilus.system.moments import moment

__all__ = ["Levels", "answer"]

type Levels = Callable[[str, int], Mapping[str, list[list[str]]]]
"""Returns ``bids`` and ``asks`` of a pair to a depth, best first, each level a price and a size as decimal text."""

_TOKENIZED: Final = "tokenized_asset"
_MOST_LEVELS: Final = 500
_DEFAULT_LEVELS: Final = "100"


def answer(
    method: str,
    query: Mapping[str, str],
    pairs: Mapping[str, Pair],
    now_ns: int,
    levels: Levels,
    *,
    faults: Faults | None = None,
) -> dict[str, Any]:
    """Return the document that answers a public request.

    Parameters
    ----------
    method
        The last part of the path: ``AssetPairs``, ``Depth``, ``Time`` or ``SystemStatus``.
    query
        The request's parameters.
    pairs
        The venue's pairs.
    now_ns
        The venue's time, nanoseconds since the epoch.
    levels
        Tells a pair's book.
    faults
        What is wrong with the list of pairs, and with the venue.
    """
    faults = faults or Faults()
    if faults.rest == "error":
        return _error("EService:Unavailable")
    now = moment(now_ns)
    if method == "Time":
        return _result({"unixtime": int(now.timestamp()), "rfc1123": format_datetime(now, usegmt=True)})
    if method == "SystemStatus":
        return _result({"status": faults.system_status, "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")})
    if method == "AssetPairs":
        return _asset_pairs(query, pairs, faults)
    if method == "Depth":
        return _depth(query, pairs, int(now.timestamp()), levels)
    return _error("EGeneral:Unknown method")


def _depth(
    query: Mapping[str, str], pairs: Mapping[str, Pair], seconds: int, levels: Levels
) -> dict[str, Any]:
    """Return a pair's best levels; the times of their last changes, which nobody keeps, are all the present one."""
    count = query.get("count", _DEFAULT_LEVELS)
    if "pair" not in query or not count.isdecimal() or not 1 <= int(count) <= _MOST_LEVELS:
        return _error("EGeneral:Invalid arguments")
    pair = _by_any_name(pairs).get(query["pair"])
    if pair is None:
        return _error("EQuery:Unknown asset pair")
    sides = levels(pair.symbol, int(count))
    return _result(
        {pair.key: {side: [[*level, seconds] for level in sides[side]] for side in ("asks", "bids")}}
    )


def _by_any_name(pairs: Mapping[str, Pair]) -> dict[str, Pair]:
    return {
        name: pair for pair in pairs.values() for name in (pair.key, pair.altname, pair.wsname, pair.symbol)
    }


def _asset_pairs(query: Mapping[str, str], pairs: Mapping[str, Pair], faults: Faults) -> dict[str, Any]:
    if query.get("aclass_base") == _TOKENIZED or faults.rest == "empty":
        return _result({})
    listed = {symbol: pair for symbol, pair in pairs.items() if symbol not in faults.dropped}
    if "pair" not in query:
        return _result({pair.key: _entry(pair, faults) for pair in listed.values()} | faults.odd_pairs)
    known = _by_any_name(listed)
    names = query["pair"].split(",")
    if any(name not in known for name in names):
        return _error("EQuery:Unknown asset pair")
    return _result({known[name].key: _entry(known[name], faults) for name in names})


def _entry(pair: Pair, faults: Faults) -> dict[str, Any]:
    entry = asset_pair(pair)
    return entry | {"status": faults.pair_statuses.get(pair.symbol, entry["status"])}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": [], "result": dict(result)}


def _error(text: str) -> dict[str, Any]:
    return {"error": [text]}
