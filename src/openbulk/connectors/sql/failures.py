"""What an error of the database means: for one row, or for the job."""

from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from openbulk.domain.errors import AddressNotAllowed, Refused, RetryLater, ServiceError, SignInAgain
from openbulk.domain.records import Outcome

_OF_A_ROW = ("22", "23", "21", "44", "P0")
"""Classes of SQLSTATE that are about values: data exceptions, broken constraints, checks of views, raised by a trigger
(https://www.postgresql.org/docs/15/errcodes-appendix.html)."""
_OF_SIGN_IN = ("28",)
_PASSING = ("08", "40", "53", "55", "57")
"""Connection, rollback for concurrency, resources, locks, and the operator's doings: it may go better later."""
_REFUSED_SIGN_IN = ("authentication failed", "no password supplied", "no pg_hba.conf entry")


def is_of_a_row(error: SQLAlchemyError) -> bool:
    """Whether the error is about the values of a row, so that the others can be written without it."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_OF_A_ROW)
    return type(error).__name__ in {"IntegrityError", "DataError"}


def refused_row(row: int, error: DBAPIError) -> Outcome:
    """The outcome of a row that the database does not take."""
    said = _said(error)
    detail: Any = getattr(error.orig, "diag", None)
    column = getattr(detail, "column_name", None)
    more = getattr(detail, "message_detail", None)
    return Outcome.failed(
        row, f"the database refuses the row: {said}", field=column, provider_message=more or said
    )


def failure(error: Exception) -> ServiceError:
    """What an error means for the job, where nothing of the transaction remains."""
    if isinstance(error, AddressNotAllowed):
        return Refused(str(error))
    orig = error.orig if isinstance(error, DBAPIError) else error
    state, said = str(getattr(orig, "sqlstate", None) or ""), _said(error)
    if state.startswith(_OF_SIGN_IN) or any(words in said for words in _REFUSED_SIGN_IN):
        return SignInAgain(
            "the database does not accept this instance's credentials", provider_message=said
        )
    if state.startswith(_PASSING) or (not state and _is_passing(error)):
        return RetryLater("the database cannot be reached, or is busy", provider_message=said)
    return Refused(f"the database refuses: {said}", provider_message=said)


def _is_passing(error: Exception) -> bool:
    if isinstance(error, OSError | TimeoutError):
        return True
    words = _said(error)
    if (
        "does not exist" in words
        or "no such" in words
        or "unable to open" in words
        or "not a database" in words
    ):
        return False
    return (
        isinstance(error, OperationalError | InterfaceError)
        or "TimeoutError" in type(error).__name__
    )


def _said(error: Exception) -> str:
    """The database's words, in one line."""
    orig = error.orig if isinstance(error, DBAPIError) else error
    return (str(orig).strip().splitlines() or [type(error).__name__])[0]
