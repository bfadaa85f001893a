"""Market making on NautilusTrader: strategy, metrics, data and believable backtests."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mm_nautilus.config.run import RunConfig
    from mm_nautilus.config.strategy import MarketMakerConfig
    from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
    from mm_nautilus.metrics.data_types import SymbolMetrics
    from mm_nautilus.runs.backtest import run_backtest
    from mm_nautilus.runs.winding_down import RunOutcome
    from mm_nautilus.trading.strategy import MarketMaker

__all__ = [
    "MarketMaker",
    "MarketMakerConfig",
    "MetricsActor",
    "MetricsActorConfig",
    "RunConfig",
    "RunOutcome",
    "SymbolMetrics",
    "run_backtest",
]

_HOMES: Final = {
    "MarketMaker": "mm_nautilus.trading.strategy",
    "MarketMakerConfig": "mm_nautilus.config.strategy",
    "MetricsActor": "mm_nautilus.metrics.actor",
    "MetricsActorConfig": "mm_nautilus.metrics.actor",
    "RunConfig": "mm_nautilus.config.run",
    "RunOutcome": "mm_nautilus.runs.winding_down",
    "SymbolMetrics": "mm_nautilus.metrics.data_types",
    "run_backtest": "mm_nautilus.runs.backtest",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the engine takes a second to load, `--help` should not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Name what `__getattr__` imports, too."""
    return sorted({*globals(), *__all__})
