"""Run trials side by side: in processes of this machine, or on a Ray cluster.

Every process is started afresh (spawn), takes no signals from the terminal and ends with the one that started it,
even if that is killed.
"""

import importlib.util
import multiprocessing as mp
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Final, Protocol, Self

from mm_nautilus.errors import ConfigError, RunFailedError
from mm_nautilus.search.trial import TrialOutcome, TrialTask, run_trial
from mm_nautilus.system.raised import one_line

LOCAL: Final = "local"
"""Address of a Ray cluster that is started on this machine, for as long as its runner."""
_START_SECONDS: Final = 60.0
"""Longest time that Ray may take to start here."""
_ANSWER_SECONDS: Final = 20.0
"""Longest time that a cluster may take to answer."""
_NO_ANSWER_HINT: Final = "; for a cluster that asks for a token, set RAY_AUTH_MODE=token"
_END_SECONDS: Final = 10.0
"""Longest time that a process may take to end its trial in order."""
_OF_TERMINALS: Final = (signal.SIGINT, signal.SIGHUP)
_SPAWN: Final = mp.get_context("spawn")


class Runner(Protocol):
    """Runs trials side by side while its context lasts; leaving the context stops those that still run.

    Attributes
    ----------
    jobs
        How many trials run at once, once the context has been entered.
    """

    jobs: int

    def submit(self, task: TrialTask) -> Future[TrialOutcome]:
        """Run a trial as soon as there is room for it; a process that dies is a trial that failed.

        Where no trial can be run any more, as on a cluster that is lost, the future raises a RunFailedError.
        """

    def __enter__(self) -> Self: ...
    def __exit__(self, *_raised: object) -> None: ...


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return os.process_cpu_count() or 1


def pool_runner(jobs: int) -> Runner:
    """Return a runner on this machine with so many processes; a ConfigError says how many there may be."""
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, was {jobs}")
    return _Pool(jobs)


def ray_runner(address: str) -> Runner:
    """Return a runner on a Ray cluster: ``HOST:PORT``, ``auto`` for the one of this machine, ``local`` to start one.

    Its context cannot be entered, and raises a ConfigError, where the cluster does not answer or refuses. Each trial
    asks for one core. The cluster's machines need this package in the same version, and the catalog at the same path.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("a search on Ray needs ray; install it with: pip install 'mm-nautilus[ray]'")
    return _Ray(address)


class _Process:
    """A process that serves a pipe until the pipe, or this process, ends.

    Attributes
    ----------
    pipe
        This end of it.
    """

    _waiting = threading.Lock()
    """Held where a process is waited for: starting another one waits for all that have ended."""

    def __init__(self, serve: Callable[..., None], *args: object) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(serve, theirs, *args), daemon=True)
        # It begins with the mask of this thread, and has to ignore these signals before it may hear them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
        try:
            with self._waiting:
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()

    @property
    def has_ended(self) -> bool:
        """Whether it serves no more."""
        return bool(wait([self._process.sentinel], 0.0))

    def stop(self) -> None:
        """Tell the process to end in order."""
        self._process.terminate()

    def end(self, seconds: float = _END_SECONDS) -> None:
        """Wait for the end of the process, and end it by force after so many seconds."""
        if not wait([self._process.sentinel], seconds):
            self._process.kill()
        self.end_words()

    def end_words(self) -> str:
        """Wait for the end of the process, and return how it ended."""
        wait([self._process.sentinel])
        with self._waiting:
            self._process.join()
        code = self._process.exitcode or 0
        if code == -signal.SIGKILL:
            return "was killed by SIGKILL, as the system does where memory runs out"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _serve(serve: Callable[..., None], pipe: Connection, *args: object) -> None:
    """Begin a process: what it prints goes to stderr, and a terminal's signals do not reach it."""
    os.setsid()
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(pipe, *args)


def _end_with_parent() -> None:
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_SECONDS)
    os._exit(1)


# -- Processes of this machine -----------------------------------------------------------------------------------


