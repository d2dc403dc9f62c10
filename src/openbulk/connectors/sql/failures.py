"""What an error of the database means: for one row, or for the job.

PostgreSQL's errors have a SQLSTATE, and its first two characters are the class
(https://www.postgresql.org/docs/15/errcodes-appendix.html). SQLite's errors have a result code
(https://sqlite.org/rescode.html). Those of a failed connection have only a message.
"""

import re
import sqlite3
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from openbulk.connectors.sql import mysql_errors
from openbulk.connectors.sql.mysql_errors import NO_TLS, REFUSED_METHOD, mysql_code
from openbulk.domain.errors import AddressNotAllowed, Refused, RetryLater, ServiceError, SignInAgain

_ROW_CLASSES = ("22", "23", "21", "44", "P0")
"""Data exceptions, violated constraints, checks of views, and errors that a trigger raises."""
_JOB_CLASSES = ("40", "53", "55P", "57", "58", "XX001", "XX002")
"""Rollbacks for concurrency, resources, locks, interventions of the operator, and damaged files."""
_ALONE_CLASSES = ("22", "23502", "23514")
"""Errors that no other row changes: a value, a missing value, and a check of the row itself."""
_NEW_ROW_CLASSES = ("23505", "23P01")
"""Keys that another row has. A row that is only inserted never gets them back."""
_RAISED = "exec_stmt_raise"
"""The function of PL/pgSQL that raises an error of a trigger's own
(https://github.com/postgres/postgres/blob/REL_15_STABLE/src/pl/plpgsql/src/pl_exec.c)."""
_QUERY_CANCELED = "57014"
_SIGN_IN_CLASSES = ("28",)
_TEMPORARY_CLASSES = ("08", "40", "53", "55", "57")
"""Connections, rollbacks for concurrency, resources, locks, and interventions of the operator."""
_GONE_CLASSES = ("42P01", "42703", "3F000", "42883", "42704", "0A000")
"""A table, column, schema, function or type that is gone, or a plan that no longer fits."""
_SQLITE_ROW_CODES = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)
_SQLITE_JOB_CODES = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOTADB,
)
_SQLITE_IS_OF_ROWS = {
    **dict.fromkeys(_SQLITE_JOB_CODES, False),
    **dict.fromkeys(_SQLITE_ROW_CODES, True),
}
_SQLITE_ALONE = ("SQLITE_CONSTRAINT_NOTNULL", "SQLITE_CONSTRAINT_CHECK", "SQLITE_MISMATCH")
_SQLITE_NEW_ROW = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")
_SIGN_IN_WORDS = re.compile("authentication failed|no password supplied|no pg_hba.conf entry")
"""libpq's messages for a connection that is refused before there is a SQLSTATE."""
_AUTH_WORDS = re.compile('authentication method requirement "([^"]*)" failed')
_WRONG_NAME = re.compile(
    r'server certificate for "([^"]*)".* does not match host name "([^"]*)"', re.DOTALL
)
_UNVERIFIED = "or set db.ssl.mode to require, which encrypts, and does not ask who the server is"
_NOT_TRUSTED = (
    "the database's certificate has expired, or no authority that is trusted here vouches for "
    f"it: put the certificate of its authority into db.ssl.root.certificate, {_UNVERIFIED}"
)
_NO_ROOTS = (
    "this machine has no file of trusted authorities: install its ca-certificates, or put the "
    f"certificate of the database's authority into db.ssl.root.certificate, {_UNVERIFIED}"
)
_NO_TLS = (
    "the database speaks no TLS, which it has to at a public address, or by db.ssl.mode: turn "
    "ssl on in the database; or set db.ssl.mode to disable, if the network in between is yours"
)
_TLS_ADVICE = {
    "certificate is not valid for": (
        "the database's certificate is not for db.host: set db.host to a name that the certificate "
        "has, or db.ssl.mode to verify-ca, which does not compare names"
    ),
    "certificate verify failed": _NOT_TRUSTED,
    # By an authority that only has the name of a trusted one.
    "signature failure": _NOT_TRUSTED,
    "server does not support SSL": _NO_TLS,
    "server doesn't support it": _NO_TLS,
    NO_TLS: (
        "the database asks for the password itself, as MySQL's caching_sha2_password does at "
        "first, and speaks no TLS, through which it could go: turn TLS on in the database, or give "
        "its user another method, such as mysql_native_password"
    ),
    REFUSED_METHOD: (
        "the database asks for the password in clear, or by a method that is broken: give its "
        "user the method caching_sha2_password or mysql_native_password"
    ),
    "root certificate": _NO_ROOTS,
    "weak sslmode": _NO_ROOTS,
}
"""By words of libpq's messages
(https://github.com/postgres/postgres/blob/REL_18_STABLE/src/interfaces/libpq), and of PyMySQL's."""
_NOT_UTF8 = re.compile("Could not decode to UTF-8 column '(.*?)' with text")
"""A message of Python's sqlite3."""
_PERMANENT_WORDS = re.compile("does not exist|no such|unable to open|not a database")
"""Messages of an OperationalError that does not pass: the configuration or the file is wrong."""


