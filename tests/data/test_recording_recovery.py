"""What a recording leaves on the disk can be read, recovered and joined, wherever it was interrupted."""

import json
import shutil
import struct
import traceback
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from arrow_streams import delta_stream, trade_stream
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.persistence import ParquetDataCatalog
from typer.testing import CliRunner

from mm_nautilus.cli.app import app
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import file_interval, file_name
from mm_nautilus.data.catalog_writer import CatalogWriter, staged_catalog
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.recording_folder import (
    INSTRUMENTS,
    LOG_NAME,
    append_table,
    join_days,
    locked_recording,
    new_session,
    read_log,
    recover,
)
from mm_nautilus.data.recording_rows import market_streams
from mm_nautilus.data.recording_writer import RecordingSession
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock

T0 = 1_723_161_600_000_000_000  # 2024-08-09 00:00 UTC
SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
XRP = InstrumentSpec("XRP/USDT", "KRAKEN", "XRP", "USDT", Decimal("0.0001"), Decimal("0.01"))
ID = XRP.instrument_id
BOOK, TRADES = STREAMS = market_streams(XRP, XRP)


def column(*values):
    return np.array(values, dtype=np.int64)


def whole_book(at, lots=5):
    return DeltaBlock(
        column(at, at, at) - 7,
        column(at, at, at),
        column(Action.CLEAR, Action.ADD, Action.ADD),
        column(0, Side.BID, Side.ASK),
        column(0, 20_000, 20_002),
        column(0, lots, 5),
        column(Flag.SNAPSHOT, Flag.SNAPSHOT, Flag.SNAPSHOT | Flag.LAST),
        column(1, 1, 1),
    )


def change(at, lots):
    return DeltaBlock(*map(column, (at, at, Action.UPDATE, Side.BID, 20_000, lots, Flag.LAST, 2)))


def one_trade(at):
    return TradeBlock(column(at), column(at), column(20_001), column(3), column(1), [f"t{at}"])


class Recording:
    """A session that is fed by hand, as the recorder's thread feeds it."""

    def __init__(self, catalog: Path, lock: int) -> None:
        self.catalog = catalog
        self.session = RecordingSession(catalog, new_session(catalog, [XRP]), STREAMS, lock)

    def book(self, block, shift=0):
        self.session.append(BOOK, delta_stream(XRP, block), shift)

    def trade(self, block):
        self.session.append(TRADES, trade_stream(XRP, block), 0)

    def minute(self, start):
        """Record a whole book, a trade and a change."""
        self.book(whole_book(start))
        self.trade(one_trade(start + SECOND))
        self.book(change(start + 2 * SECOND, 4))

    def crash(self):
        self.session.close_logs()


@pytest.fixture
def recording(tmp_path):
    with locked_recording(tmp_path / "c") as lock:
        yield Recording(tmp_path / "c", lock)


def record(catalog, *starts, finish=True):
    """Record one part a start; a session that does not finish looks as after a crash."""
    with locked_recording(catalog) as lock:
        recording = Recording(catalog, lock)
        for start in starts:
            recording.minute(start)
            recording.session.rotate()
        recording.session.finish() if finish else recording.crash()


def rows_of(blocks):
    names = ("ts_event", "ts_init", "action", "size_lots", "flags")
    return list(zip(*(np.concatenate([getattr(b, n) for b in blocks]).tolist() for n in names), strict=True))


def book_rows(catalog):
    return rows_of(list(CatalogReader(catalog).iter_deltas(ID)))


def trade_times(catalog):
    return [at for block in CatalogReader(catalog).iter_trades(ID) for at in block.ts_init.tolist()]


def expected_rows(*starts):
    blocks = [block for start in starts for block in (whole_book(start), change(start + 2 * SECOND, 4))]
    end = starts[-1] + 2 * SECOND + 1
    return [*rows_of(blocks), (end, end, Action.CLEAR, 0, Flag.SNAPSHOT | Flag.LAST)]


