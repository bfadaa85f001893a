"""What becomes of a sandbox run whose connection is lost, in every way a venue can lose it, or says nothing more."""

from typing import Any

import pytest
from sandbox_sessions import (
    BTC,
    CROSS,
    SYMBOLS,
    XRP,
    Report,
    assert_paused,
    is_held,
    quotes,
    was_told,
)

LOST, AWAITING = "feed disconnected", "waiting for a snapshot"


def wait_for_loss(pair: Any, before: Report) -> Report:
    """Return the first report after the loss was told of all pairs."""
    report: Report = pair.session.wait_until(
        lambda report: was_told(report, before, LOST), "the loss of the connection"
    )
    return report


def assert_lost_and_back(pair: Any, before: Report) -> None:
    """Check what was told of every pair: the loss, the wait for a snapshot, the end."""
    after = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert_paused(after, before, symbol, LOST, AWAITING)


# -- Connections that stand and say nothing; first, as the client waits longer from one loss to the next --------


def test_a_connection_that_falls_silent(pair: Any) -> None:
    """Quotes are pulled before the client gives the connection up."""
    before = pair.session.report()
    pair.control.silence()
    pair.session.wait_until(lambda report: was_told(report, before, "stale book"), "stale books")
    pair.session.wait_until(lambda report: is_held(report, LOST), "the loss of the connection")
    pair.control.clear_faults()
    after = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert_paused(after, before, symbol, "stale book", LOST, AWAITING)


def test_a_message_whose_second_half_never_comes(pair: Any) -> None:
    before = pair.session.report()
    pair.control.half_message("silent")
    wait_for_loss(pair, before)
    after = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert_paused(after, before, symbol, "stale book", LOST, AWAITING)


# -- Connections that end -----------------------------------------------------------------------------------


def test_a_connection_that_is_reset(pair: Any) -> None:
    before = pair.session.report()
    pair.control.disconnect()
    wait_for_loss(pair, before)
    assert_lost_and_back(pair, before)


@pytest.mark.parametrize("how", ["unavailable", "refused"])
def test_a_venue_that_lets_nobody_back_in(pair: Any, how: Any) -> None:
    before = pair.session.report()
    pair.control.refuse_reconnect(None, how)
    held = pair.session.wait_until(lambda report: is_held(report, LOST), "the loss of the connection")
    later = pair.session.wait_until(
        lambda report: report["now_ns"] - held["now_ns"] > 1_200_000_000, "time to pass"
    )
    assert is_held(later, LOST), "old books are not quoted on, however long it takes"
    pair.control.clear_faults()
    assert_lost_and_back(pair, before)


def test_a_message_that_ends_in_the_middle(pair: Any) -> None:
    before = pair.session.report()
    pair.control.half_message("abort")
    wait_for_loss(pair, before)
    assert_lost_and_back(pair, before)


def test_trades_that_nobody_sends_any_more_are_asked_for(pair: Any) -> None:
    """The client never asks for them again, and books and heartbeats go on."""
    before = pair.session.report()
    pair.control.deaf(channel="trade")
    pair.control.disconnect()
    pair.session.wait_until(lambda report: is_held(report, "stale tape"), "tapes that are doubted")
    asked = len(subscriptions_to_trades(pair))
    pair.session.wait_until(lambda _: len(subscriptions_to_trades(pair)) > asked, "another request")
    assert is_held(pair.session.report(), "stale tape"), "nothing has come of it"
    pair.control.clear_faults()
    after = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert_paused(after, before, symbol, LOST, AWAITING, "stale tape")


def subscriptions_to_trades(pair: Any) -> list[str]:
    asked = [entry.get("text", "") for entry in pair.control.requests()]
    return [text for text in asked if '"method":"subscribe"' in text and '"channel":"trade"' in text]


def test_a_pair_that_the_venue_no_longer_knows_is_left_alone(pair: Any) -> None:
    before = pair.session.report()
    pair.control.unknown_symbol(XRP, "refuse")
    pair.control.disconnect()
    wait_for_loss(pair, before)
    after = pair.session.wait_until(lambda report: quotes(report, BTC, CROSS), "the other pairs' quotes")
    assert is_held(after, AWAITING, XRP)
    pair.control.clear_faults()
    again = pair.session.report()
    pair.control.disconnect()
    wait_for_loss(pair, again)
    pair.session.wait_until(quotes, "quotes on all pairs")
