"""What a running session does when its venue, its feed or its connection fails, and when it is halted.

All of it on one session, through the engine's Kraken client, against one local venue. Losses of the connection come
first, as the client waits longer from one loss to the next.
"""

import json
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sandbox_sessions import (
    BTC,
    CROSS,
    OPEN,
    SYMBOLS,
    XRP,
    Report,
    assert_paused,
    assert_undisturbed,
    is_held,
    live_orders,
    quotes,
    told_since,
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


# -- Connections that stand and say nothing ---------------------------------------------------------------------


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("how", ["unavailable", "refused"])
def test_a_venue_that_lets_nobody_back_in(pair: Any, how: Any) -> None:
    before = pair.session.report()
    pair.control.refuse_reconnect(how)
    held = pair.session.wait_until(lambda report: is_held(report, LOST), "the loss of the connection")
    later = pair.session.wait_until(
        lambda report: report["now_ns"] - held["now_ns"] > 1_200_000_000, "time to pass"
    )
    assert is_held(later, LOST), "old books are not quoted on, however long it takes"
    pair.control.clear_faults()
    assert_lost_and_back(pair, before)


@pytest.mark.long
def test_a_message_that_ends_in_the_middle(pair: Any) -> None:
    before = pair.session.report()
    pair.control.half_message("abort")
    wait_for_loss(pair, before)
    assert_lost_and_back(pair, before)


@pytest.mark.long
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


@pytest.mark.long
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


# -- Feeds whose connection stands ------------------------------------------------------------------------------


def events(report: Report, symbol: str) -> int:
    return int(report["symbols"][symbol]["book_events"])


def wait_for_more(pair: Any, before: Report) -> Report:
    """Return a report of a time when all pairs have had more book events and are quoted."""
    report: Report = pair.session.wait_until(
        lambda report: (
            all(events(report, symbol) > events(before, symbol) + 20 for symbol in SYMBOLS) and quotes(report)
        ),
        "more of the books, and quotes",
    )
    return report


def test_a_quiet_pair_is_left_although_heartbeats_come(pair: Any) -> None:
    """The client cannot tell it from a quiet market, and the other pairs are quoted on."""
    before = pair.session.report()
    pair.control.quiet([XRP])
    held = pair.session.wait_until(lambda report: is_held(report, "stale book", XRP), "a stale book")
    assert held["symbols"][XRP]["age"] >= 3.0
    pair.session.wait_until(lambda report: quotes(report, BTC, CROSS), "quotes on the other pairs")
    pair.control.clear_faults()
    again = pair.session.wait_until(quotes, "quotes again")
    assert_paused(again, before, XRP, "stale book")
    assert_undisturbed(again, before, BTC, CROSS)
    assert again["sockets"] == before["sockets"]


def test_a_wrong_checksum_waits_for_a_fresh_snapshot(pair: Any) -> None:
    before = pair.session.report()
    pair.control.wrong_checksum(1, XRP)
    after = pair.session.wait_until(
        lambda report: was_told(report, before, "waiting for a snapshot", XRP) and quotes(report),
        "quotes again",
    )
    assert_paused(after, before, XRP, "waiting for a snapshot")
    assert_undisturbed(after, before, BTC, CROSS)


@pytest.mark.long
def test_a_book_whose_checksums_stay_wrong_is_never_quoted_on_unchecked(pair: Any) -> None:
    """The client stops to check at the third wrong one in a row; ending the subscription makes it check again."""
    for frames in (6, 1):
        before = pair.session.report()
        pair.control.wrong_checksum(frames, XRP)
        pair.session.wait_until(
            lambda report, before=before: was_told(report, before, "waiting for a snapshot", XRP),
            "a checksum that was found wrong",
        )
        pair.session.wait_until(quotes, "quotes again")
    assert pair.control.state()["faults"] == {}


def test_a_crossed_book_is_left_until_it_has_been_sound_for_a_while(pair: Any) -> None:
    before = pair.session.report()
    pair.control.crossed_book(XRP, ticks=3)
    pair.session.wait_until(lambda report: is_held(report, "crossed book", XRP), "a crossed book")
    pair.control.clear_faults()
    again = pair.session.wait_until(quotes, "quotes again")
    assert_paused(again, before, XRP, "crossed book")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["text", "missing_field", "wrong_type"])
