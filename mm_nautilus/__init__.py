"""Market making on NautilusTrader: strategy, metrics, data and believable backtests."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mm_nautilus.core.config import MarketMakerConfig
    from mm_nautilus.nautilus.actor import MetricsActor, MetricsActorConfig
    from mm_nautilus.nautilus.data_types import SymbolMetrics
    from mm_nautilus.nautilus.strategy import MarketMaker

__all__ = ["MarketMaker", "MarketMakerConfig", "MetricsActor", "MetricsActorConfig", "SymbolMetrics"]

_HOMES: Final = {
    "MarketMaker": "mm_nautilus.nautilus.strategy",
    "MarketMakerConfig": "mm_nautilus.core.config",
    "MetricsActor": "mm_nautilus.nautilus.actor",
    "MetricsActorConfig": "mm_nautilus.nautilus.actor",
    "SymbolMetrics": "mm_nautilus.nautilus.data_types",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the engine takes a second to load, `--help` should not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)
