"""A recording whose process is killed, or whose disk is full: the catalog stays sound and the run goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from recorded_markets import ROOT, SAMPLE, delta_rows, files, trade_rows

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.recording_folder import recover
from mm_nautilus.market.rows import Action

SECOND = 1_000_000_000
IDS = [spec.instrument_id for spec in CatalogReader(SAMPLE).instruments()]


def child(*words: Any) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    script = Path(__file__).with_name("recording_child.py")
    return subprocess.run(
        [sys.executable, str(script), *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def assert_beginning_of_the_sample(catalog: Path, until: int) -> None:
    """Check that a catalog holds the shipped one up to a time at least, and nothing else."""
    for instrument_id in IDS:
        known, found = delta_rows(SAMPLE, instrument_id), delta_rows(catalog, instrument_id)
        assert found[:-1] == known[: len(found) - 1]
        assert found[-1][2] == Action.CLEAR
        assert known[len(found) - 1][1] > until
        trades = trade_rows(SAMPLE, instrument_id)
        taken = trade_rows(catalog, instrument_id)
        assert taken == trades[: len(taken)]
        assert trades[len(taken)][1] > until
    report = check_catalog(catalog)
    assert report.ok, report.problems


def test_a_killed_recording_loses_what_was_not_handed_over_yet(tmp_path: Path) -> None:
    catalog = tmp_path / "recorded"
    done = child("killed", catalog, 300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    report = recover(catalog)
    assert (report.sessions, report.breaks) == (1, 3)
    start = delta_rows(SAMPLE, IDS[0])[0][1]
    # What had come five seconds before was handed over by then, and written, as the process had waited for it.
    assert_beginning_of_the_sample(catalog, start + 294 * SECOND)


@pytest.mark.long
def test_a_recording_killed_while_files_are_made_loses_none_of_them(tmp_path: Path) -> None:
    catalog = tmp_path / "recorded"
    done = child("killed-while-promoting", catalog)
    assert done.returncode == -signal.SIGKILL, done.stderr
    recover(catalog)
    # The first files were being made of the first ten minutes.
    start = delta_rows(SAMPLE, IDS[0])[0][1]
    rows = {instrument_id: delta_rows(catalog, instrument_id) for instrument_id in IDS}
    for instrument_id, found in rows.items():
        known = delta_rows(SAMPLE, instrument_id)
        first_part = [row for row in known if row[1] <= start + 598 * SECOND]
        assert found[: len(first_part)] == first_part
    assert check_catalog(catalog).ok


@pytest.mark.long
def test_a_full_disk_ends_the_recording_with_one_line_and_the_strategy_trades_on(tmp_path: Path) -> None:
    catalog, log = tmp_path / "recorded", tmp_path / "errors.log"
    done = child("disk-full", catalog, 100, log)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["failure"] == "OSError: [Errno 27] File too large"
    assert not told["closed"]
    assert told["exceptions"] == []
    assert told["fills"] > told["fills_before_failure"]
    errors = [line for line in log.read_text().splitlines() if "[ERROR]" in line]
    assert len(errors) == 1
    assert f"recording into {catalog} has ended: OSError" in errors[0]
    assert "the run goes on without it" in errors[0]

    assert recover(catalog).torn_bytes > 0
    start = delta_rows(SAMPLE, IDS[0])[0][1]
    assert_beginning_of_the_sample(catalog, start + 10 * SECOND)


@pytest.mark.long
def test_memory_does_not_grow_with_what_is_recorded(tmp_path: Path) -> None:
    done = child("grow", tmp_path / "recorded", SAMPLE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["closed"]
    assert len(told["sizes"]) == 29
    assert max(told["sizes"][20:]) < max(told["sizes"][:10]) + 20_000_000
    assert len(files(tmp_path / "recorded", "order_book_deltas")) == 3
