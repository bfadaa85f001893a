"""Fills at awkward moments, on a book that the test shows and trades that it sends."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sandbox_sessions import (
    XRP,
    LeftBehind,
    Report,
    SandboxSession,
    configuration,
    live_orders,
    quotes,
    session_of,
)

from mm_nautilus.mock_kraken.process import VenueControl, VenueOptions, VenueProcess

pytestmark = pytest.mark.long

BOOK = {"bids": [("2.34950", 1000), ("2.34900", 1000)], "asks": [("2.35050", 1000), ("2.35100", 1000)]}
HIGHER = {"bids": [("2.36950", 1000), ("2.36900", 1000)], "asks": [("2.37050", 1000), ("2.37100", 1000)]}
MONEY = "venue.starting_balances=[1000 USDT, 500 XRP]"
BID, HIGHER_BID = "2.34882", "2.36881"


@pytest.fixture
def control() -> Iterator[tuple[VenueProcess, VenueControl]]:
    """Run a venue whose only pair follows the test."""
    with VenueProcess(VenueOptions(symbols=(XRP,), paused=True)) as venue:
        venue.control.set_book(XRP, **BOOK)
        yield venue, venue.control


def scripted(folder: Path, venue: VenueProcess, **strategy: Any) -> Path:
    given = {
        "min_spread_pct": 0.1,
        "inventory_skew": 0.0,
        "stale_after_seconds": 60.0,
        "stale_tape_after_seconds": None,
        "take_profit_pct": 50.0,
        "stop_loss_pct": 50.0,
        "cooldown_seconds": 0.001,
        "symbols": {XRP: {"position_size": "8 XRP", "max_inventory": "80 XRP"}},
    }
    return configuration(folder, venue, **(given | strategy))


def works_at(report: Report, price: str) -> bool:
    return any(order["price"] == price and order["status"] == "ACCEPTED" for order in live_orders(report))


def wait_for_quotes(session: SandboxSession, bid: str) -> Report:
    return session.wait_until(
        lambda report: works_at(report, bid) and len(live_orders(report)) == 2, "two quotes"
    )


def test_a_fill_while_the_cancel_is_under_way(
    control: tuple[VenueProcess, VenueControl], tmp_path: Path
) -> None:
    venue, steer = control
    position = 0.0
    config = scripted(tmp_path, venue)
    with session_of(config, MONEY, "venue.latency.cancel_ms=3000") as session:
        for size, status in (("3", "CANCELED"), ("8", "FILLED")):
            before = wait_for_quotes(session, BID)
            (bid,) = (order for order in live_orders(before) if order["side"] == "BUY")
            session.ask("publish", "HaltQuoting", {"reason": "a test", "flatten": False})
            steer.trade(XRP, "sell", "2.348", size)
            after = session.wait_until(lambda report: not live_orders(report), "no order")
            (same,) = (order for order in session.history(before) if order["id"] == bid["id"])
            assert (same["status"], float(same["filled"])) == (status, float(size))
            position += float(size)
            assert after["symbols"][XRP]["position"] == pytest.approx(position)
            assert after["symbols"][XRP]["state"] == "halted"
            session.ask("publish", "ResumeQuoting", {"reason": "a test"})
        session.wait_until(quotes, "quotes again")
        assert session.end() == 143
    left = LeftBehind(tmp_path)
    assert [Decimal(fill["quantity"]) for fill in left.fills] == [3, 8]
    assert left.summary["open_orders"] == 0
    left.assert_money_adds_up()


def test_trades_that_come_again_with_a_new_connection_fill_nothing(
    control: tuple[VenueProcess, VenueControl], tmp_path: Path
) -> None:
    """The client passes the last fifty on as if they were new: they would go through the bid."""
    venue, steer = control
    with session_of(scripted(tmp_path, venue), MONEY) as session:
        wait_for_quotes(session, BID)
        steer.set_book(XRP, **HIGHER)
        session.wait_until(lambda report: works_at(report, HIGHER_BID), "the quotes to follow")
        for _ in range(3):
            steer.trade(XRP, "sell", "2.36950", "5")
        steer.set_book(XRP, **BOOK)
        session.wait_until(lambda report: works_at(report, BID), "the quotes to follow")
        steer.trade(XRP, "buy", "2.35050", "1")
        before = session.wait_until(lambda report: works_at(report, BID), "quotes")
        steer.disconnect()
        after = session.wait_until(
            lambda report: report["sockets"][-2:] == ["DISCONNECTED", "CONNECTED"] and works_at(report, BID),
            "quotes on the new connection",
        )
        assert after["fills"] == before["fills"]
        assert session.end() == 143
    LeftBehind(tmp_path).assert_money_adds_up()
