"""What goes wrong with a feed whose connection stands: through the engine's Kraken client, against the local venue."""

from typing import Any

import pytest
from sandbox_sessions import (
    BTC,
    CROSS,
    SYMBOLS,
    XRP,
    Report,
    assert_paused,
    assert_undisturbed,
    is_held,
    quotes,
    was_told,
)


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
    pair.control.quiet(XRP)
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
    assert pair.control.state()["faults"]["wrong_checksums"] == {}


def test_a_crossed_book_is_left_until_it_has_been_sound_for_a_while(pair: Any) -> None:
    before = pair.session.report()
    pair.control.crossed_book(XRP, ticks=3)
    pair.session.wait_until(lambda report: is_held(report, "crossed book", XRP), "a crossed book")
    pair.control.clear_faults()
    again = pair.session.wait_until(quotes, "quotes again")
    assert_paused(again, before, XRP, "crossed book")


@pytest.mark.parametrize("kind", ["text", "missing_field", "wrong_type"])
def test_garbage_changes_nothing(pair: Any, kind: str) -> None:
    before = pair.session.report()
    pair.control.garbage(kind, None if kind == "text" else XRP)
    assert_undisturbed(wait_for_more(pair, before), before)


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


def test_a_venue_whose_clock_is_behind_is_quoted_on_and_its_trades_are_old(pair: Any) -> None:
    """Feed age is measured by our own clock; what a trade's age says cannot be believed."""
    before = pair.session.report()
    pair.control.clock_skew(-3600.0)
    pair.control.trade(XRP, "buy", "2.5", "0.5")
    pair.session.wait_until(lambda report: report["symbols"][XRP]["old_trades"] > 0, "an old trade")
    pair.control.clock_skew(0.0)
    assert_undisturbed(wait_for_more(pair, before), before)


def test_a_venue_whose_clock_is_ahead_is_quoted_on(pair: Any) -> None:
    before = pair.session.report()
    pair.control.clock_skew(3600.0)
    after = wait_for_more(pair, before)
    pair.control.clock_skew(0.0)
    assert_undisturbed(after, before)
    assert [row["old_trades"] for row in after["symbols"].values()] == [
        row["old_trades"] for row in before["symbols"].values()
    ]


def test_data_of_a_pair_that_nobody_asked_for_changes_nothing(pair: Any) -> None:
    before = pair.session.report()
    pair.control.unknown_symbol("DOGE/USDT", "data")
    after = wait_for_more(pair, before)
    assert_undisturbed(after, before)
    assert list(after["symbols"]) == list(SYMBOLS)


@pytest.mark.parametrize("step_seconds", [-120.0, 120.0])  # The second one is a step of 240 s.
def test_a_wall_clock_that_is_set_pauses_everything(pair: Any, step_seconds: float) -> None:
    before = pair.session.report()
    pair.session.ask("step_clock", step_seconds)
    held = pair.session.wait_until(lambda report: is_held(report, "clock step"), "a clock step")
    again = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert_paused(again, before, symbol, "clock step")
    assert again["now_ns"] - held["now_ns"] > 2_000_000_000, "the clocks have to agree for three seconds"


def test_frames_that_are_dated_ahead_are_told_once_and_flood_no_log(pair: Any) -> None:
    """The engine would warn of every level until the venue's clock has caught up, thousands of times a second."""
    before = pair.session.report()
    pair.control.clock_skew(3_600)
    ahead = wait_for_more(pair, before)
    pair.control.clock_skew(0)
    wait_for_more(pair, ahead)
    logs = pair.session.folder.glob("runs/*/run*.log")
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    assert not [line for line in lines if "Out-of-order" in line]
    told = [line for line in lines if "dated before earlier ones" in line]
    assert sorted(line.split("MM: ")[1].split()[0] for line in told) == sorted(SYMBOLS)
