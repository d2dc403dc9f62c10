"""Checks the values of a record before a call is spent on it."""

from collections.abc import Collection
from datetime import date
from typing import Any

from openbulk.domain.dates import DateOrder, read_date
from openbulk.domain.errors import OpenbulkError
from openbulk.domain.records import Outcome
from openbulk.domain.spelling import LIKENESS_TO_ASK, likely_name

MAX_QUOTED = 40
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class FieldError(OpenbulkError):
    """The service would refuse this value. Its record fails, and no other.

    The message says what is wrong and what would be right.
    """

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        """The column or field at fault; None if it is the record as a whole."""

    def outcome(self, row: int) -> Outcome:
        """The outcome of the record in this row."""
        return Outcome.failure(row, self.message, field=self.field)


class RecordTooEarly(FieldError):
    """The service lacks a record that this one needs, and that may come later in the file."""

    def outcome(self, row: int) -> Outcome:
        """The outcome of the record in this row, unless the other record is written first."""
        return super().outcome(row)._replace(is_early=True)


def parse_boolean(field: str, value: Any) -> bool:
    """Parse true or false as files write them, in any case. Raises FieldError."""
    try:
        return _BOOLEANS[str(value).strip().lower()]
    except KeyError as error:
        raise FieldError(field, f"{field} is {value!r}; it must be true or false") from error


def parse_date(field: str, value: Any) -> date:
    """Parse a date in ISO 8601. Raises FieldError."""
    text = str(value).strip()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise FieldError(field, f"{field} {_date_problem(text)}") from error


def _date_problem(text: str) -> str:
    """Why a text is not a date: it does not look like one, or the calendar has no such day."""
    found = read_date(text)
    if found is not None:
        try:
            found.day(DateOrder())
        except ValueError as error:
            return str(error)
    return f'"{text}" is not a date; dates look like 2026-02-28'


def not_a_choice(field: str, value: Any, choices: Collection[str]) -> FieldError:
    """The error for a value that is not one of a field's choices."""
    return FieldError(field, f"{field} is {short_repr(value)}; it can be {', '.join(choices)}")


def did_you_mean(name: str, known: Collection[str], otherwise: str) -> str:
    """The end of a message about an unknown name: suggests the most similar known name.

    `otherwise` is the end of the message if no known name is similar.
    """
    near = likely_name(name, known, LIKENESS_TO_ASK)
    return otherwise if near is None else f"did you mean {near!r}?"


def short_repr(value: Any) -> str:
    """A value for a message, in quotes; a long one is cut off."""
    text = str(value)
    if len(text) > MAX_QUOTED:
        text = f"{text[: MAX_QUOTED - 3]}..."
    return repr(text)
