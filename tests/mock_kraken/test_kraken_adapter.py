"""The engine's own Kraken data client on the local venue: what arrives, and what comes again after a loss.

What a session makes of every fault is in the tests of the sandbox.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from node_process import NodeProcess

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.simulator import KRAKEN_SPOT, SimulationConfig, write_sample
from mm_nautilus.mock_kraken.process import VenueOptions, VenueProcess

CATALOG = Path(__file__).resolve().parents[2] / "catalog"
DEPTHS = {"XRP/USDT": 10, "BTC/USDT": 25, "XRP/BTC": 100}
SUBSCRIPTIONS = 2 * len(DEPTHS)
XRP = "XRP/USDT"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[VenueProcess, NodeProcess]]:
    options = VenueOptions(catalog=CATALOG, speed=20.0, start_after_subscriptions=SUBSCRIPTIONS)
    with VenueProcess(options) as venue, NodeProcess(venue, DEPTHS) as node:
        yield venue, node
        assert node.stop() == 0


@pytest.fixture
def pair(running: tuple[VenueProcess, NodeProcess]) -> tuple[VenueProcess, NodeProcess]:
    """Return a venue without faults and a node whose books live."""
    venue, node = running
    venue.control.clear_faults()
    venue.control.trade_snapshot(enabled=True)
    venue.control.resume()
    venue.control.wait_for_subscriptions(SUBSCRIPTIONS)
    before = node.report()
    node.wait_until(lambda report: all(more_updates(report, before, symbol) for symbol in DEPTHS), "updates")
    node.log.clear()
    return venue, node


def more_updates(report: dict[str, Any], before: dict[str, Any], symbol: str) -> bool:
    return bool(report["symbols"][symbol]["updates"] > before["symbols"][symbol]["updates"])


def same_books(venue: VenueProcess, report: dict[str, Any]) -> bool:
    """Whether a node's books are what the venue shows."""
    return all(
        {side: report["symbols"][symbol].get(side) for side in ("bids", "asks")}
        == venue.control.book(symbol, DEPTHS[symbol])
        for symbol in DEPTHS
    )


def assert_sound(venue: VenueProcess, node: NodeProcess) -> None:
    """Pause the feed, and see that the node's books come to be the venue's; then go on."""
    venue.control.pause()
    node.wait_until(lambda report: same_books(venue, report), "the venue's books")
    venue.control.resume()


def states_since(report: dict[str, Any], before: dict[str, Any]) -> list[str]:
    return list(report["sockets"][len(before["sockets"]) :])


def snapshots_since(report: dict[str, Any], before: dict[str, Any], symbol: str) -> list[int]:
    known = before["symbols"][symbol]["snapshots"]
    return list(report["symbols"][symbol]["snapshots"][len(known) :])


def wait_for_reconnection(node: NodeProcess, before: dict[str, Any]) -> None:
    """Wait for the loss, the return, a cleared book and a fresh snapshot of every pair."""
    report = node.wait_until(
        lambda report: all(len(snapshots_since(report, before, symbol)) >= 2 for symbol in DEPTHS),
        "fresh snapshots",
    )
    assert states_since(report, before) == ["DISCONNECTED", "CONNECTED"]
    for symbol in DEPTHS:
        cleared, fresh = snapshots_since(report, before, symbol)
        assert cleared == 1
        assert fresh > 10


# -- Sound --------------------------------------------------------------------------------------------------


def test_instruments_come_out_with_the_catalogs_increments(pair: tuple[VenueProcess, NodeProcess]) -> None:
    _, node = pair
    found = {symbol: entry["instrument"] for symbol, entry in node.report()["symbols"].items()}
    assert found == {
        symbol: {
            "price_increment": f"{spec.price_increment:f}",
            "size_increment": f"{spec.size_increment:f}",
            "min_quantity": f"{spec.min_quantity:f}",
            "base": spec.base,
            "quote": spec.quote,
        }
        for symbol, spec in KRAKEN_SPOT.items()
    }


