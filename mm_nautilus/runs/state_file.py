"""The file that keeps a sandbox run's account and strategy over restarts."""

import hashlib
import json
import os
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, Self

from mm_nautilus.config.run import TradingConfig
from mm_nautilus.errors import ConfigError, MarketMakingError
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.system.file_lock import take_lock
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.private_file import read_at_once, replace_file
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.fail_fast import CallbackFailure, GuardedActor
from mm_nautilus.trading.messages import EVENTS_TOPIC, BookingOrder, StateChanged, StrategyStarted
from mm_nautilus.trading.saved_account import SavedAccount
from mm_nautilus.trading.strategy import MarketMaker

_VERSION: Final = 1
"""Version of the file's layout; a file of another one is refused."""
_DIGEST: Final = "sha256"
_START_ANEW: Final = "--fresh starts without this file and keeps it under a dated name"
STRATEGY: Final = "strategy"
METRICS: Final = "metrics"
"""Names of the strategy and of the metrics actor among a state's components."""
_TIMER: Final = "state-saver"


class StateWriteError(MarketMakingError):
    """The state cannot be written; without it a restart would forget what has happened since."""


type Fingerprint = Mapping[str, str | list[str]]
"""The settings that must stay the same from run to run: with others the file's balances, positions and results would
be those of something else. Symbols may be added, but not dropped: equity counts all results since the first start.
"""


def fingerprint_of(config: TradingConfig) -> Fingerprint:
    """Return the fingerprint of a configuration; its balances are those of the first start."""
    balances = config.venue.starting_balances
    return {
        "venue": config.venue.name,
        "account_type": config.venue.account_type,
        # 1000 USDT and 1000.00 USDT are the same.
        "starting_balances": sorted(f"{each.value.normalize():f} {each.currency}" for each in balances),
        "report_currency": config.strategy.report_currency,
        "strategy": config.strategy.strategy_id or config.strategy.order_id_tag,
        "symbols": sorted(config.strategy.symbols),
    }


def _differences(saved: Fingerprint, own: Fingerprint) -> list[str]:
    """Return how a saved fingerprint differs from a run's own, one text a key."""
    texts = [
        f"{name} was {_shown(saved[name])} there, is {_shown(own[name])} here"
        for name in own
        if name != "symbols" and saved[name] != own[name]
    ]
    dropped = [symbol for symbol in saved["symbols"] if symbol not in own["symbols"]]
    if dropped:
        texts.append(f"symbols must include {_shown(dropped)}, were {_shown(own['symbols'])}")
    return texts


def _shown(value: str | Iterable[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of one moment."""

    account: SavedAccount
    components: Mapping[str, Mapping[str, bytes]]
    """What each component saves, by its name and the names it saves under: JSON documents."""


class StateFile:
    """A locked state file; use `open`, or `look` to read it only.

    One process has it at a time: the operating system's lock is released when the process ends, however it ends.
    The file is replaced as a whole once its content is on the disk, so that it is always that of one moment, also
    after a power cut. `state` was read or written last; `kept` is where ``fresh`` has put an earlier file.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint, lock: int | None) -> None:
        self.path, self._fingerprint, self._lock = path, fingerprint, lock
        self.state: RunState | None = None
        self.kept: Path | None = None
        self._written = b""

    @classmethod
    def open(
        cls,
        directory: Path,
        name: str,
        fingerprint: Fingerprint,
        *,
        fresh: bool = False,
        now: datetime | None = None,
    ) -> Self:
        """Lock a run's state file and read it; with `fresh` an earlier one is kept under a dated name.

        Raises ConfigError if another process has the file, or if it cannot be read, is damaged, or is of another
        version or configuration.
        """
        path = directory / f"{name}.json"
        file = cls(path, fingerprint, _locked(path))
        try:
            if fresh:
                file.kept = _put_aside(path, now or datetime.now(UTC))
            file.state = file._read()
        except BaseException:
            file.close()
            raise
        return file

    @classmethod
    def look(cls, directory: Path, name: str, fingerprint: Fingerprint) -> Self:
        """Read a run's state file, also while a run has it; the returned one cannot be written."""
        file = cls(directory / f"{name}.json", fingerprint, None)
        file.state = file._read()
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def account(self) -> SavedAccount | None:
        """The saved account, None at the first start."""
        return None if self.state is None else self.state.account

    @property
    def held(self) -> str:
        """The saved positions in words."""
        positions = () if self.account is None else self.account.positions
        return ", ".join(str(position) for position in positions) or "no positions"

    def component(self, name: str) -> dict[str, bytes]:
        """Return what a component has saved; empty at the first start."""
        return {} if self.state is None else dict(self.state.components.get(name, {}))

    def write(self, state: RunState) -> bool:
        """Replace the file, and return True, unless it holds this state already.

        Raises StateWriteError if the file cannot be written, was closed, or its lock file was removed and another
        process has it now.
        """
        self._keep_lock()
        components = {
            component: {key: json.loads(document) for key, document in documents.items()}
            for component, documents in state.components.items()
        }
        body = {"version": _VERSION, "configuration": self._fingerprint, "account": state.account.to_dict()}
        encoded = _encoded(body | {"components": components})
        if encoded == self._written:
            return False
        saved_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = json.dumps({"saved_at": saved_at, _DIGEST: _digest(encoded)}).encode()
        try:
            replace_file(self.path, head[:-1] + b"," + encoded[1:] + b"\n")
        except OSError as error:
            raise StateWriteError(f"the state file {self.path} cannot be written: {error}") from error
        self._written, self.state = encoded, state
        return True

    def _keep_lock(self) -> None:
        """Lock again if the lock file was removed: the next process would lock a new one."""
        if self._lock is None:
            raise StateWriteError(f"the state file {self.path} cannot be written: it was closed")
        if _is_at(self._lock, _lock_path(self.path)):
            return
        try:
            lock = _locked(self.path)
        except ConfigError as error:
            raise StateWriteError(
                f"the lock file {_lock_path(self.path)} was removed, and {error}"
            ) from error
        os.close(self._lock)
        self._lock = lock

    def _read(self) -> RunState | None:
        try:
            saved, state, encoded = _document(self.path)
            differences = _differences(saved, self._fingerprint)
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise _refusal(self.path, f"is damaged: {error!r}") from error
        if differences:
            text = f"belongs to another configuration: {'; '.join(differences)}"
            raise _refusal(self.path, text, "go back to that configuration, give the run another name, or ")
        self._written = encoded if saved == self._fingerprint else b""
        return state


def _refusal(path: Path, text: str, instead: str = "") -> ConfigError:
    return ConfigError(f"the state file {path} {text}; {instead}{_START_ANEW}")


def _document(path: Path) -> tuple[Fingerprint, RunState, bytes]:
    """Return a file's content, and the text that its checksum covers."""
    try:
        document = json.loads(read_at_once(path).decode())
        if not isinstance(document, dict):
            raise _refusal(path, f"is damaged: it must be a JSON object, was {type(document).__name__}")
        body = {key: value for key, value in document.items() if key not in ("saved_at", _DIGEST)}
        encoded = _encoded(body)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"is damaged: it must be a JSON document, but {error}") from error
    if document.get("version") != _VERSION:
        was = f"was {document.get('version')!r}: another version of mm-nautilus wrote it"
        raise _refusal(path, f"must be of version {_VERSION}, {was}")
    if document.get(_DIGEST) != _digest(encoded):
        raise _refusal(path, "is damaged or was edited: its checksum does not fit what is in it")
    components = {
        component: {key: json.dumps(document).encode() for key, document in documents.items()}
        for component, documents in body["components"].items()
    }
    return body["configuration"], RunState(SavedAccount.from_dict(body["account"]), components), encoded


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()


