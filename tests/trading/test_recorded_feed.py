"""What is recorded from a venue that plays a catalog is that catalog, through the engine's real Kraken client."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from recorded_markets import ROOT, SAMPLE, book_states, delta_rows, files, play, trade_rows
from scripting import SECOND, XRP_USDT, config

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.check import check_catalog
from mm_nautilus.market.rows import Action, Flag
from mm_nautilus.mock_kraken.process import VenueOptions, VenueProcess
from mm_nautilus.trading.strategy import MarketMaker

pytestmark = pytest.mark.long

SPECS = CatalogReader(SAMPLE).instruments()
IDS = [spec.instrument_id for spec in SPECS]
LENGTH_SECONDS = 90
SPEED = 15.0
SOME_TRADES = 30
"""So many that every pair has some."""
WHOLE_BOOK = 100
"""A depth at which Kraken's protocol shows all levels that the shipped catalog has."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog with the first minutes of the shipped one."""
    folder = tmp_path_factory.mktemp("played") / "catalog"
    reader = CatalogReader(SAMPLE)
    end = delta_rows(SAMPLE, IDS[0])[0][1] + LENGTH_SECONDS * SECOND
    with staged_catalog(folder) as writer:
        for spec in SPECS:
            writer.write_instrument(spec)
            for block in reader.iter_deltas(spec.instrument_id, end=end):
                writer.write_block(spec, block)
            for trades in reader.iter_trades(spec.instrument_id, end=end):
                writer.write_block(spec, trades)
    return folder


class RecordingNode:
    """A live node that records, as a child process."""

    def __init__(self, venue: VenueProcess, catalog: Path, played: Path) -> None:
        paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
        script = Path(__file__).with_name("recording_node.py")
        words = (venue.rest_url, venue.websocket_url, catalog, played, WHOLE_BOOK)
        self.process = subprocess.Popen(
            [sys.executable, str(script), *map(str, words)],
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self, after_events: int = 0) -> dict[str, Any]:
        """Stop the node once it has seen so many events, and return what it said."""
        output, errors = self.process.communicate(f"{after_events}\n", timeout=120)
        assert self.process.returncode == 0, errors
        told: dict[str, Any] = json.loads(output.splitlines()[-1])
        return told


def events_of(catalog: Path) -> int:
    """Count groups of book changes and trades."""
    groups = sum(row[6] & Flag.LAST != 0 for name in IDS for row in delta_rows(catalog, name))
    return groups + sum(len(trade_rows(catalog, name)) for name in IDS)


def trades_sent(venue: VenueProcess) -> int:
    return int(venue.control.state()["counts"]["trades"])


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.1)


def subscribe_requests(venue: VenueProcess) -> int:
    return sum('"subscribe"' in entry.get("text", "") for entry in venue.control.requests())


@pytest.fixture(scope="module")
def recorded(played: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of a venue that played a catalog."""
    catalog = tmp_path_factory.mktemp("recorded") / "catalog"
    subscriptions = 2 * len(IDS)
    options = VenueOptions(
        catalog=played, speed=SPEED, at_end="stop", start_after_subscriptions=subscriptions
    )
    with VenueProcess(options) as venue:
        node = RecordingNode(venue, catalog, played)
        try:
            wait_until(lambda: venue.control.state()["feed"]["state"] == "ended")
            asked = subscribe_requests(venue)
            told = node.stop(events_of(played))
        finally:
            node.process.kill()
    # Two actors subscribe, the venue is asked once.
    assert asked == subscriptions
    assert told["closed"], told["failure"]
    assert told["exceptions"] == []
    return catalog


def test_the_recording_is_the_catalog_that_was_played(recorded: Path, played: Path) -> None:
    for instrument_id in IDS:
        states = [book for _, book in book_states(delta_rows(recorded, instrument_id))]
        known = [book for _, book in book_states(delta_rows(played, instrument_id))]
        assert states == [*known, {}]
        taken, made = trade_rows(recorded, instrument_id), trade_rows(played, instrument_id)
        assert [row[2:5] for row in taken] == [row[2:5] for row in made]


def test_the_recording_is_sound_and_its_times_are_those_of_receipt(recorded: Path, played: Path) -> None:
    report = check_catalog(recorded)
    assert report.ok, report.problems
    assert len(files(recorded, "order_book_deltas")) > 1
    assert CatalogReader(recorded).instruments() == SPECS
    for instrument_id in IDS:
        times = [row[1] for row in delta_rows(recorded, instrument_id)]
        known = [row[1] for row in delta_rows(played, instrument_id)]
        assert times == sorted(times)
        assert times[-2] - times[0] < (known[-1] - known[0]) / 2, "the venue played faster than that"


class Maker(MarketMaker):
    """A market maker that keeps its fills without their times."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.fills: list[tuple[str, str, str, str]] = []

    def on_order_filled(self, event: Any) -> None:
        super().on_order_filled(event)
        side = "buy" if event.is_buy else "sell"
        self.fills.append((side, str(event.last_px), str(event.last_qty), event.liquidity_side.name))


def test_a_backtest_on_both_gives_the_same_fills(recorded: Path, played: Path) -> None:
    """Without what counts seconds, as the venue played faster than it all happened."""
    makers = []
    timeless = {
        "cooldown_seconds": 1e-10,
        "retry_after_seconds": 0.0,
        "max_refused_orders": None,
        "max_order_actions_per_second": 1000,
    }
    for catalog in (played, recorded):
        maker = Maker(config(XRP_USDT, requote_tolerance_bps=0.0, min_spread_pct=0.01, **timeless))
        play(catalog, strategies=[maker])
        assert maker.failures == []
        makers.append(maker)
    assert len(makers[0].fills) > 5
    assert makers[1].fills == makers[0].fills


def test_a_lost_connection_is_a_break_and_repeated_trades_are_left_out(played: Path, tmp_path: Path) -> None:
    subscriptions = 2 * len(IDS)
    options = VenueOptions(catalog=played, speed=SPEED, start_after_subscriptions=subscriptions)
    with VenueProcess(options) as venue:
        node = RecordingNode(venue, tmp_path / "catalog", played)
        try:
            venue.control.wait_for_subscriptions(subscriptions)
            wait_until(lambda: trades_sent(venue) > SOME_TRADES)
            venue.control.disconnect()
            wait_until(lambda: subscribe_requests(venue) >= 2 * subscriptions)
            before = trades_sent(venue)
            wait_until(lambda: trades_sent(venue) > before + SOME_TRADES)
            told = node.stop()
        finally:
            node.process.kill()
    assert told["closed"], told["failure"]
    report = check_catalog(tmp_path / "catalog")
    assert report.ok, report.problems
    for entry in report.instruments:
        assert entry.trades.rows > 0
        rows = delta_rows(tmp_path / "catalog", entry.instrument_id)
        lost = [place for place, row in enumerate(rows) if row[2] == Action.CLEAR and row[6] & Flag.LAST]
        assert 0 < lost[0] < lost[-1] == len(rows) - 1
        first_known = next(row[1] for row in rows[lost[0] :] if row[5])
        times = [row[1] for row in trade_rows(tmp_path / "catalog", entry.instrument_id)]
        assert not [at for at in times if rows[lost[0]][1] < at < first_known]
