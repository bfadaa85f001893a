"""What a symbol keeps over a restart."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from mm_nautilus.pricing.exits import ExitReason, PositionEntry
from mm_nautilus.risk.state import Halt
from mm_nautilus.trading.saved_account import SavedPosition
from mm_nautilus.trading.symbol import SymbolState

__all__ = ["restore_symbol", "saved_position", "saved_symbol"]


def saved_symbol(symbol: SymbolState) -> dict[str, Any]:
    """Return a symbol's entry, realised PnL, halts, drawdown, cooldowns and counts as plain values."""
    position, halt = symbol.position, symbol.guards.halt
    return {
        "entry": None if position.entry is None else asdict(position.entry),
        "realized": f"{position.realized:f}",
        "halt": None if halt is None else halt.to_dict(),
        "drawdown_peak": symbol.drawdown.peak,
        "losses_in_a_row": symbol.guards.losses.length,
        "open_fees": f"{position.results.open_fees:f}",
        "last_fill_ns": {"bid": symbol.bid.last_fill_ns, "ask": symbol.ask.last_fill_ns},
        "counts": asdict(symbol.counts),
    }


def restore_symbol(symbol: SymbolState, saved: dict[str, Any], now_ns: int) -> None:
    """Set a symbol to what `saved_symbol` returned; an entry only where the engine still has the position.

    The symbol has to know the engine's position. A fill that is
    dated ahead, as the clock was set back since, starts its cooldown now.
    """
    position = symbol.position
    position.realized = Decimal(saved["realized"])
    entry = saved["entry"]
    if entry is not None and position.lots != 0:
        position.entry = PositionEntry(**entry)
    position.results.open_fees = Decimal(saved["open_fees"])
    halt = symbol.guards.halt = None if saved["halt"] is None else Halt.from_dict(saved["halt"])
    symbol.flatten = ExitReason.HALT if halt is not None and halt.flatten else None
    symbol.drawdown.peak = saved["drawdown_peak"]
    symbol.drawdown.halted = halt is not None
    symbol.guards.losses.reset(saved["losses_in_a_row"])
    for side, name in ((symbol.bid, "bid"), (symbol.ask, "ask")):
        filled_ns = saved["last_fill_ns"][name]
        side.last_fill_ns = None if filled_ns is None else min(filled_ns, now_ns)
    for name, value in saved["counts"].items():
        setattr(symbol.counts, name, value)


def saved_position(symbol: SymbolState) -> SavedPosition | None:
    """Return a symbol's open position, None where it is flat."""
    position, spec = symbol.position, symbol.spec
    if position.entry is None or position.lots == 0:
        return None
    return SavedPosition(
        symbol=spec.symbol,
        base=spec.base,
        quote=spec.quote,
        quantity=position.lots * spec.size_increment,
        average_price=position.entry.entry_price,
        realized=position.cycle_realized,
    )
