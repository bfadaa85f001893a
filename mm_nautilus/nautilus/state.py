"""What a desk keeps over a restart."""

import math
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.core.exits import ExitReason, PositionEntry
from mm_nautilus.core.guard_state import Halt
from mm_nautilus.core.saved_account import SavedPosition
from mm_nautilus.nautilus.desk import SymbolDesk

__all__ = ["restore_desk", "saved_desk", "saved_position", "take_over_position"]

_SAME_PRICE: Final = 1e-9
"""Share of a price by which the engine's average may miss the saved one and still be the same position's."""


def saved_desk(desk: SymbolDesk) -> dict[str, Any]:
    """Return a desk's entry, realised PnL, halts, drawdown, cooldowns and counts as plain values."""
    return {
        "entry": None if desk.entry is None else asdict(desk.entry),
        "realized": f"{desk.realized:f}",
        "halt": None if desk.guards.halt is None else desk.guards.halt.to_dict(),
        "drawdown_peak": desk.drawdown.peak,
        "losses_in_a_row": desk.guards.losses.length,
        "open_fees": f"{desk.results.open_fees:f}",
        "last_fill_ns": {"bid": desk.bid.last_fill_ns, "ask": desk.ask.last_fill_ns},
        "counts": asdict(desk.counts),
    }


def restore_desk(desk: SymbolDesk, saved: dict[str, Any], now_ns: int) -> None:
    """Set a desk to what `saved_desk` returned; an entry only where the engine still has the position.

    The desk has to know the engine's position and what the engine's portfolio has realised already. A fill that is
    dated ahead, as the clock was set back since, starts its cooldown now.
    """
    earlier = Decimal(saved["realized"]) - desk.realized
    desk.realized += earlier
    desk.earlier_realized = float(earlier)
    entry = saved["entry"]
    if entry is not None and desk.position_lots != 0:
        desk.entry = PositionEntry(**entry)
    halt = desk.guards.halt = None if saved["halt"] is None else Halt.from_dict(saved["halt"])
    desk.flatten = ExitReason.HALT if halt is not None and halt.flatten else None
    desk.drawdown.peak = saved["drawdown_peak"]
    desk.drawdown.halted = halt is not None
    desk.guards.losses.reset(saved["losses_in_a_row"])
    desk.results.open_fees = Decimal(saved["open_fees"])
    for side, name in ((desk.bid, "bid"), (desk.ask, "ask")):
        filled_ns = saved["last_fill_ns"][name]
        side.last_fill_ns = None if filled_ns is None else min(filled_ns, now_ns)
    for name, value in saved["counts"].items():
        setattr(desk.counts, name, value)


def take_over_position(desk: SymbolDesk, position: Any) -> None:
    """Follow a position that the engine has open although no event has told of it.

    A restored entry that is this position's keeps its extremes and takes the engine's price, to the last bit: a
    lower one would count as an add at a loss, which begins the extremes anew.
    """
    desk.cycle_realized = Decimal(0) if position.realized_pnl is None else position.realized_pnl.as_decimal()
    desk.entry_lots = abs(desk.position_lots)
    entry, price = desk.entry, position.avg_px_open
    if (
        entry is not None
        and (entry.side == "long") == position.is_long
        and math.isclose(entry.entry_price, price, rel_tol=_SAME_PRICE)
    ):
        entry.entry_price = price
    else:
        desk.set_entry("long" if position.is_long else "short", price, desk.entry_lots, price)


def saved_position(desk: SymbolDesk) -> SavedPosition | None:
    """Return a desk's open position, None where it is flat."""
    if desk.entry is None or desk.position_lots == 0:
        return None
    spec = desk.spec
    return SavedPosition(
        symbol=spec.symbol,
        base=spec.base,
        quote=spec.quote,
        quantity=desk.position_lots * spec.size_increment,
        average_price=desk.entry.entry_price,
        realized=desk.cycle_realized,
    )
