"""What the venue says that it takes: pairs and the venue itself closed and opened, seen by a session on its feed."""

from typing import Any

import pytest
from sandbox_sessions import (
    BTC,
    CROSS,
    SYMBOLS,
    XRP,
    assert_paused,
    assert_undisturbed,
    is_held,
    live_orders,
    quotes,
)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("cancel_only", "venue takes cancels only"),
        ("reduce_only", "venue takes reductions only"),
        ("delisted", "pair delisted"),
        ("work_in_progress", "pair not open yet"),
        ("haunted", "venue in an unknown state"),
    ],
)
def test_a_closed_pair_is_left_alone_until_it_is_open_again(pair: Any, status: str, reason: str) -> None:
    before = pair.session.report()
    pair.control.pair_status(XRP, status)
    pair.session.wait_until(lambda report: is_held(report, reason, XRP), reason)
    pair.session.wait_until(lambda report: quotes(report, BTC, CROSS), "quotes on the other pairs")
    pair.control.clear_faults()
    again = pair.session.wait_until(quotes, "quotes again")
    assert_paused(again, before, XRP, reason)
    assert_undisturbed(again, before, BTC, CROSS)


def test_a_pair_that_is_listed_no_longer_is_delisted(pair: Any) -> None:
    pair.control.drop_pair(XRP)
    pair.session.wait_until(lambda report: is_held(report, "pair delisted", XRP), "a delisted pair")
    pair.control.clear_faults()
    pair.session.wait_until(quotes, "quotes again")


def test_maintenance_of_the_venue_closes_all_pairs(pair: Any) -> None:
    before = pair.session.report()
    pair.control.system_status("maintenance")
    pair.session.wait_until(lambda report: is_held(report, "venue in maintenance"), "maintenance")
    pair.control.system_status("online")
    again = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert_paused(again, before, symbol, "venue in maintenance")


@pytest.mark.parametrize("status", ["post_only", "limit_only"])
def test_a_venue_that_takes_quotes_alone_is_quoted_at(pair: Any, status: str) -> None:
    before = pair.session.report()
    pair.control.system_status(status)
    seen = pair.session.wait_until(
        lambda report: set(report["venue"].values()) == {status} and quotes(report), f"quotes at {status}"
    )
    assert live_orders(seen)
    assert_undisturbed(seen, before)


@pytest.mark.parametrize("how", ["unavailable", "error", "empty"])
def test_what_the_venue_said_last_holds_while_it_says_nothing(pair: Any, how: str) -> None:
    pair.control.pair_status(XRP, "cancel_only")
    held = pair.session.wait_until(
        lambda report: is_held(report, "venue takes cancels only", XRP), "a closed pair"
    )
    pair.control.rest_fault(how)
    silent = pair.session.wait_until(
        lambda report: report["unanswered"] > held["unanswered"] + 1, "questions without an answer"
    )
    assert is_held(silent, "venue takes cancels only", XRP)
    pair.session.wait_until(lambda report: quotes(report, BTC, CROSS), "quotes on the other pairs")
    pair.control.clear_faults()
    pair.session.wait_until(quotes, "quotes again")
