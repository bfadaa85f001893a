"""The package's error hierarchy: every error a user can cause or meet derives from `MarketMakingError`."""

from collections.abc import Sequence
from typing import Any

__all__ = [
    "CalibrationError",
    "ConfigError",
    "DataError",
    "InterruptedRunError",
    "MarketMakingError",
    "RunFailedError",
    "StoppedRunError",
]


class MarketMakingError(Exception):
    """Base of all errors raised on purpose by this package.

    Attributes
    ----------
    exit_code
        What a command that ends with this error returns to the shell.
    """

    exit_code = 1


class ConfigError(MarketMakingError):
    """A configuration cannot be used; every problem found is listed.

    Parameters
    ----------
    problems
        One text a problem; each names the key, the value given and what is allowed.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class DataError(MarketMakingError):
    """Input data (a catalog, a CSV file) is missing, damaged or contradicts itself."""

    exit_code = 2


class RunFailedError(MarketMakingError):
    """A run started and then failed; the message says what happened and what was saved where.

    Attributes
    ----------
    reason
        What happened, without what was saved.
    """

    exit_code = 1

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


class InterruptedRunError(MarketMakingError):
    """A run was ended by a signal after its quotes were cancelled and its reports saved.

    Parameters
    ----------
    message
        What was interrupted and what was saved where.
    exit_code
        128 + the signal's number: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message, exit_code)  # both: native code that passes it on makes it anew from them
        self.message = message
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.message


class StoppedRunError(InterruptedRunError):
    """A signal ended a run that had begun, in order.

    Parameters
    ----------
    message, exit_code
        As of `InterruptedRunError`.
    outcome
        What it left, as of a run that came to its end.
    """

    def __init__(self, message: str, exit_code: int, outcome: Any) -> None:
        super().__init__(message, exit_code)
        self.outcome = outcome


class CalibrationError(DataError):
    """The data of a market is too little, or too odd, to estimate what was asked for."""
