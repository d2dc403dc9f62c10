"""The occurrences of a series. Each has its own id; a changed one becomes an event of its own.

https://developers.google.com/workspace/calendar/api/guides/recurringevents
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from openbulk.sandbox.google.recurrence import parse_recurrence

_ID = re.compile(r"(?P<series>.+)_(?P<start>\d{8}(?:T\d{6}Z)?)", re.ASCII)
_SERIES_FIELDS = frozenset({"recurrence", "etag"})
"""Fields of a series that its occurrences do not have."""
_YEAR_SECONDS = 365.25 * 24 * 3600
ENDLESS_SECONDS, ENDING_SECONDS = 20 * _YEAR_SECONDS, 100 * _YEAR_SECONDS
"""How far rules without and with an end are listed. Google does not document its own limits."""
_CLOCK_CHANGE_SECONDS = 24 * 3600
"""The longest time by which clocks have been set back or forward."""


def series_id(event_id: str) -> str | None:
    """The id of the series if an event's id is that of an occurrence; else None."""
    match = _ID.fullmatch(event_id)
    return match["series"] if match else None


class Series:
    """A series, which makes its unchanged occurrences. Times are Unix times."""

    def __init__(self, body: Mapping[str, Any], calendar_zone: str) -> None:
        """Read the series of an event that has a recurrence. Raises Rejected (400)."""
        self._body = body
        self._recurrence = parse_recurrence(body, calendar_zone)

    def find(self, event_id: str) -> int | None:
        """The start of the occurrence with this id; None if there is none."""
        match = _ID.fullmatch(event_id)
        clock = self._recurrence.clock
        if match is None or match["start"].endswith("Z") == clock.is_day:
            return None
        try:
            start = clock.parse(match["start"])
        except ValueError:
            return None
        return next(self._recurrence.starts(start, start), None)

    def starts(
        self, time_min: float, time_max: float, earliest: float = -math.inf
    ) -> Iterator[int]:
        """The starts of the occurrences that end after `time_min` and start before `time_max`.

        In order, from `earliest` on. A rule is listed for so many seconds: ENDLESS_SECONDS if it
        has no end, else ENDING_SECONDS.
        """
        recurrence = self._recurrence
        seconds = ENDLESS_SECONDS if recurrence.is_endless else ENDING_SECONDS
        horizon = max(time_min, recurrence.first) + seconds
        longest = recurrence.length.total_seconds() + _CLOCK_CHANGE_SECONDS
        for start in recurrence.starts(max(time_min - longest, earliest), time_max, horizon):
            if recurrence.end_of(start) > time_min and start < time_max:
                yield start

    def occurrence(self, start: int) -> tuple[dict[str, Any], int]:
        """The body and the end of the occurrence that starts then."""
        recurrence, series = self._recurrence, self._body
        original, end = recurrence.clock.write(start), recurrence.end_of(start)
        body = {
            **{name: value for name, value in series.items() if name not in _SERIES_FIELDS},
            "id": self.occurrence_id(start),
            "recurringEventId": series["id"],
            "originalStartTime": original,
            "start": original,
            "end": recurrence.clock.write(end, series["end"].get("timeZone", "")),
        }
        return body, end

    def occurrence_id(self, start: int) -> str:
        """The id of the occurrence that starts then: with its day, or its time in UTC."""
        clock = self._recurrence.clock
        if clock.is_day:
            day = clock.to_local(start).date().isoformat()
            return f"{self._body['id']}_{day.replace('-', '')}"
        moment = datetime.fromtimestamp(start, UTC).replace(tzinfo=None).isoformat()
        return f"{self._body['id']}_{moment.replace('-', '').replace(':', '')}Z"
