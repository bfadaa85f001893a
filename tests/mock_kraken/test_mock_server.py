"""The venue over real HTTP and WebSocket connections."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from venue_client import SYMBOLS, Client, Served, on, serving

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.errors import ConfigError, DataError, RunFailedError
from mm_nautilus.mock_kraken.commands import COMMANDS
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.process import VenueControl
from mm_nautilus.mock_kraken.server import VenueAddresses, VenueServer, serve

type Scene = Callable[[Served], Awaitable[None]]


def play(scene: Scene, **options: Any) -> None:
    """Run a scene on a served venue."""

    async def run() -> None:
        async with serving(**options) as served:
            await scene(served)

    asyncio.run(run())


@pytest.fixture(scope="module")
def short_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of simulated data."""
    folder = tmp_path_factory.mktemp("venue") / "short"
    write_sample(folder, SimulationConfig(duration_seconds=20))
    return folder


# -- REST ---------------------------------------------------------------------------------------------------


async def test_rest_answers_over_http(served: Served) -> None:
    pairs = await served.rest("/0/public/AssetPairs")
    assert pairs["error"] == []
    assert set(pairs["result"]) == {"XRPUSDT", "XBTUSDT", "XXRPXXBT"}
    tokenized = await served.rest("/0/public/AssetPairs?aclass_base=tokenized_asset")
    assert tokenized == {"error": [], "result": {}}
    assert (await served.rest("/0/public/SystemStatus"))["result"]["status"] == "online"
    assert (await served.rest("/0/public/Time"))["result"]["unixtime"] > 1_700_000_000
    book = await served.rest("/0/public/Depth?pair=XBTUSDT&count=10")
    told = {side: [row[:2] for row in rows] for side, rows in book["result"]["XBTUSDT"].items()}
    assert told == await served.control("book", "BTC/USDT", 10)
    for path in ("/0/public/Nothing", "/0/private/Balance", "/"):
        assert await served.rest(path) == {"error": ["EGeneral:Unknown method"]}
    asked = [request["text"] for request in await served.control("requests")]
    assert asked[1] == "/0/public/AssetPairs?aclass_base=tokenized_asset"


# -- Requests -----------------------------------------------------------------------------------------------


async def test_a_connection_is_greeted_and_a_subscription_acknowledged_before_its_snapshot(
    served: Served,
) -> None:
    async with served.client() as client:
        greeting = await client.read()
        assert greeting["channel"] == "status"
        assert greeting["data"][0]["system"] == "online"
        client.depths = dict.fromkeys(SYMBOLS, 10)
        answer = await client.ask(
            method="subscribe",
            params={"channel": "book", "symbol": ["XRP/USDT", "BTC/USDT"], "depth": 10},
            req_id=7,
        )
        assert answer["success"] is True
        assert answer["req_id"] == 7
        assert answer["result"] == {
            "channel": "book",
            "symbol": "XRP/USDT",
            "depth": 10,
            "snapshot": True,
        }
        snapshot = await client.read()
        assert (snapshot["channel"], snapshot["type"]) == ("book", "snapshot")
        second = await client.read()
        assert second["result"]["symbol"] == "BTC/USDT"
        await client.read()
        assert client.levels("BTC/USDT") == await served.control("book", "BTC/USDT")
        assert client.mismatches == dict.fromkeys(SYMBOLS, 0)
        assert len(client.levels("XRP/USDT")["bids"]) == 10


def subscription(channel: str, symbol: Any = "XRP/USDT", **params: Any) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": channel, "symbol": [symbol], **params}}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (subscription("book", "FOO/BAR"), "Currency pair not supported FOO/BAR"),
        (subscription("book", ["XRP/USDT"]), "Currency pair not supported ['XRP/USDT']"),
        (subscription("book", depth=20), "Subscription depth not supported 20"),
        (subscription("book", depth=10.0), "Subscription depth not supported 10.0"),
        (subscription("ticker"), "Channel not supported: ticker"),
        ({"method": "subscribe", "params": {"channel": "book"}}, "Symbol(s) missing"),
        ({"method": "subscribe"}, "Channel not supported: None"),
        (subscription("book") | {"method": "unsubscribe"}, "Subscription not found"),
        (subscription("trade") | {"method": "unsubscribe"}, "Subscription not found"),
        ({"method": "add_order"}, "Unknown method: add_order"),
        ([1, 2], "Unknown method: "),
    ],
)
async def test_requests_that_cannot_be_met_are_refused(served: Served, request_: Any, error: str) -> None:
    async with served.client() as client:
        await client.socket.send_json(request_)
        answer = await client.until(lambda frame: "method" in frame)
        assert answer["success"] is False
        assert answer["error"] == error
        await client.socket.send_str("no json {")
        assert (await client.until(lambda frame: "method" in frame))["success"] is False


