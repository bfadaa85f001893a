"""What a desk keeps over a restart."""

from dataclasses import asdict
from typing import Any

from mm_nautilus.core.exits import ExitReason, PositionEntry
from mm_nautilus.nautilus.desk import SymbolDesk

__all__ = ["restore_desk", "saved_desk"]


def saved_desk(desk: SymbolDesk) -> dict[str, Any]:
    """Return a desk's entry, halts, drawdown, cooldowns and counts as plain values."""
    return {
        "entry": None if desk.entry is None else asdict(desk.entry),
        "is_halted": desk.is_halted,
        "drawdown_peak": desk.drawdown.peak,
        "last_fill_ns": {"bid": desk.bid.last_fill_ns, "ask": desk.ask.last_fill_ns},
        "counts": asdict(desk.counts),
    }


def restore_desk(desk: SymbolDesk, saved: dict[str, Any]) -> None:
    """Set a desk to what `saved_desk` returned; an entry only where the engine still has the position."""
    entry = saved["entry"]
    if entry is not None and desk.position_lots != 0:
        desk.entry = PositionEntry(**entry)
    desk.is_halted = saved["is_halted"]
    desk.flatten = ExitReason.HALT if desk.is_halted and desk.params.flatten_on_halt else None
    desk.drawdown.peak = saved["drawdown_peak"]
    desk.drawdown.halted = saved["is_halted"]
    desk.bid.last_fill_ns = saved["last_fill_ns"]["bid"]
    desk.ask.last_fill_ns = saved["last_fill_ns"]["ask"]
    for name, value in saved["counts"].items():
        setattr(desk.counts, name, value)
