"""The commands of the control side, faults among them: each one's name, parameters, description and effect.

A command's docstring is its description in the docs, too, and a fault's is in the help of ``mm-nautilus venue``.
"""

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mm_nautilus.errors import ConfigError
from mm_nautilus.mock_kraken.book import Change
from mm_nautilus.mock_kraken.frames import Digits, cut_frame, trade_frame, trade_row

if TYPE_CHECKING:
    from mm_nautilus.mock_kraken.exchange import Exchange

_LONGEST_SECONDS: Final = 86_400

COMMANDS: Final[dict[str, type["Command"]]] = {}
"""Every command by its name."""

type Positive = Annotated[Decimal, Field(gt=0, strict=False, allow_inf_nan=False)]


class Command(BaseModel, ABC):
    """A command; `name` is its path on the control side and its method of the client."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str = "") -> None:
        super().__init_subclass__()
        if name:
            cls.name = name
            COMMANDS[name] = cls

    @classmethod
    def parameters(cls) -> list[str]:
        """Return the names of the parameters in the order they are given without names: a duration is the last."""
        return sorted(cls.model_fields, key="seconds".__eq__)

    @classmethod
    def description(cls) -> str:
        """Return what it does, on one line."""
        return " ".join((cls.__doc__ or "").split()).replace("``", "`")

    @abstractmethod
    async def perform(self, exchange: "Exchange") -> Any:
        """Carry it out and return its answer, plain values; a ConfigError says that it cannot be."""


class Fault(Command):
    """What goes wrong on purpose."""


class LastingFault(Fault):
    """A fault that ends by itself after some seconds, or by `clear_faults`."""

    seconds: Annotated[float, Field(gt=0, le=_LONGEST_SECONDS)] | None = None

    @property
    def concerns(self) -> str:
        """The pair it concerns; empty where it is the whole venue."""
        return ""

    @property
    def lasts_seconds(self) -> float | None:
        """How long it lasts; None until it is cleared."""
        return self.seconds

    async def perform(self, exchange: "Exchange") -> Any:
        """Begin; the same fault of the same pair is replaced."""
        await exchange.begin(self)

    async def follow(self, exchange: "Exchange") -> None:
        """Do what follows at once from its being in force, or no longer."""


class PairFault(LastingFault):
    """A fault of one pair."""

    symbol: str

    @property
    def concerns(self) -> str:
        """The pair."""
        return self.symbol

    async def perform(self, exchange: "Exchange") -> Any:
        """Begin, if there is such a pair."""
        exchange.market(self.symbol)
        await super().perform(exchange)


# -- Looking ------------------------------------------------------------------------------------------------


class StateQuery(Command, name="state"):
    """Return clients with subscriptions and frames, counts, each pair's touch, the feed's position, faults in force."""

    async def perform(self, exchange: "Exchange") -> Any:
        return exchange.to_dict()


class BookQuery(Command, name="book"):
    """Return what a subscriber of that depth is to see now: ``[price, size]`` as text, best first."""

    symbol: str
    depth: Literal[10, 25, 100, 500, 1000] = 10

    async def perform(self, exchange: "Exchange") -> Any:
        return exchange.book_levels(self.symbol, self.depth)


class RequestsQuery(Command, name="requests"):
    """Return the last connections and requests, oldest first (10,000 are kept)."""

    last: int = Field(default=1_000, ge=1)

    async def perform(self, exchange: "Exchange") -> Any:
        return list(exchange.requests)[-self.last :]


# -- Feed and script ----------------------------------------------------------------------------------------


class Pause(Command, name="pause"):
    """Stop the feed's time; heartbeats go on."""

    async def perform(self, exchange: "Exchange") -> Any:
        exchange.player.pause()


class Resume(Command, name="resume"):
    """Let the feed's time go on from where it stopped; nothing is caught up."""

    async def perform(self, exchange: "Exchange") -> Any:
        exchange.player.resume()


class Burst(Command, name="burst"):
    """Play the feed's next events at that rate, paused or not; returns how many when the last one has been sent.

    Not while the feed waits for subscriptions, has ended or plays at ``max``.
    """

    events: int = Field(ge=1)
    per_second: float = Field(default=5_000.0, gt=0)

    async def perform(self, exchange: "Exchange") -> Any:
        return await exchange.player.burst(self.events, self.per_second)


