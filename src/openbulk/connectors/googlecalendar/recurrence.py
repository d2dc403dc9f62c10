"""The lines of a recurrence: `RRULE`, `EXRULE`, `RDATE` and `EXDATE` (RFC 5545, section 3.8.5)."""

import re
from collections.abc import Iterable, Mapping

from openbulk.connectors.fields import FieldError

_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
_LINE = re.compile(
    r"(?P<name>RRULE|EXRULE|RDATE|EXDATE)(?P<parameters>;[^:]*)?:(?P<value>.+)", re.IGNORECASE
)
_UNTIL: Mapping[str | None, tuple[re.Pattern[str], str]] = {
    "dateTime": (
        re.compile(r".*Z", re.DOTALL),
        ": UNTIL of an event with a time is in UTC, like UNTIL=20261218T225959Z",
    ),
    "date": (
        re.compile(r"[^T]*"),
        ": UNTIL of an all-day event is a date, like UNTIL=20261218",
    ),
    None: (re.compile(r".*", re.DOTALL), ""),
}
"""UNTIL has the type of the start. By the field of the start: its legal values, and the fault of
any other."""
_VALUE_TYPE = re.compile(r";VALUE=DATE(-TIME)?")
_DEFAULT_PARTS = frozenset({"", "INTERVAL=1", "WKST=MO"})
"""Parts of a rule that change nothing (RFC 5545, section 3.3.10)."""


def check_recurrence(line: str, *, start_field: str | None) -> None:
    """Raise FieldError for a line that Google would refuse.

    `start_field` is the field of the event's start: `date`, `dateTime`, or None if the row has
    neither.
    """
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise FieldError(
            "recurrence",
            f"recurrence {line!r} is not RRULE, EXRULE, RDATE or EXDATE; it looks like "
            "RRULE:FREQ=WEEKLY;COUNT=10, and the start is in start",
        )
    if match["name"].upper().endswith("RULE"):
        fault = _rule_fault(match["value"].upper(), start_field)
        if fault:
            raise FieldError("recurrence", f"recurrence {line!r}{fault}")


def _rule_fault(rule: str, start_field: str | None) -> str | None:
    """The fault of a rule, as the end of a sentence (RFC 5545, section 3.3.10)."""
    parts = dict(part.split("=", 1) for part in rule.split(";") if "=" in part)
    if parts.get("FREQ") not in _FREQUENCIES:
        return f" has no FREQ; it can be {', '.join(_FREQUENCIES)}"
    if parts.keys() >= {"UNTIL", "COUNT"}:
        return " has UNTIL and COUNT; keep one (RFC 5545, section 3.3.10)"
    until = parts.get("UNTIL")
    legal_until, fault = _UNTIL[start_field]
    if until is None or legal_until.fullmatch(until):
        return None
    return fault


def normalize_recurrence(lines: Iterable[str]) -> set[str]:
    """The lines in one spelling, so that two recurrences with the same meaning are equal.

    Case, the order of parts, days and dates, and the number of dates in a line make no difference.
    """
    normal: set[str] = set()
    for line in lines:
        # Names and values are case-insensitive (RFC 5545, section 2).
        name, _, value = "".join(line.upper().split()).partition(":")
        if name.endswith("RULE"):
            normal.add(f"{name}:{_normalize_rule(value)}")
        else:
            kind = _VALUE_TYPE.sub("", name)
            normal.update(f"{kind}:{day}" for day in value.split(","))
    return normal


def _normalize_rule(rule: str) -> str:
    parts = set(rule.split(";")) - _DEFAULT_PARTS
    return ";".join(sorted(map(_normalize_part, parts)))


def _normalize_part(part: str) -> str:
    name, _, values = part.partition("=")
    return f"{name}={','.join(sorted(values.split(',')))}"