def files(catalog, stream=BOOK):
    return sorted(path.name for path in (catalog / stream.folder).glob("*.parquet"))


def contents(catalog):
    """Return every file of a catalog with its bytes, but for what recordings keep for themselves."""
    paths = (path for path in catalog.rglob("*") if path.is_file() and ".recording" not in path.parts)
    return {str(path.relative_to(catalog)): path.read_bytes() for path in paths}


# -- Logs ---------------------------------------------------------------------------------------------------


TABLES = st.lists(st.lists(st.binary(max_size=200), min_size=1), max_size=5)


def write_log(folder, tables):
    path, sizes = folder / "x.log", [0]
    with path.open("wb", buffering=0) as log:
        for rows in tables:
            sizes.append(sizes[-1] + append_table(log, pa.table({"x": rows})))
    assert path.stat().st_size == sizes[-1]
    return path, sizes


def values(path):
    """Return what can be read of a log, and how many bytes of it that takes."""
    parts = list(read_log(path))
    return [value for table, _ in parts for value in table.column("x").to_pylist()], sum(
        size for _, size in parts
    )


@given(tables=TABLES, data=st.data())
def test_a_log_that_was_cut_off_anywhere_gives_its_whole_tables(tmp_path_factory, tables, data):
    path, sizes = write_log(tmp_path_factory.getbasetemp(), tables)
    cut = data.draw(st.integers(0, sizes[-1]))
    path.write_bytes(path.read_bytes()[:cut])
    whole = sum(size <= cut for size in sizes[1:])
    assert values(path) == (list(chain(*tables[:whole])), sizes[whole])


@given(tables=TABLES.filter(bool), data=st.data())
def test_a_damaged_table_ends_a_log_and_is_never_believed(tmp_path_factory, tables, data):
    path, sizes = write_log(tmp_path_factory.getbasetemp(), tables)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, sizes[-1] - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    table = next(number for number, size in enumerate(sizes[1:]) if place < size)
    assert values(path) == (list(chain(*tables[:table])), sizes[table])


# -- Recovery -----------------------------------------------------------------------------------------------


def test_what_a_crash_leaves_is_recovered_once(tmp_path):
    catalog = tmp_path / "c"
    with locked_recording(catalog) as lock:
        recording = Recording(catalog, lock)
        recording.minute(T0)
        recording.crash()
    assert not (catalog / "data").exists()
    report = recover(catalog)
    assert (report.sessions, report.files, report.rows, report.torn_bytes, report.breaks) == (1, 2, 5, 0, 1)
    assert book_rows(catalog) == expected_rows(T0)
    assert trade_times(catalog) == [T0 + SECOND]
    assert CatalogReader(catalog).instruments() == [XRP]
    assert check_catalog(catalog).ok

    before = contents(catalog)
    assert recover(catalog).to_dict() == {
        "catalog": str(catalog), "sessions": 0, "files": 0, "rows": 0, "torn_bytes": 0, "breaks": 0, "joined": 0,
        "rejected": [],
    }  # fmt: skip
    assert contents(catalog) == before


def test_a_torn_log_loses_its_end_only(tmp_path):
    catalog = tmp_path / "c"
    record(catalog, T0, finish=False)
    part = next((catalog / ".recording").glob("session-*/part-*"))
    log = part / BOOK.folder / LOG_NAME
    log.write_bytes(log.read_bytes()[:-5])
    report = recover(catalog)
    assert report.torn_bytes > 0
    assert [row[1] for row in book_rows(catalog)] == [T0, T0, T0, T0 + 1]
    assert check_catalog(catalog).ok


class Killed(BaseException):
    """Stands for the end of the process."""