class SetBook(Command, name="set_book"):
    """Show these levels instead of the feed's.

    The pair follows the script from then on: the feed's changes are kept but not shown, its trades are dropped.
    """

    symbol: str
    bids: list[tuple[Positive, Positive]]
    asks: list[tuple[Positive, Positive]]

    async def perform(self, exchange: "Exchange") -> Any:
        market = exchange.market(self.symbol)
        market.set_script(
            Change(is_bid, *market.pair.ticks_and_lots(price, size))
            for is_bid, levels in ((True, self.bids), (False, self.asks))
            for price, size in levels
        )
        exchange.refresh(self.symbol)


class TradeCommand(Command, name="trade"):
    """Send a trade; the side is the taker's. The book is left as it is."""

    symbol: str
    side: Literal["buy", "sell"]
    price: Positive
    size: Positive

    async def perform(self, exchange: "Exchange") -> Any:
        ticks, lots = exchange.market(self.symbol).pair.ticks_and_lots(self.price, self.size)
        exchange.trade(self.symbol, [(self.side == "buy", ticks, lots)])


class FollowFeed(Command, name="follow_feed"):
    """Show the feed's book and trades again."""

    symbol: str

    async def perform(self, exchange: "Exchange") -> Any:
        exchange.market(self.symbol).script = None
        exchange.refresh(self.symbol)


class TradeSnapshot(Command, name="trade_snapshot"):
    """Answer subscriptions to trades with the last 50, or not."""

    enabled: bool

    async def perform(self, exchange: "Exchange") -> Any:
        exchange.trade_snapshot = self.enabled


class ClearFaults(Command, name="clear_faults"):
    """End every fault that lasts."""

    async def perform(self, exchange: "Exchange") -> Any:
        for key in list(exchange.faults):
            await exchange.end(key)


# -- Faults: data withheld, connections lost ----------------------------------------------------------------


class Silence(LastingFault, name="silence"):
    """The venue sends no byte, also to REST and new connections; it answers requests when the silence ends."""

    async def follow(self, exchange: "Exchange") -> None:
        if exchange.active(Silence):
            exchange.audible.clear()
            return
        exchange.audible.set()
        for symbol in exchange.markets:
            exchange.refresh(symbol)


class Deaf(LastingFault, name="deaf"):
    """Requests on WebSockets, of one channel (``book``, ``trade``) or all, are forgotten; data and heartbeats go on."""

    channel: Literal["book", "trade"] | None = None


class Quiet(LastingFault, name="quiet"):
    """The venue sends no data of these pairs (all, if none is named), but heartbeats, acknowledgements and pongs."""

    symbols: list[str] = []

    @property
    def concerns(self) -> str:
        return ",".join(self.symbols)

    async def perform(self, exchange: "Exchange") -> Any:
        for symbol in exchange.known(self.symbols):
            await exchange.begin(self.model_copy(update={"symbols": [symbol]}))

    async def follow(self, exchange: "Exchange") -> None:
        exchange.refresh(self.concerns)


class Disconnect(Fault, name="disconnect"):
    """Every WebSocket's TCP connection is reset; returns how many there were."""

    async def perform(self, exchange: "Exchange") -> Any:
        return exchange.disconnect()


class RefuseReconnect(LastingFault, name="refuse_reconnect"):
    """Every client is disconnected and none is let back in; returns how many there were.

    ``unavailable`` answers HTTP 503, also to REST, ``refused`` does not listen.
    """

    how: Literal["unavailable", "refused"] = "unavailable"

    async def perform(self, exchange: "Exchange") -> Any:
        await super().perform(exchange)
        return exchange.disconnect()

    async def follow(self, exchange: "Exchange") -> None:
        fault = exchange.active(RefuseReconnect)
        await exchange.listen(fault is None or fault.how == "unavailable")


class HalfMessage(Fault, name="half_message"):
    """A message ends in the middle; then the connection is ``silent`` for ever or ends (``abort``).

    Returns how many connections there were.
    """

    then: Literal["silent", "abort"] = "silent"

    async def perform(self, exchange: "Exchange") -> Any:
        begin = cut_frame(_foreign_trade(next(iter(exchange.markets)), exchange.timestamp()))
        for session in exchange.sessions:
            session.cut(begin)
        return exchange.disconnect() if self.then == "abort" else len(exchange.sessions)


# -- Faults: wrong data -------------------------------------------------------------------------------------