async def test_subscribing_twice_is_refused_until_unsubscribed(served: Served) -> None:
    async with served.client() as client:
        for channel in ("book", "trade"):
            (first,) = await client.subscribe(channel, "XRP/USDT")
            (again,) = await client.subscribe(channel, "XRP/USDT")
            assert (first["success"], again["success"]) == (True, False)
            assert again["error"] == "Already subscribed"
            params = {"channel": channel, "symbol": ["XRP/USDT"]}
            left = await client.ask(method="unsubscribe", params=params)
            assert left["success"] is True
            (back,) = await client.subscribe(channel, "XRP/USDT")
            assert back["success"] is True
        await client.until(lambda _: client.snapshots["XRP/USDT"] == 2)
        assert (await served.control("state"))["subscriptions"] == 2


@on(speed=100.0)
async def test_after_unsubscribing_nothing_more_comes(served: Served) -> None:
    async with served.client() as client:
        await client.subscribe("book", "XRP/USDT", "BTC/USDT")
        await client.ask(method="unsubscribe", params={"channel": "book", "symbol": ["XRP/USDT"]})
        seen = client.updates["XRP/USDT"]
        before = client.updates["BTC/USDT"]
        await client.until(lambda _: client.updates["BTC/USDT"] > before + 100)
        assert client.updates["XRP/USDT"] == seen


async def test_pings_of_both_kinds_are_answered(served: Served) -> None:
    async with served.client() as client:
        await client.read()
        answer = await client.ask(method="ping", req_id=101)
        assert (answer["method"], answer["req_id"]) == ("pong", 101)
        assert answer["time_in"] <= answer["time_out"]
        await client.socket.ping(b"abc")
        message = await client.socket.receive(10)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"abc")


@on(heartbeat_seconds=0.01, paused=True)
async def test_heartbeats_come_while_nothing_else_does(served: Served) -> None:
    async with served.client() as client:
        await client.until(lambda _: client.heartbeats == 5)


# -- Market data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "depth", [10, *(pytest.param(depth, marks=pytest.mark.long) for depth in (25, 1000))]
)
def test_a_whole_catalog_arrives_with_true_checksums(tmp_path: Path, depth: int) -> None:
    write_sample(tmp_path / "catalog", SimulationConfig(duration_seconds=120))

    async def scene(served: Served) -> None:
        async with served.client() as client:
            await client.subscribe("book", *SYMBOLS, depth=depth)
            await client.subscribe("trade", *SYMBOLS)
            while (await served.control("state"))["feed"]["state"] != "ended":
                await client.catch_up()
            await client.catch_up()
            assert client.mismatches == dict.fromkeys(SYMBOLS, 0)
            assert client.snapshots == dict.fromkeys(SYMBOLS, 1)
            assert all(count > 300 for count in client.updates.values())
            for symbol in SYMBOLS:
                assert client.levels(symbol) == await served.control("book", symbol, depth)
            assert_trades_of(CatalogReader(tmp_path / "catalog"), client)

    play(scene, catalog=tmp_path / "catalog", speed="max", at_end="stop", start_after_subscriptions=6)


def assert_trades_of(reader: CatalogReader, client: Client) -> None:
    for symbol in SYMBOLS:
        spec = reader.instrument(symbol)
        stored = [
            (aggressor == 1, ticks * spec.price_increment, lots * spec.size_increment)
            for block in reader.iter_trades(spec.instrument_id)
            for aggressor, ticks, lots in zip(
                block.aggressor.tolist(), block.price_ticks.tolist(), block.size_lots.tolist(), strict=True
            )
        ]
        rows = [row for row in client.trades if row["symbol"] == symbol]
        assert_one_after_the_other(rows, len(stored))
        told = [(row["side"] == "buy", row["price"], row["qty"]) for row in rows]
        assert told == [(is_buy, f"{price:f}", f"{size:f}") for is_buy, price, size in stored]


