"""Moments as datetimes and as nanoseconds since 1970, exact to the microsecond."""

from datetime import UTC, datetime, timedelta
from typing import Final, overload

SECOND_NS: Final = 1_000_000_000
"""Nanoseconds in a second."""
GAP_SECONDS: Final = 60.0
"""Default longest silence of a book that does not count as a gap, seconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@overload
def nanoseconds(moment: datetime) -> int: ...
@overload
def nanoseconds(moment: None) -> None: ...
def nanoseconds(moment: datetime | None) -> int | None:
    """Return nanoseconds since 1970, None for None."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND * 1_000


def moment(nanoseconds: int) -> datetime:
    """Return a datetime in UTC, truncated to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1_000)
