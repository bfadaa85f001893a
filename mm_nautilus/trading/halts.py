"""Halts, resume and stop of the strategy, and the report of every halt and pause."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nautilus_trader.model import InstrumentId

from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.state import Halt, QuotingState
from mm_nautilus.system.plain_text import counted
from mm_nautilus.trading.drawdowns import Drawdowns
from mm_nautilus.trading.messages import EVENTS_TOPIC, NOT_CLOSED, Fill, GuardChange
from mm_nautilus.trading.persistence import Persistence
from mm_nautilus.trading.symbol import SymbolState


class Halts:
    """Halt symbols at their limits, resume and stop them, and report each halt, pause and resume once.

    A report is a log line and a published `GuardChange`; it comes after the order commands that the change causes.

    Parameters
    ----------
    requote
        Requotes a symbol at a time in nanoseconds since the epoch, here to cancel its quotes or close its position.

    Attributes
    ----------
    stopping
        Why the strategy is stopping, None while it runs.
    """

    def __init__(
        self,
        strategy: Any,
        symbols: Mapping[InstrumentId, SymbolState],
        drawdowns: Drawdowns,
        persistence: Persistence,
        requote: Callable[[SymbolState, int], None],
    ) -> None:
        self._strategy, self._symbols, self._drawdowns = strategy, symbols, drawdowns
        self._persistence, self._requote = persistence, requote
        self.stopping: NotQuoting | None = None

    # -- Limits -----------------------------------------------------------------------------------------

    def check_drawdowns(self, now_ns: int) -> None:
        """Halt the symbols of each drawdown limit that is reached."""
        for symbols, reason, text in self._drawdowns.breaches():
            self._halt(symbols, reason, text, now_ns)

    def check_refusals(self, symbol: SymbolState, now_ns: int) -> None:
        """Halt a symbol whose orders are refused again after `max_refused_orders_pauses` pauses in a row."""
        pauses = symbol.params.max_refused_orders_pauses
        if pauses is not None and symbol.guards.refusals.is_exhausted and not symbol.is_halted:
            text = f"too many again after {counted(pauses, 'pause')} in a row"
            self._halt([symbol], NotQuoting.HALTED_REFUSALS, text, now_ns)

    def check_losses(self, symbol: SymbolState, fill: Fill, now_ns: int) -> None:
        """Halt a symbol after `max_consecutive_losses` losing orders in a row."""
        losses = symbol.guards.losses
        if fill.trade_pnl is not None and losses.add(fill.order_id, fill.trade_pnl):
            text = f"{counted(losses.length, 'losing order')} in a row"
            self._halt([symbol], NotQuoting.HALTED_LOSS_STREAK, text, now_ns)

    # -- Commands ---------------------------------------------------------------------------------------

    def kill(self, reason: str, now_ns: int, *, flatten: bool) -> None:
        """Halt all symbols and, if `flatten`, close their positions at market."""
        self._halt(self._symbols.values(), NotQuoting.KILL_SWITCH, reason, now_ns, flatten=flatten)

    def resume(self, reason: str, now_ns: int) -> None:
        """Clear every halt, and restart drawdowns, loss streaks and counts of refused orders."""
        self._drawdowns.rearm()
        for symbol in self._symbols.values():
            was_halted, closing = symbol.is_halted, symbol.closing
            is_kept = closing.flatten is ExitReason.HALT and closing.has_part_to_close
            symbol.guards.rearm()
            closing.flatten = None if self.stopping is None else closing.flatten
            if was_halted:
                text = f"resumed by {reason}{NOT_CLOSED if is_kept else ''}"
                self._report(symbol, QuotingState.QUOTING, text, now_ns)

    def stop(self, *, flatten: bool) -> None:
        """Stop quoting for good and, if `flatten`, close the positions at market."""
        self.stopping = NotQuoting.STOPPING
        for symbol in self._symbols.values():
            symbol.closing.flatten = ExitReason.STOP if flatten else symbol.closing.flatten

    def _halt(
        self,
        symbols: Iterable[SymbolState],
        reason: NotQuoting,
        text: str,
        now_ns: int,
        *,
        flatten: bool | None = None,
    ) -> None:
        has_changed = False
        for symbol in symbols:
            halt = Halt(reason, text, symbol.params.flatten_on_halt if flatten is None else flatten)
            if not symbol.guards.supersedes(halt):
                continue
            has_changed = True
            symbol.guards.halt = halt
            symbol.closing.flatten = ExitReason.HALT if halt.flatten else symbol.closing.flatten
            if self._strategy.is_running():
                self._requote(symbol, now_ns)
            self._report(symbol, QuotingState.HALTED, f"{reason}: {text}", now_ns, flattens=halt.flatten)
        if has_changed:
            self._persistence.publish_change()  # last: a subscriber writes it to disk, which takes time

    # -- Reports ----------------------------------------------------------------------------------------

    def report_pause(self, symbol: SymbolState, now_ns: int) -> None:
        """Report that a pause has begun, has changed its reason, or is over."""
        text = symbol.guards.pause_text(symbol.pause, now_ns)
        if text is not None:
            state = QuotingState.QUOTING if symbol.pause is None else QuotingState.PAUSED
            self._report(symbol, state, text, now_ns)

    def report_restored(self, symbol: SymbolState, now_ns: int) -> None:
        """Report a halt that was restored after a restart."""
        halt = symbol.guards.halt
        if halt is not None:
            words = f"is still {halt.reason}: {halt.text}"
            self._report(symbol, QuotingState.HALTED, words, now_ns, flattens=halt.flatten)

    def _report(
        self, symbol: SymbolState, state: QuotingState, text: str, now_ns: int, *, flattens: bool = False
    ) -> None:
        log = self._strategy.log.info if state is QuotingState.QUOTING else self._strategy.log.warning
        line = symbol.guards.lines.take(f"MM: {symbol.name} {text}", now_ns)
        if line is not None:
            log(line)
        self._strategy.publish_message(EVENTS_TOPIC, GuardChange(now_ns, symbol.name, state, text, flattens))
