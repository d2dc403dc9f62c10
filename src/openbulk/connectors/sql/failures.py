"""What an error of the database means: for one row, or for the job.

PostgreSQL's errors have a SQLSTATE, and its first two characters are the class
(https://www.postgresql.org/docs/15/errcodes-appendix.html). SQLite's errors, and those of a
failed connection, have only a message.
"""

import re
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from openbulk.domain.errors import AddressNotAllowed, Refused, RetryLater, ServiceError, SignInAgain
from openbulk.domain.records import Outcome

_ROW_CLASSES = ("22", "23", "21", "44", "P0")
"""Data exceptions, violated constraints, checks of views, and errors that a trigger raises."""
_SIGN_IN_CLASSES = ("28",)
_TEMPORARY_CLASSES = ("08", "40", "53", "55", "57")
"""Connections, rollbacks for concurrency, resources, locks, and interventions of the operator."""
_SIGN_IN_WORDS = re.compile("authentication failed|no password supplied|no pg_hba.conf entry")
"""libpq's messages for a connection that is refused before there is a SQLSTATE."""
_PERMANENT_WORDS = re.compile("does not exist|no such|unable to open|not a database")
"""Messages of an OperationalError that does not pass: the configuration or the file is wrong."""


def is_of_a_row(error: SQLAlchemyError) -> bool:
    """Whether the error is about the values of a row, so that other rows can be written."""
    if not isinstance(error, DBAPIError):
        return False
    if state := _sqlstate(error):
        return state.startswith(_ROW_CLASSES)
    return type(error).__name__ in {"IntegrityError", "DataError"}


def row_failure(row: int, error: DBAPIError) -> Outcome:
    """The outcome of a row that the database refuses."""
    message = _message(error)
    diagnostics: Any = getattr(error.orig, "diag", None)
    return Outcome.failure(
        row,
        f"the database refuses the row: {message}",
        field=getattr(diagnostics, "column_name", None),
        provider_message=getattr(diagnostics, "message_detail", None) or message,
    )


def failure(error: Exception) -> ServiceError:
    """The error to raise for the job. The transaction has been rolled back."""
    if isinstance(error, AddressNotAllowed):
        return Refused(str(error))
    state, message = _sqlstate(error), _message(error)
    if state.startswith(_SIGN_IN_CLASSES) or _SIGN_IN_WORDS.search(message):
        return SignInAgain(
            "the database does not accept this instance's credentials", provider_message=message
        )
    is_temporary = state.startswith(_TEMPORARY_CLASSES) if state else _is_temporary(error)
    if is_temporary:
        return RetryLater("the database cannot be reached, or is busy", provider_message=message)
    return Refused(f"the database refuses: {message}", provider_message=message)


def _is_temporary(error: Exception) -> bool:
    """Whether an error without a SQLSTATE is transient."""
    if isinstance(error, OSError | TimeoutError):
        return True
    if _PERMANENT_WORDS.search(_message(error)):
        return False
    return isinstance(error, OperationalError | InterfaceError) or _is_timeout(error)


def _is_timeout(error: Exception) -> bool:
    """Whether the driver timed out, or SQLAlchemy: no pooled connection became free in time."""
    return "TimeoutError" in type(error).__name__


def _original(error: Exception) -> BaseException | None:
    """The driver's error if SQLAlchemy wraps one, else the error itself."""
    return error.orig if isinstance(error, DBAPIError) else error


def _sqlstate(error: Exception) -> str:
    """The error's SQLSTATE; empty if it has none."""
    return str(getattr(_original(error), "sqlstate", None) or "")


def _message(error: Exception) -> str:
    """The first line of the database's message."""
    lines = str(_original(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__