def assert_one_after_the_other(rows: Sequence[Mapping[str, Any]], count: int) -> None:
    ids = [row["trade_id"] for row in rows]
    assert ids == list(range(ids[0], ids[0] + count))


@on(speed=50.0)
async def test_depth_25_sees_more_than_depth_10_of_the_same_book(served: Served) -> None:
    async with served.client() as ten, served.client() as more:
        await ten.subscribe("book", "BTC/USDT", depth=10)
        await more.subscribe("book", "BTC/USDT", depth=25)
        await ten.until(lambda _: ten.updates["BTC/USDT"] > 200)
        await served.control("pause")
        await ten.catch_up()
        await more.catch_up()
        assert more.levels("BTC/USDT")["bids"][:10] == ten.levels("BTC/USDT")["bids"]
        assert len(more.levels("BTC/USDT")["bids"]) > 10
        assert ten.mismatches["BTC/USDT"] == more.mismatches["BTC/USDT"] == 0


def test_a_looped_catalog_keeps_checksums_true_and_trade_ids_unique(short_catalog: Path) -> None:
    async def scene(served: Served) -> None:
        async with served.client() as client:
            await client.subscribe("book", *SYMBOLS)
            await client.subscribe("trade", *SYMBOLS)
            while (await served.control("state"))["feed"]["laps"] < 3:
                await client.read()
            await served.control("pause")
            await client.catch_up()
            assert client.mismatches == dict.fromkeys(SYMBOLS, 0)
            assert client.snapshots == dict.fromkeys(SYMBOLS, 1)
            for symbol in SYMBOLS:
                rows = [row for row in client.trades if row["symbol"] == symbol]
                assert_one_after_the_other(rows, len(rows))
                assert client.levels(symbol) == await served.control("book", symbol)

    play(scene, catalog=short_catalog, speed=200.0, start_after_subscriptions=6)


@on(catalog=None, speed=50.0)
async def test_the_simulator_is_played_live(served: Served) -> None:
    async with served.client() as client:
        await client.subscribe("book", *SYMBOLS)
        await client.until(lambda _: all(client.updates[symbol] > 50 for symbol in SYMBOLS))
        assert client.mismatches == dict.fromkeys(SYMBOLS, 0)


async def test_the_last_trades_are_sent_on_subscription_unless_unwanted(served: Served) -> None:
    for size in range(1, 61):
        await served.control("trade", "XRP/USDT", "sell", "2.35", size)
    async with served.client() as client:
        await client.subscribe("trade", "XRP/USDT")
        frame = await client.until(lambda frame: frame.get("channel") == "trade")
        assert frame["type"] == "snapshot"
        assert [row["qty"] for row in frame["data"]] == [f"{size}.000000" for size in range(11, 61)]
        assert_one_after_the_other(frame["data"], 50)
    async with served.client() as unwilling:
        await unwilling.subscribe("trade", "XRP/USDT", snapshot=False)
        await served.control("trade", "XRP/USDT", "buy", "2.35", 1)
        await unwilling.until(lambda _: bool(unwilling.trades))
    await served.control("trade_snapshot", enabled=False)
    async with served.client() as other:
        await other.subscribe("trade", "XRP/USDT")
        await served.control("trade", "XRP/USDT", "buy", "2.35", 1)
        await other.until(lambda _: bool(other.trades))
        assert unwilling.trade_snapshots == other.trade_snapshots == []


def test_a_venue_that_is_started_again_uses_no_trade_id_twice() -> None:
    """Runs that record into one catalog each have a venue of their own."""
    ids = []

    async def scene(served: Served) -> None:
        async with served.client() as client:
            await client.subscribe("trade", "XRP/USDT")
            for _ in range(3):
                await served.control("trade", "XRP/USDT", "sell", "2.35", 1)
            await client.until(lambda _: len(client.trades) == 3)
            ids.extend(row["trade_id"] for row in client.trades)

    for _ in range(2):
        play(scene, paused=True)
    assert len(set(ids)) == 6
    assert ids == sorted(ids)