def ended_everywhere(folder, monkeypatch, prepare, act):
    """Yield a catalog for each place at which `act` can end, after it has ended there and was recovered.

    A place is a line that changes the disk and the calls that led to it; it is ended at its first three times, as
    more only differ in the file.
    """
    whole = folder / "whole"
    prepare(whole)
    with monkeypatch.context() as patched:
        places = _die_at(patched, None)
        act(whole)
    yield whole
    times = Counter()
    for moment, place in enumerate(places):
        times[place] += 1
        if times[place] > 3:
            continue
        catalog = folder / f"{moment}"
        prepare(catalog)
        with monkeypatch.context() as patched, suppress(Killed):
            _die_at(patched, moment)
            act(catalog)
        recover(catalog)
        yield catalog
    assert len(times) >= 5


def _die_at(patched, moment):
    """End the process, so to speak, at the given one of the calls that change the disk; return where each was."""
    places = []

    def dying(function):
        def call(*arguments, **options):
            stack = [(frame.f_code, line) for frame, line in traceback.walk_stack(None)]
            places.append(tuple(place for place in stack if "mm_nautilus" in place[0].co_filename))
            if len(places) - 1 == moment:
                raise Killed
            return function(*arguments, **options)

        return call

    for owner, name in (
        (Path, "replace"),
        (Path, "rename"),
        (Path, "unlink"),
        (shutil, "rmtree"),
        (Path, "mkdir"),
    ):
        patched.setattr(owner, name, dying(getattr(owner, name)))
    return places


@pytest.mark.long
def test_a_recovery_that_is_ended_at_any_moment_loses_and_doubles_nothing(tmp_path, monkeypatch):
    starts = (T0, T0 + HOUR, T0 + DAY)
    record(tmp_path / "crashed", *starts, finish=False)

    def prepare(catalog):
        shutil.copytree(tmp_path / "crashed", catalog)

    for catalog in ended_everywhere(tmp_path, monkeypatch, prepare, recover):
        assert book_rows(catalog) == expected_rows(*starts)
        assert trade_times(catalog) == [start + SECOND for start in starts]
        assert len(files(catalog)) == 3


def test_a_recording_that_is_ended_at_any_moment_stays_sound(tmp_path, monkeypatch):
    starts = (T0, T0 + DAY)
    known = expected_rows(*starts)

    def act(catalog):
        record(catalog, *starts)

    for catalog in ended_everywhere(tmp_path, monkeypatch, Path.mkdir, act):
        if (catalog / "data").exists():
            found = book_rows(catalog)
            assert found[:-1] == known[: len(found) - 1]
            assert found[-1][2] == Action.CLEAR
            kinds = {problem.kind for problem in check_catalog(catalog, gap_seconds=DAY / SECOND).problems}
            assert kinds <= ({"no_trades"} if len(found) < 5 else set())


def test_rows_of_one_moment_on_both_sides_of_a_rotation_do_not_overlap(recording):
    recording.book(whole_book(T0))
    recording.session.rotate()
    recording.book(whole_book(T0))
    recording.session.rotate()
    recording.book(whole_book(T0 + 1))
    recording.session.finish()
    spans = [file_interval(name) for name in files(recording.catalog)]
    assert spans == [(T0, T0), (T0 + 1, T0 + 1), (T0 + 2, T0 + 2), (T0 + 3, T0 + 3)]


def test_a_shift_moves_times_of_receipt_only(recording):
    recording.book(whole_book(T0 + 100))
    recording.book(whole_book(T0), shift=100)
    recording.session.finish()
    rows = book_rows(recording.catalog)
    assert {row[1] for row in rows[:-1]} == {T0 + 100}
    assert {row[0] for row in rows[:-1]} == {T0 + 93, T0 - 7}


def test_a_session_without_a_description_has_recorded_nothing(tmp_path):
    (tmp_path / "c" / ".recording" / "session-x").mkdir(parents=True)
    assert recover(tmp_path / "c").sessions == 0
    assert list((tmp_path / "c" / ".recording").glob("session-*")) == []


