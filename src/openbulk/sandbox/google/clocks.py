"""The time line of a series: local times in a zone, and Unix time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

FIRST_DAY, LAST_DAY = date(2, 1, 1), date(9998, 12, 31)
"""Nothing recurs before and after: Python could not write its times in each zone."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_PATTERNS = {
    True: re.compile(r"\d{8}", re.ASCII),
    False: re.compile(r"\d{8}T\d{6}Z?", re.ASCII),
}
"""The spelling of days, and of times."""


def _unix_midnight(day: date) -> int:
    return (day - _EPOCH.date()).days * 24 * 3600


FIRST_UNIX, LAST_UNIX = _unix_midnight(FIRST_DAY), _unix_midnight(LAST_DAY)
"""The Unix times of these days in UTC."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The zone of a series, and whether its times are days."""

    zone: ZoneInfo
    """The calendar's zone, if they are days: each begins at midnight there."""
    is_day: bool

    @classmethod
    def of(cls, place: Mapping[str, Any], calendar_zone: str) -> "Clock":
        """The clock of a start that `check_times` has accepted."""
        is_day = bool(place.get("date"))
        return cls(ZoneInfo(calendar_zone if is_day else place["timeZone"]), is_day)

    def to_unix(self, local: datetime) -> int:
        """Unix time of a local time, in seconds.

        A time that a clock change skips is read with the offset before it, and one that comes
        twice is the first (RFC 5545, section 3.3.5).
        """
        offset = _offset(local.replace(tzinfo=self.zone, fold=0))
        return (local - _EPOCH - offset) // _SECOND

    def to_local(self, unix: float) -> datetime:
        """The local time at a Unix time, or at the nearest one that can be written."""
        return _moment(unix).astimezone(self.zone).replace(tzinfo=None)

    def read(self, place: Mapping[str, Any]) -> datetime:
        """The local time of a start or an end that `check_times` has accepted."""
        moment = datetime.fromisoformat(place.get("date") or place["dateTime"])
        if moment.tzinfo is not None:
            moment = self.to_local((moment - _EPOCH.replace(tzinfo=UTC)) // _SECOND)
        return moment.replace(microsecond=0)

    def write(self, unix: int, zone: str = "") -> dict[str, str]:
        """A start or an end, in another zone if one is given."""
        if self.is_day:
            return {"date": self.to_local(unix).date().isoformat()}
        name = zone or self.zone.key
        moment = _moment(unix).astimezone(ZoneInfo(name))
        # RFC 3339 has no offset with seconds, as places had before there were time zones.
        if _offset(moment) % _MINUTE:
            moment = moment.astimezone(UTC)
        return {"dateTime": moment.isoformat(), "timeZone": name}

    def parse(self, text: str, zone: ZoneInfo | None = None) -> int:
        """Unix time of a day or a time as in a file, of the type of the series.

        A local time is in `zone`, else in the zone of the series. Raises ValueError.
        """
        if not _PATTERNS[self.is_day].fullmatch(text):
            raise ValueError(f"{text!r} has another type than the start")
        local = datetime.fromisoformat(text.rstrip("Z"))
        if text.endswith("Z"):
            return (local - _EPOCH) // _SECOND
        return Clock(zone or self.zone, self.is_day).to_unix(local)


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


def _moment(unix: float) -> datetime:
    return datetime.fromtimestamp(min(max(unix, FIRST_UNIX), LAST_UNIX), UTC)
