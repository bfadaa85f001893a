"""One trial: what it reads from its run, what it leaves, and what it says of errors."""

import pickle
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mm_nautilus.checks.config_source import read_source
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.search.trial import TrialOutcome, TrialTask, run_trial, window_values
from mm_nautilus.search.windows import Window
from mm_nautilus.system.moments import SECOND_NS

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_765_627_200 * SECOND_NS
"""2025-12-13T12:00:00Z, when the sample begins."""
MIDDLE = Window(START_NS + 120 * SECOND_NS, START_NS + 240 * SECOND_NS)
PERIOD_NS = 30 * SECOND_NS
OWN_MODULE = """\
from mm_nautilus import MarketMaker


class Failing(MarketMaker):
    def on_position_event(self, event):
        raise ValueError("no luck")
"""


def changed(task: TrialTask, **strategy: Any) -> TrialTask:
    return replace(task, values={**task.values, "strategy": {**task.values["strategy"], **strategy}})


@pytest.fixture(scope="module")
def task() -> TrialTask:
    return TrialTask(read_source(ROOT / "configs" / "backtest.yaml").values, MIDDLE, PERIOD_NS)


@pytest.fixture(scope="module")
def outcome(task: TrialTask) -> TrialOutcome:
    return run_trial(pickle.loads(pickle.dumps(task)))  # noqa: S301 - as it goes to another process


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary files of this process."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_trial_is_the_run_of_its_window(task: TrialTask, outcome: TrialOutcome, tmp_path: Path):
    """It starts in the middle of the data with a full book and a volatility of the minutes before."""
    output = {"directory": str(tmp_path / "runs"), "report": False}
    run = run_backtest({**task.values, **window_values(MIDDLE), "output": output})
    assert outcome.error is None
    assert outcome.figures is not None
    assert outcome.figures["total"] == run.summary["total"]
    assert outcome.figures["period"]["start"] == "2025-12-13T12:02:00+00:00"
    for symbol in outcome.figures["symbols"].values():
        assert symbol["quote_model"]["volatility_since"] < "2025-12-13T12:01"

    fills, positions, opened, oldest = run.fills, defaultdict(int), {}, [0.0]
    assert len(fills) > 10
    for fill in fills.itertuples():
        was = positions[fill.symbol]
        positions[fill.symbol] += fill.quantity if fill.side == "BUY" else -fill.quantity
        if was * positions[fill.symbol] <= 0:
            if was:
                oldest.append((fill.ts_event - opened[fill.symbol]).value / SECOND_NS)
            opened[fill.symbol] = fill.ts_event
    oldest += [(MIDDLE.end_ns - opened[name].value) / SECOND_NS for name, held in positions.items() if held]
    assert outcome.longest_position_seconds == pytest.approx(max(oldest), abs=1e-6)

    assert len(outcome.periods) == 4
    assert sum(outcome.periods) == pytest.approx(run.summary["total"]["total_pnl"], abs=1e-6)


def test_a_trial_keeps_its_run_only_where_told(task: TrialTask, outcome: TrialOutcome, temporary: Path):
    kept = run_trial(replace(task, folder=temporary / "kept"))
    assert kept.fills_digest == outcome.fills_digest
    assert kept.periods == outcome.periods
    (folder,) = (temporary / "kept").iterdir()
    assert [path.name for path in temporary.iterdir()] == ["kept"]
    assert {path.name for path in folder.iterdir()} >= {"config.yaml", "summary.json", "fills.parquet"}
    assert not {path.name for path in folder.iterdir()} & {"report.html", "journal.jsonl", "quotes.parquet"}


def test_an_error_of_the_run_is_the_outcome_in_one_line(task: TrialTask, temporary: Path):
    later = Window(MIDDLE.end_ns + 10**15, MIDDLE.end_ns + 2 * 10**15)
    (temporary / "own.py").write_text(OWN_MODULE)
    failed = run_trial(changed(task, **{"class": ObjectReference.parse("own:Failing", temporary)}))
    refused = run_trial(changed(task, gamma=-1, cooldown_seconds="soon"))
    empty = run_trial(replace(task, window=later))
    assert [path.name for path in temporary.iterdir()] == ["own.py"]
    for found in (failed, refused, empty):
        assert found.figures is None
        assert found.seconds > 0
        assert found.error is not None
        assert "\n" not in found.error
        assert "mm-nautilus-trial" not in found.error
    assert "cooldown_seconds must" in refused.error
    assert "; strategy.gamma: gamma must" in refused.error
    assert "start and end must leave some of what" in empty.error
    assert failed.error.startswith("the run failed: Failing.on_position_event of ")
    assert failed.error.endswith("/own.py:6: no luck")
