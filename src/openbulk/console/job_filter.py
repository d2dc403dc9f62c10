"""Which jobs a person looks for: the form above the list, as a condition of the API."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from zoneinfo import ZoneInfo

STATES: Mapping[str, tuple[str, ...]] = {
    "running": (
        "CREATED",
        "SUBMITTED",
        "PENDING",
        "RUNNING",
        "PLANNING",
        "VERIFYING",
        "CANCELLATION_PENDING",
    ),
    "planned": ("PLANNED",),
    "finished": ("COMPLETE", "COMPLETED", "VERIFIED"),
    "failed": ("ERROR", "FAILED", "ABORTED"),
    "cancelled": ("CANCELLED",),
}
"""The states that a person tells apart, with those of the API."""
DIRECTIONS = {"in": "UPLOAD", "out": "DOWNLOAD"}
FAILED_ROWS = "failed-rows"
"""A state beside the others: finished, with rows that failed."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What the form says. What it does not say chooses nothing."""

    instance: str = ""
    state: str = ""
    direction: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "JobFilter":
        """The filter in an address. What cannot be is left out: the form offers choices alone."""
        instance, state = given.get("instance", ""), given.get("state", "")
        return cls(
            instance if instance.isascii() and instance.isdecimal() else "",
            state if state in STATES or state == FAILED_ROWS else "",
            given["direction"] if given.get("direction", "") in DIRECTIONS else "",
            *(day if _day(day) else "" for day in (given.get("since", ""), given.get("until", ""))),
        )

    def as_parameters(self) -> dict[str, str]:
        """The parameters of an address that says the same."""
        return {name: value for name, value in asdict(self).items() if value}

    def condition(self, zone: str) -> str:
        """The condition for the API. A day is that of the person's time zone, and counts whole."""
        parts = []
        if self.instance:
            parts.append(f"instanceId = {int(self.instance)}")
        if self.state == FAILED_ROWS:
            parts.append("error_count > 0")
        elif self.state:
            states = ", ".join(f"'{state}'" for state in STATES[self.state])
            parts.append(f"status in ({states})")
        if self.direction:
            parts.append(f"job_direction = '{DIRECTIONS[self.direction]}'")
        if day := _day(self.since):
            parts.append(f"createdDate >= {_milliseconds(day, zone)}")
        if day := _day(self.until):
            next_day = day + datetime.timedelta(days=1)
            parts.append(f"createdDate < {_milliseconds(next_day, zone)}")
        return " and ".join(parts)


def _day(text: str) -> datetime.date | None:
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        return None
    return day if datetime.MINYEAR < day.year < datetime.MAXYEAR else None


def _milliseconds(day: datetime.date, zone: str) -> int:
    midnight = datetime.datetime.combine(day, datetime.time(), ZoneInfo(zone))
    return int(midnight.timestamp() * 1000)