def is_of_rows(error: DBAPIError) -> bool | None:
    """Whether the error is about values of rows, so that other rows can be written.

    None if the error does not say: then it is about rows if the statement works without them.
    """
    if error.connection_invalidated:
        return False
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _SQLITE_IS_OF_ROWS.get(_sqlite_code(error))
    if (code := mysql_code(original)) is not None:
        return mysql_errors.IS_OF_ROWS.get(code)
    state = _sqlstate(error)
    if state.startswith(_ROW_CLASSES) or _is_raised_by_trigger(error):
        return True
    if state.startswith(_JOB_CLASSES):
        return False
    return None


def is_too_slow(error: DBAPIError) -> bool:
    """Whether a statement took longer than one may: fewer rows take less time."""
    too_slow = mysql_code(error.orig) in mysql_errors.TOO_SLOW
    return too_slow or _sqlstate(error) == _QUERY_CANCELED


def may_get_better(error: DBAPIError, *, is_insert: bool) -> bool:
    """Whether a row that was refused may be taken once other rows are written."""
    if isinstance(error.orig, sqlite3.Error):
        name = getattr(error.orig, "sqlite_errorname", "")
        return name not in _SQLITE_ALONE and not (is_insert and name in _SQLITE_NEW_ROW)
    if (code := mysql_code(error.orig)) is not None:
        is_taken = is_insert and code in mysql_errors.NEW_ROW
        return code not in mysql_errors.ALONE and not is_taken
    if _is_raised_by_trigger(error):
        return True
    state = _sqlstate(error)
    is_taken = is_insert and state.startswith(_NEW_ROW_CLASSES)
    return not is_taken and not state.startswith(_ALONE_CLASSES)


def is_gone(error: DBAPIError) -> bool:
    """Whether something is gone that the statement names: the database may have been restored."""
    if isinstance(error.orig, sqlite3.Error):
        return "no such" in str(error.orig)
    if mysql_code(error.orig) in mysql_errors.GONE:
        return True
    return _sqlstate(error).startswith(_GONE_CLASSES)


def _is_raised_by_trigger(error: DBAPIError) -> bool:
    return getattr(diagnostics_of(error), "source_function", None) == _RAISED


def is_of_a_type(error: DBAPIError) -> bool:
    """Whether a column's type may have refused its value, and the error does not say which."""
    if _is_raised_by_trigger(error) or getattr(diagnostics_of(error), "column_name", None):
        return False
    is_of_domain = getattr(diagnostics_of(error), "datatype_name", None) is not None
    return is_of_domain or not _sqlstate(error).startswith(("23", "42501"))


def violation_of(error: DBAPIError) -> "Violation | None":
    """The rule that a row violates; None if the error is of another kind."""
    if isinstance(error.orig, sqlite3.Error):
        if "FOREIGN KEY" in message_of(error):
            return Violation.REFERENCE  # with RESTRICT, SQLite reports a trigger
        return _SQLITE_VIOLATIONS.get(getattr(error.orig, "sqlite_errorname", ""))
    if (code := mysql_code(error.orig)) is not None:
        name = mysql_errors.VIOLATIONS.get(code)
        return Violation(name) if name else None
    if _is_raised_by_trigger(error):
        return None
    return _VIOLATIONS.get(_sqlstate(error))


class Violation(StrEnum):
    """A rule that a row can violate."""

    UNIQUE = "unique"
    REFERENCE = "foreign key"
    MISSING_VALUE = "not null"
    CHECK = "check"
    LENGTH = "length"
    POLICY = "policy"


