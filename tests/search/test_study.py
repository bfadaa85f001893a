"""The study of a fold: what it asks for, what it remembers, and what becomes of trials whose process is gone."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import python

from mm_nautilus.checks.config_source import read_source
from mm_nautilus.errors import ConfigError
from mm_nautilus.search.objectives import chosen_objectives
from mm_nautilus.search.plan import Plan
from mm_nautilus.search.processes import is_worker_alive, registered_worker
from mm_nautilus.search.results import Result
from mm_nautilus.search.space import load_space
from mm_nautilus.search.study import Asked, FoldStudy, open_storage
from mm_nautilus.search.windows import Windows

ROOT = Path(__file__).resolve().parents[2]
SPACE = """\
strategy.min_spread_pct: {low: 0.02, high: 0.2}
strategy.cooldown_seconds: {low: 1, high: 9, step: 1}
strategy.fair_price: [mid, weighted_mid]
"""
GRID = """\
strategy.imbalance_threshold: [0.1, 0.2, 0.3]
strategy.fair_price: [mid, weighted_mid]
"""
type Opened = Callable[..., Any]


def plan(folder: Path, space: str = SPACE, **changes: Any) -> Plan:
    (folder / "space.yaml").write_text(space)
    given: dict[str, Any] = {
        "name": "made",
        "space": load_space(folder / "space.yaml", read_source(ROOT / "configs" / "backtest.yaml")),
        "objectives": tuple(chosen_objectives(changes.pop("objectives", ("pnl",)))),
        "windows": Windows((), 1),
        "embargo_seconds": 0.0,
        "trials": 12,
        "seed": 5,
        "storage": None,
        "report_currency": "USDT",
        "data": {},
        "created": "",
        "versions": {},
        "files": {},
    }
    return Plan(**given | changes)


@contextmanager
def study(folder: Path, made: Plan) -> Iterator[FoldStudy]:
    """Open a fold's study as a process does that begins."""
    with open_storage(made.storage, folder) as storage, registered_worker(folder) as worker:
        opened = FoldStudy(made, 0, storage, "made", worker)
        opened.prepare(lambda name: is_worker_alive(folder, name))
        yield opened


def result(asked: Asked, **changes: Any) -> Result:
    """Return a result with a hill at a width of 0.1 and a cooldown of 5."""
    width, cooldown = (
        asked.point.get(f"strategy.{key}", 0) for key in ("min_spread_pct", "cooldown_seconds")
    )
    hill = -((width - 0.1) ** 2) - 0.0001 * (cooldown - 5) ** 2
    figures = {"objectives": {"pnl": hill, "inventory": 100 * width}, "pnl": hill, "periods": [hill]}
    return Result("completed", "2026-11-29T12:00:00+00:00", **figures | changes)


def run_all(opened: FoldStudy, most: int = 1_000) -> list[Asked]:
    found = []
    while len(found) < most and (asked := opened.ask()) is not None:
        found.append(asked)
        opened.tell(asked, result(asked))
    return found


def points(opened: FoldStudy) -> list[dict[str, Any]]:
    return [dict(told.point) for told in opened.told()]


