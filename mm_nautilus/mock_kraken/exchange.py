"""The venue itself: pairs, connections, requests, and what everybody is sent."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from mm_nautilus.data.catalog import format_time
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.mock_kraken.book import DEPTHS, BookView, view_changes
from mm_nautilus.mock_kraken.faults import Faults
from mm_nautilus.mock_kraken.feed import BookGroup, Trade, TradeGroup
from mm_nautilus.mock_kraken.frames import (
    HEARTBEAT,
    accepted_frame,
    book_checksum,
    book_frame,
    pong_frame,
    refused_frame,
    status_frame,
    trade_frame,
    trade_row,
)
from mm_nautilus.mock_kraken.market import BookChannel, Market
from mm_nautilus.mock_kraken.pairs import Pair
from mm_nautilus.mock_kraken.session import Session

__all__ = ["Exchange"]

_DEFAULT_DEPTH: Final = 10
_REQUESTS_KEPT: Final = 10_000


class _Request(NamedTuple):
    """A request of a WebSocket client; fields that it lacks or that are malformed are empty."""

    session: Session
    method: str
    params: Mapping[str, Any]
    req_id: Any
    time_in: str


class Exchange:
    """Pairs, connections and faults, and the rules of who is sent what.

    Parameters
    ----------
    pairs
        The pairs by their names.
    trade_snapshot
        Whether a subscription to trades is answered with the last ones.

    Attributes
    ----------
    faults
        What is wrong on purpose.
    sessions
        The open connections.
    requests
        What was asked, oldest first, as plain values; the last 10,000.
    counts
        Connections, those dropped for lagging, frames queued, those of books among them, and trades.
    subscribed
        Set at every new subscription.
    audible
        Set while the venue is not silent.
    """

    def __init__(self, pairs: Mapping[str, Pair], *, trade_snapshot: bool) -> None:
        self.markets = {symbol: Market(pair) for symbol, pair in pairs.items()}
        self.trade_snapshot = trade_snapshot
        self.faults = Faults()
        self.sessions: set[Session] = set()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
        self.counts: Counter[str] = Counter()
        self.subscribed = asyncio.Event()
        self.audible = asyncio.Event()
        self.audible.set()

    # -- Time and the log -------------------------------------------------------------------------------

    def timestamp(self) -> str:
        """Return the venue's present time as ISO 8601 text with microseconds."""
        return format_time(time.time_ns() + self.faults.clock_skew_ns)

    def note(self, kind: str, **details: Any) -> None:
        """Keep a request in the log."""
        self.requests.append({"time": format_time(time.time_ns()), "kind": kind} | details)

    # -- Connections ------------------------------------------------------------------------------------

    @property
    def subscription_count(self) -> int:
        """Subscriptions of all connections."""
        return sum(session.subscription_count for session in self.sessions)

    def join(self, session: Session) -> None:
        """Greet a new connection."""
        self.sessions.add(session)
        self.counts["connections"] += 1
        self.note("connect", client=session.number)
        self.send([session], status_frame(session.number, self.faults.system_status))

    def leave(self, session: Session) -> None:
        """Forget a connection that has ended."""
        self.sessions.discard(session)
        for market in self.markets.values():
            self._unsubscribe(session, market)
        self.counts["lagged"] += session.lagged
        self.note("disconnect", client=session.number, lagged=session.lagged)

    def send(self, sessions: Iterable[Session], text: str) -> None:
        """Queue a frame for connections, unless the venue is silent."""
        if self.faults.silent:
            return
        for session in sessions:
            session.offer(text)
            self.counts["frames"] += 1

    def set_silent(self, *, is_silent: bool) -> None:
        """Fall silent, or speak again and tell every book's subscribers what they have missed."""
        self.faults.silent = is_silent
        if is_silent:
            self.audible.clear()
            return
        self.audible.set()
        for symbol in self.markets:
            self.refresh(symbol)

    def set_system_status(self, status: str) -> None:
        """Tell everybody what the venue takes from now on."""
        self.faults.system_status = status
        for session in list(self.sessions):
            self.send([session], status_frame(session.number, status))

    def heartbeat(self) -> None:
        """Send every connection a heartbeat."""
        self.send(list(self.sessions), HEARTBEAT)

    # -- Requests ---------------------------------------------------------------------------------------

    def receive(self, session: Session, text: str) -> None:
        """Answer a request; a deaf venue forgets it."""
        time_in = self.timestamp()
        request = _read_request(session, text, time_in)
        is_ignored = self.faults.ignores(request.params.get("channel"))
        self.note("websocket", client=session.number, text=text, ignored=is_ignored)
        if is_ignored:
            return
        if request.method == "ping":
            self.send([session], pong_frame(request.req_id, time_in, self.timestamp()))
        elif request.method in ("subscribe", "unsubscribe"):
            self._answer(request)
        else:
            self._refuse(request, f"Unknown method: {request.method}")

    def _refuse(self, request: _Request, error: str, symbol: str | None = None) -> None:
        text = refused_frame(
            request.method,
            error,
            symbol=symbol,
            req_id=request.req_id,
            time_in=request.time_in,
            time_out=self.timestamp(),
        )
        self.send([request.session], text)

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
            text = accepted_frame(
                request.method, result, request.req_id, time_in=request.time_in, time_out=self.timestamp()
            )
            self.send([request.session], text)
            self._carry_out(request.session, request.method, result)

    def _objection(self, request: _Request, channel: str, symbol: Any) -> str | None:
        if not isinstance(symbol, str) or symbol not in self.markets or symbol in self.faults.unknown:
            return f"Currency pair not supported {symbol}"
        depth = request.params.get("depth", _DEFAULT_DEPTH)
        if channel == "book" and not (isinstance(depth, int) and depth in DEPTHS):
            return f"Subscription depth not supported {depth}"
        held = symbol in (request.session.books if channel == "book" else request.session.trades)
        if request.method == "subscribe":
            return "Already subscribed" if held else None
        return None if held else "Subscription not found"

    def _carry_out(self, session: Session, method: str, result: Mapping[str, Any]) -> None:
        market = self.markets[result["symbol"]]
        if result["channel"] == "book":
            if method == "unsubscribe":
                self._leave_book(session, market)
            else:
                self._subscribe_book(session, market, result["depth"], snapshot=result["snapshot"])
        elif method == "unsubscribe":
            self._leave_tape(session, market)
        else:
            self._subscribe_trades(session, market, snapshot=result["snapshot"])
        self.subscribed.set()

    def _subscribe_book(self, session: Session, market: Market, depth: int, *, snapshot: bool) -> None:
        symbol = market.pair.symbol
        session.books[symbol] = depth
        channel = market.channels.get(depth)
        if channel is None:
            channel = market.channels[depth] = BookChannel(self._view(market, depth))
        if not snapshot:
            channel.members.add(session)
            return
        channel.newcomers.add(session)
        self.refresh(symbol)

    def _subscribe_trades(self, session: Session, market: Market, *, snapshot: bool) -> None:
        symbol = market.pair.symbol
        session.trades.add(symbol)
        market.tape.add(session)
        wanted = snapshot and self.trade_snapshot and market.last_trades
        if wanted and not self.faults.withholds(symbol):
            self.send([session], trade_frame("snapshot", market.last_trades))

    def _unsubscribe(self, session: Session, market: Market) -> None:
        self._leave_book(session, market)
        self._leave_tape(session, market)

    def _leave_book(self, session: Session, market: Market) -> None:
        depth = session.books.pop(market.pair.symbol, None)
        channel = None if depth is None else market.channels.get(depth)
        if channel is not None:
            channel.leave(session)
            if channel.is_empty:
                market.channels = {
                    known: each for known, each in market.channels.items() if each is not channel
                }

    def _leave_tape(self, session: Session, market: Market) -> None:
        session.trades.discard(market.pair.symbol)
        market.tape.discard(session)

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
        market, timestamp = self.markets[symbol], self.timestamp()
        rows = [
            trade_row(
                symbol,
                is_buy=market.is_above_mid(ticks) if is_buy is None else is_buy,
                ticks=ticks,
                lots=lots,
                trade_id=market.next_trade_id(),
                timestamp=timestamp,
                digits=market.pair.digits,
            )
            for is_buy, ticks, lots in trades
        ]
        market.last_trades.extend(rows)
        self.counts["trades"] += len(rows)
        if market.tape and not self.faults.withholds(symbol):
            self.send(market.tape, trade_frame("update", rows))

    def refresh(self, symbol: str) -> None:
        """Tell a book's subscribers what has changed since they were last told, unless data is withheld."""
        if self.faults.withholds(symbol):
            return
        market = self.markets[symbol]
        for depth, channel in market.channels.items():
            view = self._view(market, depth)
            changes = view_changes(channel.view, view, depth)
            channel.view = view
            if channel.members and not changes.is_empty:
                self.send(channel.members, self._book_frame(market, changes, view, is_snapshot=False))
                self.counts["books"] += len(channel.members)
            if channel.newcomers:
                self.send(channel.newcomers, self._book_frame(market, view, view, is_snapshot=True))
                self.counts["books"] += len(channel.newcomers)
                channel.members |= channel.newcomers
                channel.newcomers.clear()

    def _view(self, market: Market, depth: int) -> BookView:
        return market.view(depth, self.faults.crossed.get(market.pair.symbol, 0))

    def _book_frame(self, market: Market, content: BookView, view: BookView, *, is_snapshot: bool) -> str:
        pair = market.pair
        checksum = book_checksum(view, pair.digits)
        if not is_snapshot and self.faults.take_wrong_checksum(pair.symbol):
            checksum ^= 1
        return book_frame(
            "snapshot" if is_snapshot else "update",
            pair.symbol,
            content,
            checksum=checksum,
            timestamp=self.timestamp(),
            digits=pair.digits,
        )

    # -- Scripts and state ------------------------------------------------------------------------------

    def market(self, symbol: str) -> Market:
        """Return a pair.

        Raises
        ------
        ConfigError
            If the venue has none of that name.
        """
        if symbol not in self.markets:
            raise ConfigError(f"symbol must be one of {', '.join(self.markets)}, was {symbol}")
        return self.markets[symbol]

    def ticks_and_lots(self, symbol: str, price: Decimal, size: Decimal) -> tuple[int, int]:
        """Return a price and a size as multiples of the pair's increments.

        Raises
        ------
        ConfigError
            If either is no multiple, or the pair is unknown.
        """
        spec = self.market(symbol).pair.spec
        return _multiple("price", price, spec.price_increment, spec), _multiple(
            "size", size, spec.size_increment, spec
        )

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
            "clients": [session.to_dict() for session in sorted(self.sessions, key=lambda each: each.number)],
            "subscriptions": self.subscription_count,
            "counts": {
                name: self.counts[name] for name in ("connections", "lagged", "frames", "books", "trades")
            },
            "symbols": {symbol: self._symbol_state(symbol) for symbol in self.markets},
            "faults": self.faults.to_dict(),
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


def _multiple(name: str, value: Decimal, increment: Decimal, spec: InstrumentSpec) -> int:
    count = value / increment
    if count != int(count):
        raise ConfigError(f"{name} of {spec.symbol} must be a multiple of {increment:f}, was {value:f}")
    return int(count)
