"""Per-symbol PnL and trade counts from the engine's portfolio."""

from mm_nautilus.metrics.ledger import SymbolLedger

__all__ = ["SymbolLedger"]
