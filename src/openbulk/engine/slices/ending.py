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
)
from openbulk.domain.job import Status
from openbulk.engine.backoff import BACKOFF_MOST, SIGN_IN_BACKOFF_MOST


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
    """Seconds to wait, where the service asked for a time."""
    most: float = BACKOFF_MOST
    """The longest wait in seconds where it did not."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The job ends before all its records have an outcome."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Crash:
    """An error that openbulk does not know. The slice is tried again a few times."""

    error: Exception


Ending = Complete | Continue | Snooze | Fail | Crash

ENDS_THE_JOB = (NotFound, BadInput, FileTruncated, FileNotFoundError)
"""The instance or the file is gone, or cannot be read: the next slice would find it the same."""


def ending_of(error: Exception) -> Ending:
    """How a slice ends that raised this error.

    Raises Fenced where its call was withdrawn: the slice is another process's, and has no ending
    here.
    """
    match error:
        case ServiceError():
            return _ending_of_call(error)
        case DiskFull(what=what):
            return Snooze(f"the server has no room left for {what}; the job continues with room")
        case FileStoreUnavailable():
            return Snooze("the file store cannot be used; the job continues when it can")
        case KeyMissing():
            return Snooze(
                f"{error}; the job continues when OPENBULK_MASTER_KEY has that key again, "
                "behind the first one"
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
            return Snooze(error.message, most=SIGN_IN_BACKOFF_MOST)
        case Refused():
            return Fail(Status.ERROR, error.message)
        case _:
            return Snooze(error.message)
