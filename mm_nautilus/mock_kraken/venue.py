"""The venue and all its parts in one event loop: what the control side's commands act on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from mm_nautilus.data.catalog import CatalogReader, DataKind
from mm_nautilus.data.catalog_fitness import footer_problems
from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.mock_kraken import commands
from mm_nautilus.mock_kraken.book import Change
from mm_nautilus.mock_kraken.commands import Command, Reply
from mm_nautilus.mock_kraken.exchange import Exchange
from mm_nautilus.mock_kraken.feed import Event, catalog_feed, simulated_feed
from mm_nautilus.mock_kraken.frames import cut_frame, trade_frame, trade_row
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.pairs import Pair, asset_pair, kraken_pairs
from mm_nautilus.mock_kraken.player import Player
from mm_nautilus.system.moments import SECOND_NS

__all__ = ["Venue"]


class Venue:
    """A venue that plays what its options say.

    Parameters
    ----------
    options
        What to play.

    Attributes
    ----------
    options, exchange, player
        Its parts.
    on_closed
        Called with whether the venue is to stop listening, where that changes.

    Raises
    ------
    DataError
        If the catalog cannot be played.
    """

    def __init__(self, options: VenueOptions) -> None:
        self.options = options
        pairs, events = _source(options)
        self.exchange = Exchange(pairs, trade_snapshot=options.trade_snapshot)
        self.player = Player(events, self.exchange, options)
        self.player.open_books()
        self.on_closed: Callable[[bool], Awaitable[None]] | None = None
        self._endings: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- Commands ---------------------------------------------------------------------------------------

    async def perform(self, command: Command) -> Reply:
        """Carry out a command and return its answer.

        Raises
        ------
        ConfigError
            If it cannot be carried out.
        """
        handler: Callable[[Any], Reply | Awaitable[Reply | None] | None] = getattr(self, f"_{command.name}")
        answer = handler(command)
        if isinstance(answer, Awaitable):
            answer = await answer
        return answer or {}

    def _state(self, _command: commands.StateQuery) -> Reply:
        return {"feed": self.player.to_dict()} | self.exchange.to_dict()

    def _book(self, command: commands.BookQuery) -> Reply:
        return self.exchange.book_levels(command.symbol, command.depth)

    def _requests(self, command: commands.RequestsQuery) -> Reply:
        return {"requests": list(self.exchange.requests)[-command.last :]}

    def _pause(self, _command: commands.Pause) -> None:
        self.player.pause()

    def _resume(self, _command: commands.Resume) -> None:
        self.player.resume()

    def _set_book(self, command: commands.SetBook) -> None:
        market = self.exchange.market(command.symbol)
        sides = ((True, command.bids), (False, command.asks))
        market.set_script(
            [
                Change(is_bid, *self.exchange.ticks_and_lots(command.symbol, price, size))
                for is_bid, levels in sides
                for price, size in levels
            ]
        )
        self.exchange.refresh(command.symbol)

    def _follow_feed(self, command: commands.FollowFeed) -> None:
        self.exchange.market(command.symbol).script = None
        self.exchange.refresh(command.symbol)

    def _trade(self, command: commands.TradeCommand) -> None:
        ticks, lots = self.exchange.ticks_and_lots(command.symbol, command.price, command.size)
        self.exchange.trade(command.symbol, [(command.side == "buy", ticks, lots)])

    def _trade_snapshot(self, command: commands.TradeSnapshot) -> None:
        self.exchange.trade_snapshot = command.enabled

    # -- Faults -----------------------------------------------------------------------------------------

    def _silence(self, command: commands.Silence) -> None:
        self.exchange.set_silent(is_silent=True)
        self._end_later("silence", command.seconds, partial(self.exchange.set_silent, is_silent=False))

    def _deaf(self, command: commands.Deaf) -> None:
        self.exchange.faults.deaf = command.channel or True
        self._end_later("deaf", command.seconds, self._end_deafness)

    def _end_deafness(self) -> None:
        self.exchange.faults.deaf = False

    def _quiet(self, command: commands.Quiet) -> None:
        symbols = command.symbols or list(self.exchange.markets)
        for symbol in symbols:
            self.exchange.market(symbol)
        for symbol in symbols:
            self.exchange.faults.quiet.add(symbol)
            self._end_later(f"quiet {symbol}", command.seconds, partial(self._end_quiet, symbol))

    def _end_quiet(self, symbol: str) -> None:
        self.exchange.faults.quiet.discard(symbol)
        self.exchange.refresh(symbol)

    def _disconnect(self, _command: commands.Disconnect | None = None) -> Reply:
        sessions = list(self.exchange.sessions)
        for session in sessions:
            session.abort()
        return {"clients": len(sessions)}

    async def _refuse_reconnect(self, command: commands.RefuseReconnect) -> Reply:
        faults = self.exchange.faults
        if command.how == "refused":
            await self._set_closed(is_closed=True)
        else:
            faults.unavailable = True
        self._end_later("refuse_reconnect", command.seconds, self._end_refusal)
        return self._disconnect()

    def _end_refusal(self) -> None:
        self.exchange.faults.unavailable = False
        task = asyncio.get_running_loop().create_task(self._set_closed(is_closed=False))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _set_closed(self, *, is_closed: bool) -> None:
        if self.exchange.faults.closed is not is_closed and self.on_closed is not None:
            await self.on_closed(is_closed)
            self.exchange.faults.closed = is_closed

    def _system_status(self, command: commands.SystemStatus) -> None:
        self.exchange.set_system_status(command.status)
        self._end_later("system_status", command.seconds, partial(self.exchange.set_system_status, "online"))

    def _pair_status(self, command: commands.PairStatus) -> None:
        statuses = self.exchange.faults.pair_statuses
        statuses[self.exchange.market(command.symbol).pair.symbol] = command.status
        self._end_later(
            f"pair_status {command.symbol}", command.seconds, lambda: statuses.pop(command.symbol, None)
        )

    def _odd_pair(self, command: commands.OddPair) -> None:
        pair = next(iter(self.exchange.markets.values())).pair
        self.exchange.faults.odd_pairs[command.key] = asset_pair(pair) | command.fields

    def _drop_pair(self, command: commands.DropPair) -> None:
        dropped = self.exchange.faults.dropped
        dropped.add(self.exchange.market(command.symbol).pair.symbol)
        self._end_later(
            f"drop_pair {command.symbol}", command.seconds, partial(dropped.discard, command.symbol)
        )

    def _rest_fault(self, command: commands.RestFault) -> None:
        self.exchange.faults.rest = command.how
        self._end_later("rest_fault", command.seconds, self._end_rest_fault)

    def _end_rest_fault(self) -> None:
        self.exchange.faults.rest = None

    def _garbage(self, command: commands.Garbage) -> None:
        symbol = command.symbol or next(iter(self.exchange.markets))
        text = _garbled(command.kind, self.exchange.market(symbol).pair, self.exchange.timestamp())
        self.exchange.send(list(self.exchange.sessions), text)

    def _send(self, command: commands.SendText) -> None:
        self.exchange.send(list(self.exchange.sessions), command.text)

    def _wrong_checksum(self, command: commands.WrongChecksum) -> None:
        symbols = list(self.exchange.markets) if command.symbol is None else [command.symbol]
        for symbol in symbols:
            self.exchange.market(symbol)
            self.exchange.faults.wrong_checksums[symbol] = command.frames

    def _crossed_book(self, command: commands.CrossedBook) -> None:
        self.exchange.market(command.symbol)
        self.exchange.faults.crossed[command.symbol] = command.ticks
        self.exchange.refresh(command.symbol)
        self._end_later(
            f"crossed {command.symbol}", command.seconds, partial(self._end_crossing, command.symbol)
        )

    def _end_crossing(self, symbol: str) -> None:
        self.exchange.faults.crossed.pop(symbol, None)
        self.exchange.refresh(symbol)

    async def _burst(self, command: commands.Burst) -> Reply:
        return {"events": await self.player.burst(command.events, command.per_second)}

    def _clock_skew(self, command: commands.ClockSkew) -> None:
        self.exchange.faults.clock_skew_ns = round(command.seconds * SECOND_NS)

    def _unknown_symbol(self, command: commands.UnknownSymbol) -> None:
        if command.how == "refuse":
            self.exchange.market(command.symbol)
            self.exchange.faults.unknown.add(command.symbol)
            return
        if command.symbol in self.exchange.markets:
            raise ConfigError(f"symbol must be one that the venue does not have, was {command.symbol}")
        self.exchange.send(list(self.exchange.sessions), self._foreign_trade(command.symbol))

    def _foreign_trade(self, symbol: str) -> str:
        digits = next(iter(self.exchange.markets.values())).pair.digits
        row = trade_row(
            symbol,
            is_buy=True,
            ticks=1,
            lots=1,
            trade_id=1,
            timestamp=self.exchange.timestamp(),
            digits=digits,
        )
        return trade_frame("update", [row])

    def _half_message(self, command: commands.HalfMessage) -> Reply:
        sessions = list(self.exchange.sessions)
        for session in sessions:
            session.cut(cut_frame(self._foreign_trade(next(iter(self.exchange.markets)))))
            if command.then == "abort":
                session.abort()
        return {"clients": len(sessions)}

    async def _clear_faults(self, _command: commands.ClearFaults) -> None:
        for handle in self._endings.values():
            handle.cancel()
        self._endings.clear()
        faults = self.exchange.faults
        faults.deaf, faults.unavailable, faults.clock_skew_ns = False, False, 0
        faults.rest = None
        lasting = (faults.quiet, faults.wrong_checksums, faults.crossed, faults.unknown)
        for each in (*lasting, faults.pair_statuses, faults.odd_pairs, faults.dropped):
            each.clear()
        if faults.system_status != "online":
            self.exchange.set_system_status("online")
        # Speaking again also shows every book as it now is.
        self.exchange.set_silent(is_silent=False)
        await self._set_closed(is_closed=False)

    def _end_later(self, key: str, seconds: float | None, end: Callable[[], object]) -> None:
        """End a fault after so many seconds, or by `clear_faults`; a repeated fault lasts by its own time."""
        known = self._endings.pop(key, None)
        if known is not None:
            known.cancel()
        if seconds is not None:
            self._endings[key] = asyncio.get_running_loop().call_later(seconds, end)


def _source(options: VenueOptions) -> tuple[dict[str, Pair], Iterator[Event]]:
    if options.catalog is None:
        unknown = [symbol for symbol in options.symbols if symbol not in KRAKEN_SPOT]
        if unknown:
            raise ConfigError(f"symbols must be of {', '.join(KRAKEN_SPOT)}, was {', '.join(unknown)}")
        specs = [KRAKEN_SPOT[symbol] for symbol in options.symbols or KRAKEN_SPOT]
        return kraken_pairs(specs), simulated_feed(options.seed, specs)
    reader = CatalogReader(options.catalog)
    specs = [reader.instrument(symbol) for symbol in options.symbols] or reader.instruments()
    problems = [
        text
        for spec in specs
        for kind in DataKind
        for text in footer_problems(reader.files(spec.instrument_id, kind), spec)
    ]
    if problems:
        raise DataError("\n".join(problems))
    pairs = kraken_pairs(specs)
    return pairs, catalog_feed(reader, list(pairs.values()), options.at_end)


def _garbled(kind: str, pair: Pair, timestamp: str) -> str:
    if kind == "text":
        return "<html>502 Bad Gateway</html>"
    price = '"price":"one"' if kind == "wrong_type" else '"cost":1'
    return (
        f'{{"channel":"book","type":"update","data":[{{"symbol":"{pair.symbol}",'
        f'"bids":[{{{price},"qty":1}}],"asks":[],"checksum":0,"timestamp":"{timestamp}"}}]}}'
    )
