"""Trials side by side: in processes of this machine and on a Ray cluster that is started for the tests."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import pytest

from mm_nautilus.checks.config_source import read_source
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.errors import ConfigError, RunFailedError
from mm_nautilus.search import runners
from mm_nautilus.search.runners import Runner, pool_runner, ray_runner
from mm_nautilus.search.trial import TrialOutcome, TrialTask, run_trial
from mm_nautilus.search.windows import Window
from mm_nautilus.system.moments import SECOND_NS

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_765_627_200 * SECOND_NS
"""2025-12-13T12:00:00Z, when the sample begins."""
OWN_MODULE = '''\
import os
import pickle
import time
from pathlib import Path

from mm_nautilus import MarketMaker


class Dying(MarketMaker):
    def on_position_event(self, event):
        os._exit(3)


class Slow(MarketMaker):
    """Says which process runs it, and goes on for minutes."""

    def on_start(self):
        print("not for stdout", flush=True)
        super().on_start()
        Path(__file__).with_name(f"{os.getpid()}.pid").touch()

    def on_time_event(self, event):
        time.sleep(0.1)
        super().on_time_event(event)
'''
PROGRAM = """\
import pickle
import signal
import sys

from mm_nautilus.search.runners import pool_runner

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below nohup and in the background
    with open(sys.argv[1], "rb") as file:
        task = pickle.load(file)
    with pool_runner(2) as runner:
        print(runner.submit(task).result())
"""


@pytest.fixture(scope="module")
def task() -> TrialTask:
    values = read_source(ROOT / "configs" / "backtest.yaml").values
    return TrialTask(values, Window(START_NS, START_NS + 120 * SECOND_NS), 30 * SECOND_NS)


@pytest.fixture
def of_class(task: TrialTask, tmp_path: Path) -> Callable[[str], TrialTask]:
    """Return what makes a trial of a class of one's own."""
    (tmp_path / "own.py").write_text(OWN_MODULE)

    def make(name: str) -> TrialTask:
        strategy = {**task.values["strategy"], "class": ObjectReference.parse(f"own:{name}", tmp_path)}
        return replace(task, values={**task.values, "strategy": strategy})

    return make


@pytest.fixture(scope="module")
def expected(task: TrialTask) -> TrialOutcome:
    return run_trial(task)


def process_of_slow_trial(folder: Path) -> int:
    """Wait for a trial of `Slow`, and return the number of its process."""
    deadline = time.monotonic() + 60
    while not (found := list(folder.glob("*.pid"))):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(found[0].stem)


def wait_for_end(process: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_same(outcome: TrialOutcome, expected: TrialOutcome) -> None:
    assert (outcome.error, outcome.fills_digest) == (None, expected.fills_digest)
    assert outcome.periods == expected.periods
    assert outcome.figures is not None
    assert expected.figures is not None
    assert outcome.figures["symbols"] == expected.figures["symbols"]


def test_a_process_that_dies_is_one_failed_trial(
    task: TrialTask,
    expected: TrialOutcome,
    of_class: Callable[[str], TrialTask],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with pool_runner(1) as runner:
        dead, after = runner.submit(of_class("Dying")), runner.submit(task)
        assert_same(after.result(), expected)
        assert dead.result().error == "the process of the trial ended with exit code 3"
        assert dead.result().figures is None
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.long
def test_a_trial_is_not_blamed_for_a_process_that_died_before_it(task: TrialTask):
    nothing = replace(task, values={})
    with pool_runner(1) as runner:
        first = runner.submit(nothing).result()
        (process,) = active_children()
        process.kill()
        process.join()
        again = runner.submit(nothing).result()
    assert again.error == first.error
    assert again.error.startswith("catalog: Missing required config")


@pytest.mark.long
def test_leaving_the_pool_stops_its_trials_in_order(
    task: TrialTask,
    of_class: Callable[[str], TrialTask],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with pool_runner(1) as runner:
        running, waiting = runner.submit(of_class("Slow")), runner.submit(task)
        process = process_of_slow_trial(tmp_path)
        os.kill(process, 0)
    assert running.result().error == "the process of the trial ended with exit code 143"
    assert waiting.cancelled()
    assert not list((tmp_path / "temporary").iterdir())
    assert not Path(f"/proc/{process}").exists()
    assert capfd.readouterr() == ("", "not for stdout\n")


@pytest.mark.long
@pytest.mark.parametrize(("sent", "to_group"), [(signal.SIGKILL, False), (signal.SIGINT, True)])
def test_a_pool_ends_with_the_process_that_started_it(
    of_class: Callable[[str], TrialTask], tmp_path: Path, sent: signal.Signals, to_group: bool
):
    (tmp_path / "temporary").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "task").write_bytes(pickle.dumps(of_class("Slow")))
    program = subprocess.Popen(
        [sys.executable, "program.py", "task"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    with program:
        process = process_of_slow_trial(tmp_path)
        (os.killpg if to_group else os.kill)(program.pid, sent)
        said = program.communicate()[1]
    wait_for_end(process)
    assert not list((tmp_path / "temporary").glob("*/*"))
    assert said.count(b"Traceback") == to_group  # of the program alone


def test_a_pool_has_at_least_one_process():
    with pytest.raises(ConfigError, match=r"^jobs must be at least 1, was 0$"):
        pool_runner(0)


@pytest.fixture(scope="module")
def ray() -> Iterator[Runner]:
    with ray_runner("local") as runner:
        yield runner


@pytest.mark.long
def test_trials_on_ray_have_the_same_outcomes(
    ray: Runner, task: TrialTask, expected: TrialOutcome, of_class: Callable[[str], TrialTask], capfd
):
    assert ray.jobs == runners.usable_cores()
    futures = [ray.submit(each) for each in (task, of_class("Dying"), task)]
    first, dead, last = (future.result() for future in futures)
    assert_same(first, expected)
    assert_same(last, expected)
    assert dead.error.startswith("Ray: The worker died unexpectedly")
    running = ray.submit(task)
    ray._process._process.kill()  # type: ignore[attr-defined] - as Ray itself ends it where the cluster is gone
    for future in (running, ray.submit(task)):
        with pytest.raises(
            RunFailedError, match="the Ray cluster is lost: the process that is connected to Ray was"
        ):
            future.result()
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
@pytest.mark.parametrize(
    ("address", "answer"), [("127.0.0.1:1", "no answer in 3 s; for a cluster"), ("here", "")]
)
def test_a_cluster_that_does_not_answer_is_one_error(
    address: str, answer: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(runners, "_ANSWER_SECONDS", 3.0)
    with pytest.raises(ConfigError) as refused, ray_runner(address):
        pass
    must = "--ray must be the address of a Ray cluster that answers, was"
    assert str(refused.value).startswith(f"{must} {address}: {answer}")
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")