# -- Script and time ----------------------------------------------------------------------------------------


@on(speed=50.0, paused=True)
async def test_a_scripted_book_and_trade_replace_the_feed_until_it_is_followed_again(served: Served) -> None:
    async with served.client() as client:
        await client.subscribe("book", "XRP/USDT", "BTC/USDT")
        await client.subscribe("trade", "XRP/USDT")
        await served.control("set_book", "XRP/USDT", [("2.35", 100), ("2.34", 50)], [("2.36", "0.5")])
        scripted = {
            "bids": [["2.35000", "100.000000"], ["2.34000", "50.000000"]],
            "asks": [["2.36000", "0.500000"]],
        }
        await client.until(lambda _: client.levels("XRP/USDT") == scripted)
        assert await served.control("book", "XRP/USDT") == scripted
        await served.control("trade", "XRP/USDT", "sell", "2.35", "1.5")
        await client.until(lambda _: bool(client.trades))
        assert {name: client.trades[-1][name] for name in ("side", "price", "qty")} == {
            "side": "sell",
            "price": "2.35000",
            "qty": "1.500000",
        }
        count, before = len(client.trades), client.updates["BTC/USDT"]
        await served.control("resume")
        await client.until(lambda _: client.updates["BTC/USDT"] > before + 300)
        assert client.levels("XRP/USDT") == scripted
        assert len(client.trades) == count
        await served.control("pause")
        await served.control("follow_feed", "XRP/USDT")
        await client.catch_up()
        assert client.levels("XRP/USDT") == await served.control("book", "XRP/USDT") != scripted
        assert client.mismatches["XRP/USDT"] == 0


@on(speed=50.0, start_after_subscriptions=2)
async def test_a_feed_waits_for_subscriptions_and_then_begins(served: Served) -> None:
    async with served.client() as client:
        await client.subscribe("book", "XRP/USDT")
        state = await served.control("state")
        assert (state["feed"]["state"], state["feed"]["events"]) == ("waiting for subscriptions", 3)
        assert state["symbols"]["XRP/USDT"]["bid"] is not None
        with pytest.raises(ConfigError, match="a burst needs a feed that has begun"):
            await served.control("burst", 10)
        await client.subscribe("trade", "XRP/USDT")
        await served.control("wait_for_subscriptions", 2)
        await client.until(lambda _: client.updates["XRP/USDT"] > 0)
        with pytest.raises(RunFailedError, match="the venue has 2 of 3 subscriptions after 0 s"):
            await served.control("wait_for_subscriptions", 3, seconds=0)


@on(heartbeat_seconds=0.02, speed=20.0)
async def test_a_paused_feed_stands_still_and_goes_on(served: Served) -> None:
    async with served.client() as client:
        await client.subscribe("book", *SYMBOLS)
        await client.until(lambda _: client.updates["BTC/USDT"] > 20)
        await served.control("pause")
        await client.catch_up()
        state = (await served.control("state"))["feed"]
        assert state["state"] == "paused"
        await client.until(lambda _: client.heartbeats > 5)
        assert (await served.control("state"))["feed"]["events"] == state["events"]
        await served.control("resume")
        before = client.updates["BTC/USDT"]
        await client.until(lambda _: client.updates["BTC/USDT"] > before)
        assert client.mismatches["BTC/USDT"] == 0


async def test_a_burst_plays_just_so_many_events_even_of_a_paused_feed(served: Served) -> None:
    async with served.client() as client:
        await client.subscribe("book", *SYMBOLS)
        before = (await served.control("state"))["feed"]["events"]
        assert await served.control("burst", 1_000, 20_000.0) == 1_000
        assert (await served.control("state"))["feed"]["events"] == before + 1_000
        await client.catch_up()
        assert sum(client.updates.values()) > 300
        assert client.mismatches == dict.fromkeys(SYMBOLS, 0)


