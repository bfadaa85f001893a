"""Configuration of market moods: volatility regimes, session hours, trends and correlated pairs."""

from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from mm_nautilus.config.fields import Allowed, Section, SymbolName
from mm_nautilus.config.problems import Problem, refuse

_MINUTES_PER_HOUR: Final = 60

TimeOfDay = Annotated[
    str,
    StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"),
    Allowed('a time of day in quotes, such as "13:30"'),
]


class _Multipliers(Section):
    width: float = Field(1.0, ge=0.1, le=100)
    """Factor on the distance of all quotes from the reservation price."""
    size: float = Field(1.0, gt=0, le=10)
    """Factor on the size of a full quote."""


class VolatilityRegime(_Multipliers):
    """Factors or a pause while one-minute volatility is above a quantile of the calibration."""

    above_quantile: float = Field(..., ge=0, lt=1, examples=[0.9])
    """Quantile of the calibration's distribution of one-minute volatility above which the regime holds."""
    pause: bool = False
    """Whether the pair is not quoted in this regime."""


class SessionHours(_Multipliers):
    """Factors at certain hours of every day, UTC."""

    start: TimeOfDay = Field(..., examples=["13:30"])
    """First minute of the session, UTC."""
    end: TimeOfDay = Field(..., examples=["15:00"])
    """End of the session, UTC; before start where the session passes midnight."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if self.start == self.end:
            refuse([Problem(("end",), f"end must differ from start ({self.start}), was {self.end}")])
        if self.width == 1 and self.size == 1:
            refuse([Problem((), "a session must have a width or a size other than 1, was 1 for both")])
        return self

    @property
    def minutes(self) -> tuple[int, int]:
        """Start and end in minutes after midnight UTC."""
        return _minute(self.start), _minute(self.end)


class CorrelationPause(Section):
    """Stops the side that would add to the risk of another pair's position."""

    symbol: SymbolName = Field(..., examples=["BTC/USDT"])
    """The other pair, one of strategy.symbols."""
    above: float = Field(..., gt=0, lt=1, examples=[0.8])
    """Absolute correlation of both pairs' last volatility_lookback one-minute returns above which it holds."""


def own_pair_problems(pauses: Mapping[str, CorrelationPause | None]) -> list[Problem]:
    """Refuse the pauses given for one symbol that name this symbol; `pauses` are by symbol."""
    text = "correlation_pause.symbol must be another pair than its own ({0}), was {0}"
    return [
        Problem(("symbols", name, "correlation_pause"), text.format(name))
        for name, pause in pauses.items()
        if pause is not None and pause.symbol == name
    ]


def _minute(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * _MINUTES_PER_HOUR + int(minutes)
