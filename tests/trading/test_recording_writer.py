"""The recorder's thread: in order, bounded, and loud about the first thing that goes wrong."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from arrow_streams import delta_stream
from recorded_markets import SAMPLE

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.recording_folder import locked_recording, new_session, recover_locked
from mm_nautilus.data.recording_rows import FILLS, METRICS, market_streams
from mm_nautilus.data.recording_writer import RecordingSession, RecordingWriter

SPEC = CatalogReader(SAMPLE).instrument("XRP/USDT.KRAKEN")
BOOK, _ = market_streams(SPEC, SPEC)
BLOCK = next(CatalogReader(SAMPLE).iter_deltas(SPEC.instrument_id, batch_rows=2_000))


class Paper:
    """Stands for a session: keeps what it is told, slowly if wanted, and fails where wanted."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.may_rotate = threading.Event()
        self.may_rotate.set()
        self.fails_at = -1
        self.part_bytes = 0

    def append(self, stream: Any, payload: Any, shift: int) -> None:
        part_bytes = self.part_bytes
        self.may_go_on.wait()
        if len(self.done) == self.fails_at:
            raise OSError(28, "No space left on device")
        self.done.append((stream, payload, shift))
        self.part_bytes = part_bytes + len(payload)

    def rotate(self) -> None:
        self.may_rotate.wait()
        self.done.append("rotate")
        self.part_bytes = 0

    def promote(self) -> None:
        pass

    def sync(self) -> None:
        self.done.append("sync")

    def finish(self) -> None:
        self.done.append("finish")

    def close_logs(self) -> None:
        self.done.append("close_logs")


@pytest.fixture
def paper() -> Paper:
    return Paper()


def test_everything_is_worked_off_in_order(paper: Paper) -> None:
    writer = RecordingWriter(paper, 1e9)  # type: ignore[arg-type]
    writer.append(FILLS, b"1", 0)
    writer.rotate()
    writer.append(METRICS, [{"x": 1}], 5)
    assert writer.close(10)
    assert paper.done == [(FILLS, b"1", 0), "rotate", (METRICS, [{"x": 1}], 5), "finish"]
    assert (writer.failure, writer.waiting_bytes) == (None, 0)


def test_the_first_error_is_kept_and_nothing_is_written_after_it(paper: Paper) -> None:
    paper.fails_at = 1
    writer = RecordingWriter(paper, 1e9)  # type: ignore[arg-type]
    for number in range(5):
        writer.append(FILLS, b"x", number)
    assert writer.close(10)
    assert writer.failure == "OSError: [Errno 28] No space left on device"
    assert paper.done == [(FILLS, b"x", 0), "close_logs"]


def test_a_disk_that_is_too_slow_ends_the_recording_before_memory_does(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_nautilus.data.recording_writer._MOST_WAITING_BYTES", 3_000_000)
    paper.may_go_on.clear()
    writer = RecordingWriter(paper, 1e9)  # type: ignore[arg-type]
    for number in range(5):
        writer.append(FILLS, bytes(1_000_000), number)
    assert writer.failure == "the disk is too slow, 3 MB are waiting for it"
    paper.may_go_on.set()
    assert writer.close(10)
    assert [entry[2] for entry in paper.done[:-1]] == [0, 1, 2]
    assert paper.done[-1] == "finish"


def test_a_close_that_takes_too_long_is_not_waited_for(paper: Paper) -> None:
    paper.may_go_on.clear()
    writer = RecordingWriter(paper, 1e9)  # type: ignore[arg-type]
    writer.append(FILLS, b"x", 0)
    assert not writer.close(0.05)
    paper.may_go_on.set()


def test_a_part_that_is_too_large_is_told_once(paper: Paper) -> None:
    writer = RecordingWriter(paper, 1e9)  # type: ignore[arg-type]
    writer.append(FILLS, bytes(100), 0)
    while writer.waiting_bytes:
        time.sleep(0.001)
    assert writer.part_bytes == 100
    paper.may_go_on.clear()
    paper.may_rotate.clear()
    writer.append(FILLS, bytes(10), 0)
    writer.rotate()
    assert writer.part_bytes == 0
    paper.may_go_on.set()
    while writer.waiting_bytes:
        time.sleep(0.001)
    assert (writer.session.part_bytes, writer.part_bytes) == (110, 0)
    paper.may_rotate.set()
    writer.append(FILLS, b"x", 0)
    assert writer.close(10)
    assert writer.part_bytes == 1


def test_logs_are_synced_when_it_is_time(paper: Paper) -> None:
    writer = RecordingWriter(paper, 1e-9)  # type: ignore[arg-type]
    writer.append(FILLS, b"x", 0)
    assert writer.close(10)
    assert "sync" in paper.done


@pytest.fixture
def session(tmp_path: Path) -> Any:
    with locked_recording(tmp_path / "c") as lock:
        yield RecordingSession(tmp_path / "c", new_session(tmp_path / "c", [SPEC]), [BOOK], lock)


def wait_for_promotion(session: RecordingSession) -> None:
    deadline = time.monotonic() + 120
    session.promote()
    while session._promotion is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        session.promote()


def test_finished_parts_become_files_while_the_next_is_written(
    session: RecordingSession, tmp_path: Path
) -> None:
    session.append(BOOK, delta_stream(SPEC, BLOCK.slice(0, 1_000)), 0)
    session.rotate()
    session.append(BOOK, delta_stream(SPEC, BLOCK.slice(1_000, 2_000)), 0)
    wait_for_promotion(session)
    assert len(list((tmp_path / "c" / BOOK.folder).glob("*.parquet"))) == 1
    assert session.part_bytes > 0
    session.finish()
    assert len(list((tmp_path / "c" / BOOK.folder).glob("*.parquet"))) == 3


def test_a_part_that_cannot_be_brought_in_says_why_and_stays(
    session: RecordingSession, tmp_path: Path
) -> None:
    session.append(BOOK, delta_stream(SPEC, BLOCK), 0)
    session.rotate()
    blocker = tmp_path / "c" / "data"
    blocker.write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"could not be brought into the catalog: .*Error: .*data"):
        wait_for_promotion(session)
    session.close_logs()
    blocker.unlink()
    report = recover_locked(tmp_path / "c")
    assert report.rows == 2_000
    assert report.files == 1


def test_a_log_that_was_removed_is_an_error_and_nothing_goes_on_into_it(
    session: RecordingSession, tmp_path: Path
) -> None:
    session.append(BOOK, delta_stream(SPEC, BLOCK.slice(0, 1_000)), 0)
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="it was removed"):
        session.append(BOOK, delta_stream(SPEC, BLOCK.slice(1_000, 2_000)), 0)
    session.close_logs()


def test_sync_reaches_every_open_log(session: RecordingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("mm_nautilus.data.recording_writer.os.fsync", synced.append)
    session.sync()
    assert synced == []
    session.append(BOOK, delta_stream(SPEC, BLOCK), 0)
    session.sync()
    assert len(synced) == 1
    session.close_logs()


def test_an_empty_session_leaves_nothing(session: RecordingSession, tmp_path: Path) -> None:
    session.finish()
    assert [path.name for path in (tmp_path / "c" / ".recording").iterdir()] == ["lock"]
    assert not (tmp_path / "c" / "data").exists()
