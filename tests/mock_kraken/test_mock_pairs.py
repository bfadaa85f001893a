"""Kraken's names of pairs, and the answers of its public REST side."""

import functools
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.errors import DataError
from mm_nautilus.mock_kraken.exchange import Exchange
from mm_nautilus.mock_kraken.frames import Digits
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.pairs import asset_pair, kraken_pairs
from mm_nautilus.mock_kraken.server import answer

NOW_NS = 1_795_340_000_123_456_789


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: NOW_NS)


@functools.cache
def simulated() -> Exchange:
    return Exchange(VenueOptions())


def asked(method: str, exchange: Exchange | None = None, **query: str) -> dict[str, Any]:
    return answer(exchange or simulated(), method, query)


def test_names_are_krakens() -> None:
    pairs = {symbol: market.pair for symbol, market in simulated().markets.items()}
    names = {
        symbol: (pair.key, pair.altname, pair.wsname, pair.base, pair.quote) for symbol, pair in pairs.items()
    }
    assert names == {
        "XRP/USDT": ("XRPUSDT", "XRPUSDT", "XRP/USDT", "XXRP", "USDT"),
        "BTC/USDT": ("XBTUSDT", "XBTUSDT", "XBT/USDT", "XXBT", "USDT"),
        "XRP/BTC": ("XXRPXXBT", "XRPXBT", "XRP/XBT", "XXRP", "XXBT"),
    }


def test_asset_pairs_tell_the_instruments_figures() -> None:
    result = asked("AssetPairs")["result"]
    assert set(result) == {"XRPUSDT", "XBTUSDT", "XXRPXXBT"}
    entry = result["XBTUSDT"]
    wanted = {
        "tick_size": "0.1",
        "pair_decimals": 1,
        "lot_decimals": 8,
        "ordermin": "0.00005000",
        "costmin": "0.5",
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "status": "online",
    }
    assert {name: entry[name] for name in wanted} == wanted
    assert result["XXRPXXBT"]["tick_size"] == "0.00000001"
    assert result["XXRPXXBT"]["lot_decimals"] == 6


def test_what_an_instrument_leaves_open_is_left_out() -> None:
    spec = replace(
        KRAKEN_SPOT["XRP/USDT"],
        min_quantity=None,
        min_notional=None,
        maker_fee_rate=None,
        taker_fee_rate=None,
    )
    (pair,) = kraken_pairs([spec]).values()
    entry = asset_pair(pair)
    assert not {"ordermin", "costmin"} & set(entry)
    assert entry["fees"] == entry["fees_maker"] == []


@pytest.mark.parametrize("name", ["XXRPXXBT", "XRPXBT", "XRP/XBT", "XRP/BTC"])
def test_asset_pairs_of_one_pair_by_any_of_its_names(name: str) -> None:
    assert list(asked("AssetPairs", pair=name)["result"]) == ["XXRPXXBT"]


def test_asset_pairs_of_an_unknown_pair_and_of_tokenized_assets() -> None:
    assert asked("AssetPairs", pair="XRPXBT,NONE") == {"error": ["EQuery:Unknown asset pair"]}
    assert asked("AssetPairs", aclass_base="tokenized_asset") == {
        "error": [],
        "result": {},
    }


def test_time_status_and_unknown_methods() -> None:
    assert asked("Time")["result"] == {
        "unixtime": 1_795_340_000,
        "rfc1123": "Sun, 22 Nov 2026 09:33:20 GMT",
    }
    assert asked("SystemStatus")["result"] == {
        "status": "online",
        "timestamp": "2026-11-22T09:33:20Z",
    }
    assert asked("Balance") == {"error": ["EGeneral:Unknown method"]}


def test_ticks_that_are_no_power_of_ten_can_be_told() -> None:
    spec = replace(KRAKEN_SPOT["BTC/USDT"], price_increment=Decimal("0.25"))
    (pair,) = kraken_pairs([spec]).values()
    assert pair.digits == Digits(price_decimals=2, size_decimals=8, units_per_tick=25)
    assert asset_pair(pair)["tick_size"] == "0.25"