class _Pool:
    """A thread for each process: it starts one when there is a trial for it, and a new one when that has died."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._threads = ThreadPoolExecutor(jobs, "trials")
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._left = ExitStack()

    def __enter__(self) -> Self:
        folder = self._left.enter_context(tempfile.TemporaryDirectory(prefix="mm-nautilus-trials-"))
        self._left.callback(self._threads.shutdown)
        workers = [_Worker(folder) for _ in range(self.jobs)]
        for worker in workers:
            self._left.callback(worker.end)
            self._idle.put(worker)
        for worker in workers:
            self._left.callback(worker.stop)
        self._left.callback(self._threads.shutdown, wait=False, cancel_futures=True)
        return self

    def submit(self, task: TrialTask) -> Future[TrialOutcome]:
        return self._threads.submit(self._run, task)

    def _run(self, task: TrialTask) -> TrialOutcome:
        worker = self._idle.get()
        try:
            return worker.run(task)
        finally:
            self._idle.put(worker)

    def __exit__(self, *_raised: object) -> None:
        self._left.close()


class _Worker:
    """Runs one trial at a time in a process of its own, which serves the next one too unless it dies.

    Its temporary files are in a folder that whoever ends it removes: a process that dies leaves them.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._process: _Process | None = None
        self._starting = threading.Lock()
        self._has_ended = False

    def run(self, task: TrialTask) -> TrialOutcome:
        started = time.perf_counter()
        with self._starting:
            if self._has_ended:
                return TrialOutcome(error="the search ended before the trial began")
            process = self._process
            if process is None or process.has_ended:
                process = self._process = _Process(_work, self._folder)
        try:
            process.pipe.send(task)
            outcome: TrialOutcome = process.pipe.recv()
        except (EOFError, OSError):  # the pipe ends with its process
            text = f"the process of the trial {process.end_words()}"
            return TrialOutcome(seconds=time.perf_counter() - started, error=text)
        return outcome

    def stop(self) -> None:
        """Tell the process to end, and the trial that it runs; no other one is started."""
        with self._starting:
            self._has_ended = True
        if (process := self._process) is not None:
            process.stop()

    def end(self) -> None:
        """Wait for the end of the process, which was told to end."""
        if (process := self._process) is not None:
            process.end()


def _work(pipe: Connection, folder: str) -> None:
    tempfile.tempdir = folder
    try:
        while True:
            pipe.send(run_trial(pipe.recv()))
    except EOFError:
        return


# -- Ray ---------------------------------------------------------------------------------------------------------


class _Ray:
    """A process that talks to the cluster: what Ray prints, and whatever it waits for, stays there."""

    def __init__(self, address: str) -> None:
        self.jobs = 0
        self._address = address
        self._sending = threading.Lock()
        self._futures: dict[int, Future[TrialOutcome]] = {}
        self._count = 0
        self._lost: RunFailedError | None = None
        """Why no trial can be run any more."""

    def __enter__(self) -> Self:
        self._process = _Process(_drive, self._address)
        try:
            self.jobs = self._first_answer()
        except BaseException:
            self._process.end(0.0)  # it may wait for minutes
            raise
        self._listener = threading.Thread(target=self._listen, name="trials", daemon=True)
        self._listener.start()
        return self

    def _first_answer(self) -> int:
        """Return how many trials the cluster can run at once; a ConfigError says why it cannot be used."""
        seconds = _START_SECONDS if self._address == LOCAL else _ANSWER_SECONDS
        try:
            answer = (
                self._process.pipe.recv()
                if self._process.pipe.poll(seconds)
                else f"no answer in {seconds:g} s{_NO_ANSWER_HINT}"
            )
        except EOFError:
            answer = f"the process that connects to it {self._process.end_words()}"
        if isinstance(answer, int):
            return answer
        raise ConfigError(
            f"--ray must be the address of a Ray cluster that answers, was {self._address}: {answer}"
        )

    def submit(self, task: TrialTask) -> Future[TrialOutcome]:
        future: Future[TrialOutcome] = Future()
        future.set_running_or_notify_cancel()
        with self._sending:
            if self._lost is not None:
                future.set_exception(self._lost)
                return future
            self._count += 1
            self._futures[self._count] = future
            with suppress(BrokenPipeError):  # the listener answers
                self._process.pipe.send((self._count, task))
        return future

    def _listen(self) -> None:
        """Pass on outcomes until the process ends."""
        try:
            while True:
                number, outcome = self._process.pipe.recv()
                self._futures.pop(number).set_result(outcome)
        except (EOFError, OSError):
            text = f"the process that is connected to Ray {self._process.end_words()}"
            with self._sending:
                self._lost = RunFailedError(f"the Ray cluster is lost: {text}")
                for future in self._futures.values():
                    future.set_exception(self._lost)

    def __exit__(self, *_raised: object) -> None:
        self._process.stop()
        self._process.end()
        self._listener.join()


def _drive(pipe: Connection, address: str) -> None:
    """Connect to a cluster and run trials on it."""
    import ray  # noqa: PLC0415 (an extra)

    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    settings: dict[str, Any] = {"address": address, "log_to_driver": False}
    if address == LOCAL:
        settings |= {"include_dashboard": False, "num_cpus": usable_cores()}
    try:
        ray.init(**settings)
    except Exception as error:
        pipe.send(one_line(f"{type(error).__name__}: {error}"))
        return
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())  # Ray's own first waits for other users
    run = ray.remote(num_cpus=1, max_retries=0)(run_trial)
    sending = threading.Lock()

    def answer(number: int, done: Future[TrialOutcome]) -> None:
        error = done.exception()
        outcome = TrialOutcome(error=one_line(f"Ray: {error}")) if error else done.result()
        with sending:
            pipe.send((number, outcome))

    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        pipe.send(max(int(resources.get("CPU", 0)), 1))
        while True:
            number, task = pipe.recv()
            run.remote(task).future().add_done_callback(partial(answer, number))
    except EOFError:
        return
    finally:
        ray.shutdown()
