"""The venue itself: pairs, connections, faults in force, requests, and what everybody is sent."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mm_nautilus.data.catalog_files import format_time
from mm_nautilus.errors import ConfigError
from mm_nautilus.mock_kraken.book import DEPTHS, BookView, view_changes
from mm_nautilus.mock_kraken.commands import (
    ClockSkew,
    CrossedBook,
    Deaf,
    LastingFault,
    Quiet,
    Silence,
    SystemStatus,
    UnknownSymbol,
    WrongChecksum,
)
from mm_nautilus.mock_kraken.feed import BookGroup, Player, Trade, TradeGroup, open_feed
from mm_nautilus.mock_kraken.frames import (
    book_checksum,
    book_frame,
    reply_frame,
    status_frame,
    trade_frame,
    trade_row,
)
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.pairs import Market
from mm_nautilus.mock_kraken.session import BookSubscription, Session
from mm_nautilus.system.moments import SECOND_NS

_DEFAULT_DEPTH: Final = 10
_REQUESTS_KEPT: Final = 10_000
_COUNTS: Final = ("connections", "lagged", "frames", "books", "trades")

type FaultKey = tuple[type[LastingFault], str]
"""A fault's kind, and the pair it concerns."""


class _Request(NamedTuple):
    """A request of a WebSocket client; fields that it lacks or that are malformed are empty."""

    session: Session
    method: str
    params: dict[str, Any]
    req_id: Any
    time_in: str