def test_garbage_changes_nothing(pair: Any, kind: str) -> None:
    before = pair.session.report()
    pair.control.garbage(kind, None if kind == "text" else XRP)
    assert_undisturbed(wait_for_more(pair, before), before)


@pytest.mark.long
def test_a_burst_is_followed_to_its_end(pair: Any) -> None:
    before = pair.session.report()
    pair.control.pause()
    pair.control.burst(5_000, 5_000.0)
    shown = {symbol: pair.control.book(symbol, 25) for symbol in SYMBOLS}
    after = pair.session.wait_until(
        lambda report: all(
            report["symbols"][symbol]["touch"]
            == pytest.approx((float(book["bids"][0][0]), float(book["asks"][0][0])))
            for symbol, book in shown.items()
        ),
        "the venue's touch on all pairs",
    )
    assert sum(events(after, symbol) - events(before, symbol) for symbol in SYMBOLS) > 1_000
    assert_undisturbed(after, before)
    pair.control.resume()
    pair.session.wait_until(quotes, "quotes after the burst")


@pytest.mark.long
def test_a_venue_whose_clock_is_behind_is_quoted_on_and_its_trades_are_old(pair: Any) -> None:
    """Feed age is measured by our own clock; what a trade's age says cannot be believed."""
    before = pair.session.report()
    pair.control.clock_skew(-3600.0)
    pair.control.trade(XRP, "buy", "2.5", "0.5")
    pair.session.wait_until(lambda report: report["symbols"][XRP]["old_trades"] > 0, "an old trade")
    pair.control.clock_skew(0.0)
    assert_undisturbed(wait_for_more(pair, before), before)


@pytest.mark.long
def test_a_venue_whose_clock_is_ahead_is_quoted_on(pair: Any) -> None:
    before = pair.session.report()
    pair.control.clock_skew(3600.0)
    after = wait_for_more(pair, before)
    pair.control.clock_skew(0.0)
    assert_undisturbed(after, before)
    assert [row["old_trades"] for row in after["symbols"].values()] == [
        row["old_trades"] for row in before["symbols"].values()
    ]


@pytest.mark.long
def test_data_of_a_pair_that_nobody_asked_for_changes_nothing(pair: Any) -> None:
    before = pair.session.report()
    pair.control.unknown_symbol("DOGE/USDT", "data")
    after = wait_for_more(pair, before)
    assert_undisturbed(after, before)
    assert list(after["symbols"]) == list(SYMBOLS)


@pytest.mark.long
@pytest.mark.parametrize("step_seconds", [-120.0, 120.0])  # The second one is a step of 240 s.
def test_a_wall_clock_that_is_set_pauses_everything(pair: Any, step_seconds: float) -> None:
    before = pair.session.report()
    pair.session.ask("step_clock", step_seconds)
    held = pair.session.wait_until(lambda report: is_held(report, "clock step"), "a clock step")
    again = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert_paused(again, before, symbol, "clock step")
    assert again["now_ns"] - held["now_ns"] > 2_000_000_000, "the clocks have to agree for three seconds"


@pytest.mark.long
def test_frames_that_are_dated_ahead_are_told_once_and_flood_no_log(pair: Any) -> None:
    """The engine would warn of every level until the venue's clock has caught up, thousands of times a second.

    Tests before this one set the venue's clock too; a pair is told of again once a minute was without such frames.
    """
    before = pair.session.report()
    pair.control.clock_skew(3_600)
    ahead = wait_for_more(pair, before)
    pair.control.clock_skew(0)
    wait_for_more(pair, ahead)
    logs = pair.session.folder.glob("runs/*/run*.log")
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    assert not [line for line in lines if "Out-of-order" in line]
    told = [line for line in lines if "dated before earlier ones" in line]
    for symbol in SYMBOLS:
        times = pd.to_datetime([line.split()[0] for line in told if f"MM: {symbol} " in line])
        assert len(times)
        assert (times[1:] - times[:-1] > pd.Timedelta(seconds=59)).all()


