"""The file that keeps the account's curves over restarts, beside the state file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mm_nautilus.live_view.curve import Curves
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.runs.state_file import StateFile
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.private_file import read_at_once, replace_file
from mm_nautilus.system.whole_file import failure_text
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import ACCOUNT_TOPIC

_SUFFIX: Final = ".curve"
_TIMER: Final = "curve-saver"
_INTERVAL_NS: Final = 60 * SECOND_NS


class CurveFile:
    """The curves of a run, and the file beside its state, without which they begin anew; None keeps them nowhere.

    The curves are shown and nothing depends on them: a file that is damaged or cannot be written is reported with
    `say`, and the run continues.
    """

    def __init__(self, state: StateFile | None, say: Callable[[str], None]) -> None:
        self._path = None if state is None else state.path.with_suffix(_SUFFIX)
        self._say, self._has_failed = say, False
        self.curves = Curves()
        if state is None or self._path is None:
            return
        if state.account is not None:
            self.curves = self._read(self._path)
        elif state.kept is not None and self._path.is_file():
            self._path.rename(state.kept.with_suffix(_SUFFIX))

    def _read(self, path: Path) -> Curves:
        try:
            return Curves.from_dict(json.loads(read_at_once(path)))
        except FileNotFoundError:
            return Curves()
        except OSError as error:
            problem = f"cannot be read: {failure_text(error)}"
        except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            problem = f"is damaged: {error!r}"
        self._say(f"Warning: the curve file {path} {problem}; the curves begin anew")
        return Curves()

    def write(self) -> None:
        """Replace the file; the first failure is reported."""
        if self._path is None:
            return
        try:
            replace_file(self._path, f"{json.dumps(self.curves.to_dict(), separators=(',', ':'))}\n".encode())
        except OSError as error:
            if not self._has_failed:
                self._say(f"Warning: the curve file cannot be written: {failure_text(error)}")
            self._has_failed = True


class CurveKeeper(GuardedActor):
    """Add every account snapshot to the curves, and write them once a minute."""

    actor_name = "CURVE-001"

    def __init__(self, file: CurveFile, metrics: MetricsActor) -> None:
        super().__init__()
        self._file, self._metrics = file, metrics

    def on_start(self) -> None:
        """Subscribe to account snapshots and set the timer."""
        self.subscribe_topic(ACCOUNT_TOPIC, self._on_account)
        self.clock.set_timer_ns(_TIMER, _INTERVAL_NS)

    def _on_account(self, message: object) -> None:
        if isinstance(message, tuple):
            self._file.curves.add(*message)

    def on_time_event(self, event: Any) -> None:
        """Write the file."""
        if event.name == _TIMER:
            self._file.write()

    def keep_last(self, now_ns: int) -> None:
        """Add the account at the end of the run, nanoseconds since the epoch, and write the file."""
        ledger = self._metrics.ledger
        if ledger is not None and ledger.account is not None:
            self._file.curves.add(now_ns, ledger.account)
        self._file.write()
