"""Times as numbers."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds_of(moment: datetime) -> int:
    """Whole milliseconds since 1970. A part of one is cut off.

    Rounded up, a time could be shown a second later after it was kept than before.
    """
    return (moment - _EPOCH) // _MILLISECOND


def cut_to_millisecond(moment: datetime) -> datetime:
    """The time as it is once it was kept."""
    return moment_at(milliseconds_of(moment))


def moment_at(milliseconds: int) -> datetime:
    """The time in UTC at this many milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND
