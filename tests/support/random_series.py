"""Calendar files of random series, with dates that are left out, added, moved and cancelled."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

CANCELLED = "gone"
"""The summary of a cancelled date."""
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")
_RULES = (
    "FREQ=DAILY;COUNT={count}",
    "FREQ=DAILY;INTERVAL=3;COUNT={count}",
    "FREQ=DAILY;UNTIL={until}",
    "FREQ=WEEKLY;COUNT={count}",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT={count}",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU;COUNT={count}",
    "FREQ=WEEKLY;UNTIL={until}",
    "FREQ=MONTHLY;COUNT={count}",
    "FREQ=MONTHLY;BYDAY=-1FR;COUNT={count}",
    "FREQ=MONTHLY;BYMONTHDAY=31;COUNT={count}",
    "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU;COUNT={count}",
)
_HOURS = (0, 8, 12, 23)


def calendar_file(seeds: Iterable[int]) -> bytes:
    """A calendar file with a series for each seed, its events in any order."""
    seeds = list(seeds)
    events = [event for seed in seeds for event in _Series(seed).events()]
    random.Random(seeds[0]).shuffle(events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{''.join(events)}END:VCALENDAR\n".encode()


class _Series:
    """A random series of 2026 or shortly after."""

    def __init__(self, seed: int) -> None:
        self._random = chance = random.Random(seed)
        self._seed = seed
        self._is_all_day = chance.random() < 0.3
        self._zone = chance.choice(_ZONES)
        hour = 0 if self._is_all_day else chance.choice(_HOURS)
        self._start = datetime(2026, chance.randint(1, 6), chance.randint(1, 28), hour)  # noqa: DTZ001
        self._length = timedelta(days=1) if self._is_all_day else timedelta(minutes=45)
        rule = chance.choice(_RULES).replace("{count}", str(chance.randint(2, 12)))
        until = self._start + timedelta(days=chance.randint(5, 90))
        local = rule.replace("{until}", f"{until:%Y%m%dT%H%M%S}")
        # The start is a date of the rule: RFC 5545 leaves other starts open.
        self._start = next(iter(rrulestr(local, dtstart=self._start)), self._start)
        self._dates = list(rrulestr(local, dtstart=self._start))
        self._rule = rule.replace("{until}", self._value(until, in_utc=True))

    def events(self) -> list[str]:
        """The series, and its dates that differ."""
        added = self._start + timedelta(days=self._random.randint(1, 40))
        further = [] if added in self._dates else [added]
        left_out = [date for date in self._dates[1:] if self._random.random() < 0.15]
        series = [
            self._line("DTSTART", self._start),
            self._line("DTEND", self._start + self._length),
            f"RRULE:{self._rule}",
            f"SUMMARY:s{self._seed}",
            *(self._line("EXDATE", date) for date in left_out),
            *(self._line("RDATE", date) for date in further),
        ]
        kept = [date for date in [*self._dates[1:], *further] if date not in left_out]
        changed = [date for date in kept if self._random.random() < 0.3]
        return [self._event(series), *(self._event(self._changes(date)) for date in changed)]

    def _changes(self, date: datetime) -> list[str]:
        """A date that is moved or cancelled."""
        lines = [self._line("RECURRENCE-ID", date)]
        if self._random.random() < 0.25:
            start = self._line("DTSTART", date)
            return [*lines, start, "STATUS:CANCELLED", f"SUMMARY:{CANCELLED}"]
        hours = 24 if self._is_all_day else self._random.choice([1, 5, 26])
        moved = date + timedelta(hours=hours)
        start, end = self._line("DTSTART", moved), self._line("DTEND", moved + self._length)
        return [*lines, start, end, f"SUMMARY:moved{self._seed}"]

    def _event(self, lines: list[str]) -> str:
        text = "\n".join(lines)
        return f"BEGIN:VEVENT\nUID:{self._seed}@x\n{text}\nEND:VEVENT\n"

    def _line(self, name: str, local: datetime) -> str:
        """A property in local time or in UTC."""
        in_utc = self._zone == "UTC" or self._random.random() < 0.3
        parameter = "" if in_utc else f";TZID={self._zone}"
        if self._is_all_day:
            parameter = ";VALUE=DATE"
        is_series_start = name == "DTSTART" and self._zone != "UTC" and not self._is_all_day
        if is_series_start:  # a series repeats by the clock of its zone
            in_utc, parameter = False, f";TZID={self._zone}"
        return f"{name}{parameter}:{self._value(local, in_utc=in_utc)}"

    def _value(self, local: datetime, *, in_utc: bool) -> str:
        if self._is_all_day:
            return f"{local:%Y%m%d}"
        if in_utc:
            moment = local.replace(tzinfo=ZoneInfo(self._zone)).astimezone(UTC)
            return f"{moment:%Y%m%dT%H%M%SZ}"
        return f"{local:%Y%m%dT%H%M%S}"
