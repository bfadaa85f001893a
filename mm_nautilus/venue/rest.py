"""Answers of Kraken's public REST side, as plain values."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from mm_nautilus.venue.pairs import Pair, asset_pair

__all__ = ["answer"]

_TOKENIZED = "tokenized_asset"


def answer(method: str, query: Mapping[str, str], pairs: Mapping[str, Pair], now_ns: int) -> dict[str, Any]:
    """Return the document that answers a public request.

    Parameters
    ----------
    method
        The last part of the path: ``AssetPairs``, ``Time`` or ``SystemStatus``.
    query
        The request's parameters.
    pairs
        The venue's pairs.
    now_ns
        The venue's time, nanoseconds since the epoch.
    """
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    if method == "Time":
        return _result({"unixtime": int(now.timestamp()), "rfc1123": format_datetime(now, usegmt=True)})
    if method == "SystemStatus":
        return _result({"status": "online", "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")})
    if method == "AssetPairs":
        return _asset_pairs(query, pairs)
    return _error("EGeneral:Unknown method")


def _asset_pairs(query: Mapping[str, str], pairs: Mapping[str, Pair]) -> dict[str, Any]:
    if query.get("aclass_base") == _TOKENIZED:
        return _result({})
    if "pair" not in query:
        return _result({pair.key: asset_pair(pair) for pair in pairs.values()})
    known = {
        name: pair for pair in pairs.values() for name in (pair.key, pair.altname, pair.wsname, pair.symbol)
    }
    names = query["pair"].split(",")
    if any(name not in known for name in names):
        return _error("EQuery:Unknown asset pair")
    return _result({known[name].key: asset_pair(known[name]) for name in names})


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": [], "result": dict(result)}


def _error(text: str) -> dict[str, Any]:
    return {"error": [text]}
