"""End the run when a callback raises; the engine by itself prints the traceback and goes on."""

import functools
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Context, getcontext, localcontext
from inspect import isfunction
from typing import Any, ClassVar, Self

from nautilus_trader.common import DataActor, DataActorConfig
from nautilus_trader.model import ActorId
from nautilus_trader.trading import Strategy

from mm_nautilus.errors import MarketMakingError
from mm_nautilus.system.raised import raised_text

_ALWAYS_RUN = frozenset({"on_stop", "on_save", "on_load", "on_dispose", "on_reset", "_on_event"})
"""Callbacks that still run after a failure, to cancel orders, write fills and save state."""
_MUST_SUCCEED = frozenset({"on_start", "on_save", "on_load"})
"""Callbacks whose failure the engine must know: it starts nothing, or has nothing to save."""
_PACKAGE = __name__.partition(".")[0] + "."


@dataclass(frozen=True, slots=True)
class CallbackFailure:
    """An exception that a callback raised.

    Parameters
    ----------
    callback
        Class and method, for example ``MarketMaker.on_book_deltas``.
    symbol
        The symbol whose event the callback was given, if any.
    """

    callback: str
    error: BaseException
    traceback: str
    symbol: str | None = None

    @property
    def text(self) -> str:
        """What was raised, and where, in one sentence."""
        if isinstance(self.error, MarketMakingError):
            return str(self.error)
        of = "" if self.symbol is None else f" of {self.symbol}"
        return f"{self.callback}{of} raised {raised_text(self.error)}"


def _guarded(method: Callable[..., Any], name: str | None = None) -> Callable[..., Any]:
    name = name or method.__name__
    runs_after_failure = name in _ALWAYS_RUN

    @functools.wraps(method)
    def guarded(self: Any, *args: Any) -> Any:
        if self.failures and not runs_after_failure:
            self.shut_down_after_failure()
            return None
        try:
            return method(self, *args)
        except BaseException as error:
            _note_failure(self, method.__qualname__, error, *args)
            # Where the engine called, it would print the traceback.
            is_called_by_subclass = getattr(type(self), name) is not guarded
            if is_called_by_subclass or name in _MUST_SUCCEED:
                raise
            return None

    guarded.__dict__["is_guarded"] = True
    return guarded


def _keeping_decimals(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method of a user's class fail that changes the decimal context, by which amounts are computed."""

    @functools.wraps(method)
    def keeping(*args: Any, **named: Any) -> Any:
        with localcontext() as before:
            rules = _rules(before)
            result = method(*args, **named)
            changed = getcontext()
            if _rules(changed) != rules:
                raise MarketMakingError(
                    f"{method.__qualname__} must leave the decimal context as it was, as decimal.localcontext() does: "
                    f"amounts are computed by it; was {changed}"
                )
            return result

    return keeping


def _rules(context: Context) -> tuple[Any, ...]:
    return context.prec, context.rounding, context.Emin, context.Emax, *context.traps.values()


def _note_failure(component: Any, callback: str, error: BaseException, event: Any = None, *_: Any) -> None:
    if any(failure.error is error for failure in component.failures):
        return
    instrument_id = getattr(event, "instrument_id", None)
    symbol = None if instrument_id is None else str(instrument_id.symbol)
    failure = CallbackFailure(callback, error, traceback.format_exc(), symbol)
    component.failures.append(failure)
    component.on_failure(failure)


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
            if isfunction(method) and not cls.__module__.startswith(_PACKAGE):
                method = _keeping_decimals(method)  # noqa: PLW2901 - the engine calls this one
                setattr(cls, name, method)
            is_callback = name.startswith(("on_", "_on_")) and name != "on_failure"
            if is_callback and callable(method) and not getattr(method, "is_guarded", False):
                setattr(cls, name, _guarded(method, name))

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
            except BaseException as error:
                _note_failure(self, callback.__qualname__, error, message)

        return listening

    def shut_down_after_failure(self) -> None:
        """Shut the system down, once.

        The engine refuses a shutdown from within one of its own calls to us; the next callback tries again.
        """
        if self._is_shutting_down:
            return
        failure = self.failures[0]
        with suppress(RuntimeError):
            self.shutdown_system(failure.text)  # type: ignore[attr-defined]
            self._is_shutting_down = True
            # An error would be printed on the terminal, too.
            self.log.warning(f"{failure.text}\n{failure.traceback}")  # type: ignore[attr-defined]


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
