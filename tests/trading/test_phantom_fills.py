"""Trades of a live feed that are too old or come again: what the strategy makes of them, and the simulated venue."""

from typing import Any

from live_scripting import LiveScript
from nautilus_trader.model import TradeId
from scripting import SECOND, XRP_USDT, book, config, trade

from mm_nautilus.trading.setup import Conditions

CALM = (2.3495, 2.3505)


def sale(trade_id: str, age_seconds: int = 0) -> Any:
    """Return a trade that goes through our bid, with an id of its own and so old when it comes."""
    told = trade(1, 2.348, 4, "sell")
    given = (told.instrument_id, told.price, told.size, told.aggressor_side, TradeId(trade_id))
    return type(told)(*given, told.ts_init - age_seconds * SECOND, told.ts_init)


def play(*trades: Any) -> Any:
    """Play a calm book and these trades on a live node whose feed is watched, and return its session."""
    events: list[Any] = [book(0, *CALM), book(0, *CALM)]
    for each in trades:
        events += [each, book(0, *CALM)]
    script = LiveScript(config(cooldown_seconds=0.001, resume_after_seconds=0.001), events)
    script.strategy.conditions = Conditions(is_live=True, book_depth=10)
    return script.run()


def test_a_trade_that_comes_again_or_late_is_left_out_and_what_it_fills_is_counted_apart() -> None:
    """The engine offers no way to keep a trade from its simulated venue: it fills quotes by each of them."""
    session = play(sale("1"), sale("2"), sale("1"), sale("1"), sale("4", age_seconds=20), sale("3"))
    symbol = session.strategy.symbols[XRP_USDT]
    counts = symbol.counts
    assert len(symbol.flow._signed_sizes) == 3
    assert (counts.repeated_trades, counts.old_trades) == (2, 1)
    assert (counts.fills, counts.phantom_fills) == (6, 3)
    assert session.strategy.run_warnings[-1] == (
        "Warning: XRP/USDT: 3 fills came from trades that were too old or repeated; the simulated venue fills "
        "quotes from them, and the figures include them"
    )