def test_where_nothing_was_recorded_nothing_is_made(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        recover(tmp_path / "c")
    (tmp_path / "c").mkdir()
    assert recover(tmp_path / "c").sessions == 0
    assert list((tmp_path / "c").iterdir()) == []


def recover_by_command(catalog):
    done = CliRunner().invoke(app, ["data", "recover", str(catalog), "--json"])
    return done.exit_code, json.loads(done.stdout)


def refined(session):
    shutil.rmtree(session / INSTRUMENTS)
    coarse = replace(XRP, price_increment=Decimal("0.0003"))
    CatalogWriter(session / INSTRUMENTS).write_instrument(coarse)


def undefined(session):
    shutil.rmtree(session / INSTRUMENTS)
    (session / INSTRUMENTS).mkdir()


def replaced_by_no_rows(session):
    content = b"no Arrow stream"
    for log in session.rglob(LOG_NAME):
        log.write_bytes(struct.pack("<II", len(content), zlib.crc32(content)) + content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (refined, "holds a price that is no multiple of XRP/USDT.KRAKEN's price_increment 0.0003"),
        (undefined, "has no definition"),
        (replaced_by_no_rows, "holds what is no table"),
    ],
)
def test_a_part_that_cannot_be_part_of_the_catalog_is_put_aside(tmp_path, damage, reason):
    catalog = tmp_path / "c"
    record(catalog, T0, finish=False)
    (session,) = (catalog / ".recording").glob("session-*")
    damage(session)
    code, told = recover_by_command(catalog)
    assert (code, told["files"], told["rows"]) == (1, 0, 0)
    assert reason in told["rejected"][0]
    assert len(list((catalog / ".recording").glob(f"rejected-session-*/data/*/*/{LOG_NAME}"))) == 2
    assert recover(catalog).rejected == []


def test_what_an_earlier_version_has_left_is_put_aside(tmp_path):
    session = tmp_path / "c" / ".recording" / "session-x"
    session.mkdir(parents=True)
    (session / "session.json").write_text("[]")
    code, told = recover_by_command(tmp_path / "c")
    assert (code, told["sessions"]) == (1, 0)
    assert "rejected-session-x was recorded by an earlier version" in told["rejected"][0]
    assert (tmp_path / "c" / ".recording" / "rejected-session-x" / "session.json").exists()


def test_more_digits_than_the_instrument_has_end_a_recording_before_they_are_written(recording):
    recording.book(whole_book(T0))
    finer = replace(XRP, price_increment=Decimal("0.00001"))
    with pytest.raises(DataError, match=r"price_precision of XRP/USDT.KRAKEN must be at most 4, .* was 5"):
        recording.session.append(BOOK, delta_stream(finer, whole_book(T0 + 1)), 0)
    recording.session.finish()
    assert [row[1] for row in book_rows(recording.catalog)] == [T0, T0, T0, T0 + 1]


# -- Days ---------------------------------------------------------------------------------------------------


def test_past_days_become_one_file_each(tmp_path):
    catalog = tmp_path / "c"
    starts = [T0 + HOUR * hour for hour in (0, 1, 23, 24, 25, 48)]
    record(catalog, *starts)
    assert len(files(catalog)) == 1 + 1 + 2  # the last day's book, and the break at its end
    assert len(files(catalog, TRADES)) == 3
    assert book_rows(catalog) == expected_rows(*starts)
    assert check_catalog(catalog, gap_seconds=DAY / SECOND).ok
    assert len(ParquetDataCatalog(str(catalog)).query_order_book_deltas([ID])) == 25


def test_restarts_of_one_day_are_joined_too(tmp_path):
    catalog = tmp_path / "c"
    for start in (T0, T0 + HOUR, T0 + 2 * HOUR, T0 + DAY):
        record(catalog, start)
    assert len(files(catalog)) == 3
    assert len(files(catalog, TRADES)) == 2
    report = check_catalog(catalog)
    assert report.ok
    assert report.instruments[0].book.breaks.count == 3


