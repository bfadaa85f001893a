"""A recording holds what the engine received, in files that the check and the engine accept."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from nautilus_trader.common import SocketState, SocketStateChanged
from nautilus_trader.core import UUID4
from nautilus_trader.model import (
    BookOrder,
    ClientId,
    OrderBookDelta,
    OrderBookDeltas,
    Price,
    TradeId,
    TraderId,
)
from nautilus_trader.persistence import ParquetDataCatalog
from recorded_markets import (
    SAMPLE,
    Director,
    Pacer,
    book_states,
    delta_rows,
    files,
    play,
    recorder,
    trade_rows,
)
from scripting import BTC_USDT, SECOND, SPECS, VENUE, XRP_USDT, book, ns, trade, update

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_recorder import RecordingOptions
from mm_nautilus.data.check import check_catalog
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Action, Flag
from mm_nautilus.runs.sandbox import close_recording

XRP = SPECS[XRP_USDT].instrument_id
BREAK_FLAGS = Flag.SNAPSHOT | Flag.LAST
MARKET = [
    book(0.1, 2.0, 2.01),
    update(1.5, ("bid", 1.99, 500.0)),
    trade(2.0, 2.01, 30.0, "buy"),
    update(2.1, ("ask", 2.01, 970.0)),
    update(3.7, ("bid", 1.99, 0.0)),
]
OTHER = [book(0.2, 50_000.0, 50_001.0, symbol=BTC_USDT), trade(2.5, 50_000.0, 0.1, "sell", symbol=BTC_USDT)]


def original(event):
    """Return the rows of an event as the catalog has them."""
    spec = SPECS[event.instrument_id.symbol.value]
    return [
        (
            d.ts_event,
            d.ts_init,
            int(d.action),
            0 if d.order.side is None else int(d.order.side),
            round(d.order.price.as_decimal() / spec.price_increment),
            round(d.order.size.as_decimal() / spec.size_increment),
            d.flags,
            d.sequence,
        )
        for d in event.deltas
    ]


def socket(state, at):
    return SocketStateChanged(
        TraderId("T-1"), ClientId("KRAKEN"), VENUE, "stream", state, UUID4(), ns(at), ns(at)
    )


def moved(event, nanoseconds):
    """Return an event of a script at another time."""
    if hasattr(event, "deltas"):
        changes = [
            OrderBookDelta(
                d.instrument_id, d.action, d.order, d.flags, d.sequence,
                d.ts_event + nanoseconds, d.ts_init + nanoseconds,
            )
            for d in event.deltas
        ]  # fmt: skip
        return OrderBookDeltas(event.instrument_id, changes)
    given = (event.instrument_id, event.price, event.size, event.aggressor_side)
    trade_id = TradeId(f"{event.trade_id}{nanoseconds:+}")
    return type(event)(*given, trade_id, event.ts_event + nanoseconds, event.ts_init + nanoseconds)


@pytest.fixture
def record(run, tmp_path):
    """Record a script into a catalog and return the catalog and the recorder."""

    def make(data, *, script=None, folder="recorded", strategies=(), actors=(), **options):
        catalog = tmp_path / folder
        recording = recorder(catalog, **options)
        actors = [recording, *actors]
        if script is not None:
            actors.append(Director({at: (lambda do=do: do(recording)) for at, do in script.items()}))
        run(list(strategies), data, actors=actors)
        assert recording.failures == []
        assert recording.close(), recording.failure
        return catalog, recording

    return make


# -- The same data ------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_shipped_catalog_is_recorded_row_by_row(tmp_path: Path) -> None:
    specs = CatalogReader(SAMPLE).instruments()
    recording = recorder(tmp_path / "recorded", specs)
    play(SAMPLE, recording)
    assert recording.close(), recording.failure

    assert CatalogReader(tmp_path / "recorded").instruments() == specs
    ends = []
    for spec in specs:
        recorded = delta_rows(tmp_path / "recorded", spec.instrument_id)
        known = delta_rows(SAMPLE, spec.instrument_id)
        assert recorded[:-1] == known
        ends.append(recorded[-1])
        assert recorded[-1][1] >= known[-1][1]
        assert trade_rows(tmp_path / "recorded", spec.instrument_id) == trade_rows(SAMPLE, spec.instrument_id)
    assert {(row[2], row[6]) for row in ends} == {(Action.CLEAR, BREAK_FLAGS)}
    report = check_catalog(tmp_path / "recorded")
    assert report.ok, report.problems
    assert list((tmp_path / "recorded" / ".recording").iterdir()) == [
        tmp_path / "recorded" / ".recording" / "lock"
    ]


@pytest.mark.long
def test_the_engine_reads_a_recording_like_its_own_files(tmp_path: Path) -> None:
    recording = recorder(tmp_path / "recorded", CatalogReader(SAMPLE).instruments())
    play(SAMPLE, recording)
    assert recording.close(), recording.failure
    ours, theirs = (ParquetDataCatalog(str(folder)) for folder in (tmp_path / "recorded", SAMPLE))
    assert ours.query_trade_ticks([XRP]) == theirs.query_trade_ticks([XRP])
    assert ours.query_order_book_deltas([XRP])[:-1] == theirs.query_order_book_deltas([XRP])
    for kind in ("order_book_deltas", "trades"):
        (our_file,), (their_file,) = (files(folder, kind) for folder in (tmp_path / "recorded", SAMPLE))
        our_schema, their_schema = pq.read_schema(our_file), pq.read_schema(their_file)
        assert our_schema.equals(their_schema)
        assert our_schema.metadata == {**their_schema.metadata, b"recorded_by": b"mm_nautilus"}
    (pair,) = ours.instruments([XRP])
    assert (pair.margin_init, pair.info["maker_fee_rate"], pair.info["simulated"]) == (1, "0.0025", True)


@pytest.mark.long
def test_files_are_begun_anew_by_time_and_each_starts_with_the_whole_book(tmp_path: Path) -> None:
    specs = CatalogReader(SAMPLE).instruments()
    recording = recorder(tmp_path / "recorded", specs, rotate_minutes=10)
    play(SAMPLE, recording)
    assert recording.close(), recording.failure
    assert check_catalog(tmp_path / "recorded").ok
    for spec in specs:
        book_files = files(tmp_path / "recorded", "order_book_deltas", spec.instrument_id)
        assert len(book_files) == 3
        for path in book_files:
            first = pd.read_parquet(path).iloc[0]
            assert (first["action"], int(first["flags"]) & Flag.SNAPSHOT) == ("CLEAR", Flag.SNAPSHOT)
        known = book_states(delta_rows(SAMPLE, spec.instrument_id))
        assert book_states(delta_rows(tmp_path / "recorded", spec.instrument_id))[:-1] == known
        assert trade_rows(tmp_path / "recorded", spec.instrument_id) == trade_rows(SAMPLE, spec.instrument_id)


@pytest.mark.long
def test_files_are_begun_anew_by_size(tmp_path: Path) -> None:
    recording = recorder(
        tmp_path / "recorded #1?%25", CatalogReader(SAMPLE).instruments(), rotate_megabytes=0.4
    )
    play(SAMPLE, recording, Pacer(recording))
    assert recording.close(), recording.failure
    assert len(files(tmp_path / "recorded #1?%25", "order_book_deltas")) > 2
    assert check_catalog(tmp_path / "recorded #1?%25").ok
    assert book_states(delta_rows(tmp_path / "recorded #1?%25", XRP))[:-1] == book_states(
        delta_rows(SAMPLE, XRP)
    )


# -- Feeds --------------------------------------------------------------------------------------------------


def test_a_lost_connection_is_a_break_until_the_next_whole_book(record) -> None:
    late = update(4.5, ("bid", 1.98, 1.0))
    again = [book(90.0, 2.1, 2.11), trade(90.5, 2.11, 1.0, "buy")]
    repeated = moved(trade(2.0, 2.01, 30.0, "buy"), 0)
    script = {
        4.0: lambda r: r.on_socket_state(socket(SocketState.DISCONNECTED, 4.0)),
        80.0: lambda r: r.on_socket_state(socket(SocketState.CONNECTED, 80.0)),
        90.2: lambda r: r.on_trade(repeated),
    }
    catalog, _ = record([*MARKET, late, *again], script=script)
    rows = delta_rows(catalog, XRP)
    first = [row for event in MARKET if hasattr(event, "deltas") for row in original(event)]
    lost = (ns(4.0), ns(4.0), Action.CLEAR, 0, 0, 0, BREAK_FLAGS, 0)
    assert rows[:-1] == [*first, lost, *original(again[0])]
    assert [row[1] for row in trade_rows(catalog, XRP)] == [ns(2.0), ns(90.5)]
    report = check_catalog(catalog)
    assert [p for p in report.problems if p.instrument_id == XRP] == []
    assert any("breaks that its data announces, the longest 86.0 s: 1" in note for note in report.notes)


def test_changes_without_a_whole_book_begin_with_the_engines_own(record) -> None:
    """Another connection of the same client was lost, say: this one goes on."""
    script = {
        1.6: lambda r: r.on_socket_state(socket(SocketState.DISCONNECTED, 1.6)),
        1.7: lambda r: r.on_socket_state(socket(SocketState.CONNECTED, 1.7)),
    }
    catalog, _ = record(MARKET, script=script)
    states = dict(book_states(delta_rows(catalog, XRP)))
    known = [row for event in MARKET if hasattr(event, "deltas") for row in original(event)]
    at = ns(2.1)
    assert states[at] == dict(book_states(known))[at]
    assert states[ns(1.6)] == {}
    assert check_catalog(catalog).instruments[0].book.crossed.count == 0


def test_trades_before_the_first_book_are_left_out(record) -> None:
    early = trade(0.05, 2.0, 1.0, "sell")
    catalog, _ = record([early, *MARKET])
    assert [row[1] for row in trade_rows(catalog, XRP)] == [ns(2.0)]


def test_sizes_below_the_stored_lot_are_cut_off(record, tmp_path) -> None:
    """As where the engine keeps six digits of a currency of which the venue has eight."""
    coarse = replace(SPECS[XRP_USDT], size_increment=Decimal("0.1"))
    data = [
        book(0.1, [(2.0, 10.07), (1.99, 0.05)], 2.01),
        update(1.0, ("bid", 2.0, 0.09)),
        trade(2.0, 2.01, 1.19, "buy"),
        trade(2.1, 2.01, 0.04, "buy"),
    ]
    catalog, _ = record(data, specs=[coarse])
    rows = delta_rows(catalog, XRP)
    assert book_states(rows)[0][1] == {(1, 200_000): 100, (2, 201_000): 10_000}
    assert book_states(rows)[1][1] == {(2, 201_000): 10_000}
    assert [(row[3], row[5]) for row in trade_rows(catalog, XRP)] == [(11, "2000000-buy")]


# -- Clocks and sessions ------------------------------------------------------------------------------------


def test_two_sessions_make_one_catalog_with_a_break_between_them(record) -> None:
    day = 86_400 * SECOND
    record([*MARKET, *OTHER])
    catalog, second = record([moved(event, day) for event in [*MARKET, *OTHER]])
    assert second.recovered.sessions == 0
    report = check_catalog(catalog)
    # Nobody scripted the third pair.
    assert {(p.kind, p.instrument_id) for p in report.problems} == {
        ("no_deltas", "XRP/BTC.KRAKEN"),
        ("no_trades", "XRP/BTC.KRAKEN"),
    }
    assert any("breaks that its data announces, the longest 86396" in note for note in report.notes)
    times = [row[1] for row in delta_rows(catalog, XRP)]
    first = sum(len(event.deltas) for event in MARKET if hasattr(event, "deltas")) + 1
    assert [time - day for time in times[first:-1]] == times[: first - 1]


def test_a_session_behind_the_last_one_is_recorded_after_it(record) -> None:
    back = -7 * SECOND
    record([*MARKET, *OTHER])
    catalog, _ = record([moved(event, back) for event in [*MARKET, *OTHER]])
    rows, trades = delta_rows(catalog, XRP), trade_rows(catalog, XRP)
    middle = len(rows) // 2
    first, second = rows[:middle], rows[middle:]
    assert second[0][1] > first[-1][1]
    shifts = {after[1] - before[1] for before, after in zip(first[:-1], second[:-1], strict=True)}
    assert len(shifts) == 1
    assert {trades[1][1] - trades[0][1]} == shifts
    assert [row[0] for row in second[:-1]] == [row[0] + back for row in first[:-1]]
    problems = [p for p in check_catalog(catalog).problems if p.instrument_id != "XRP/BTC.KRAKEN"]
    assert problems == []


def test_a_clock_that_steps_back_breaks_nothing(record) -> None:
    stepped = [
        moved(update(5.0, ("bid", 1.98, 7.0)), -3 * SECOND),
        moved(update(5.5, ("bid", 1.97, 7.0)), -3 * SECOND),
        moved(trade(5.6, 2.0, 1.0, "sell"), -3 * SECOND),
    ]
    handlers = [
        lambda r, e=e: (r.on_trade if not hasattr(e, "deltas") else r.on_book_deltas)(e) for e in stepped
    ]
    catalog, _ = record(
        [*MARKET, update(7.0, ("bid", 1.96, 3.0))], script=dict(zip((5.0, 5.5, 5.6), handlers, strict=True))
    )
    times = [row[1] for row in delta_rows(catalog, XRP)]
    assert times == sorted(times)
    shift = ns(3.7) - ns(2.0)
    assert times[-4:-1] == [ns(3.7), ns(3.7) + SECOND // 2, ns(7.0) + shift]
    assert trade_rows(catalog, XRP)[-1][1] == ns(2.6) + shift
    assert [p.kind for p in check_catalog(catalog).problems if p.instrument_id == XRP] == []


def test_a_second_recorder_of_one_catalog_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mm_nautilus.data.recording_folder._LOCK_PATIENCE_SECONDS", 0.1)
    first = recorder(tmp_path / "recorded")
    with pytest.raises(DataError, match="another process is recording into"):
        recorder(tmp_path / "recorded")
    first.close()
    recorder(tmp_path / "recorded").close()


def test_another_definition_of_an_instrument_is_refused_but_for_its_fees(record, tmp_path) -> None:
    catalog, _ = record(MARKET, specs=[SPECS[XRP_USDT]])
    finer = replace(SPECS[XRP_USDT], price_increment=Decimal("0.000001"))
    with pytest.raises(
        DataError, match=r"another definition \(price_increment is 0.00001 there, 0.000001 here\)"
    ):
        recorder(catalog, [finer])
    cheaper = replace(SPECS[XRP_USDT], maker_fee_rate=Decimal(0))
    record([moved(event, 60 * SECOND) for event in MARKET], specs=[cheaper])
    assert CatalogReader(catalog).instruments() == [SPECS[XRP_USDT]]


def test_a_file_is_no_catalog(tmp_path) -> None:
    (tmp_path / "recorded").write_text("")
    with pytest.raises(DataError, match="is a file"):
        recorder(tmp_path / "recorded")


@pytest.mark.parametrize("name", ["rotate_minutes", "rotate_megabytes", "flush_seconds", "sync_seconds"])
def test_options_must_be_positive(tmp_path, name) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive, was 0"):
        RecordingOptions(tmp_path, **{name: 0})


def test_a_feed_without_an_instrument_ends_the_recording_only(run, tmp_path) -> None:
    unknown = replace(SPECS[XRP_USDT], symbol="ADA/USDT", base="ADA")
    recording = recorder(tmp_path / "recorded", [unknown])
    run([], MARKET, actors=[recording])
    assert recording.failures == []
    assert recording.failure == "the feed has no instrument ADA/USDT.KRAKEN"
    assert not recording.close()
    assert not (tmp_path / "recorded" / "data").exists()


def test_prices_of_another_precision_end_the_recording_only(run, tmp_path) -> None:
    """A venue that changes its tick, say."""
    recording = recorder(tmp_path / "recorded", [SPECS[XRP_USDT]])
    last = MARKET[-1].deltas[0]
    finer = BookOrder(last.order.side, Price.from_str("1.9900001"), last.order.size, 0)
    odd = OrderBookDelta(last.instrument_id, last.action, finer, Flag.LAST, 0, ns(20.0), ns(20.0))
    director = Director({20.0: lambda: recording.on_book_deltas(OrderBookDeltas(last.instrument_id, [odd]))})
    # The two must meet in one hand-over.
    data = [*MARKET, update(20.0, ("bid", 1.98, 1.0)), update(60.0, ("bid", 1.98, 2.0))]
    run([], data, actors=[recording, director])
    assert recording.failures == []
    assert recording.failure is not None
    assert recording.failure.startswith(
        "data/order_book_deltas/XRPUSDT.KRAKEN cannot be encoded: Mixed metadata"
    )
    assert not recording.close()
    assert max(row[1] for row in delta_rows(tmp_path / "recorded", XRP)) < ns(20.0)


def test_a_disk_that_is_full_at_the_start_ends_the_recording_only(run, tmp_path, monkeypatch) -> None:
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    recording = recorder(tmp_path / "recorded")
    monkeypatch.setattr("mm_nautilus.data.recording_folder.CatalogWriter", full)
    run([], MARKET, actors=[recording])
    assert recording.failures == []
    assert recording.failure == "[Errno 28] No space left on device"
    assert not recording.close()
    assert [path.name for path in (tmp_path / "recorded" / ".recording").iterdir()] == ["lock"]


def test_an_error_while_files_are_finished_is_told_by_close(run, tmp_path, monkeypatch) -> None:
    recording = recorder(tmp_path / "recorded")
    run([], MARKET, actors=[recording])
    (tmp_path / "recorded" / "data").write_text("a file where a folder should be")
    said: list[str] = []
    close_recording(recording, said.append)
    assert recording.failure is not None
    assert recording.failure.startswith(("FileExistsError", "NotADirectoryError"))
    assert said == [
        f"Warning: the recording in {tmp_path / 'recorded'} is not complete: {recording.failure}; "
        "`mm-nautilus data recover` adds what was written"
    ]
    assert not recording.close()
    (tmp_path / "recorded" / "data").unlink()
    again = recorder(tmp_path / "recorded")
    assert again.recovered.rows > 0
    assert again.close()
