"""What the control side can be told, one model a command."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "COMMANDS",
    "BookQuery",
    "Burst",
    "ClearFaults",
    "ClockSkew",
    "Command",
    "CrossedBook",
    "Deaf",
    "Disconnect",
    "DropPair",
    "FollowFeed",
    "Garbage",
    "HalfMessage",
    "OddPair",
    "PairStatus",
    "Pause",
    "Quiet",
    "RefuseReconnect",
    "RequestsQuery",
    "RestFault",
    "Resume",
    "SendText",
    "SetBook",
    "Silence",
    "StateQuery",
    "SystemStatus",
    "TradeCommand",
    "TradeSnapshot",
    "UnknownSymbol",
    "WrongChecksum",
]

_LONGEST_SECONDS: Final = 86_400

type Seconds = Annotated[float, Field(gt=0, le=_LONGEST_SECONDS)]
type Positive = Annotated[Decimal, Field(gt=0, strict=False, allow_inf_nan=False)]


class Command(BaseModel):
    """A command; `name` is its path on the control side."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    name: ClassVar[str]


# -- Looking ------------------------------------------------------------------------------------------------


class StateQuery(Command):
    """Tell clients, subscriptions, counts, each pair's touch, the feed's position and the faults."""

    name = "state"


class BookQuery(Command):
    """Tell what a subscriber of a depth is to see of a pair's book."""

    name = "book"
    symbol: str
    depth: Literal[10, 25, 100, 500, 1000] = 10


class RequestsQuery(Command):
    """Tell the last requests: connections, REST and WebSocket."""

    name = "requests"
    last: int = Field(default=1_000, ge=1)


# -- Feed and script ----------------------------------------------------------------------------------------


class Pause(Command):
    """Stop the feed's time; heartbeats go on."""

    name = "pause"


class Resume(Command):
    """Let the feed's time go on."""

    name = "resume"


class SetBook(Command):
    """Show a book of these levels instead of the feed's, until `FollowFeed`."""

    name = "set_book"
    symbol: str
    bids: list[tuple[Positive, Positive]]
    asks: list[tuple[Positive, Positive]]


class FollowFeed(Command):
    """Show the feed's book and trades again."""

    name = "follow_feed"
    symbol: str


class TradeCommand(Command):
    """Send a trade."""

    name = "trade"
    symbol: str
    side: Literal["buy", "sell"]
    price: Positive
    size: Positive


class TradeSnapshot(Command):
    """Answer subscriptions to trades with the last 50, or not."""

    name = "trade_snapshot"
    enabled: bool


# -- Faults -------------------------------------------------------------------------------------------------


class Silence(Command):
    """Send no byte to anybody; what is asked meanwhile is answered afterwards."""

    name = "silence"
    seconds: Seconds | None = None


class Deaf(Command):
    """Forget what is asked on WebSockets, or what is asked of one channel; data and heartbeats go on."""

    name = "deaf"
    channel: Literal["book", "trade"] | None = None
    seconds: Seconds | None = None


class Quiet(Command):
    """Send no data of these pairs (all, if none is named), but heartbeats, acknowledgements and pongs."""

    name = "quiet"
    symbols: list[str] = []
    seconds: Seconds | None = None


class Disconnect(Command):
    """Abort every WebSocket's TCP connection."""

    name = "disconnect"


class RefuseReconnect(Command):
    """Disconnect everybody and let nobody back in: by HTTP 503, or by not listening at all."""

    name = "refuse_reconnect"
    seconds: Seconds | None = None
    how: Literal["unavailable", "refused"] = "unavailable"


class SystemStatus(Command):
    """Say of the whole venue what it takes: in a status message to everybody, and to REST."""

    name = "system_status"
    status: str = Field(min_length=1)
    seconds: Seconds | None = None


class PairStatus(Command):
    """List a pair with this status, whatever it is."""

    name = "pair_status"
    symbol: str
    status: str = Field(min_length=1)
    seconds: Seconds | None = None


class OddPair(Command):
    """List one more pair, a copy of the first, with these fields in the place of its own."""

    name = "odd_pair"
    key: str = Field(min_length=1)
    fields: dict[str, Any]


class DropPair(Command):
    """List a pair no longer."""

    name = "drop_pair"
    symbol: str
    seconds: Seconds | None = None


class RestFault(Command):
    """Answer REST requests with HTTP 503, with an error of the protocol's own, or with an empty list of pairs."""

    name = "rest_fault"
    how: Literal["unavailable", "error", "empty"]
    seconds: Seconds | None = None


class Garbage(Command):
    """Send every client a frame that is wrong: no JSON, a field missing, a text where a number belongs."""

    name = "garbage"
    kind: Literal["text", "missing_field", "wrong_type"] = "text"
    symbol: str | None = None


class SendText(Command):
    """Send every client a frame as it is given."""

    name = "send"
    text: str


class WrongChecksum(Command):
    """Give the next book updates of a pair (of each, if none is named) a wrong checksum."""

    name = "wrong_checksum"
    frames: int = Field(default=1, ge=1)
    symbol: str | None = None


class CrossedBook(Command):
    """Show a best bid above the best ask, with a true checksum."""

    name = "crossed_book"
    symbol: str
    ticks: int = Field(default=1, ge=1)
    seconds: Seconds | None = None


class Burst(Command):
    """Play the feed's next events at a rate; answered when the last one has been sent."""

    name = "burst"
    events: int = Field(ge=1)
    per_second: float = Field(default=5_000.0, gt=0)


class ClockSkew(Command):
    """Shift the venue's clock, and with it every timestamp; 0 sets it right."""

    name = "clock_skew"
    seconds: float = Field(ge=-_LONGEST_SECONDS, le=_LONGEST_SECONDS)


class UnknownSymbol(Command):
    """Refuse subscriptions of a pair as unknown, or send data of a pair that nobody has."""

    name = "unknown_symbol"
    symbol: str
    how: Literal["refuse", "data"] = "refuse"


class HalfMessage(Command):
    """Cut a message in the middle, then be silent on that connection or abort it."""

    name = "half_message"
    then: Literal["silent", "abort"] = "silent"


class ClearFaults(Command):
    """End every fault that lasts."""

    name = "clear_faults"


COMMANDS: Final[dict[str, type[Command]]] = {kind.name: kind for kind in Command.__subclasses__()}
"""Every command by its name."""

type Reply = dict[str, Any]
"""A command's answer as plain values."""