def test_files_of_others_and_their_neighbours_stay_as_they_are(tmp_path):
    catalog = tmp_path / "c"
    record(catalog, T0)
    record(catalog, T0 + 2 * HOUR)
    with staged_catalog(catalog) as writer:
        writer.write_block(XRP, whole_book(T0 + HOUR))
    record(catalog, T0 + 3 * HOUR, T0 + DAY)
    spans = [file_interval(name) for name in files(catalog)]
    assert (T0 + HOUR, T0 + HOUR) in spans
    assert [span[0] for span in spans] == [T0, T0 + HOUR, T0 + 2 * HOUR, T0 + DAY, T0 + DAY + 2 * SECOND + 1]
    assert check_catalog(catalog, gap_seconds=DAY / SECOND).ok


def test_damaged_files_of_a_past_day_stay_for_the_check_to_report(tmp_path):
    catalog = tmp_path / "c"
    record(catalog, T0, T0 + HOUR, T0 + 2 * HOUR)
    broken = catalog / BOOK.folder / files(catalog)[1]
    broken.write_bytes(broken.read_bytes()[:-20])
    record(catalog, T0 + DAY)
    assert broken.exists()
    assert check_catalog(catalog).problems[0].kind == "damaged"


def test_a_join_that_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    catalog = tmp_path / "c"
    record(catalog, T0, T0 + HOUR)
    with staged_catalog(catalog) as writer:
        writer.write_block(XRP, one_trade(T0 + DAY))
    before = contents(catalog)

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mm_nautilus.data.recording_folder._sync", full)
        with pytest.raises(OSError, match="No space"):
            join_days(catalog)
    assert contents(catalog) == before
    assert recover(catalog).joined == 5


# -- Command and check --------------------------------------------------------------------------------------


def test_the_command_recovers_and_the_check_tells_that_it_is_due(tmp_path):
    catalog = tmp_path / "c"
    record(catalog, T0)
    record(catalog, T0 + HOUR, finish=False)
    told = check_catalog(catalog).notes
    assert any("recordings that are not in the catalog yet: 1;" in note for note in told)
    done = CliRunner().invoke(app, ["data", "recover", str(catalog)])
    assert done.exit_code == 0
    assert (
        "interrupted recordings: 1, rows added: 5 in files: 2, bytes that could not be read: 0" in done.stdout
    )
    again = CliRunner().invoke(app, ["data", "recover", str(catalog), "--json"])
    assert json.loads(again.stdout)["sessions"] == 0
    assert not any("not in the catalog yet" in note for note in check_catalog(catalog).notes)


def test_a_catalog_that_has_only_an_interrupted_recording_says_how_to_recover_it(tmp_path):
    catalog = tmp_path / "c"
    record(catalog, T0, finish=False)
    with pytest.raises(
        DataError, match=r"no folder `data`\); `mm-nautilus data recover` adds the recordings that were"
    ):
        CatalogReader(catalog)
    recover(catalog)
    assert check_catalog(catalog).problems == ()


def test_an_announced_break_is_no_gap_but_a_silence_is(tmp_path):
    catalog = tmp_path / "c"
    record(catalog, T0)
    record(catalog, T0 + HOUR)
    report = check_catalog(catalog)
    assert report.ok
    book = report.instruments[0].book
    assert (book.breaks.count, book.gaps.count) == (1, 0)
    assert book.longest_break_seconds == pytest.approx(3_598, abs=1)
    assert book.longest_gap_seconds == 2.0
    assert any(
        "breaks that its data announces, the longest 3598.0 s: 1, first" in note for note in report.notes
    )

    silent = tmp_path / "s"
    record(silent, T0, T0 + HOUR)
    (problem,) = check_catalog(silent).problems
    assert problem.kind == "gap"


def test_names_of_files_are_read_as_they_are_written():
    for start, end in ((0, 1), (T0 + 123_456_789, T0 + DAY)):
        assert file_interval(file_name(start, end)) == (start, end)
