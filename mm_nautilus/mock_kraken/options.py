"""What a local venue plays, and how fast."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from mm_nautilus.errors import ConfigError
from mm_nautilus.system.store_url import CatalogPath

type Speed = float | Literal["max"]
type AtEnd = Literal["loop", "stop"]

_MOST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class VenueOptions:
    """What a local venue plays, how fast, and where it listens: the options of ``mm-nautilus venue``.

    Without a catalog it plays the simulator; without symbols it plays all there are. A ConfigError has every problem.
    """

    catalog: CatalogPath | None = None
    symbols: tuple[str, ...] = ()
    seed: int = 20251213
    speed: Speed = 1.0
    at_end: AtEnd = "loop"
    start_after_subscriptions: int = 0
    paused: bool = False
    trade_snapshot: bool = True
    queue_frames: int = 10_000
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.speed != "max" and not (math.isfinite(self.speed) and self.speed > 0):
            problems.append(f"speed must be a positive number or max, was {self.speed}")
        if self.at_end not in ("loop", "stop"):
            problems.append(f"at_end must be loop or stop, was {self.at_end}")
        for name in ("port", "control_port"):
            if not 0 <= getattr(self, name) <= _MOST_PORT:
                problems.append(f"{name} must be from 0 to {_MOST_PORT}, was {getattr(self, name)}")
        for name, least in (("start_after_subscriptions", 0), ("seed", 0), ("queue_frames", 1)):
            if getattr(self, name) < least:
                problems.append(f"{name} must be at least {least}, was {getattr(self, name)}")
        if problems:
            raise ConfigError(problems)


def parse_speed(text: str) -> Speed:
    """Read a speed from the command line's text; a ConfigError says that it is neither a number nor ``max``."""
    if text == "max":
        return "max"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"speed must be a positive number or max, was {text}") from None
