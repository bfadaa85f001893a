"""A whole search on a small catalog: what it runs, what it leaves in its folder, and that its best can be run."""

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small_search import InProcess, search, write_small

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.errors import RunFailedError
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.search.plan import reopen
from mm_nautilus.search.run_search import SearchOutcome, resume_search
from mm_nautilus.search.study import FoldStudy, open_storage
from mm_nautilus.search.trial import TrialOutcome, TrialTask, fills_digest

pytestmark = pytest.mark.long
SPACE = """\
# One fails, one is refused.
strategy.min_spread_pct: [0.04, 0.05, 0.06, 0.09]
constraints: [min_spread_pct < 0.09]
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchOutcome:
    folder = tmp_path_factory.mktemp("search")
    return search(write_small(folder, **{"class": "picky:Picky"}), SPACE)


@pytest.fixture(scope="module")
def rows(found: SearchOutcome) -> list[dict[str, Any]]:
    return pq.read_table(found.folder / "trials.parquet").to_pylist()


def test_every_point_is_tried_once(found: SearchOutcome, rows: list[dict[str, Any]]):
    tried = [(row["param:strategy.min_spread_pct"], row["state"]) for row in rows if row["role"] == "train"]
    expected = [(0.04, "completed"), (0.05, "failed"), (0.06, "completed"), (0.09, "refused")]
    assert tried[0] == (0.08, "completed")  # the configuration as it was
    assert sorted(tried[1:]) == expected
    errors = {row["state"]: row["error"] for row in rows if row["error"]}
    assert "no such width" in errors["failed"]
    assert errors["refused"] == "min_spread_pct < 0.09 must hold, was 0.09 < 0.09 for XRP/USDT"
    assert found.document["trials"] == {
        **{"asked": 4, "asked_per_fold": 4, "completed": 2, "failed": 1, "refused": 1},
        "ever": 3,
    }
    assert [row["number"] is None for row in rows if row["role"] == "test"] == [True, False, False]


def test_the_folder_says_what_was_searched_and_found(found: SearchOutcome, rows: list[dict[str, Any]]):
    document = json.loads((found.folder / "search.json").read_text())
    assert document == found.document
    assert (document["id"], document["status"]) == (found.folder.name, "completed")
    assert document["space"] == {"text": SPACE, "keys": ["strategy.min_spread_pct"]}
    assert (found.folder / "space.yaml").read_text() == SPACE
    assert (found.folder / "report.html").stat().st_size > 100_000
    assert document["sampler"] == "grid"
    assert document["data"]["simulated"] is True
    (fold,) = document["windows"]["folds"]
    assert document["windows"]["embargo_seconds"] == 180.0
    assert fold["test"]["end"] == document["data"]["end"]
    assert len(document["verdict"]["lines"]) == 3
    assert document["verdict"]["lines"][2].startswith(("No evidence", "Evidence"))
    assert document["looks"] == 1
    train = [row for row in rows if row["role"] == "train" and row["state"] == "completed"]
    best = max((row for row in train if row["number"] is not None), key=lambda row: row["objective:pnl_bps"])
    assert document["folds"][0]["winner"] == best["number"] == document["best"]["number"]
    for row in [*train, *(row for row in rows if row["role"] == "test")]:
        assert len(row["periods"]) >= 30
        assert sum(row["periods"]) == pytest.approx(row["pnl"], abs=1e-6)
    assert list((found.folder / ".workers").iterdir()) == []


def test_the_best_configuration_has_the_fills_of_its_trial(found: SearchOutcome, tmp_path: Path):
    """It is run where it lies, with the copy of the strategy beside it."""
    config = load_config(found.folder / "best.yaml", [f"output.directory={tmp_path}"]).config
    assert config.strategy.min_spread_pct == found.document["best"]["parameters"]["strategy.min_spread_pct"]
    run = run_backtest(config)
    assert len(run.fills) > 3
    assert fills_digest(pq.read_table(run.folder / "fills.parquet")) == found.document["best"]["fills_digest"]


class Unlucky(InProcess):
    """Runs five tasks, and does something else in the place of the sixth."""

    def __init__(self, happens: Callable[[Future[TrialOutcome]], None]) -> None:
        super().__init__()
        self._happens = happens

    def submit(self, task: TrialTask) -> Future[TrialOutcome]:
        future = super().submit(task)
        if len(self.tasks) == 6:
            future = Future()
            self._happens(future)
        return future


def resumed(folder: Path) -> dict[str, Any]:
    runner = InProcess()
    found = resume_search(reopen(folder), folder, runner, lambda _done, _total, _words: None)
    return {"tasks": len(runner.tasks), **found.document}


def test_a_lost_cluster_or_a_base_that_fails_ends_the_search_which_goes_on(tmp_path: Path):
    """Two folds: the configuration as it was on four windows, then trials in turn."""
    config = write_small(tmp_path)

    def lose(future: Future[TrialOutcome]) -> None:
        future.set_exception(RunFailedError("the cluster is gone"))

    with pytest.raises(RunFailedError) as failed:
        search(config, ["strategy.min_spread_pct=0.04, 0.06"], Unlucky(lose), folds=2)
    (folder,) = (tmp_path / "searches").iterdir()
    how = f"`mm-nautilus search --resume {folder}` goes on"
    assert str(failed.value) == f"the cluster is gone; what had ended (1 trial) is saved in {folder}; {how}"
    document = json.loads((folder / "search.json").read_text())
    assert (document["status"], document["verdict"]) == ("failed", None)
    found = resumed(folder)
    assert (found["status"], found["tasks"]) == ("completed", 3 + 4)  # three trials, two tests of each fold
    assert [fold["winner"] is None for fold in found["folds"]] == [False, False]
    assert found["trials"]["ever"] == 4
    assert found["verdict"]["figures"]["out_of_sample"]["periods"] >= 30
    assert resumed(folder) == found | {"tasks": 0}

    config = write_small(tmp_path, **{"class": "picky:Picky", "min_spread_pct": 0.05})
    with pytest.raises(
        RunFailedError,
        match=r"configuration as it was failed on the training of fold 1: .*no su.*; mend .*, and begin a new search$",
    ):
        search(config, ["strategy.min_spread_pct=0.04, 0.06"])


class Overtaken(InProcess):
    """Runs tasks until the first winner is tested; then another process ends five better trials of the second fold."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def submit(self, task: TrialTask) -> Future[TrialOutcome]:
        future = super().submit(task)
        if len(self.tasks) == 4 + 2 + 1:
            (folder,) = self._directory.iterdir()
            with open_storage(None, folder) as storage:
                study = FoldStudy(
                    reopen(folder, trials=6), 1, storage, folder.name, "another-machine-1-0123abcd"
                )
                (own,) = study.told()
                while (asked := study.ask()) is not None:
                    study.tell(asked, replace(own.result, objectives={"pnl_bps": 1e6}))
        return future