class Garbage(Fault, name="garbage"):
    """The venue sends one wrong frame.

    No JSON (``text``), a level without a price (``missing_field``), a price in words (``wrong_type``).
    """

    kind: Literal["text", "missing_field", "wrong_type"] = "text"
    symbol: str | None = None

    async def perform(self, exchange: "Exchange") -> Any:
        (symbol, *_) = exchange.known([] if self.symbol is None else [self.symbol])
        price = '"price":"one"' if self.kind == "wrong_type" else '"cost":1'
        frame = (
            f'{{"channel":"book","type":"update","data":[{{"symbol":"{symbol}","bids":[{{{price},"qty":1}}],'
            f'"asks":[],"checksum":0,"timestamp":"{exchange.timestamp()}"}}]}}'
        )
        exchange.send(exchange.sessions, "<html>502 Bad Gateway</html>" if self.kind == "text" else frame)


class SendText(Fault, name="send"):
    """The venue sends this frame."""

    text: str

    async def perform(self, exchange: "Exchange") -> Any:
        exchange.send(exchange.sessions, self.text)


class WrongChecksum(LastingFault, name="wrong_checksum"):
    """The next book updates of a pair (of each, if none is named) have a wrong checksum."""

    frames: int = Field(default=1, ge=1)
    symbol: str | None = None

    @property
    def concerns(self) -> str:
        return self.symbol or ""

    async def perform(self, exchange: "Exchange") -> Any:
        for symbol in exchange.known([] if self.symbol is None else [self.symbol]):
            await exchange.begin(self.model_copy(update={"symbol": symbol}))


class CrossedBook(PairFault, name="crossed_book"):
    """The best bid is shown so many ticks above the best ask, as long as it lasts; the checksum is true."""

    ticks: int = Field(default=1, ge=1)

    async def follow(self, exchange: "Exchange") -> None:
        exchange.refresh(self.symbol)


class ClockSkew(LastingFault, name="clock_skew"):
    """Every timestamp is off by so many seconds; 0 ends it."""

    seconds: float = Field(ge=-_LONGEST_SECONDS, le=_LONGEST_SECONDS)

    @property
    def lasts_seconds(self) -> None:
        return None


class UnknownSymbol(PairFault, name="unknown_symbol"):
    """Subscriptions of a pair are refused as unknown (``refuse``), or a trade of an unknown pair arrives (``data``)."""

    how: Literal["refuse", "data"] = "refuse"

    async def perform(self, exchange: "Exchange") -> Any:
        if self.how == "refuse":
            await super().perform(exchange)
            return
        if self.symbol in exchange.markets:
            raise ConfigError(f"symbol must be one that the venue does not have, was {self.symbol}")
        exchange.send(exchange.sessions, _foreign_trade(self.symbol, exchange.timestamp()))


# -- Faults: what REST says ---------------------------------------------------------------------------------


class SystemStatus(LastingFault, name="system_status"):
    """The venue reports this status, such as ``maintenance`` or ``cancel_only``.

    A ``status`` message goes to every client, also to new ones, and REST reports it too.
    """

    status: str = Field(min_length=1)

    async def follow(self, exchange: "Exchange") -> None:
        exchange.send_system_status()


class PairStatus(PairFault, name="pair_status"):
    """The list of pairs has this status for one."""

    status: str = Field(min_length=1)


class OddPair(LastingFault, name="odd_pair"):
    """The list of pairs has one more: a copy of the first with these fields."""

    key: str = Field(min_length=1)
    fields: dict[str, Any] = {}

    @property
    def concerns(self) -> str:
        return self.key


class DropPair(PairFault, name="drop_pair"):
    """The list of pairs lacks one; its data goes on."""


class RestFault(LastingFault, name="rest_fault"):
    """REST answers HTTP 503 (``unavailable``), an error of the protocol (``error``), or no pairs (``empty``)."""

    how: Literal["unavailable", "error", "empty"]


def _foreign_trade(symbol: str, timestamp: str) -> str:
    """Return a trade of a pair that need not be the venue's."""
    row = trade_row(
        symbol, is_buy=True, ticks=1, lots=1, trade_id=1, timestamp=timestamp, digits=Digits(0, 0)
    )
    return trade_frame("update", [row])


FAULTS: Final = {name: kind for name, kind in COMMANDS.items() if issubclass(kind, Fault)}
"""The faults among them."""
