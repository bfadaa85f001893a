"""What is wrong with the venue at present, on purpose."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Faults"]


@dataclass(slots=True)
class Faults:
    """The faults that last; those of a moment (a disconnect, a garbled frame) leave nothing here.

    Attributes
    ----------
    silent
        No byte is sent to anybody; what is asked is answered afterwards.
    deaf
        Whether what is asked on a WebSocket is never answered, or the one channel of which it is not; all else goes
        on.
    quiet
        Pairs of which no data is sent; heartbeats, acknowledgements and pongs are.
    unavailable
        REST requests and new WebSocket connections are answered with HTTP 503.
    closed
        Nothing listens: new connections are refused.
    wrong_checksums
        How many book updates of each pair are still to carry a wrong checksum.
    crossed
        Pairs whose best bid is shown so many ticks above the best ask.
    clock_skew_ns
        Added to every timestamp, nanoseconds.
    unknown
        Pairs whose subscription is refused as if they did not exist.
    system_status
        What the venue says it takes.
    pair_statuses
        What pairs are listed with.
    odd_pairs
        Further entries of the list of pairs, by their keys.
    dropped
        Pairs that are not listed.
    rest
        How REST requests fail: ``unavailable``, ``error`` or ``empty``; None where they do not.
    """

    silent: bool = False
    deaf: bool | str = False
    quiet: set[str] = field(default_factory=set)
    unavailable: bool = False
    closed: bool = False
    wrong_checksums: dict[str, int] = field(default_factory=dict)
    crossed: dict[str, int] = field(default_factory=dict)
    clock_skew_ns: int = 0
    unknown: set[str] = field(default_factory=set)
    system_status: str = "online"
    pair_statuses: dict[str, str] = field(default_factory=dict)
    odd_pairs: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    rest: str | None = None

    def ignores(self, channel: object) -> bool:
        """Whether a request is forgotten; `channel` is the one it names."""
        return self.deaf is True or (isinstance(self.deaf, str) and channel == self.deaf)

    def withholds(self, symbol: str) -> bool:
        """Whether data of a pair is not sent."""
        return self.silent or symbol in self.quiet

    def take_wrong_checksum(self, symbol: str) -> bool:
        """Whether the next book update of a pair is to carry a wrong checksum; counts it."""
        left = self.wrong_checksums.get(symbol, 0)
        if left == 0:
            return False
        self.wrong_checksums[symbol] = left - 1
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the faults as plain values."""
        return {
            "silent": self.silent,
            "deaf": self.deaf,
            "quiet": sorted(self.quiet),
            "unavailable": self.unavailable,
            "closed": self.closed,
            "wrong_checksums": {symbol: left for symbol, left in self.wrong_checksums.items() if left},
            "crossed": dict(self.crossed),
            "clock_skew_seconds": self.clock_skew_ns / 1e9,
            "unknown": sorted(self.unknown),
            "system_status": self.system_status,
            "pair_statuses": dict(self.pair_statuses),
            "odd_pairs": sorted(self.odd_pairs),
            "dropped": sorted(self.dropped),
            "rest": self.rest,
        }
