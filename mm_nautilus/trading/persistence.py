"""The state that a strategy saves for a restart."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

from nautilus_trader.model import InstrumentId

from mm_nautilus.pricing.exits import ExitReason, PositionEntry
from mm_nautilus.risk.state import Halt
from mm_nautilus.trading.drawdowns import Drawdowns
from mm_nautilus.trading.messages import EVENTS_TOPIC, StateChanged
from mm_nautilus.trading.saved_account import SavedPosition
from mm_nautilus.trading.symbol import SymbolState

_STATE_KEY: Final = "market_maker"


class Persistence:
    """Save entries, extreme prices, realised PnL and halts as one JSON document, and restore them."""

    def __init__(self, strategy: Any) -> None:
        self._strategy = strategy
        self._loaded: dict[str, Any] = {}
        self._symbols: Mapping[InstrumentId, SymbolState] = {}
        self._drawdowns: Drawdowns | None = None

    @property
    def is_restored(self) -> bool:
        """Whether the saved state has been restored, so that the strategy may be saved."""
        return self._drawdowns is not None

    def load(self, state: Mapping[str, bytes]) -> None:
        """Store a saved document for `restore`."""
        if _STATE_KEY in state:
            self._loaded = json.loads(bytes(state[_STATE_KEY]))

    def restore(
        self, symbols: Mapping[InstrumentId, SymbolState], drawdowns: Drawdowns, portfolio: Any, now_ns: int
    ) -> None:
        """Restore symbols and drawdowns from the engine's positions and the saved document."""
        self._symbols, self._drawdowns = symbols, drawdowns
        for symbol in symbols.values():
            symbol.hold_position(portfolio, now_ns)
            known = portfolio.realized_pnl(symbol.instrument_id)
            symbol.position.realized = Decimal(0) if known is None else known.as_decimal()
            saved = self._loaded.get("symbols", {}).get(symbol.name)
            if saved is not None:
                _restore_symbol(symbol, saved, now_ns)
        drawdowns.restore(self._loaded)

    def save(self) -> dict[str, bytes]:
        """Return the document; the loaded one if the strategy never started quoting."""
        if self._drawdowns is None:
            return {_STATE_KEY: json.dumps(self._loaded).encode()}
        symbols = {symbol.name: _saved_symbol(symbol) for symbol in self._symbols.values()}
        return {_STATE_KEY: json.dumps({"symbols": symbols} | self._drawdowns.save()).encode()}

    @property
    def is_settled(self) -> bool:
        """Whether positions, entries and PnL are consistent: no execution still waits for its position event."""
        return not any(symbol.position.awaits_event for symbol in self._symbols.values())

    def publish_change(self) -> None:
        """Publish a `StateChanged` if the state is consistent."""
        if self.is_settled:
            self._strategy.publish_message(EVENTS_TOPIC, StateChanged(self._strategy.strategy_id.value))

    @property
    def positions(self) -> list[SavedPosition]:
        """The open positions."""
        return [
            SavedPosition(
                symbol=symbol.name,
                base=symbol.spec.base,
                quote=symbol.spec.quote,
                quantity=symbol.position.lots * symbol.spec.size_increment,
                average_price=symbol.position.entry.entry_price,
                realized=symbol.position.cycle_realized,
            )
            for symbol in self._symbols.values()
            if symbol.position.entry is not None and symbol.position.lots != 0
        ]


def _saved_symbol(symbol: SymbolState) -> dict[str, Any]:
    """Return a symbol's entry, realised PnL, halts, drawdown, cooldowns and counts as plain values."""
    position, halt = symbol.position, symbol.guards.halt
    return {
        "entry": None if position.entry is None else asdict(position.entry),
        "realized": f"{position.realized:f}",
        "halt": None if halt is None else asdict(halt),
        "drawdown_peak": symbol.drawdown.peak,
        "losses_in_a_row": symbol.guards.losses.length,
        "open_fees": f"{position.results.open_fees:f}",
        "last_fill_ns": {side.name: side.last_fill_ns for side in symbol.sides},
        "counts": asdict(symbol.counts),
    }


def _restore_symbol(symbol: SymbolState, saved: dict[str, Any], now_ns: int) -> None:
    """Restore a symbol from `_saved_symbol`; its entry only if the engine still has the position.

    The symbol's position must have been taken from the engine before. The cooldown of a fill in the future, after the
    clock was set back, starts now.
    """
    position = symbol.position
    position.realized = Decimal(saved["realized"])
    entry = saved["entry"]
    if entry is not None and position.lots != 0:
        position.entry = PositionEntry(**entry)
    position.results.open_fees = Decimal(saved["open_fees"])
    halt = symbol.guards.halt = None if saved["halt"] is None else Halt.from_dict(saved["halt"])
    symbol.closing.flatten = ExitReason.HALT if halt is not None and halt.flatten else None
    symbol.drawdown.peak = saved["drawdown_peak"]
    symbol.drawdown.halted = halt is not None
    symbol.guards.losses.reset(saved["losses_in_a_row"])
    for side in symbol.sides:
        filled_ns = saved["last_fill_ns"].get(side.name)
        side.last_fill_ns = None if filled_ns is None else min(filled_ns, now_ns)
    for name, value in saved["counts"].items():
        setattr(symbol.counts, name, value)
