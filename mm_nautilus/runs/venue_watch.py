"""Ask a venue every so often what it takes at present, on a thread beside the engine's."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from mm_nautilus.risk.venue_state import VenueState
from mm_nautilus.runs.kraken_rest import ListedPairs, VenueAnswerError, venue_states

__all__ = ["VenueWatch"]

_PATIENCE_SECONDS: Final = 10.0


class VenueWatch:
    """Know what each pair takes, until the context is left.

    While the venue does not say, what it said last holds: its connection has a guard of its own.

    Parameters
    ----------
    rest_url
        The venue's REST side.
    listed
        The pairs, with what they took at the start.
    interval_seconds
        Time between two questions.
    say
        Receives a line where the venue no longer says, and where it does again.

    Attributes
    ----------
    states
        What each pair takes, by symbol; replaced as a whole.
    """

    def __init__(
        self, rest_url: str, listed: ListedPairs, interval_seconds: float, say: Callable[[str], None]
    ) -> None:
        self.states: Mapping[str, VenueState] = listed.states
        self._rest_url = rest_url
        self._keys = listed.keys
        self._interval_seconds = interval_seconds
        self._say = say
        self._asked = self._unanswered = 0
        self._failure = ""
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="venue", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._has_ended.set()  # a question that is still open ends with the process

    def _watch(self) -> None:
        while not self._has_ended.wait(self._interval_seconds):
            self._asked += 1
            try:
                self.states = venue_states(self._rest_url, self._keys, _PATIENCE_SECONDS)
            except VenueAnswerError as error:
                self._unanswered += 1
                if not self._failure:
                    self._say(f"the venue does not say what it takes: {error}; what it said last holds")
                self._failure = str(error)
            else:
                if self._failure:
                    self._say("the venue says again what it takes")
                self._failure = ""

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain values, for the summary."""
        return {
            "states": {symbol: state.value for symbol, state in self.states.items()},
            "asked": self._asked,
            "unanswered": self._unanswered,
            "failure": self._failure,
        }
