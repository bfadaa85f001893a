"""One WebSocket connection: what it is subscribed to, and a bounded queue of frames on their way to it."""

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mm_nautilus.mock_kraken.book import BookView

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""The socket option that makes a close discard what waits and reset the connection."""


@dataclass(slots=True)
class BookSubscription:
    """A subscription to a pair's book of so many levels a side, and what the client holds: None before its snapshot."""

    depth: int
    view: BookView | None


class Session:
    """A client's WebSocket connection, with a number that counts from 1.

    Frames are queued without waiting, and a task of the session's own sends them, so that a slow client delays
    no other. One that lets more than `queue_frames` wait is disconnected.
    """

    def __init__(
        self, number: int, websocket: web.WebSocketResponse, transport: asyncio.Transport, queue_frames: int
    ) -> None:
        self.number = number
        self.books: dict[str, BookSubscription] = {}
        self.trades: set[str] = set()
        """The pairs whose books, and whose trades, are subscribed to."""
        self.frames_sent = 0
        self.lagged = False
        """Whether it was disconnected for being too slow."""
        self._websocket = websocket
        self._transport = transport
        self._limit = queue_frames
        self.queue: deque[str] = deque()
        self._filled = asyncio.Event()
        self.drained = asyncio.Event()
        """Set while no frame waits."""
        self.drained.set()
        self._is_cut = False
        self._writer = asyncio.create_task(self._write())

    def offer(self, text: str) -> None:
        """Queue a frame; a client that is too far behind is disconnected instead."""
        if len(self.queue) >= self._limit:
            self.drop_as_lagging()
        elif not self._is_cut:
            self.queue.append(text)
            self.drained.clear()
            self._filled.set()

    def drop_as_lagging(self) -> None:
        """Disconnect a client that does not keep up."""
        self.lagged = True
        self.abort()

    def abort(self) -> None:
        """Reset the TCP connection, without a closing handshake; what waits is lost."""
        self._stop_sending()
        raw = self._transport.get_extra_info("socket")
        if raw is not None and not self._transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def cut(self, begin: bytes) -> None:
        """Write the beginning of a message, and nothing more ever after."""
        self._stop_sending()
        self._transport.write(begin)

    def _stop_sending(self) -> None:
        self._is_cut = True
        self.queue.clear()
        self.drained.set()

    async def pong(self, payload: bytes) -> None:
        """Answer a ping of the WebSocket protocol."""
        if not self._is_cut:
            await self._websocket.pong(payload)

    async def close(self) -> None:
        """End the writing task; what it has failed with, if it has, is raised."""
        self._writer.cancel()
        await asyncio.wait([self._writer])
        if not self._writer.cancelled():
            self._writer.result()

    async def _write(self) -> None:
        try:
            while await self._filled.wait():
                self._filled.clear()
                while self.queue:
                    await self._websocket.send_str(self.queue.popleft())
                    self.frames_sent += 1
                self.drained.set()
        except ConnectionError:
            self.abort()

    def to_dict(self) -> dict[str, Any]:
        """Return the connection's state as plain values."""
        return {
            "number": self.number,
            "books": {symbol: book.depth for symbol, book in self.books.items()},
            "trades": sorted(self.trades),
            "frames_sent": self.frames_sent,
            "frames_waiting": len(self.queue),
        }