_VIOLATIONS = {
    "23505": Violation.UNIQUE,
    "23503": Violation.REFERENCE,
    "23502": Violation.MISSING_VALUE,
    "23514": Violation.CHECK,
    "22001": Violation.LENGTH,
    "42501": Violation.POLICY,
}
_SQLITE_VIOLATIONS = {
    "SQLITE_CONSTRAINT_UNIQUE": Violation.UNIQUE,
    "SQLITE_CONSTRAINT_PRIMARYKEY": Violation.UNIQUE,
    "SQLITE_CONSTRAINT_ROWID": Violation.UNIQUE,
    "SQLITE_CONSTRAINT_NOTNULL": Violation.MISSING_VALUE,
    "SQLITE_CONSTRAINT_CHECK": Violation.CHECK,
}


def diagnostics_of(error: DBAPIError) -> Any:
    """What PostgreSQL says of an error, by name; None for SQLite."""
    return getattr(error.orig, "diag", None)


def detail_of(error: DBAPIError) -> str | None:
    """The database's second sentence on an error."""
    return getattr(diagnostics_of(error), "message_detail", None)


def failure(error: Exception) -> ServiceError:
    """The error to raise for the job. The transaction has been rolled back."""
    if isinstance(error, AddressNotAllowed):
        return Refused(str(error))
    state, message = _sqlstate(error), message_of(error)
    if wanted := _AUTH_WORDS.search(message):
        return SignInAgain(
            f"the database does not take a proof of the password by {wanted[1]}; store its "
            "password as SCRAM, or set db.auth.method to what it takes",
            provider_message=message,
        )
    if state.startswith(_SIGN_IN_CLASSES) or _SIGN_IN_WORDS.search(message):
        return SignInAgain(
            "the database does not accept this instance's credentials", provider_message=message
        )
    if found := _NOT_UTF8.search(message):
        return Refused(
            f"the column {found[1]} has a text that is not UTF-8; correct it in the database, or "
            "read other columns",
            provider_message=message,
        )
    if (advice := _tls_advice(error)) is not None:
        return Refused(advice, provider_message=message)
    if (code := mysql_code(_original(error))) is not None:
        return _mysql_failure(code, message)
    is_temporary = state.startswith(_TEMPORARY_CLASSES) if state else _is_temporary(error)
    if is_temporary:
        return RetryLater("the database cannot be reached, or is busy", provider_message=message)
    return Refused(f"the database refuses: {message}", provider_message=message)


def _mysql_failure(code: int, message: str) -> ServiceError:
    if code in mysql_errors.SIGN_IN:
        return SignInAgain(
            "the database does not accept this instance's credentials", provider_message=message
        )
    if mysql_errors.is_temporary(code):
        return RetryLater("the database cannot be reached, or is busy", provider_message=message)
    return Refused(f"the database refuses: {message}", provider_message=message)


def _tls_advice(error: Exception) -> str | None:
    """What to do about a server that does not prove who it is; None for any other error."""
    text = str(_original(error))
    if found := _WRONG_NAME.search(text):
        return (
            f"the database's certificate is for {found[1]}, and db.host is {found[2]}: set db.host "
            "to a name that the certificate has, or db.ssl.mode to verify-ca, which does not "
            "compare names"
        )
    return next((advice for words, advice in _TLS_ADVICE.items() if words in text), None)


def _is_temporary(error: Exception) -> bool:
    """Whether an error without a SQLSTATE is transient."""
    if isinstance(error, OSError | TimeoutError):
        return True
    if _PERMANENT_WORDS.search(message_of(error)) or _sqlite_code(error) == sqlite3.SQLITE_ERROR:
        return False
    return isinstance(error, OperationalError | InterfaceError) or _is_timeout(error)


def _sqlite_code(error: Exception) -> int:
    """The primary result code of SQLite: the lowest byte. 0 if there is none."""
    return int(getattr(_original(error), "sqlite_errorcode", 0)) & 0xFF


def _is_timeout(error: Exception) -> bool:
    """Whether the driver timed out, or SQLAlchemy: no pooled connection became free in time."""
    return "TimeoutError" in type(error).__name__


def _original(error: Exception) -> BaseException | None:
    """The driver's error if SQLAlchemy wraps one, else the error itself."""
    return error.orig if isinstance(error, DBAPIError) else error


def _sqlstate(error: Exception) -> str:
    """The error's SQLSTATE; empty if it has none."""
    return str(getattr(_original(error), "sqlstate", None) or "")


def message_of(error: Exception) -> str:
    """The first line of the database's message."""
    original = _original(error)
    is_numbered = mysql_code(original) is not None and len(getattr(original, "args", ())) > 1
    text = original.args[1] if original is not None and is_numbered else original
    lines = str(text).strip().splitlines()
    return next(iter(lines), type(error).__name__)
