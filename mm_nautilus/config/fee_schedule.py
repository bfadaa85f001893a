"""Configuration of a venue's fees by the volume of the last thirty days."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from mm_nautilus.config.fields import Section
from mm_nautilus.config.problems import Problem, refuse
from mm_nautilus.market.instrument import LARGEST_FEE_PCT


class FeeTier(Section):
    """The fees from a volume on."""

    volume: float = Field(..., ge=0, examples=[0])
    """Volume of the last thirty days from which the tier holds, in the report currency."""
    maker_fee_pct: float = Field(..., ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT, examples=[0.25])
    """Maker fee, % of value; negative is a rebate."""
    taker_fee_pct: float = Field(..., ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT, examples=[0.4])
    """Taker fee, % of value."""


def _tiers(*rows: tuple[float, float, float]) -> list[FeeTier]:
    return [FeeTier(volume=volume, maker_fee_pct=maker, taker_fee_pct=taker) for volume, maker, taker in rows]


PUBLISHED: Final[Mapping[str, Sequence[FeeTier]]] = {
    # Of the pairs quoted in money and stablecoins; as the venue's AssetPairs listed them on 2026-09-04.
    "kraken_spot": _tiers(
        (0, 0.25, 0.40),
        (10_000, 0.20, 0.35),
        (50_000, 0.14, 0.24),
        (100_000, 0.12, 0.22),
        (250_000, 0.10, 0.20),
        (500_000, 0.08, 0.18),
        (1_000_000, 0.06, 0.16),
        (2_500_000, 0.04, 0.14),
        (5_000_000, 0.02, 0.12),
        (10_000_000, 0.00, 0.10),
    )
}
"""Schedules that venues have published, volumes in US dollars."""


class FeeScheduleConfig(Section):
    """Fees by the volume of the last thirty days: a published schedule or tiers of your own."""

    published: Literal["kraken_spot"] | None = Field(None, examples=["kraken_spot"])
    """Schedule that comes with the package, in US dollars: Kraken's spot fees of 2026-09-04; instead of tiers."""
    tiers: list[FeeTier] | None = Field(None, min_length=1)
    """Tiers, the first from a volume of 0 on, volumes ascending."""
    starting_volume: float = Field(0.0, ge=0)
    """Volume of the thirty days before the first execution, in the report currency; it is taken to expire evenly in the
    thirty days after it."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if (self.published is None) == (self.tiers is None):
            both = "both" if self.tiers else "neither"
            refuse([Problem((), f"one of published and tiers must be given, was {both}")])
        volumes = [tier.volume for tier in self.steps]
        if volumes[0] != 0 or any(after <= before for before, after in pairwise(volumes)):
            refuse([Problem(("tiers",), f"tiers must begin at volume 0 and ascend, was {volumes}")])
        return self

    @property
    def steps(self) -> Sequence[FeeTier]:
        """The tiers, volumes ascending."""
        return self.tiers if self.tiers is not None else PUBLISHED[self.published or ""]

    def tier_at(self, volume: float) -> FeeTier:
        """Return the tier that holds at a volume of the last thirty days, in the report currency."""
        return [tier for tier in self.steps if tier.volume <= volume][-1]