# -- What the venue says that it takes --------------------------------------------------------------------------


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


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("status", ["post_only", "limit_only"])
def test_a_venue_that_takes_quotes_alone_is_quoted_at(pair: Any, status: str) -> None:
    before = pair.session.report()
    pair.control.system_status(status)
    seen = pair.session.wait_until(
        lambda report: set(report["venue"].values()) == {status} and quotes(report), f"quotes at {status}"
    )
    assert live_orders(seen)
    assert_undisturbed(seen, before)


@pytest.mark.long
@pytest.mark.parametrize("how", ["unavailable", "error", "empty"])
def test_what_the_venue_said_last_holds_while_it_says_nothing(pair: Any, how: str) -> None:
    pair.control.pair_status(XRP, "cancel_only")
    held = pair.session.wait_until(
        lambda report: is_held(report, "venue takes cancels only", XRP), "a closed pair"
    )
    pair.control.rest_fault(how)
    unanswered = pair.session.wait_until(
        lambda report: (
            report["unanswered"] > held["unanswered"] + 1 and is_held(report, "venue takes cancels only", XRP)
        ),
        "a closed pair while questions have no answer",
    )
    assert OPEN not in told_since(unanswered, held, XRP)
    pair.session.wait_until(lambda report: quotes(report, BTC, CROSS), "quotes on the other pairs")
    pair.control.clear_faults()
    pair.session.wait_until(quotes, "quotes again")


# -- The kill switch --------------------------------------------------------------------------------------------

HALTED = "halted by the kill switch: {}"
LEAST = {"XRP/USDT": 2.0, "BTC/USDT": 0.00005, "XRP/BTC": 2.0}
"""The venue's smallest orders; less than that cannot be closed."""


def test_the_halt_command_cancels_everything_until_the_resume_command(
    pair: Any, folder: Path, command: Any
) -> None:
    config, state = folder / "session.yaml", folder / "state" / "faults.json"
    said = command("halt", config).stdout
    assert f"mm-nautilus resume {config}" in said
    held = pair.session.wait_until(
        lambda report: is_held(report, HALTED.format("the halt command")), "a halt"
    )
    later = pair.session.wait_until(
        lambda report: report["now_ns"] - held["now_ns"] > 500_000_000, "time to pass"
    )
    assert is_held(later, HALTED.format("the halt command"))
    assert {row["state"] for row in later["symbols"].values()} == {"halted"}
    saved = json.loads(state.read_text(encoding="utf-8"))["components"]
    assert saved, "the halt is saved at once"
    assert command("resume", state).returncode == 0
    pair.session.wait_until(quotes, "quotes again")
    left = {path.name for path in state.parent.iterdir()}
    assert left - {"faults.curve"} == {"faults.json", "faults.json.lock"}


def test_the_signal_halts_and_a_message_resumes(pair: Any, folder: Path) -> None:
    pair.session.process.send_signal(signal.SIGUSR1)
    pair.session.wait_until(lambda report: is_held(report, HALTED.format("a signal")), "a halt")
    kept = json.loads((folder / "state" / "faults.halt").read_text(encoding="utf-8"))
    assert kept["reason"] == "a signal"
    pair.session.ask("publish", "ResumeQuoting", {"reason": "a test"})
    pair.session.wait_until(quotes, "quotes again")
    assert not (folder / "state" / "faults.halt").exists()


@pytest.mark.long
def test_a_halt_by_hand_may_close_the_positions(pair: Any, folder: Path, command: Any) -> None:
    before = pair.session.wait_until(
        lambda report: any(abs(row["position"]) > 0 for row in report["symbols"].values()), "a position"
    )
    command("halt", folder / "session.yaml", "--flatten", "--reason", "fire drill")

    def is_flat(report: Any) -> bool:
        flat = all(abs(report["symbols"][symbol]["position"]) < least for symbol, least in LEAST.items())
        return flat and is_held(report, HALTED.format("fire drill"))

    after = pair.session.wait_until(is_flat, "flat positions")
    assert live_orders(after) == []
    closed = [order for order in pair.session.history(before) if order["tag"] == "halt"]
    assert "FILLED" in {order["status"] for order in closed}
    assert {order["symbol"] for order in closed} <= set(SYMBOLS)
    assert all(order["ts_init"] > before["now_ns"] for order in closed)
    pair.session.ask("publish", "ResumeQuoting", {"reason": "a test"})
    pair.session.wait_until(quotes, "quotes again")
