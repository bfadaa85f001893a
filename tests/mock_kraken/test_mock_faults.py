"""Every fault, as a client on the network sees it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from venue_client import SYMBOLS, Client, Served, on

from mm_nautilus.errors import ConfigError
from mm_nautilus.mock_kraken.commands import FAULTS, LastingFault

BOOK = ([("2.34", 10), ("2.33", 20)], [("2.36", 30), ("2.37", 40)])


async def subscribed(client: Client, *symbols: str) -> None:
    """Subscribe to books and trades and wait for the snapshots."""
    await client.subscribe("book", *symbols)
    await client.subscribe("trade", *symbols)
    if any(client.snapshots[symbol] == 0 for symbol in symbols):
        await client.until(lambda _: all(client.snapshots[symbol] for symbol in symbols))


async def hear_all(served: Served, client: Client) -> None:
    """Read what was sent to the only client before the venue stopped sending."""
    (connection,) = (await served.control("state"))["clients"]
    while client.received < connection["frames_sent"]:
        await client.read()


async def resize(served: Served, size: int) -> None:
    """Change the size of the best bid of XRP/USDT."""
    await served.control("set_book", "XRP/USDT", [("2.34", size)], [("2.36", 30)])


def best_bid(client: Client) -> list[str]:
    return client.levels("XRP/USDT")["bids"][0]


# -- Withheld data ------------------------------------------------------------------------------------------


@on(heartbeat_seconds=0.02, paused=True)
async def test_quiet_withholds_one_pairs_data_and_nothing_else(served: Served) -> None:
    async with served.client() as client:
        await subscribed(client, "XRP/USDT", "BTC/USDT")
        await served.control("quiet", ["XRP/USDT"])
        await resize(served, 77)
        await served.control("trade", "XRP/USDT", "buy", "2.36", 1)
        await served.control("trade", "BTC/USDT", "buy", "100000.0", 1)
        await client.until(lambda _: bool(client.trades))
        beats = client.heartbeats
        await client.until(lambda _: client.heartbeats > beats + 3)
        assert (await client.ask(method="ping"))["method"] == "pong"
        assert [row["symbol"] for row in client.trades] == ["BTC/USDT"]
        assert client.updates["XRP/USDT"] == 0
        assert (await served.control("state"))["faults"] == {
            "quiet XRP/USDT": {"symbols": ["XRP/USDT"], "seconds": None}
        }
        await served.control("clear_faults")
        await client.until(lambda _: client.updates["XRP/USDT"] == 1)
        assert best_bid(client) == ["2.34000", "77.000000"]
        assert client.mismatches["XRP/USDT"] == 0


async def test_who_subscribes_to_a_quiet_pair_gets_its_snapshot_afterwards(served: Served) -> None:
    await served.control("quiet")
    assert sorted((await served.control("state"))["faults"]) == sorted(f"quiet {each}" for each in SYMBOLS)
    async with served.client() as client:
        (answer,) = await client.subscribe("book", "XRP/USDT")
        assert answer["success"] is True
        await resize(served, 5)
        assert (await client.ask(method="ping"))["method"] == "pong"
        assert client.snapshots["XRP/USDT"] == 0
        await served.control("clear_faults")
        await client.until(lambda _: client.snapshots["XRP/USDT"] == 1)
        await resize(served, 6)
        await client.until(lambda _: client.updates["XRP/USDT"] == 1)
        assert best_bid(client) == ["2.34000", "6.000000"]
        assert client.mismatches["XRP/USDT"] == 0


async def test_a_fault_with_seconds_ends_by_itself_and_the_last_word_counts(served: Served) -> None:
    await served.control("quiet", ["BTC/USDT"], seconds=3600)
    await served.control("quiet", ["BTC/USDT"], seconds=0.05)
    await served.control("crossed_book", "XRP/USDT", seconds=0.05)
    while (await served.control("state"))["faults"]:
        await asyncio.sleep(0.01)


@on(heartbeat_seconds=0.01, paused=True)
async def test_silence_sends_no_byte_and_answers_afterwards(served: Served) -> None:
    async with served.client() as client:
        await subscribed(client, "XRP/USDT")
        await served.control("silence")
        await hear_all(served, client)
        heard = (client.heartbeats, client.updates["XRP/USDT"])
        await resize(served, 9)
        await served.control("trade", "XRP/USDT", "buy", "2.36", 1)
        await client.socket.send_json({"method": "ping", "req_id": 5})
        await client.socket.ping(b"x")
        rest = asyncio.create_task(served.rest("/0/public/Time"))
        other = asyncio.create_task(served.http.ws_connect(served.addresses.websocket_url))
        await client.hear_nothing()
        assert (client.heartbeats, client.updates["XRP/USDT"]) == heard
        assert client.pongs == 0
        assert not rest.done()
        assert not other.done()
        await served.control("clear_faults")
        await client.until(lambda frame: frame.get("req_id") == 5)
        await client.until(lambda _: client.pongs == 1)
        assert best_bid(client) == ["2.34000", "9.000000"]
        assert client.mismatches["XRP/USDT"] == 0
        assert client.trades == []
        assert (await rest)["error"] == []
        await (await other).close()


async def test_a_deaf_venue_forgets_requests_and_goes_on_sending(served: Served) -> None:
    async with served.client() as client:
        await subscribed(client, "XRP/USDT")
        await served.control("deaf")
        params = {"channel": "book", "symbol": ["BTC/USDT"]}
        await client.socket.send_json({"method": "subscribe", "params": params, "req_id": 1})
        while not (await served.control("requests"))[-1].get("ignored"):
            await asyncio.sleep(0.01)
        await resize(served, 3)
        await client.until(lambda _: client.updates["XRP/USDT"] == 1)
        await served.control("clear_faults")
        client.depths["BTC/USDT"] = 10
        answer = await client.ask(method="subscribe", params=params, req_id=2)
        assert (answer["success"], answer["req_id"]) == (True, 2)


async def test_a_venue_that_is_deaf_to_a_channel_answers_the_others(served: Served) -> None:
    async with served.client() as client:
        await served.control("deaf", channel="trade")
        trades = {"channel": "trade", "symbol": ["XRP/USDT"]}
        await client.socket.send_json({"method": "subscribe", "params": trades, "req_id": 1})
        await client.subscribe("book", "XRP/USDT")
        asked = [row for row in await served.control("requests") if row["kind"] == "websocket"]
        assert [row["ignored"] for row in asked] == [True, False]
        assert (await served.control("state"))["subscriptions"] == 1
        await served.control("clear_faults")
        answer = await client.ask(method="subscribe", params=trades, req_id=2)
        assert (answer["success"], answer["req_id"]) == (True, 2)


# -- Connections --------------------------------------------------------------------------------------------


async def test_disconnect_resets_every_connection(served: Served) -> None:
    async with served.client() as one, served.client() as other:
        await subscribed(one, "XRP/USDT")
        assert await served.control("disconnect") == 2
        for client in (one, other):
            with pytest.raises(ConnectionError):
                await client.until(lambda _: False)
    async with served.client() as back:
        await subscribed(back, "XRP/USDT")
        assert (await served.control("state"))["clients"][-1]["books"] == {"XRP/USDT": 10}


async def test_refusing_by_status_503(served: Served) -> None:
    async with served.client() as client:
        await client.read()
        assert await served.control("refuse_reconnect") == 1
        with pytest.raises(ConnectionError):
            await client.until(lambda _: False)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await served.http.ws_connect(served.addresses.websocket_url)
    assert caught.value.status == 503
    async with served.http.get(served.addresses.rest_url + "/0/public/Time") as response:
        assert response.status == 503
    await served.control("clear_faults")
    async with served.client() as client:
        assert (await client.read())["channel"] == "status"


async def test_refusing_connections_until_the_time_is_up(served: Served) -> None:
    await served.control("refuse_reconnect", how="refused")
    with pytest.raises(aiohttp.ClientConnectorError):
        await served.http.ws_connect(served.addresses.websocket_url)
    assert (await served.control("state"))["faults"] == {
        "refuse_reconnect": {"how": "refused", "seconds": None}
    }
    await served.control("refuse_reconnect", seconds=0.05, how="refused")
    while True:
        try:
            async with served.client() as client:
                assert (await client.read())["channel"] == "status"
                break
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.01)


async def test_a_closed_venue_whose_port_is_taken_opens_when_it_is_free_again(served: Served) -> None:
    await served.control("refuse_reconnect", how="refused")
    port = int(served.addresses.rest_url.rpartition(":")[2])
    squatter = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
    clearing = asyncio.create_task(served.control("clear_faults"))
    await asyncio.sleep(0.1)
    assert not clearing.done()
    squatter.close()
    await squatter.wait_closed()
    await clearing
    async with served.client() as client:
        assert (await client.read())["channel"] == "status"


@pytest.mark.parametrize("then", ["silent", "abort"])
@on(heartbeat_seconds=0.01, paused=True)
async def test_half_a_message_never_becomes_a_whole_one(served: Served, then: str) -> None:
    async with served.client() as client:
        await subscribed(client, "XRP/USDT")
        assert await served.control("half_message", then=then) == 1
        await resize(served, 3)
        if then == "silent":
            await hear_all(served, client)
            await client.socket.ping(b"x")
            await client.hear_nothing()
        else:
            with pytest.raises(ConnectionError):
                await client.until(lambda _: False)
        assert client.updates["XRP/USDT"] == 0
        assert client.trades == []
    async with served.client() as back:
        await subscribed(back, "XRP/USDT")
        assert best_bid(back) == ["2.34000", "3.000000"]


# -- Wrong data ---------------------------------------------------------------------------------------------


async def test_wrong_checksums_are_as_many_as_told(served: Served) -> None:
    async with served.client() as client:
        await subscribed(client, "XRP/USDT", "BTC/USDT")
        await served.control("wrong_checksum", 2, "XRP/USDT")
        for size in range(1, 6):
            await resize(served, size)
        await client.until(lambda _: client.updates["XRP/USDT"] == 5)
        assert client.mismatches == dict.fromkeys(SYMBOLS, 0) | {"XRP/USDT": 2}
        await served.control("wrong_checksum", 1)
        assert (await served.control("state"))["faults"] == {
            f"wrong_checksum {symbol}": {"frames": 1, "symbol": symbol, "seconds": None} for symbol in SYMBOLS
        }


async def test_a_crossed_book_has_a_true_checksum_and_stays_crossed(served: Served) -> None:
    async with served.client() as client:
        await subscribed(client, "XRP/USDT")
        await served.control("set_book", "XRP/USDT", *BOOK)
        await served.control("crossed_book", "XRP/USDT", 3)
        await client.until(lambda _: best_bid(client)[0] == "2.36003")
        assert client.levels("XRP/USDT")["asks"][0][0] == "2.36000"
        assert (await served.control("state"))["symbols"]["XRP/USDT"]["bid"][0] == "2.36003"
        await served.control("set_book", "XRP/USDT", BOOK[0], [("2.35", 1)])
        await client.until(lambda _: best_bid(client)[0] == "2.35003")
        await served.control("clear_faults")
        await client.until(lambda _: best_bid(client)[0] == "2.34000")
        assert client.mismatches["XRP/USDT"] == 0
        assert client.levels("XRP/USDT") == await served.control("book", "XRP/USDT")


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("text", "<html>502 Bad Gateway</html>"),
        ("missing_field", '"bids":[{"cost":1,"qty":1}]'),
        ("wrong_type", '"bids":[{"price":"one","qty":1}]'),
    ],
)
async def test_garbage_is_sent_once_and_breaks_nothing_else(served: Served, kind: str, sent: str) -> None:
    async with served.client() as client:
        await subscribed(client, "BTC/USDT")
        await served.control("garbage", kind, "BTC/USDT")
        while sent not in (await client.socket.receive_str(timeout=120)):
            pass
        await served.control("trade", "BTC/USDT", "buy", "100000.0", 1)
        await client.until(lambda _: bool(client.trades))


async def test_any_frame_can_be_sent(served: Served) -> None:
    async with served.client() as client:
        await client.read()
        await served.control("send", '{"channel":"status","system":"maintenance"}')
        assert await client.read() == {"channel": "status", "system": "maintenance"}


async def test_a_skewed_clock_shows_in_every_timestamp(served: Served) -> None:
    await served.control("clock_skew", -3600)
    async with served.client() as client:
        began = datetime.now(UTC)
        (answer,) = await client.subscribe("trade", "XRP/USDT")
        await served.control("trade", "XRP/USDT", "buy", "2.36", 1)
        await client.until(lambda _: bool(client.trades))
        for text in (answer["time_in"], answer["time_out"], client.trades[0]["timestamp"]):
            assert began <= datetime.fromisoformat(text) + timedelta(hours=1) <= datetime.now(UTC)
        told = (await served.rest("/0/public/Time"))["result"]["unixtime"]
        assert int(began.timestamp()) <= told + 3_600 <= time.time()
        await served.control("clock_skew", 0)
        await served.control("trade", "XRP/USDT", "buy", "2.36", 1)
        await client.until(lambda _: len(client.trades) == 2)
        assert began <= datetime.fromisoformat(client.trades[1]["timestamp"]) <= datetime.now(UTC)


async def test_a_symbol_can_become_unknown_and_known_again(served: Served) -> None:
    await served.control("unknown_symbol", "XRP/USDT")
    async with served.client() as client:
        (refused,) = await client.subscribe("book", "XRP/USDT")
        assert refused["success"] is False
        assert refused["symbol"] == "XRP/USDT"
        await served.control("clear_faults")
        (accepted,) = await client.subscribe("book", "XRP/USDT")
        assert accepted["success"] is True
    with pytest.raises(ConfigError, match="symbol must be one of"):
        await served.control("unknown_symbol", "FOO/BAR")


async def test_data_of_a_symbol_nobody_has(served: Served) -> None:
    async with served.client() as client:
        await client.read()
        await served.control("unknown_symbol", "FOO/BAR", how="data")
        await client.until(lambda _: [row["symbol"] for row in client.trades] == ["FOO/BAR"])


async def test_clearing_ends_everything_that_lasts(served: Served) -> None:
    parameters: dict[str, dict[str, Any]] = {
        "clock_skew": {"seconds": 5},
        "crossed_book": {"symbol": "XRP/USDT"},
        "drop_pair": {"symbol": "XRP/USDT"},
        "odd_pair": {"key": "ODD"},
        "pair_status": {"symbol": "XRP/USDT", "status": "cancel_only"},
        "refuse_reconnect": {"how": "refused"},
        "rest_fault": {"how": "empty"},
        "system_status": {"status": "maintenance"},
        "unknown_symbol": {"symbol": "XRP/USDT"},
        "wrong_checksum": {"frames": 5},
    }
    lasting = {name for name, kind in FAULTS.items() if issubclass(kind, LastingFault)}
    for name in lasting:
        await served.control(name, **parameters.get(name, {}))
    assert {key.split()[0] for key in (await served.control("state"))["faults"]} == lasting
    await served.control("clear_faults")
    assert (await served.control("state"))["faults"] == {}
    async with served.client() as client:
        assert (await client.read())["data"][0]["system"] == "online"
        await subscribed(client, *SYMBOLS)
        assert client.mismatches == dict.fromkeys(SYMBOLS, 0)
