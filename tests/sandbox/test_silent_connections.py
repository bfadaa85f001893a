"""What becomes of a sandbox run whose connection stands and says nothing; the client gives it up after ten seconds."""

from typing import Any

from sandbox_sessions import SYMBOLS, changes_since, is_held, quotes


def test_a_connection_that_falls_silent(pair: Any) -> None:
    before = pair.session.report()
    pair.control.silence()
    stale = pair.session.wait_until(lambda report: is_held(report, "stale book"), "stale books")
    assert "DISCONNECTED" not in stale["sockets"][len(before["sockets"]) :]
    pair.session.wait_until(lambda report: is_held(report, "feed disconnected"), "the loss of the connection")
    pair.control.clear_faults()
    after = pair.session.wait_until(quotes, "quotes again")
    for symbol in SYMBOLS:
        assert [text.partition(" after ")[0] for text in changes_since(after, before, symbol)] == [
            "paused: stale book",
            "paused: feed disconnected",
            "paused: waiting for a snapshot",
            "open for quoting again",
        ]


def test_a_message_whose_second_half_never_comes(pair: Any) -> None:
    before = pair.session.report()
    pair.control.half_message("silent")
    pair.session.wait_until(lambda report: is_held(report, "feed disconnected"), "the loss of the connection")
    after = pair.session.wait_until(quotes, "quotes again")
    assert changes_since(after, before, SYMBOLS[0])[:1] == ["paused: stale book"]
