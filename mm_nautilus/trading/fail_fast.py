"""End the run when a callback raises; the engine by itself logs the exception and goes on."""

import functools
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nautilus_trader.common import DataActor, DataActorConfig
from nautilus_trader.model import ActorId
from nautilus_trader.trading import Strategy

_ALWAYS_RUN = frozenset({"on_stop", "on_save", "on_load", "on_dispose", "on_reset", "_on_event"})
"""Callbacks that still run after a failure, to cancel orders, write fills and save state."""


@dataclass(frozen=True, slots=True)
class CallbackFailure:
    """An exception that a callback raised.

    Parameters
    ----------
    callback
        Class and method, for example ``MarketMaker.on_book_deltas``.
    """

    callback: str
    error: BaseException
    traceback: str


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    runs_after_failure = method.__name__ in _ALWAYS_RUN

    @functools.wraps(method)
    def guarded(self: Any, *args: Any) -> Any:
        if self.failures and not runs_after_failure:
            self.shut_down_after_failure()
            return None
        try:
            return method(self, *args)
        except BaseException as error:
            _note_failure(self, method.__qualname__, error)
            raise

    guarded.__dict__["is_guarded"] = True
    return guarded


def _note_failure(component: Any, callback: str, error: BaseException) -> None:
    if any(failure.error is error for failure in component.failures):
        return
    component.failures.append(CallbackFailure(callback, error, traceback.format_exc()))
    component.on_failure(component.failures[-1])


class _Guarded:
    """Wrap every callback (methods named ``on_...`` or ``_on_...``) of each subclass.

    The first exception is stored in ``failures`` and shuts the system down. From then on only the callbacks in
    `_ALWAYS_RUN` run.
    """

    failures: list[CallbackFailure]
    _is_shutting_down: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            is_callback = name.startswith(("on_", "_on_")) and name != "on_failure"
            if is_callback and callable(method) and not getattr(method, "is_guarded", False):
                setattr(cls, name, _guarded(method))

    def on_failure(self, failure: CallbackFailure) -> None:
        """Shut the system down; called once for each failure, inside the failing callback."""
        del failure
        self.shut_down_after_failure()

    def listener(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wrap a callback that another component calls, so that an exception counts as this component's failure."""

        def listening(message: Any) -> None:
            if self.failures:
                self.shut_down_after_failure()
                return
            try:
                callback(message)
            except Exception as error:
                _note_failure(self, callback.__qualname__, error)

        return listening

    def shut_down_after_failure(self) -> None:
        """Shut the system down, once.

        The engine refuses a shutdown from within one of its own calls to us; the next callback tries again.
        """
        if self._is_shutting_down:
            return
        failure = self.failures[0]
        with suppress(RuntimeError):
            self.shutdown_system(f"{failure.callback} failed: {failure.error!r}")  # type: ignore[attr-defined]
            self._is_shutting_down = True


class GuardedStrategy(_Guarded, Strategy):
    """A strategy whose first failing callback ends the run."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()
        self.failures = []


class GuardedActor(_Guarded, DataActor):
    """An actor whose first failing callback ends the run."""

    actor_name: ClassVar[str | None] = None
    """The engine's name of the actor, such as ``CONTROL-001``, where no configuration gives it."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Hand the engine's own options, and no others, to its base class."""
        if cls.actor_name is None:
            return super().__new__(cls, *args, **kwargs)
        return super().__new__(cls, DataActorConfig(actor_id=ActorId(cls.actor_name)))  # type: ignore[call-arg]

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()
        self.failures = []
