"""The actor that records what a run receives and publishes into a catalog."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from nautilus_trader.common import SocketState
from nautilus_trader.model import BookAction, BookType, InstrumentId, OrderBookDelta

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.recording_folder import locked_recording, new_session, recover_locked
from mm_nautilus.data.recording_rows import FILLS, METRICS, RecordedStream, fill_row, market_streams
from mm_nautilus.data.recording_writer import RecordingSession, RecordingWriter
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Flag
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, SymbolMetrics, metrics_row
from mm_nautilus.risk.feed import FeedData, RecentTrades
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.instruments import instrument_differences, instrument_spec
from mm_nautilus.trading.messages import COMMANDS_TOPIC, EVENTS_TOPIC, FeedRequest, Fill

_TIMER: Final = "recording"
_ROWS_AT_ONCE: Final = 250
"""Rows that are handed to the writer at the latest; a multiple of it would be felt as a pause in a burst."""
_MINUTE_NS: Final = 60 * SECOND_NS
_BYTES_PER_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """Where and how to record; a `ValueError` is raised if a number is not positive."""

    catalog: Path
    """Its folder is made if it does not exist, and added to if it does."""
    rotate_minutes: float = 60.0
    """Time after which logs become files of the catalog; counted from midnight UTC."""
    rotate_megabytes: float = 64.0
    """Size of the compressed logs at which they become files earlier."""
    flush_seconds: float = 5.0
    """Longest time until received data is in a log: what a kill can lose."""
    sync_seconds: float = 60.0
    """Longest time until it is on the disk itself: what a power cut can lose."""

    def __post_init__(self) -> None:
        for name in ("rotate_minutes", "rotate_megabytes", "flush_seconds", "sync_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, was {getattr(self, name)}")


@dataclass(slots=True)
class _Rows:
    """Rows of one stream that wait for the next hand-over."""

    stream: RecordedStream
    last: int = 0
    """Time of the last row, nanoseconds, as it will be recorded."""
    waiting: list[Any] = field(default_factory=list)
    is_live: bool = False
    """Whether the recording has the whole book, so that changes alone can follow."""
    since: int = 0
    """The venue's time of the last full book, nanoseconds."""