def test_books_and_trades_of_all_pairs_arrive(pair: tuple[VenueProcess, NodeProcess]) -> None:
    venue, node = pair
    report = node.wait_until(
        lambda report: all(
            entry["updates"] > 300 and entry["trades"] for entry in report["symbols"].values()
        ),
        "300 updates and a trade of each pair",
    )
    assert report["sockets"][0] == "CONNECTED"
    assert all(entry["snapshots"][0] > 20 for entry in report["symbols"].values())
    assert_sound(venue, node)
    assert node.log == []


@pytest.mark.long
def test_a_whole_catalog_at_full_speed_without_a_mismatch(tmp_path: Path) -> None:
    write_sample(tmp_path / "catalog", SimulationConfig(duration_seconds=120))
    reader = CatalogReader(tmp_path / "catalog")
    options = VenueOptions(
        catalog=tmp_path / "catalog", speed="max", at_end="stop", start_after_subscriptions=SUBSCRIPTIONS
    )
    stored = {
        symbol: sum(len(block) for block in reader.iter_trades(spec.instrument_id))
        for symbol, spec in KRAKEN_SPOT.items()
    }
    with VenueProcess(options) as venue, NodeProcess(venue, DEPTHS) as node:
        venue.control.wait_for_subscriptions(SUBSCRIPTIONS)
        report = node.wait_until(
            lambda report: (
                {symbol: report["symbols"][symbol]["trades"] for symbol in DEPTHS} == stored
                and same_books(venue, report)
                and venue.control.state()["feed"]["state"] == "ended"
            ),
            "all trades, the last books and the end of the feed",
        )
        assert all(len(entry["snapshots"]) == 1 for entry in report["symbols"].values())
        assert node.stop() == 0
        assert node.log == []


# -- Lost connections ---------------------------------------------------------------------------------------


def test_disconnect_brings_a_cleared_book_and_a_fresh_snapshot(
    pair: tuple[VenueProcess, NodeProcess],
) -> None:
    venue, node = pair
    before = node.report()
    assert venue.control.disconnect() == 1
    wait_for_reconnection(node, before)
    assert_sound(venue, node)
    assert node.logged("mismatch") == []


@pytest.mark.long
def test_the_last_trades_come_again_as_if_they_were_new(pair: tuple[VenueProcess, NodeProcess]) -> None:
    venue, node = pair
    venue.control.pause()
    venue.control.burst(3_000)
    # Frames come in order: with the last books, all trades have come.
    before = node.wait_until(lambda report: same_books(venue, report), "the venue's books")
    venue.control.disconnect()
    node.wait_until(
        lambda report: (
            report["symbols"]["BTC/USDT"]["trades"] == before["symbols"]["BTC/USDT"]["trades"] + 50
        ),
        "the last 50 trades again",
    )
    venue.control.trade_snapshot(enabled=False)
    before = node.report()
    venue.control.disconnect()
    wait_for_reconnection(node, before)
    venue.control.trade("BTC/USDT", "buy", "100000.0", "0.5")
    report = node.wait_until(
        lambda report: report["symbols"]["BTC/USDT"]["last_trade"] == ["BUY", "100000.0", "0.50000000"],
        "the scripted trade",
    )
    assert report["symbols"]["BTC/USDT"]["trades"] == before["symbols"]["BTC/USDT"]["trades"] + 1


def test_a_wrong_checksum_makes_the_client_subscribe_anew(pair: tuple[VenueProcess, NodeProcess]) -> None:
    venue, node = pair
    before = node.report()
    venue.control.wrong_checksum(1, XRP)
    report = node.wait_until(
        lambda report: len(snapshots_since(report, before, XRP)) == 2, "a fresh snapshot"
    )
    assert snapshots_since(report, before, XRP) == [1, 21]
    assert snapshots_since(report, before, "BTC/USDT") == []
    assert states_since(report, before) == []
    asked = [entry["text"] for entry in venue.control.requests(2)]
    assert '"method":"unsubscribe"' in asked[0]
    assert '"method":"subscribe"' in asked[1]
    assert_sound(venue, node)
    assert len(node.logged("checksum mismatch")) == 1
