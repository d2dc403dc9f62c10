"""Computes when a schedule is due, from cron expressions in Quartz's syntax, in UTC.

https://www.quartz-scheduler.org/documentation/quartz-2.3.0/tutorials/crontrigger.html
"""

import re
from datetime import datetime

from croniter import croniter

from openbulk.domain.errors import BadInput

EXAMPLE = "0 0 12 ? * MON-FRI"
_FIELDS = (6, 7)
_MAX_LENGTH = 120
_YEARS = 100
"""Quartz knows years up to 2099: a schedule that is not due for this long is never due again."""
_NUMBERED_DAY = re.compile(r"(?<![\d#/])\d(?!\d)")
"""The number of a day of the week. A number after `#` or `/` is a count."""
_LAST_OF_ITS_KIND = re.compile(r"(\w+)L", re.IGNORECASE)
_SATURDAY = "6"


def next_after(expression: str, moment: datetime) -> datetime | None:
    """The first time after `moment` at which a schedule is due; None if there is none.

    Raises BadInput.
    """
    if len(expression) > _MAX_LENGTH or len(expression.split()) not in _FIELDS:
        raise BadInput(
            f"the schedule {expression[:_MAX_LENGTH]!r} does not have six or seven fields "
            f"(second, minute, hour, day, month, weekday, year); it looks like {EXAMPLE!r}"
        )
    # Quartz also refuses a day of the month together with a day of the week.
    fields = expression.split()
    if fields[3] not in ("*", "?") and fields[5] not in ("*", "?"):
        raise BadInput(
            f"the schedule {expression!r} names a day of the month and a day of the week; "
            "put ? in place of one of them"
        )
    try:
        times = croniter(
            _as_croniter(expression),
            moment,
            second_at_beginning=True,
            max_years_between_matches=_YEARS,
        )
    except ValueError as error:
        raise BadInput(
            f"the schedule {expression!r} is not understood ({error}); it looks like {EXAMPLE!r}"
        ) from error
    try:
        due: datetime = times.get_next(datetime)  # type: ignore[no-untyped-call]
    except ValueError:
        return None
    return due


def _as_croniter(expression: str) -> str:
    """Translate to croniter: no `?`, days of the week from 0.

    Quartz's `6L`, the last Friday, becomes `L5`.
    """
    fields = ["*" if field == "?" else field for field in expression.split()]
    fields[5] = ",".join(map(_weekday, fields[5].split(",")))
    return " ".join(fields)


def _weekday(field: str) -> str:
    if field.upper() == "L":
        return _SATURDAY
    field = _NUMBERED_DAY.sub(_from_sunday, field)
    last = _LAST_OF_ITS_KIND.fullmatch(field)
    if last is None:
        return field
    return f"L{last[1]}"


def _from_sunday(day: re.Match[str]) -> str:
    """Quartz counts Sunday as 1 and Saturday as 7; croniter counts from 0. Raises ValueError."""
    if day[0] not in "1234567":
        raise ValueError(f"{day[0]} is not a day of the week; Sunday is 1 and Saturday is 7")
    return str(int(day[0]) - 1)
