"""Configuration of the venue's rate limit on order commands."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from mm_nautilus.config.fields import Section
from mm_nautilus.config.problems import Problem, refuse


class RateLimitConfig(Section):
    """The venue's limit on order commands: a tier of Kraken, or a number of actions per time."""

    kraken: Literal["starter", "intermediate", "pro"] | None = Field(None, examples=["intermediate"])
    """Kraken tier, with one counter per pair; instead of actions and seconds."""
    actions: int | None = Field(None, ge=1, le=1_000_000)
    """Size of a token bucket of order commands for all pairs together, refilled evenly within seconds."""
    seconds: float | None = Field(None, ge=0.001, le=86_400)
    """Time in which an empty bucket is refilled, seconds."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        given = (self.actions is not None) + (self.seconds is not None)
        if self.kraken is None and given < 2:
            text = f"either kraken or both of actions and seconds must be given, was {self.words}"
            refuse([Problem((), text)])
        if self.kraken is not None and given:
            text = f"kraken must not be given together with actions or seconds, was {self.words}"
            refuse([Problem(("kraken",), text)])
        return self

    @property
    def words(self) -> str:
        """The limit as it was given in a configuration."""
        given = ((name, value) for name, value in self if name in self.model_fields_set)
        return "{" + ", ".join(f"{name}: {'null' if value is None else value}" for name, value in given) + "}"

    def problems_of_budget(self, orders: int, *path: str) -> Iterator[Problem]:
        """Refuse a limit that leaves no points beyond the reserve for all cancels and exits, which are `orders`."""
        least = orders + 2
        if self.actions is not None and self.actions < least:
            text = (
                f"actions must be at least {least} with rate_limit_policy: budget, which keeps {orders} to cancel "
                f"every quote and to exit from every symbol, was {self.actions}"
            )
            yield Problem((*path, "actions"), text)
