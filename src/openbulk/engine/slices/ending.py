"""How a slice ends, and what that means for its job."""

from dataclasses import dataclass

from openbulk.domain.errors import (
    BadInput,
    CallWithdrawn,
    DiskFull,
    Fenced,
    FileStoreUnavailable,
    FileTruncated,
    KeyMissing,
    NotFound,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
    SliceStopped,
)
from openbulk.domain.job import Status
from openbulk.engine.backoff import MAX_BACKOFF, MAX_SIGN_IN_BACKOFF


@dataclass(frozen=True, slots=True)
class Complete:
    """Every record has an outcome."""


@dataclass(frozen=True, slots=True)
class Continue:
    """The slice is over, the job is not."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """The job has to wait: for its service, for room on the disk, or for the file store."""

    reason: str
    after: float | None = None
    """Seconds to wait, if the service named a time."""
    max_wait: float = MAX_BACKOFF
    """Maximum seconds to wait if it did not."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The job ends before all its records have an outcome."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Crash:
    """An unexpected error. The slice is retried a few times."""

    error: Exception


Ending = Complete | Continue | Snooze | Fail | Crash

ENDS_THE_JOB = (NotFound, BadInput, FileTruncated, FileNotFoundError)
"""Errors that a retry does not mend: the instance or the file is gone, or cannot be read."""


def ending_of(error: Exception) -> Ending:
    """The ending of a slice that raised this error.

    Raises Fenced if its call was withdrawn: the slice belongs to another process, and has no ending
    here.
    """
    match error:
        case ServiceError():
            return _ending_of_call(error)
        case SliceStopped():
            return Continue()
        case DiskFull(what=what):
            return Snooze(
                f"the disk of the server is full: it has no space for {what}; the job continues "
                "once it has"
            )
        case FileStoreUnavailable():
            return Snooze("the file store cannot be used; the job continues once it is available")
        case KeyMissing():
            return Snooze(
                f"{error}; to continue the job, add that key to OPENBULK_MASTER_KEY after the "
                "first one"
            )
    if isinstance(error, ENDS_THE_JOB):
        return Fail(Status.ABORTED, str(error))
    return Crash(error)


def _ending_of_call(error: ServiceError) -> Ending:
    match error:
        case CallWithdrawn():
            raise Fenced from error
        case RetryLater(after=after):
            return Snooze(error.message, after)
        case SignInAgain():
            return Snooze(error.message, max_wait=MAX_SIGN_IN_BACKOFF)
        case Refused():
            return Fail(Status.ERROR, error.message)
        case _:
            return Snooze(error.message)