class CatalogRecorder(GuardedActor):
    """Record book changes, trades, instruments, metrics and fills into a catalog.

    The constructor locks the catalog and recovers interrupted recordings (`recovered`); a `DataError` says why the
    catalog cannot be used. Once it runs, an error ends the recording with one line in the log (`failure`), and never
    the run. Add it before the strategies, and call `close` when the engine has stopped.

    Parameters
    ----------
    specs
        The instruments whose market data is recorded, as a backtest is to find them: minimums, fees and whether
        they are simulated come from here, because feeds have little of that.
    book_depth
        Depth to subscribe books with, levels a side, the same as the strategy's; None is the feed's own.
    fee_rates
        Maker and taker fee by symbol, fractions of the value, where they differ from those of `specs`.
    """

    actor_name = "CATALOG-001"

    def __init__(
        self,
        options: RecordingOptions,
        specs: Iterable[InstrumentSpec],
        *,
        book_depth: int | None = None,
        fee_rates: Mapping[str, tuple[Decimal, Decimal]] | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        self.failure: str | None = None
        self._book_depth = book_depth
        self._books: dict[InstrumentId, _Rows] = {}
        self._tapes: dict[InstrumentId, _Rows] = {}
        self._metrics, self._fills = _Rows(METRICS), _Rows(FILLS)
        self._writer: RecordingWriter | None = None
        self._is_recording = False
        self._is_connected = True
        self._has_stopped = False
        self._shift = 0
        self._next_rotation: int | None = None
        self._turns: Iterator[_Rows] = iter(())
        self._left_out = 0
        self._recent: dict[InstrumentId, RecentTrades] = defaultdict(RecentTrades)
        with ExitStack() as lock:
            self._lock_descriptor = lock.enter_context(locked_recording(options.catalog))
            self.recovered = recover_locked(options.catalog)
            self._stored, self._notes = _stored_definitions(options.catalog, specs, fee_rates or {})
            self._lock = lock.pop_all()

    # -- Events -----------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Prepare the files, subscribe, and set the timer."""
        rejected = (f"a part was not added to the catalog: {reason}" for reason in self.recovered.rejected)
        for note in (*rejected, *self._notes):
            self.log.warning(note)
        self._begin()
        if not self._is_recording:
            return
        for instrument_id in self._stored:
            self._subscribe_deltas(instrument_id)
            self.subscribe_trades(instrument_id)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        self.subscribe_socket_state()
        self.subscribe_data(SYMBOL_METRICS)
        self.subscribe_topic(EVENTS_TOPIC, self._on_event)
        # One stream at a time, as all at once would be felt as a pause.
        self._turns = cycle(self._all_rows())
        interval = self.options.flush_seconds / len(self._all_rows())
        self.clock.set_timer_ns(_TIMER, max(1, round(interval * SECOND_NS)))

    def _subscribe_deltas(self, instrument_id: InstrumentId) -> None:
        self.subscribe_book_deltas(instrument_id, BookType.L2_MBP, depth=self._book_depth, managed=True)

    def _on_command(self, message: object) -> None:
        """Follow the strategy's requests to end or renew a subscription."""
        if not isinstance(message, FeedRequest) or message.instrument_id not in self._stored:
            return
        instrument_id = message.instrument_id
        match message.data, message.is_wanted:
            case FeedData.BOOK, True:
                self._subscribe_deltas(instrument_id)
            case FeedData.BOOK, _:
                self.unsubscribe_book_deltas(instrument_id)
            case _, True:
                book, known = self._books[instrument_id], self.cache.order_book(instrument_id)
                if known is not None:
                    # The venue may repeat trades from before, which would fill a backtest's orders.
                    book.since = max(book.since, known.ts_event)
                self.subscribe_trades(instrument_id)
            case _:
                self.unsubscribe_trades(instrument_id)

    def on_book_deltas(self, deltas: Any) -> None:
        """Keep a group of changes; where the book is not known, a whole one has to come first."""
        if not self._is_recording:
            return
        book = self._books[deltas.instrument_id]
        if deltas.is_snapshot:
            book.is_live, book.since = True, deltas.ts_event
        elif not book.is_live:
            self._resume(book, deltas)
            return
        self._take(book, deltas.deltas, deltas.ts_init)

    def on_trade(self, trade: Any) -> None:
        """Keep a trade, unless it is older than the book or has come before: venues repeat their last ones."""
        if not self._is_recording:
            return
        book = self._books[trade.instrument_id]
        is_repeated = self._recent[trade.instrument_id].is_repeated(trade.trade_id.value)
        if book.is_live and trade.ts_event >= book.since and not is_repeated:
            self._take(self._tapes[trade.instrument_id], (trade,), trade.ts_init)
        else:
            self._left_out += 1

    def on_socket_state(self, event: Any) -> None:
        """Record that the books of a lost connection are not known any more."""
        self._is_connected = event.state != SocketState.DISCONNECTED
        if not self._is_connected:
            self._break_books(event.ts_init)

    def on_data(self, data: Any) -> None:
        """Keep one symbol's metrics."""
        self.write_metrics(data.data)

    def _on_event(self, message: object) -> None:
        if isinstance(message, Fill):
            self.write_fill(message)

    def on_time_event(self, event: Any) -> None:
        """Hand over what has come of the next stream, and begin new files where that is due."""
        if event.name != _TIMER or not self._is_recording or self._writer is None:
            return
        self._hand_over(next(self._turns))
        if self._writer.failure is not None:
            self._end(self._writer.failure)
        elif self._is_rotation_due(self._writer.part_bytes):
            self._rotate(self._writer)

    def on_stop(self) -> None:
        """Record that the books are no longer known, and hand everything over."""
        self._break_books(self.clock.timestamp_ns())
        self._hand_over_all()
        if self._left_out:
            self.log.info(
                "trades and book changes that were not recorded, as they were older than the book or of a connection "
                f"that was lost: {self._left_out:,}"
            )
        self._has_stopped = True

    # -- After the engine -------------------------------------------------------------------------------

    def write_metrics(self, metrics: SymbolMetrics) -> None:
        """Keep one symbol's metrics; also after the engine has stopped, for a run's last ones."""
        self._take_row(self._metrics, metrics_row(metrics), "ts_init")

    def write_fill(self, result: Fill) -> None:
        """Keep one fill; also after the engine has stopped."""
        self._take_row(self._fills, fill_row(result), "ts_event")

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Bring the recording into the catalog after the engine has stopped, and release the catalog.

        What is not finished after `timeout_seconds` is left for the next recording or `recover`. Returns whether
        everything is in the catalog; `failure` says why not, where something went wrong.
        """
        self._hand_over_all()
        self._is_recording = False
        writer, self._writer = self._writer, None
        is_done = writer is None or writer.close(timeout_seconds)
        if writer is not None:
            self.failure = self.failure or writer.failure
        self._lock.close()
        return is_done and self.failure is None

    # -- Rows -------------------------------------------------------------------------------------------

    def _take(self, rows: _Rows, items: Sequence[Any], moment: int) -> None:
        """Keep market data received at one moment, nanoseconds, for the next hand-over."""
        moment += self._shift
        if moment < rows.last:
            self._step_back(rows.last - moment)
            moment = rows.last
        rows.last = moment
        rows.waiting.extend(items)
        if len(rows.waiting) >= _ROWS_AT_ONCE:
            self._hand_over(rows)

    def _take_row(self, rows: _Rows, row: dict[str, Any], time_name: str) -> None:
        """Keep metrics or a fill; these may be a little out of order, as timers are dated by their schedule."""
        if self._is_recording:
            rows.last = max(row[time_name] + self._shift, rows.last)
            rows.waiting.append({**row, time_name: rows.last - self._shift})

    def _step_back(self, nanoseconds: int) -> None:
        """Move all that comes from now on behind what is recorded already: a catalog's files follow each other."""
        self._hand_over_all()
        self._shift += nanoseconds
        self.log.warning(
            f"the clock is {nanoseconds / SECOND_NS:.3f} s behind what is recorded; times of receipt are recorded "
            f"{self._shift / SECOND_NS:.3f} s later than they are until this recording ends"
        )

    def _resume(self, book: _Rows, deltas: Any) -> None:
        """Begin with the whole book that the engine keeps, where changes come without one."""
        known = self.cache.order_book(deltas.instrument_id) if self._is_connected else None
        if known is None:
            self._left_out += 1
            return
        book.is_live, book.since = True, deltas.ts_event
        self._take(book, known.to_deltas(deltas.ts_event, deltas.ts_init).deltas, deltas.ts_init)

    def _break_books(self, moment: int) -> None:
        for instrument_id, book in self._books.items():
            if book.is_live and self._is_recording:
                book.is_live = False
                self._take(book, (_break_row(instrument_id, moment),), moment)

    def _is_rotation_due(self, part_bytes: int) -> bool:
        """Return whether new files are to be begun, and note when the next are."""
        # Not the event's time, as the timer keeps its schedule when the clock is set.
        now, period = self.clock.timestamp_ns(), round(self.options.rotate_minutes * _MINUTE_NS)
        due = self._next_rotation is not None and now >= self._next_rotation
        if due or self._next_rotation is None:
            self._next_rotation = (now // period + 1) * period
        return due or part_bytes >= self.options.rotate_megabytes * _BYTES_PER_MEGABYTE

    def _rotate(self, writer: RecordingWriter) -> None:
        """Begin new files, each with the whole book, so that a backtest can start with any of them."""
        self._hand_over_all()
        writer.rotate()
        for instrument_id, book in self._books.items():
            known = self.cache.order_book(instrument_id) if book.is_live else None
            if known is not None:
                # Rows that are on their way here are younger than the last one, but may be older than now.
                moment = book.last + 1 - self._shift
                self._take(book, known.to_deltas(known.ts_event, moment).deltas, moment)

    def _all_rows(self) -> list[_Rows]:
        return [*self._books.values(), *self._tapes.values(), self._metrics, self._fills]

    def _hand_over_all(self) -> None:
        for rows in self._all_rows():
            self._hand_over(rows)

    def _hand_over(self, rows: _Rows) -> None:
        if not rows.waiting or self._writer is None:
            return
        waiting, rows.waiting = rows.waiting, []
        encode = rows.stream.encode
        try:
            payload = waiting if encode is None else encode(waiting)
        except (RuntimeError, TypeError, ValueError) as error:
            self._end(f"{rows.stream.folder} cannot be encoded: {error}")
            return
        self._writer.append(rows.stream, payload, self._shift)

    def _end(self, reason: str) -> None:
        """End the recording, not the run."""
        self._is_recording = False
        self.failure = reason
        if not self._has_stopped:
            self.log.error(
                f"recording into {self.options.catalog} has ended: {reason}; the run goes on without it"
            )

    # -- Beginning --------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Prepare the rows of each stream and open the files of a new session."""
        catalog = self.options.catalog
        try:
            for instrument_id, stored in self._stored.items():
                instrument = self.cache.instrument(instrument_id)
                if instrument is None:
                    raise DataError(f"the feed has no instrument {instrument_id}")
                book, tape = market_streams(instrument_spec(instrument), stored)
                self._books[instrument_id], self._tapes[instrument_id] = _Rows(book), _Rows(tape)
            folder = new_session(catalog, self._stored.values())
        except (DataError, OSError) as error:
            self._end(str(error))
            return
        streams = [rows.stream for rows in self._all_rows()]
        session = RecordingSession(catalog, folder, streams, self._lock_descriptor)
        earliest = max(session.last.values()) + 1
        for rows in self._all_rows():
            rows.last = earliest
        self._writer = RecordingWriter(session, self.options.sync_seconds)
        self._is_recording = True


def _stored_definitions(
    catalog: Path, specs: Iterable[InstrumentSpec], fee_rates: Mapping[str, tuple[Decimal, Decimal]]
) -> tuple[dict[InstrumentId, InstrumentSpec], list[str]]:
    """Return the definitions to store, which are the catalog's own where it has them, and notes of other fees.

    A `DataError` says that they differ in anything but fees.
    """
    found, notes = {}, []
    held = CatalogReader(catalog).instruments() if (catalog / "data").is_dir() else []
    known = {spec.instrument_id: spec for spec in held}
    for spec in specs:
        maker, taker = fee_rates.get(spec.symbol, (spec.maker_fee_rate, spec.taker_fee_rate))
        wanted = replace(spec, maker_fee_rate=maker, taker_fee_rate=taker)
        stored = known.get(spec.instrument_id, wanted)
        fees: dict[str, Any] = {
            "maker_fee_rate": stored.maker_fee_rate,
            "taker_fee_rate": stored.taker_fee_rate,
        }
        differences = instrument_differences(stored, replace(wanted, **fees))
        if differences:
            raise DataError(
                f"{catalog} already holds {spec.instrument_id} with another definition "
                f"({'; '.join(differences)}); choose another catalog"
            )
        if (maker, taker) != tuple(fees.values()):
            notes.append(
                f"the catalog keeps its own fees of {spec.symbol}, {stored.maker_fee_rate} and "
                f"{stored.taker_fee_rate}; this run has {maker} and {taker}"
            )
        found[InstrumentId.from_str(spec.instrument_id)] = stored
    return found, notes


def _break_row(instrument_id: InstrumentId, moment: int) -> OrderBookDelta:
    """Return the change that marks a book as unknown from `moment` (nanoseconds) on."""
    cleared = OrderBookDelta.clear(instrument_id, 0, moment, moment)
    flags = Flag.SNAPSHOT | Flag.LAST
    return OrderBookDelta(instrument_id, BookAction.CLEAR, cleared.order, flags, 0, moment, moment)