class Exchange:
    """A venue that plays what its options say.

    A ConfigError or DataError says that there is no such pair, or the catalog cannot be played.
    """

    def __init__(self, options: VenueOptions) -> None:
        pairs, events = open_feed(options)
        self.markets = {symbol: Market(pair) for symbol, pair in pairs.items()}
        self.trade_snapshot = options.trade_snapshot
        """Whether a subscription to trades is answered with the last ones."""
        self.faults: dict[FaultKey, LastingFault] = {}
        self.sessions: set[Session] = set()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
        self.counts: Counter[str] = Counter()
        self.subscribed = asyncio.Event()
        """Set at every new subscription."""
        self.audible = asyncio.Event()
        """Set while the venue is not silent."""
        self.audible.set()
        self.listen: Callable[[bool], Awaitable[None]]
        """Listens for clients, or no longer; the server sets it."""
        self._endings: dict[FaultKey, asyncio.Task[None]] = {}
        self.player = Player(events, self, options)
        self.player.open_books()

    # -- Faults -----------------------------------------------------------------------------------------

    def active[K: LastingFault](self, kind: type[K], concerns: str = "") -> K | None:
        """Return the fault of a kind, of a pair where it concerns one, that is in force."""
        fault = self.faults.get((kind, concerns))
        return fault if isinstance(fault, kind) else None

    async def begin(self, fault: LastingFault) -> None:
        """Put a fault in force, for as long as it lasts; the one of its kind and pair gives way."""
        key = type(fault), fault.concerns
        self._forget_ending(key)
        self.faults[key] = fault
        if fault.lasts_seconds is not None:
            self._endings[key] = asyncio.create_task(self._end_after(key, fault.lasts_seconds))
        await fault.follow(self)

    async def end(self, key: FaultKey) -> None:
        """End a fault, if it is in force."""
        self._forget_ending(key)
        fault = self.faults.pop(key, None)
        if fault is not None:
            await fault.follow(self)

    async def _end_after(self, key: FaultKey, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.end(key)

    def _forget_ending(self, key: FaultKey) -> None:
        ending = self._endings.pop(key, None)
        if ending is not None and ending is not asyncio.current_task():
            ending.cancel()

    def _withholds(self, symbol: str) -> bool:
        """Whether data of a pair is not sent."""
        return (Silence, "") in self.faults or (Quiet, symbol) in self.faults

    # -- Time and the log -------------------------------------------------------------------------------

    def timestamp(self) -> str:
        """Return the venue's present time as ISO 8601 text with microseconds."""
        return format_time(self.now_ns())

    def now_ns(self) -> int:
        """Return the venue's present time, nanoseconds since 1970."""
        skew = self.active(ClockSkew)
        return time.time_ns() + (0 if skew is None else round(skew.seconds * SECOND_NS))

    def note(self, kind: str, **details: Any) -> None:
        """Keep a request in the log."""
        self.requests.append({"time": format_time(time.time_ns()), "kind": kind} | details)

    # -- Connections ------------------------------------------------------------------------------------

    @property
    def subscription_count(self) -> int:
        """Subscriptions of all connections."""
        return sum(len(session.books) + len(session.trades) for session in self.sessions)

    def join(self, session: Session) -> None:
        """Greet a new connection."""
        self.sessions.add(session)
        self.counts["connections"] += 1
        self.note("connect", client=session.number)
        self.send([session], status_frame(session.number, self.system_status))

    def leave(self, session: Session) -> None:
        """Forget a connection that has ended."""
        self.sessions.discard(session)
        self.counts["lagged"] += session.lagged
        self.note("disconnect", client=session.number, lagged=session.lagged)

    def disconnect(self) -> int:
        """Abort every connection and return how many there were."""
        for session in self.sessions:
            session.abort()
        return len(self.sessions)

    def send(self, sessions: Iterable[Session], text: str) -> None:
        """Queue a frame for connections, unless the venue is silent."""
        if (Silence, "") in self.faults:
            return
        for session in sessions:
            session.offer(text)
            self.counts["frames"] += 1

    @property
    def system_status(self) -> str:
        """What the venue says it takes."""
        fault = self.active(SystemStatus)
        return "online" if fault is None else fault.status

    def send_system_status(self) -> None:
        """Send the venue's status to every client."""
        for session in self.sessions:
            self.send([session], status_frame(session.number, self.system_status))

    # -- Requests ---------------------------------------------------------------------------------------

    def receive(self, session: Session, text: str) -> None:
        """Answer a request; a deaf venue forgets it."""
        time_in = self.timestamp()
        request = _read_request(session, text, time_in)
        deaf = self.active(Deaf)
        is_ignored = deaf is not None and deaf.channel in (None, request.params.get("channel"))
        self.note("websocket", client=session.number, text=text, ignored=is_ignored)
        if is_ignored:
            return
        if request.method == "ping":
            self._reply(request, {"method": "pong"})
        elif request.method in ("subscribe", "unsubscribe"):
            self._answer(request)
        else:
            self._refuse(request, f"Unknown method: {request.method}")

    def _reply(self, request: _Request, fields: Mapping[str, Any]) -> None:
        text = reply_frame(fields, request.req_id, time_in=request.time_in, time_out=self.timestamp())
        self.send([request.session], text)

    def _refuse(self, request: _Request, error: str, symbol: str | None = None) -> None:
        named = {} if symbol is None else {"symbol": symbol}
        self._reply(request, {"method": request.method, "error": error, "success": False} | named)

    def _answer(self, request: _Request) -> None:
        channel, symbols = request.params.get("channel"), request.params.get("symbol")
        if channel not in ("book", "trade"):
            self._refuse(request, f"Channel not supported: {channel}")
            return
        if not isinstance(symbols, list) or not symbols:
            self._refuse(request, "Symbol(s) missing")
            return
        for symbol in symbols:
            error = self._objection(request, channel, symbol)
            if error is not None:
                self._refuse(request, error, str(symbol))
                continue
            result = _agreed(request, channel, symbol)
            # The acknowledgement comes before the snapshot.
            self._reply(request, {"method": request.method, "result": result, "success": True})
            self._carry_out(request.session, request.method, result)

    def _objection(self, request: _Request, channel: str, symbol: Any) -> str | None:
        if not isinstance(symbol, str) or symbol not in self.markets or self.active(UnknownSymbol, symbol):
            return f"Currency pair not supported {symbol}"
        depth = request.params.get("depth", _DEFAULT_DEPTH)
        if channel == "book" and not (isinstance(depth, int) and depth in DEPTHS):
            return f"Subscription depth not supported {depth}"
        held = symbol in (request.session.books if channel == "book" else request.session.trades)
        if request.method == "subscribe":
            return "Already subscribed" if held else None
        return None if held else "Subscription not found"

    def _carry_out(self, session: Session, method: str, result: Mapping[str, Any]) -> None:
        symbol, is_book = result["symbol"], result["channel"] == "book"
        if method == "unsubscribe":
            if is_book:
                del session.books[symbol]
            else:
                session.trades.remove(symbol)
        elif is_book:
            depth = result["depth"]
            held = None if result["snapshot"] else self._view(self.markets[symbol], depth)
            session.books[symbol] = BookSubscription(depth, held)
            self.refresh(symbol)
        else:
            session.trades.add(symbol)
            rows = self.markets[symbol].last_trades
            if result["snapshot"] and self.trade_snapshot and rows and not self._withholds(symbol):
                self.send([session], trade_frame("snapshot", rows))
        self.subscribed.set()

    # -- Market data ------------------------------------------------------------------------------------

    def publish(self, event: BookGroup | TradeGroup) -> None:
        """Let an event of the feed happen; a pair that follows a script only notes it."""
        market = self.markets[event.symbol]
        if isinstance(event, BookGroup):
            if event.clears:
                market.book.clear()
            market.book.apply(event.changes)
            if market.script is None:
                self.refresh(event.symbol)
        elif market.script is None:
            self.trade(event.symbol, event.trades)

    def trade(self, symbol: str, trades: Iterable[Trade]) -> None:
        """Let trades happen: whether the taker bought, price in ticks and size in lots of each.

        The venue names every taker: one that the feed does not know has bought where it paid more than the mid.
        """
        market, timestamp, now_ns = self.markets[symbol], self.timestamp(), self.now_ns()
        trades = list(trades)
        for _, ticks, lots in trades:
            market.add_to_minute(now_ns, ticks, lots)
        rows = [
            trade_row(
                symbol,
                is_buy=market.is_above_mid(ticks) if is_buy is None else is_buy,
                ticks=ticks,
                lots=lots,
                trade_id=number,
                timestamp=timestamp,
                digits=market.pair.digits,
            )
            for number, (is_buy, ticks, lots) in enumerate(trades, market.next_trade_id)
        ]
        market.next_trade_id += len(rows)
        market.last_trades.extend(rows)
        self.counts["trades"] += len(rows)
        listeners = [session for session in self.sessions if symbol in session.trades]
        if listeners and not self._withholds(symbol):
            self.send(listeners, trade_frame("update", rows))

    def refresh(self, symbol: str) -> None:
        """Send each subscriber of a book what has changed since its last frame, unless data is withheld."""
        if self._withholds(symbol):
            return
        market = self.markets[symbol]
        views: dict[int, BookView] = {}
        frames: dict[tuple[int, int], str] = {}
        for session in self.sessions:
            book = session.books.get(symbol)
            if book is None:
                continue
            if book.depth not in views:
                views[book.depth] = self._view(market, book.depth)
            # Subscribers with the same view get the same frame.
            key = book.depth, id(book.view)
            if key not in frames:
                frames[key] = self._book_frame(market, book, views[book.depth])
            book.view = views[book.depth]
            if frames[key]:
                self.send([session], frames[key])
                self.counts["books"] += 1

    def _view(self, market: Market, depth: int) -> BookView:
        crossed = self.active(CrossedBook, market.pair.symbol)
        return market.view(depth, 0 if crossed is None else crossed.ticks)

    def _book_frame(self, market: Market, book: BookSubscription, view: BookView) -> str:
        """Return the frame that brings a subscriber's book up to date; empty where nothing has changed."""
        pair = market.pair
        content = view if book.view is None else view_changes(book.view, view, book.depth)
        if book.view is not None and content.is_empty:
            return ""
        checksum = book_checksum(view, pair.digits)
        if book.view is not None and self._is_to_be_wrong(pair.symbol):
            checksum ^= 1
        return book_frame(
            "snapshot" if book.view is None else "update",
            pair.symbol,
            content,
            checksum=checksum,
            timestamp=self.timestamp(),
            digits=pair.digits,
        )

    def _is_to_be_wrong(self, symbol: str) -> bool:
        """Whether a pair's next checksum is to be wrong; counts it."""
        fault = self.faults.pop((WrongChecksum, symbol), None)
        if isinstance(fault, WrongChecksum) and fault.frames > 1:
            self.faults[WrongChecksum, symbol] = fault.model_copy(update={"frames": fault.frames - 1})
        return fault is not None

    # -- Scripts and state ------------------------------------------------------------------------------

    def market(self, symbol: str) -> Market:
        """Return a pair; a ConfigError says that the venue has none of that name."""
        if symbol not in self.markets:
            raise ConfigError(f"symbol must be one of {', '.join(self.markets)}, was {symbol}")
        return self.markets[symbol]

    def known(self, symbols: Sequence[str]) -> Sequence[str]:
        """Return pairs that the venue has; all, if none is named."""
        for symbol in symbols:
            self.market(symbol)
        return symbols or list(self.markets)

    def book_levels(self, symbol: str, depth: int) -> dict[str, Any]:
        """Return what a subscriber of a depth is to see, as decimal text, best first."""
        market = self.market(symbol)
        view, digits = self._view(market, depth), market.pair.digits
        return {
            "bids": [[digits.price(ticks), digits.size(lots)] for ticks, lots in view.bids],
            "asks": [[digits.price(ticks), digits.size(lots)] for ticks, lots in view.asks],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "feed": self.player.to_dict(),
            "clients": [session.to_dict() for session in sorted(self.sessions, key=lambda each: each.number)],
            "subscriptions": self.subscription_count,
            "counts": {name: self.counts[name] for name in _COUNTS},
            "symbols": {symbol: self._symbol_state(symbol) for symbol in self.markets},
            "faults": {
                " ".join(filter(None, (fault.name, fault.concerns))): fault.model_dump(mode="json")
                for fault in self.faults.values()
            },
        }

    def _symbol_state(self, symbol: str) -> dict[str, Any]:
        best = self.book_levels(symbol, 1)
        market = self.markets[symbol]
        return {
            "bid": best["bids"][0] if best["bids"] else None,
            "ask": best["asks"][0] if best["asks"] else None,
            "follows": "feed" if market.script is None else "script",
        }


def _read_request(session: Session, text: str, time_in: str) -> _Request:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    fields = document if isinstance(document, dict) else {}
    params = fields.get("params")
    return _Request(
        session,
        str(fields.get("method", "")),
        params if isinstance(params, dict) else {},
        fields.get("req_id"),
        time_in,
    )


def _agreed(request: _Request, channel: str, symbol: str) -> dict[str, Any]:
    agreed: dict[str, Any] = {"channel": channel, "symbol": symbol}
    if channel == "book":
        agreed["depth"] = request.params.get("depth", _DEFAULT_DEPTH)
    if request.method == "subscribe":
        agreed["snapshot"] = bool(request.params.get("snapshot", True))
    return agreed
