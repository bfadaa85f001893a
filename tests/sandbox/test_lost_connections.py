"""What becomes of a sandbox run whose connection is lost, in every way a venue can lose it."""

from typing import Any

import pytest
from sandbox_sessions import BTC, CROSS, SYMBOLS, XRP, Report, changes_since, is_held, live_orders, quotes

LOST = "feed disconnected"


def wait_for_loss(pair: Any, before: Report) -> Report:
    """Return the first report after the loss was told, with no order left."""

    def is_lost(report: Report) -> bool:
        told = changes_since(report, before, XRP)
        return f"paused: {LOST}" in told and not live_orders(report)

    return pair.session.wait_until(is_lost, "the loss of the connection")


def assert_lost_and_back(pair: Any, before: Report) -> None:
    """Check what was told of every pair: the loss, the wait for a snapshot, the end."""
    after = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        told = [text.partition(" after ")[0] for text in changes_since(after, before, symbol)]
        assert told[-3:] == [f"paused: {LOST}", "paused: waiting for a snapshot", "open for quoting again"]
        assert set(told[:-3]) <= {"paused: stale book"}, (
            "a silence is noticed before its connection is given up"
        )


def test_a_connection_that_is_reset(pair: Any) -> None:
    before = pair.session.report()
    pair.control.disconnect()
    wait_for_loss(pair, before)
    assert_lost_and_back(pair, before)


@pytest.mark.parametrize("how", ["unavailable", "refused"])
def test_a_venue_that_lets_nobody_back_in(pair: Any, how: Any) -> None:
    before = pair.session.report()
    pair.control.refuse_reconnect(None, how)
    held = wait_for_loss(pair, before)
    assert is_held(held, LOST)
    later = pair.session.wait_until(
        lambda report: report["now_ns"] - held["now_ns"] > 2_000_000_000, "time to pass"
    )
    assert is_held(later, LOST), "old books are not quoted on, however long it takes"
    pair.control.clear_faults()
    assert_lost_and_back(pair, before)


def test_a_message_that_ends_in_the_middle(pair: Any) -> None:
    before = pair.session.report()
    pair.control.half_message("abort")
    wait_for_loss(pair, before)
    assert_lost_and_back(pair, before)


def test_a_pair_that_the_venue_no_longer_knows_is_left_alone(pair: Any) -> None:
    before = pair.session.report()
    pair.control.unknown_symbol(XRP, "refuse")
    pair.control.disconnect()
    wait_for_loss(pair, before)
    after = pair.session.wait_until(lambda report: quotes(report, BTC, CROSS), "the other pairs' quotes")
    assert is_held(after, "waiting for a snapshot", XRP)
    pair.control.clear_faults()
    again = pair.session.report()
    pair.control.disconnect()
    wait_for_loss(pair, again)
    pair.session.wait_until(quotes, "quotes on all pairs")