def _lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _locked(path: Path) -> int:
    """Return the open, locked file beside a state file; it holds its process's number."""
    lock_path = _lock_path(path)
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = take_lock(lock_path)
        while not _is_at(lock, lock_path):  # removed before it was locked
            os.close(lock)
            lock = take_lock(lock_path)
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        owner = lock_path.read_text("ascii", "replace").strip()
        text = f"the state file {path} is in use by process {owner}; stop that run, or give this one another name"
        raise ConfigError(text) from error
    except OSError as error:
        raise ConfigError(f"the state file {path} cannot be locked: {error}") from error
    return lock


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _put_aside(path: Path, now: datetime) -> Path | None:
    """Rename a file to a new dated name."""
    if not path.exists():
        return None
    stamp = f"{path.stem}.{now:%Y%m%dT%H%M%SZ}"
    names = (f"{stamp}{suffix}.json" for suffix in chain([""], (f"-{number}" for number in count(2))))
    kept = next(other for name in names if not (other := path.with_name(name)).exists())
    path.rename(kept)
    return kept


class StateSaver(GuardedActor):
    """Save balances, positions, strategy and metrics together: after every fill and halt, and on a timer.

    A fill is saved in its callback, before the next event; extremes, drawdown and counts of orders, which change with
    the market, on the timer. Start the actor after the metrics actor and before the strategy.
    """

    actor_name = "STATE-001"

    def __init__(
        self, file: StateFile, strategy: MarketMaker, metrics: MetricsActor, *, interval_seconds: float = 5.0
    ) -> None:
        super().__init__()
        self._file, self._strategy, self._metrics = file, strategy, metrics
        self._interval_ns = round(interval_seconds * SECOND_NS)
        self._balances: Balances | None = None

    def on_start(self) -> None:
        """Subscribe to the strategy and set the timer."""
        self.subscribe_topic(EVENTS_TOPIC, self._on_message, BookingOrder.SAVE)
        self.clock.set_timer_ns(_TIMER, self._interval_ns)

    def _on_message(self, message: object) -> None:
        """Save changes at once; nothing is saved before the strategy has started."""
        if isinstance(message, StateChanged):
            self.save_now()
        elif isinstance(message, StrategyStarted):
            self._balances = Balances(message.portfolio, next(iter(message.views)).venue)

    def on_time_event(self, event: Any) -> None:
        """Save what has changed."""
        if event.name == _TIMER:
            self.save_now()

    def save_now(self) -> bool:
        """Save changes if all have started and every fill is booked; return whether there were any."""
        persistence = self._strategy.persistence
        if self._balances is None or self._metrics.ledger is None or not persistence.is_settled:
            return False
        account = SavedAccount(self._balances.totals(), tuple(persistence.positions))
        components = {STRATEGY: self._strategy.on_save(), METRICS: self._metrics.on_save()}
        return self._file.write(RunState(account, components))

    def save_last(self) -> None:
        """Save what the strategy's stop changed, after the node has run and before it is disposed of.

        A file that cannot be written is a failure of this actor, which fails the run.
        """
        try:
            self.save_now()
        except StateWriteError as error:
            self.failures.append(CallbackFailure("StateSaver.save_last", error, traceback.format_exc()))