async def test_a_second_burst_has_to_wait_for_the_first(served: Served) -> None:
    first = asyncio.create_task(served.control("burst", 100, 200.0))
    while (await served.control("state"))["feed"]["events"] < 10:
        await asyncio.sleep(0.01)
    with pytest.raises(ConfigError, match="a burst is under way already"):
        await served.control("burst", 1)
    assert await first == 100


async def test_a_book_can_be_followed_without_its_snapshot(served: Served) -> None:
    async with served.client() as client:
        (answer,) = await client.subscribe("book", "XRP/USDT", snapshot=False)
        assert answer["result"]["snapshot"] is False
        client.books["XRP/USDT"] = ({}, {})
        await served.control("set_book", "XRP/USDT", [("2.35", 1)], [("2.36", 2)])
        await client.until(lambda _: client.updates["XRP/USDT"] == 1)
        assert client.snapshots["XRP/USDT"] == 0
        assert client.levels("XRP/USDT")["bids"][0] == ["2.35000", "1.000000"]


def test_a_burst_ends_with_the_feed(short_catalog: Path) -> None:
    async def scene(served: Served) -> None:
        assert 0 < await served.control("burst", 100_000, 100_000.0) < 2_000
        with pytest.raises(ConfigError, match=r"a burst needs a feed that has begun .* was ended at 1"):
            await served.control("burst", 10)

    play(scene, catalog=short_catalog, paused=True, at_end="stop")


# -- Clients that do not keep up ------------------------------------------------------------------------------