@pytest.mark.long
def test_the_same_seed_proposes_the_same_also_after_an_interruption(tmp_path: Path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    with study(whole, plan(whole, trials=13)) as opened:
        run_all(opened)
        expected = points(opened)
    assert len(expected) == len({str(point) for point in expected}) == 13
    with study(parts, plan(parts, trials=13)) as opened:
        run_all(opened, 5)
        assert opened.ask() is not None
        opened.abandon()
        assert opened.tried == 5
    with study(parts, plan(parts, trials=13)) as opened:
        run_all(opened)
        assert points(opened) == expected
        best = max(expected, key=lambda point: result(Asked(0, point)).pnl or 0.0)
        assert [dict(told.point) for told in opened.best(1)] == [best]
    with study(whole, plan(whole, trials=15)) as opened:  # the number is raised
        assert len(run_all(opened)) == 2
    with study(tmp_path, plan(tmp_path, trials=13, seed=6)) as opened:
        run_all(opened)
        assert points(opened) != expected


def die(folder: Path) -> None:
    """Run two trials, begin two others, know what one of them came to, and be killed."""
    with study(folder, plan(folder)) as opened:
        run_all(opened, 2)
        asked = [opened.ask(), opened.ask()]
        trial = opened._running[opened._key(asked[0].point)][0]  # type: ignore[union-attr]
        trial.set_user_attr("result", result(asked[0]).plain())  # type: ignore[arg-type]
        with (folder / "study.journal").open("ab") as journal:
            journal.write(b'{"op_code":5,"worker')  # a line that it did not finish
        signal.raise_signal(signal.SIGKILL)


@pytest.mark.long
def test_a_killed_process_loses_no_trial_that_had_ended(tmp_path: Path):
    folders = [str(ROOT / "tests"), str(Path(__file__).parent)]
    call = f"test_study.die(test_study.Path({str(tmp_path)!r}))"
    code = f"import sys; sys.path += {folders!r}; import test_study; {call}"
    died = python("-c", code)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with study(tmp_path, plan(tmp_path)) as opened:
        assert [told.number for told in opened.told()] == [0, 1, 2]
        lost = next(trial for trial in opened._trials() if trial.number == 3)
        again = opened.ask()
        assert again is not None
        assert again.point == opened._point(lost.params)
        opened.tell(again, result(again))
        assert opened.tried == 4
        with study(tmp_path, plan(tmp_path)) as beside:  # another process leaves those alone that run
            asked = opened.ask()
            beside.prepare(lambda name: is_worker_alive(tmp_path, name))
            assert asked is not None
            opened.tell(asked, result(asked))
        run_all(opened)
        assert len(opened.told()) == 12


def test_a_process_of_another_machine_may_live_whatever_the_machine_is_called(tmp_path: Path):
    host = socket.gethostname()
    assert not is_worker_alive(tmp_path, f"{host}-1-0123abcd")
    assert is_worker_alive(tmp_path, f"{host}-2-1-0123abcd")


def test_two_processes_share_a_grid(tmp_path: Path):
    made = plan(tmp_path, GRID, trials=6)
    with study(tmp_path, made) as first, study(tmp_path, made) as second:
        found = []
        while (asked := first.ask()) is not None:
            found.append(asked.point)
            other = second.ask()
            assert other is not None
            found.append(other.point)
            first.tell(asked, result(asked))
            second.tell(other, result(other))
        assert second.ask() is None
        assert sorted(map(str, found)) == sorted(map(str, made.space.sample(6)))
        assert len(first.told()) == len(second.told()) == 6


def test_a_study_that_stays_open_counts_what_others_told_lost_and_repeated(tmp_path: Path):
    made = plan(tmp_path, "strategy.cooldown_seconds: {low: 1, high: 9, step: 1}\n", trials=8)
    assert not made.is_grid
    with study(tmp_path, made) as first, study(tmp_path, made) as second:
        for opened in (first, second, first, second):
            asked = opened.ask()
            assert asked is not None
            assert (first.tried, second.tried) == (first.ended + 1, first.ended + 1)
            if asked.number == 1:
                opened.abandon()
            else:
                opened.tell(asked, result(asked))
        run_all(first)
        with study(tmp_path, made) as fresh:
            for opened in (first, second, fresh):
                assert (opened.tried, opened.ended) == (8, 8)
                assert opened.told() == fresh.told()
                assert opened.best_value() == max(told.result.pnl for told in fresh.told())
        assert len(fresh.told()) < 8  # others repeat one


def test_a_point_that_was_tried_is_not_run_again(tmp_path: Path):
    """A space of six points that a sampler has been told to try twelve times, some while the same one still runs."""
    made = plan(tmp_path, GRID, trials=5)
    with study(tmp_path, made) as opened:
        run = []
        while (asked := opened.ask()) is not None:
            run.append(asked)
            if len(run) % 2 == 0:
                for each in run[-2:]:
                    opened.tell(each, result(each))
        for each in run[len(run) // 2 * 2 :]:
            opened.tell(each, result(each))
        assert len(run) == len({str(asked.point) for asked in run}) == len(opened.told())
        assert opened.tried == 5


def test_refused_and_failed_points_are_kept_with_the_reason(tmp_path: Path):
    made = plan(tmp_path, GRID + "constraints: [imbalance_threshold < 0.3]\n", trials=6)
    with study(tmp_path, made) as opened:
        first = opened.ask()
        assert first is not None
        opened.tell(first, Result("failed", "2026-11-29T12:00:00+00:00", "out of luck"))
        run_all(opened)
        states = [told.result.state for told in opened.told()]
        assert sorted(states) == ["completed"] * 3 + ["failed"] + ["refused"] * 2
        reasons = {told.result.error for told in opened.told() if told.result.state == "refused"}
        assert all("imbalance_threshold < 0.3 must hold, was 0.3 < 0.3" in (text or "") for text in reasons)
        assert first.number not in [told.number for told in opened.best(6)]


@pytest.mark.long
def test_several_objectives_have_a_front_and_its_best_in_the_first_one_wins(tmp_path: Path):
    made = plan(tmp_path, objectives=("pnl", "inventory"), trials=30)
    assert made.sampler == "nsga2"
    with study(tmp_path, made) as opened:
        run_all(opened)
        told = {it.number: it.result.objectives or {} for it in opened.told()}
        front = [
            number
            for number, own in told.items()
            if not any(
                other["pnl"] >= own["pnl"] and other["inventory"] <= own["inventory"] and other != own
                for other in told.values()
            )
        ]
        assert sorted(opened.front()) == front
        assert len(front) > 1
        best = [it.number for it in opened.best(30)]
        assert best[0] == max(told, key=lambda number: told[number]["pnl"])
        assert set(best[: len(front)]) == set(front)


def test_a_trial_without_a_figure_ranks_last(tmp_path: Path):
    with study(tmp_path, plan(tmp_path, trials=3)) as opened:
        first = opened.ask()
        assert first is not None
        opened.tell(first, result(first, objectives={"pnl": None}))
        assert opened.best(1) == []
        run_all(opened)
        assert first.number not in [told.number for told in opened.best(12)]


@pytest.mark.long
def test_a_database_keeps_a_study(tmp_path: Path):
    made = plan(tmp_path, storage=f"sqlite:///{tmp_path}/trials.db")
    with study(tmp_path, made) as opened:
        run_all(opened, 4)
        opened.note("looks", [[1]])
        expected = points(opened)
    assert not (tmp_path / "study.journal").exists()
    with study(tmp_path, made) as opened:
        assert points(opened) == expected
        assert opened.noted("looks") == [[1]]


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/trials.db", "oracle://host/trials"])
def test_a_storage_that_cannot_be_used_is_refused(url: str, tmp_path: Path):
    with pytest.raises(ConfigError) as refused, open_storage(url, tmp_path):
        pass
    (problem,) = refused.value.problems
    assert problem.startswith(f"--storage must be the URL of a database that Optuna can use, was {url}: ")
    assert "\n" not in problem


@pytest.mark.parametrize("damage", ["a key", "a line in the middle", "a line at the end", "a kind of line"])
def test_a_damaged_journal_is_refused(damage: str, tmp_path: Path):
    with study(tmp_path, plan(tmp_path, trials=1)) as opened:
        run_all(opened)
    journal = tmp_path / "study.journal"
    text = journal.read_text()
    lines = text.splitlines(keepends=True)
    damaged = {
        "a key": text.replace('{"op_code":4', '{"op_code"', 1),
        "a line in the middle": "".join([*lines[:2], "{garbage\n", *lines[2:]]),
        "a line at the end": text + "{garbage\n",
        "a kind of line": text + '["op_code"]\n',
    }
    reason = {"a line in the middle": "line 3 is no JSON$", "a line at the end": "line .* is no JSON$"}
    journal.write_text(damaged[damage])
    with (
        pytest.raises(
            ConfigError, match=rf"study\.journal cannot be read, it is damaged: {reason.get(damage, '')}"
        ),
        study(tmp_path, plan(tmp_path)),
    ):
        pass
    assert journal.read_text() == damaged[damage]