def test_a_winner_is_tested_that_another_process_has_overtaken_meanwhile(tmp_path: Path):
    space = "strategy.min_spread_pct: {low: 0.04, high: 0.08}\n"
    runner = Overtaken(tmp_path / "searches")
    found = search(write_small(tmp_path), space, runner, folds=2, trials=1)
    assert [fold["winner"] for fold in found.document["folds"]] == [0, 0]
    assert found.document["trials"]["ever"] == 2 + 5
    rows = pq.read_table(found.folder / "trials.parquet").to_pylist()
    tested = [row["number"] for row in rows if (row["fold"], row["role"]) == (1, "test")]
    assert tested == [None, 0, 1, 2, 3, 4]


def test_a_database_that_fails_says_what_is_saved(tmp_path: Path):
    database = tmp_path / "trials.db"

    def drop(future: Future[TrialOutcome]) -> None:
        with sqlite3.connect(database) as connection:
            connection.execute("ALTER TABLE trials RENAME TO gone")
        connection.close()
        future.set_result(TrialOutcome(error="never mind"))

    grid = ["strategy.min_spread_pct=0.04, 0.05, 0.06, 0.07"]
    with pytest.raises(RunFailedError) as failed:
        search(write_small(tmp_path), grid, Unlucky(drop), storage=f"sqlite:///{database}")
    (folder,) = (tmp_path / "searches").iterdir()
    assert str(failed.value) == (
        "the search could not be saved: (sqlite3.OperationalError) no such table: trials; what had ended is saved; "
        f"`mm-nautilus search --resume {folder}` goes on"
    )
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE gone RENAME TO trials")
    connection.close()
    found = resumed(folder)
    assert (found["status"], found["trials"]["completed"]) == ("completed", 4)
