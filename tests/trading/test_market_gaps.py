"""A backtest pauses over gaps of its data; what it does, counts and says is as if it had looked once a second."""

import json
from typing import Any

import pytest
from guard_scripting import Told
from scripting import BTC_USDT, SECOND, T0, XRP_USDT, book, config, trade

from mm_nautilus.pricing.not_quoting import NotQuoting

HOUR = 3600.0


class Ticking(Told):
    """A market maker that keeps the times at which its timer ticked, seconds."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.heard: list[float] = []

    def on_time_event(self, event: Any) -> None:
        self.heard.append((event.ts_event - T0) / SECOND)
        super().on_time_event(event)


def session(at: float, mid: float, seconds: int = 40) -> list[Any]:
    """Return a book twice a second, and an order that fills the bid."""
    books = [book(at + step / 2, mid - 0.0005 - step % 3 * 1e-5, mid + 0.0005) for step in range(2 * seconds)]
    return [*books, trade(at + seconds - 1.2, mid - 0.004, 15.0, "sell")]


def sorted_by_time(events: list[Any]) -> list[Any]:
    return sorted(events, key=lambda event: event.ts_init)


@pytest.fixture
def over_a_gap(run: Any) -> Any:
    """Two sessions off the grid of seconds, 1 % and three hours apart, with a position held between them."""

    def play(*, pauses: bool) -> tuple[Ticking, Any]:
        given = config(stale_after_seconds=10.0, resume_after_seconds=2.0, stop_loss_pct=0.5)
        mm = Ticking(given)
        if pauses:
            mm.conditions.pauses_in_gaps = True
        events = [*session(0, 2.35), *session(3 * HOUR + 0.3, 2.32), *session(3 * HOUR + 45.6, 2.32)]
        return mm, run(mm, sorted_by_time(events))

    return play


def test_pausing_changes_nothing_but_the_ticks_in_the_gap(over_a_gap: Any) -> None:
    plain, seen = over_a_gap(pauses=False)
    tallies = [side.stats.to_dict() for side in (plain.symbols[XRP_USDT].bid, plain.symbols[XRP_USDT].ask)]
    fills, told, saved = seen.fills, plain.told, json.loads(plain.on_save()["market_maker"])
    pausing, again = over_a_gap(pauses=True)

    assert again.fills == fills
    assert any(fill.tag == "stop_loss" for fill in fills)
    assert pausing.told == told
    assert [
        side.stats.to_dict() for side in (pausing.symbols[XRP_USDT].bid, pausing.symbols[XRP_USDT].ask)
    ] == tallies
    assert json.loads(pausing.on_save()["market_maker"]) == saved
    assert len(plain.heard) > 3 * HOUR
    assert len(pausing.heard) < 40 + 60 + 10 + 10 + 90
    end = 3 * HOUR
    assert [at for at in pausing.heard if at > end] == [at for at in plain.heard if at > end]
    assert set(pausing.heard) <= set(plain.heard)


def test_the_gap_counts_as_a_stale_book_to_the_nanosecond(over_a_gap: Any) -> None:
    mm, _ = over_a_gap(pauses=True)

    begin = 39.5 + 10.0
    assert (49.5 + 0.5, XRP_USDT, "paused: stale book") in mm.told
    texts = [text for _, _, text in mm.told if "again" in text]
    assert texts == [
        f"open for quoting again after {3 * HOUR + 0.3 + 2.0 - (begin + 0.5):.1f} s (stale book)"
    ]
    for side in (mm.symbols[XRP_USDT].bid, mm.symbols[XRP_USDT].ask):
        stale = side.stats.times_ns[NotQuoting.STALE_BOOK]
        assert stale == pytest.approx((3 * HOUR + 0.3 - 50) * SECOND, abs=1)


def test_a_symbol_whose_book_goes_on_keeps_the_clock_going(run: Any) -> None:
    given = config(stale_after_seconds=10.0)
    given["symbols"] = {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}
    mm = Ticking(given)
    mm.conditions.pauses_in_gaps = True
    other = [book(at, 93999.0, 94001.0 + at % 2, symbol=BTC_USDT) for at in range(0, 600, 20)]

    run(mm, sorted_by_time([*session(0, 2.35), *other]))

    assert mm.heard == list(range(1, 581))


def test_what_the_mid_does_over_a_gap_is_no_return_of_a_minute(run: Any) -> None:
    mm = Ticking(config(stale_after_seconds=10.0, stop_loss_pct=50.0, volatility_lookback=5))

    run(mm, sorted_by_time([*session(0, 2.35, 200), *session(HOUR, 2.5, 300)]))

    returns = mm.symbols[XRP_USDT].volatility.returns
    assert len(returns) == 5
    assert max(map(abs, returns)) < 1e-4
