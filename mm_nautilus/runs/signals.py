"""Turn SIGINT and SIGTERM into an orderly end of a run."""

import signal
from types import FrameType, TracebackType
from typing import Any, Final, Self

__all__ = ["SignalWatch"]

_WATCHED: Final = (signal.SIGINT, signal.SIGTERM)


class SignalWatch:
    """Note the first signal instead of raising into whatever runs; the run looks at it and ends itself.

    Attributes
    ----------
    received
        The signal's number, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _WATCHED:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or number

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells expect."""
        return 128 + (self.received or 0)
