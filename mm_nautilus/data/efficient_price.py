"""Efficient prices that the simulated books follow: correlated, with changing volatility and a few jumps."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEP_SECONDS", "EfficientPrices", "PriceConfig"]

STEP_SECONDS: Final = 0.1
"""Time between two steps of the efficient prices, seconds."""
_STEPS_PER_MINUTE: Final = 60.0 / STEP_SECONDS
_MOST_LOG: Final = 100.0
"""Bound that keeps absurd settings from overflowing; the simulator refuses such prices."""

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PriceConfig:
    """The efficient prices of two assets in one currency.

    Parameters
    ----------
    start
        The first price of each asset.
    volatility_pct
        Typical volatility of each, % per square root of a minute.
    correlation
        Correlation of their returns.
    log_volatility_std
        Stationary standard deviation of the logarithm of the volatility factor they share.
    log_volatility_minutes
        Time in which that factor forgets its past, minutes.
    jumps_per_hour, jump_pct
        Mean number of jumps of each asset an hour, and a jump's standard deviation in %.
    """

    start: tuple[float, float]
    volatility_pct: tuple[float, float]
    correlation: float
    log_volatility_std: float
    log_volatility_minutes: float
    jumps_per_hour: float
    jump_pct: float


class EfficientPrices:
    """Draw the paths step by step, in slices that continue each other.

    The logarithm of each price is a random walk whose volatility is ``volatility_pct * exp(v)``, where v is
    an Ornstein-Uhlenbeck process common to both, plus compound Poisson jumps of its own.

    Parameters
    ----------
    config
        The process.
    generator
        Source of randomness; all slices draw from it in order.
    """

    def __init__(self, config: PriceConfig, generator: np.random.Generator) -> None:
        self._config = config
        self._generator = generator
        self._log_prices = np.log(np.array(config.start))
        self._log_volatility = generator.normal(0.0, config.log_volatility_std)

    def next_slice(self, steps: int) -> Floats:
        """Return the prices of the next steps.

        Parameters
        ----------
        steps
            Number of steps of `STEP_SECONDS`.

        Returns
        -------
        ndarray of shape (2, steps)
        """
        factor = np.exp(self._log_volatilities(steps))
        scale = np.array(self._config.volatility_pct)[:, None] / 100.0 / np.sqrt(_STEPS_PER_MINUTE)
        increments = scale * factor * self._correlated_normals(steps) + self._jumps(steps)
        paths = self._log_prices[:, None] + np.cumsum(increments, axis=1)
        self._log_prices = paths[:, -1]
        prices: Floats = np.exp(np.clip(paths, -_MOST_LOG, _MOST_LOG))
        return prices

    def _log_volatilities(self, steps: int) -> Floats:
        config = self._config
        memory = float(np.exp(-1.0 / (config.log_volatility_minutes * _STEPS_PER_MINUTE)))
        noise = self._generator.normal(0.0, config.log_volatility_std * np.sqrt(1.0 - memory**2), steps)
        values, level = np.empty(steps), self._log_volatility
        for step in range(steps):
            level = memory * level + noise[step]
            values[step] = level
        self._log_volatility = level
        return values

    def _correlated_normals(self, steps: int) -> Floats:
        rho = self._config.correlation
        normals = self._generator.standard_normal((2, steps))
        normals[1] = rho * normals[0] + np.sqrt(1.0 - rho**2) * normals[1]
        return normals

    def _jumps(self, steps: int) -> Floats:
        chance = self._config.jumps_per_hour / 3600.0 * STEP_SECONDS
        happens = self._generator.random((2, steps)) < chance
        sizes = self._generator.normal(0.0, self._config.jump_pct / 100.0, (2, steps))
        return np.where(happens, sizes, 0.0)
