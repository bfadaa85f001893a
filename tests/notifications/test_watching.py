"""What is worth a message."""

from decimal import Decimal
from typing import Any

from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.notifications.events import (
    EndEvent,
    Event,
    FeedEvent,
    Figures,
    GuardEvent,
    PeriodEvent,
    SymbolFigures,
)
from mm_nautilus.notifications.folding import Draft
from mm_nautilus.notifications.watching import Watching

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
SYMBOLS = ("XRP/USDT", "XRP/BTC")


def watching(base: Figures | None = None, **config: Any) -> Watching:
    return Watching(NotifyConfig.model_validate({"urls": ["A"], **config}), SYMBOLS, 0, base)


def take(watch: Watching, *events: Event, now: float = 0.0) -> list[Draft]:
    return list(watch.take(events, now))


def guard(symbol: str, state: str, text: str = "why", at: int = 0, *, flattens: bool = False) -> GuardEvent:
    return GuardEvent(at, symbol, state, text, flattens)


def figures(at: int, pnl: str, *, fills: int = 0, fees: str = "0") -> Figures:
    symbols = (
        SymbolFigures("XRP/USDT", fills, fills // 2, f"{fees} USDT", "25.5 XRP"),
        SymbolFigures("XRP/BTC", 1, 0, "0.00000100 BTC", "-1 XRP"),
    )
    return Figures(at, "USDT", Decimal(pnl), Decimal(1000), 1.25, symbols)


# -- Halts --------------------------------------------------------------------------------------------------


def test_a_halt_of_all_symbols_is_one_message_with_reason_and_what_becomes_of_positions() -> None:
    watch = watching()
    (one,) = take(watch, *(guard(symbol, "halted", "kill: good night", flattens=True) for symbol in SYMBOLS))
    assert (one.kind, one.level, one.words) == ("halt", "failure", "halted: XRP/USDT, XRP/BTC")
    assert one.lines[:3] == (
        "all symbols: XRP/USDT, XRP/BTC",
        "kill: good night",
        "positions are closed at market",
    )
    (one,) = take(watch, *(guard(symbol, "quoting", "resumed by the resume command") for symbol in SYMBOLS))
    assert (one.kind, one.words) == ("resume", "quotes again: XRP/USDT, XRP/BTC")


def test_halts_for_different_reasons_are_different_messages() -> None:
    found = take(watching(), guard("XRP/USDT", "halted", "losses"), guard("XRP/BTC", "halted", "drawdown"))
    assert [(one.about, one.lines) for one in found] == [
        (symbol, (symbol, text, "positions are kept", "it quotes again after `mm-nautilus resume`"))
        for symbol, text in (("XRP/USDT", "losses"), ("XRP/BTC", "drawdown"))
    ]


def test_a_halt_that_is_reported_again_as_a_run_starts_is_one_message() -> None:
    watch = watching()
    assert (
        len(
            take(
                watch, guard("XRP/USDT", "halted", "kill: x"), guard("XRP/USDT", "halted", "is still kill: x")
            )
        )
        == 1
    )
    assert len(take(watch, guard("XRP/USDT", "halted", "kill: y"))) == 1, "another reason"
    take(watch, guard("XRP/USDT", "quoting", "resumed by x"))
    assert len(take(watch, guard("XRP/USDT", "halted", "kill: y"))) == 1, "another halt"


def test_pauses_and_their_ends_are_no_messages() -> None:
    watch = watching()
    assert take(watch, guard("XRP/USDT", "paused"), guard("XRP/USDT", "quoting")) == []


# -- The feed -----------------------------------------------------------------------------------------------


def test_only_a_loss_beyond_the_limit_is_told_and_so_is_its_end() -> None:
    watch = watching(disconnect_seconds=60.0)
    assert take(watch, FeedEvent(0, is_connected=False), now=10.0) == []
    assert watch.next_at(10.0) == 70.0
    assert list(watch.due(69.9)) == []
    (one,) = watch.due(70.0)
    assert (one.kind, one.lines) == (
        "disconnect",
        (
            "since 1970-01-01 00:00:00 UTC",
            "no connection to the feed for more than 60 s; nothing is quoted meanwhile",
        ),
    )
    assert list(watch.due(80.0)) == []
    (one,) = take(watch, FeedEvent(125 * SECOND, is_connected=True), now=135.0)
    assert (one.kind, one.lines) == ("reconnect", ("after 0:02:05, since 1970-01-01 00:00:00 UTC",))


def test_a_loss_that_is_reported_again_is_told_once() -> None:
    watch = watching(disconnect_seconds=60.0)
    take(watch, FeedEvent(0, is_connected=False), now=10.0)
    assert len(list(watch.due(70.0))) == 1
    take(watch, FeedEvent(90 * SECOND, is_connected=False), now=100.0)
    assert list(watch.due(200.0)) == []


def test_a_short_loss_is_not_told() -> None:
    watch = watching(disconnect_seconds=60.0)
    events = (FeedEvent(0, is_connected=False), FeedEvent(SECOND, is_connected=True))
    assert take(watch, *events, now=10.0) == []
    assert list(watch.due(1_000.0)) == []


# -- Storms -------------------------------------------------------------------------------------------------


def test_a_storm_of_guards_is_told_once_and_again_when_it_is_over() -> None:
    watch = watching(storm_changes=4, storm_minutes=1.0)
    found = []
    for second in range(20):
        state = "paused" if second % 2 else "quoting"
        found += take(watch, guard("XRP/USDT", state, "stale book", second * SECOND), now=float(second))
    (one,) = found
    assert (one.kind, one.about) == ("guards", "XRP/USDT")
    assert "changed state 5 times within 1 minutes, the last: stale book" in one.lines[0]
    assert list(watch.due(60.0)) == []
    (one,) = watch.due(76.1)
    assert one.lines == ("it changed state 20 times in all",)
    assert list(watch.due(200.0)) == []


# -- Periods ------------------------------------------------------------------------------------------------


def first(at: int, pnl: str, **others: Any) -> PeriodEvent:
    return PeriodEvent(figures(at, pnl, **others), is_over=False)


def last(at: int, pnl: str, **others: Any) -> PeriodEvent:
    return PeriodEvent(figures(at, pnl, **others), is_over=True)


def test_a_summary_has_what_happened_since_the_period_began() -> None:
    watch = watching()
    assert take(watch, first(DAY // 2, "1", fills=4, fees="0.5")) == []
    halt, resume = (
        guard("XRP/USDT", state, at=at)
        for state, at in (("halted", DAY // 2), ("quoting", DAY // 2 + 90 * SECOND))
    )
    take(watch, halt, resume)
    (one,) = take(watch, last(DAY - SECOND, "-3.5", fills=10, fees="1.75"))
    assert one.kind == "summary"
    assert one.lines[:9] == (
        "since 1970-01-01 12:00:00 UTC",
        "trading PnL, net of fees: -$4.50",
        "fees: $1.25, 0.00000000 BTC",
        "fills: 6, trades: 3",
        "trading PnL in total, net of fees: -$3.50",
        "equity: $1000.00",
        "largest drawdown: 1.25 % of the equity at the start",
        "XRP/USDT: inventory 25.5 XRP",
        "XRP/BTC: inventory -1 XRP",
    )
    assert "XRP/USDT halted 0:01:30" in one.lines[9]
    assert watch.base == figures(DAY - SECOND, "-3.5", fills=10, fees="1.75")


def test_a_period_goes_on_over_a_restart() -> None:
    watch = watching(figures(DAY, "1"))
    assert take(watch, first(DAY + 3_600 * SECOND, "2")) == []
    (one,) = take(watch, last(2 * DAY - SECOND, "2"))
    assert one.lines[:2] == ("since 1970-01-02 00:00:00 UTC", "trading PnL, net of fees: +$1.00")


# -- The end ------------------------------------------------------------------------------------------------


def test_the_end_has_its_reason_on_one_line_and_the_totals() -> None:
    (one,) = take(watching(), EndEvent(0, "failed", "it broke\nhere", figures(0, "2.5")))
    assert (one.kind, one.level, one.words) == ("end", "failure", "the run has ended: failed")
    assert one.lines[:2] == ("it broke", "trading PnL in total, net of fees: +$2.50")
    (one,) = take(watching(), EndEvent(0, "completed", "", None))
    assert (one.level, one.lines) == ("success", ("figures: none were published",))


def test_a_short_rest_of_a_period_is_part_of_the_next() -> None:
    watch = watching()
    assert (
        take(watch, first(DAY - 2 * SECOND, "1"), last(DAY - 2 * SECOND, "1"), last(DAY - SECOND, "2")) == []
    )
    (one,) = take(watch, last(2 * DAY - SECOND, "3"))
    assert one.lines[0] == "since 1970-01-01 23:59:58 UTC"
    assert one.lines[-1].startswith(one.lines[0])


# -- What is not yet ----------------------------------------------------------------------------------------


def test_a_halt_while_the_feed_is_lost_closes_later_and_a_resume_does_not_quote_yet() -> None:
    watch = watching()
    take(watch, FeedEvent(SECOND, is_connected=False))
    (one,) = take(watch, guard("XRP/USDT", "halted", "good night", flattens=True))
    assert "positions will be closed once the feed is whole" in one.lines
    resumed = [
        GuardEvent(0, "XRP/USDT", "quoting", "resumed by the live page", flattens=False, is_kept=True),
    ]
    (one,) = take(watch, *resumed)
    assert (one.kind, one.level, one.words) == ("resume", "warning", "resumed; waits for the feed: XRP/USDT")
    assert "positions were not closed before the resume: XRP/USDT" in one.lines


def test_the_end_lists_what_is_held() -> None:
    flat = figures(DAY, "1")._replace(symbols=(SymbolFigures("XRP/USDT", 2, 1, "0 USDT", "0.000000 XRP"),))
    (one,) = take(watching(), EndEvent(DAY, "completed", "", flat))
    assert not any("inventory" in line for line in one.lines)