@on(queue_frames=20, paused=True)
async def test_a_client_that_does_not_read_is_disconnected_and_delays_nobody(served: Served) -> None:
    reader, writer = await _mute_client(served)
    async with served.client() as client:
        await client.subscribe("book", "XRP/USDT")
        for number in range(200):
            await served.control("send", json.dumps({"channel": "x", "number": number, "pad": "x" * 200_000}))
            await client.until(lambda frame, number=number: frame.get("number") == number)
            state = await served.control("state")
            if state["counts"]["lagged"]:
                break
        assert state["counts"]["lagged"] == 1
        assert len(state["clients"]) == 1
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@on(speed="max", start_after_subscriptions=4, queue_frames=1000)
async def test_at_full_speed_the_feed_waits_for_clients_but_not_for_one_that_stands(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_nautilus.mock_kraken.feed._MOST_LAG_SECONDS", 0.2)
    _, writer = await _mute_client(served)
    writer.write(_masked_text('{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USDT"]}}'))
    async with served.client() as client:
        for _ in range(20):
            # The network itself takes some megabytes that nobody reads.
            await served.control("send", json.dumps({"channel": "x", "pad": "x" * 500_000}))
            await client.until(lambda frame: frame.get("channel") == "x")
        await client.subscribe("book", *SYMBOLS)
        while not (await served.control("state"))["counts"]["lagged"]:
            await client.read()
        assert client.mismatches == dict.fromkeys(SYMBOLS, 0)
    writer.close()


async def _mute_client(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket and read no more than the handshake."""
    address = served.addresses.rest_url.removeprefix("http://")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
    writer.write(
        f"GET /v2 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in await reader.readline()
    return reader, writer


def _masked_text(text: str) -> bytes:
    """Return a client's frame of a short text; its mask is nought."""
    payload = text.encode()
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


# -- The control side ---------------------------------------------------------------------------------------


BTC = {"symbol": "BTC/USDT"}
TRADE = BTC | {"side": "buy", "price": 1, "size": 1}


@pytest.mark.parametrize(
    ("command", "parameters", "words"),
    [
        (
            "set_book",
            {"symbol": "FOO/BAR", "bids": [], "asks": []},
            "symbol must be one of BTC/USDT, XRP/BTC, XRP/USDT, was FOO/BAR",
        ),
        (
            "set_book",
            BTC | {"bids": [("100.05", 1)], "asks": []},
            "price of BTC/USDT must be a multiple of 0.1, was 100.05",
        ),
        (
            "trade",
            TRADE | {"size": "0.000000001"},
            "size of BTC/USDT must be a multiple of 0.00000001, was 0.000000001",
        ),
        ("trade", TRADE | {"side": "hold"}, "trade: side: Input should be 'buy' or 'sell', was 'hold'"),
        ("trade", TRADE | {"price": "NaN"}, "trade: price: "),
        ("trade", TRADE | {"price": -1}, "trade: price: "),
        ("quiet", {"seconds": -1}, "quiet: seconds: "),
        ("book", BTC | {"depth": 11}, "book: depth: "),
        (
            "unknown_symbol",
            BTC | {"how": "data"},
            "symbol must be one that the venue does not have, was BTC/USDT",
        ),
        ("burst", {"events": 0}, "burst: events: "),
    ],
)
async def test_commands_that_cannot_be_carried_out_say_why(
    served: Served, command: str, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        await served.control(command, **parameters)
    assert words in str(caught.value)


async def test_unknown_commands_are_told_which_there_are(served: Served) -> None:
    async with served.http.post(f"{served.addresses.control_url}/explode") as response:
        assert response.status == 400
        assert (await response.json())["error"].startswith("command must be one of state, book, ")


def test_the_client_has_every_command_and_no_other() -> None:
    client = VenueControl("http://127.0.0.1:9")
    assert {name for name in dir(client) if not name.startswith("_")} == {
        *COMMANDS,
        "url",
        "wait_for_subscriptions",
    }
    with pytest.raises(AttributeError, match="the control side has no command explode"):
        client.explode()


def test_a_venue_that_is_not_there_is_named() -> None:
    with pytest.raises(RunFailedError, match=r"the venue at http://127\.0\.0\.1:9 cannot be reached: "):
        VenueControl("http://127.0.0.1:9").state()


async def test_a_port_in_use_is_named(served: Served) -> None:
    port = int(served.addresses.rest_url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=r"the venue cannot listen on 127\.0\.0\.1: .*in use"):
        async with serving(paused=True, port=port):
            pass


def test_a_catalog_that_breaks_off_ends_the_venue(tmp_path: Path) -> None:
    write_sample(tmp_path / "short", SimulationConfig(duration_seconds=10))
    (file,) = (tmp_path / "short" / "data" / "trades" / "BTCUSDT.KRAKEN").iterdir()

    def cut_off(_addresses: VenueAddresses) -> None:
        # A lap that begins after this finds the file cut off.
        file.write_bytes(file.read_bytes()[:200])

    async def run() -> None:
        await serve(
            VenueServer(VenueOptions(catalog=tmp_path / "short", speed="max")), asyncio.Event(), cut_off
        )

    with pytest.raises(DataError, match="is cut off or damaged"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        (
            {"speed": -1.0, "port": 70_000},
            ["speed must be a positive number or max, was -1.0", "port must be from 0 to 65535, was 70000"],
        ),
        ({"speed": float("nan")}, ["speed must be a positive number or max, was nan"]),
        ({"at_end": "never"}, ["at_end must be loop or stop, was never"]),
        (
            {"queue_frames": 0, "seed": -1},
            ["seed must be at least 0, was -1", "queue_frames must be at least 1, was 0"],
        ),
    ],
)
def test_options_that_mean_nothing_are_all_named(options: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        VenueOptions(**options)
    assert caught.value.problems == problems


# -- Who is obeyed ------------------------------------------------------------------------------------------


async def test_neither_pages_nor_other_names_steer_the_venue(served: Served) -> None:
    refused = [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Host": ""}, 421),
    ]
    url = f"{served.addresses.control_url}/resume"
    for headers, status in refused:
        async with served.http.post(url, data="{}", headers=headers) as answer:
            assert answer.status == status
    assert (await served.control("state"))["feed"]["state"] == "paused"
    for headers in ({}, {"Host": "localhost"}, {"Host": "[::1]:80"}):
        async with served.http.post(url, headers=headers) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b'{"text": "\\ud800"}', b'{"text": 1'])
async def test_a_command_that_is_no_text_is_refused(served: Served, body: bytes) -> None:
    for kind in ("application/json", "text/plain; charset=nonsense"):
        headers = {"Content-Type": kind}
        url = f"{served.addresses.control_url}/send"
        async with served.http.post(url, data=body, headers=headers) as answer:
            assert answer.status == 400
            assert "send: " in (await answer.json())["error"]
