"""The strategy class and the pricing functions of one's own that a run's configuration names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_nautilus.checks.own_code import ObjectRefusedError, OwnModules, own_pricing, takes_arguments
from mm_nautilus.checks.refusals import RefusedRunError
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import TradingConfig
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.errors import MarketMakingError
from mm_nautilus.pricing.pricing_model import PricingModel
from mm_nautilus.system.raised import raised_text
from mm_nautilus.trading.strategy import MarketMaker


@dataclass(frozen=True, slots=True)
class OwnCode:
    """What a run trades with."""

    strategy_class: type[MarketMaker]
    pricing: Mapping[str, PricingModel]
    """Pricing functions by symbol; the other symbols have the configured model."""
    sources: Mapping[Path, bytes]
    """The text of each module that was imported, by what the run's folder calls its copy."""

    def strategy(self, config: MarketMakerConfig, *, takes_over: bool = False) -> MarketMaker:
        """Return the strategy with a configuration; `takes_over` as of `MarketMaker`.

        Raises
        ------
        MarketMakingError
            If a constructor of one's own raises.
        """
        try:
            return self.strategy_class(config, takes_over=takes_over, pricing=self.pricing)
        except Exception as error:
            if config.strategy_class is None:
                raise
            raise MarketMakingError(f"{config.strategy_class} raised {raised_text(error)}") from error


def import_own_code(config: TradingConfig) -> OwnCode:
    """Import what a configuration names.

    Raises
    ------
    RefusedRunError
        With all that cannot be had.
    """
    modules, strategy_class = OwnModules(), MarketMaker
    pricing, problems = own_pricing(config.strategy, modules)
    reference = config.strategy.strategy_class
    if reference is not None:
        kind = "a subclass of mm_nautilus.MarketMaker that takes its arguments config, takes_over and pricing"
        try:
            strategy_class = modules.get(reference, kind, _is_strategy)
        except ObjectRefusedError as refused:
            problems.append(Problem(("class",), f"class must {refused}"))
    if problems:
        raise RefusedRunError([problem.under("strategy") for problem in problems])
    return OwnCode(strategy_class, pricing, modules.sources)


def _is_strategy(found: Any) -> bool:
    return (
        isinstance(found, type)
        and issubclass(found, MarketMaker)
        and takes_arguments(found.__init__, None, None, takes_over=False, pricing={})
    )
