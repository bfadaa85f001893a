"""What a local venue plays, and how fast."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mm_nautilus.errors import ConfigError

__all__ = ["AtEnd", "Speed", "VenueOptions", "parse_speed"]

type Speed = float | Literal["max"]
type AtEnd = Literal["loop", "stop"]

_MOST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class VenueOptions:
    """What a local venue plays, how fast, and where it listens.

    Parameters
    ----------
    catalog
        The catalog's folder; None plays the simulator, live and without end.
    symbols
        The pairs to play, such as ``XRP/USDT``; empty plays all there are.
    seed
        Of the simulator.
    speed
        Seconds of data a second, or ``max`` for as fast as it is read and the slowest client takes it.
    at_end
        ``loop`` begins the catalog anew after its last event, ``stop`` leaves the books as they are.
    start_after_subscriptions
        The feed waits until so many subscriptions exist, one a channel and symbol; 0 does not wait.
    paused
        Whether the feed waits for the control command ``resume``.
    trade_snapshot
        Whether a subscription to trades is answered with the last 50, as Kraken's documentation says.
    queue_frames
        Frames that may wait for a client before it is disconnected as too slow.
    host
        Address to listen on.
    port
        Port of REST and WebSocket; 0 takes a free one.
    control_port
        Port of the control side; 0 takes a free one.

    Raises
    ------
    ConfigError
        If a number or a word is none of those allowed; every problem is listed.
    """

    catalog: Path | None = None
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
    """Read a speed from the command line's text.

    Raises
    ------
    ConfigError
        If it is neither a number nor ``max``.
    """
    if text == "max":
        return "max"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"speed must be a positive number or max, was {text}") from None