def test_lots_that_cannot_be_told_are_refused() -> None:
    spec = replace(KRAKEN_SPOT["BTC/USDT"], size_increment=Decimal("0.5"))
    with pytest.raises(DataError, match=r"the lot of BTC/USDT\.KRAKEN must be 1, 0\.1, 0\.01 .*, was 0\.5"):
        kraken_pairs([spec])


def test_one_pair_of_two_venues_is_refused() -> None:
    spec = KRAKEN_SPOT["BTC/USDT"]
    with pytest.raises(DataError, match=r"BTC/USDT\.OTHER and BTC/USDT\.KRAKEN would both be BTC/USDT"):
        kraken_pairs([spec, replace(spec, venue="OTHER")])


def test_a_contract_is_refused() -> None:
    spec = replace(KRAKEN_SPOT["BTC/USDT"], kind="perpetual")
    with pytest.raises(DataError, match=r"BTC/USDT\.KRAKEN is a perpetual; the local venue speaks"):
        kraken_pairs([spec])


# -- Books --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["XXRPXXBT", "XRPXBT", "XRP/XBT", "XRP/BTC"])
def test_the_best_levels_of_a_book_are_told_under_any_name(name: str) -> None:
    best = simulated().book_levels("XRP/BTC", 1)
    assert asked("Depth", pair=name, count="1") == {
        "error": [],
        "result": {"XXRPXXBT": {side: [[*best[side][0], NOW_NS // 1_000_000_000]] for side in best}},
    }


@pytest.mark.parametrize(("count", "levels_told"), [("2", 2), ("12", 12)])
def test_no_more_levels_are_told_than_asked_for(count: str, levels_told: int) -> None:
    (book,) = asked("Depth", pair="XBTUSDT", count=count)["result"].values()
    assert [len(side) for side in book.values()] == [levels_told, levels_told]
    assert asked("Depth", pair="XBTUSDT") == asked("Depth", pair="XBTUSDT", count="100")


@pytest.mark.parametrize(
    "query", [{}, *({"pair": "XBTUSDT", "count": count} for count in ("0", "501", "-1", "1.5", "all"))]
)
def test_a_request_for_a_book_that_makes_no_sense_is_refused(query: dict[str, str]) -> None:
    assert asked("Depth", **query) == {"error": ["EGeneral:Invalid arguments"]}


def test_a_book_of_an_unknown_pair_is_refused() -> None:
    assert asked("Depth", pair="DOGEUSD") == {"error": ["EQuery:Unknown asset pair"]}


# -- Bars ---------------------------------------------------------------------------------------------------


def test_trades_make_bars_of_their_minutes() -> None:
    exchange = Exchange(VenueOptions())
    for at_ns, trades in (
        (60_000_000_000, [(True, 235_000, 1_000_000), (False, 234_000, 3_000_000)]),
        (119_000_000_000, [(True, 236_000, 1_000_000)]),
        (185_000_000_000, [(True, 235_500, 2_000_000)]),
    ):
        for _, ticks, lots in trades:
            exchange.markets["XRP/USDT"].add_to_minute(at_ns, ticks, lots)
    document = answer(exchange, "OHLC", {"pair": "XRPUSDT", "interval": "1"})
    assert document == {
        "error": [],
        "result": {
            "XRPUSDT": [
                [60, "2.35000", "2.36000", "2.34000", "2.36000", "2.34600", "5.000000", 3],
                [180, "2.35500", "2.35500", "2.35500", "2.35500", "2.35500", "2.000000", 1],
            ],
            "last": 60,
        },
    }


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, "EGeneral:Invalid arguments"),
        ({"pair": "XRPUSDT", "interval": "5"}, "EGeneral:Invalid arguments"),
        ({"pair": "DOGEUSD"}, "EQuery:Unknown asset pair"),
    ],
)
def test_bars_that_are_not_there_are_refused(query: dict[str, str], error: str) -> None:
    assert asked("OHLC", **query) == {"error": [error]}
