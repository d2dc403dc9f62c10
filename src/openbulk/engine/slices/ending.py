"""How a turn ends, and what that means for its job."""

from dataclasses import dataclass

from openbulk.domain.errors import (
    CallWithdrawn,
    DiskFull,
    Fenced,
    FileStoreUnavailable,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
)
from openbulk.domain.job import Status
from openbulk.engine.retry import BACKOFF_MOST, SIGN_IN_BACKOFF_MOST


@dataclass(frozen=True, slots=True)
class Complete:
    """Every record has an outcome."""


@dataclass(frozen=True, slots=True)
class Continue:
    """The turn is over, the job is not."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """The service has to be waited for, or room on the disk, or the place for files."""

    reason: str
    after: float | None = None
    """Seconds that the service asked for; None where it did not say."""
    most: float = BACKOFF_MOST
    """Seconds that it is waited for at most before the next try, where the service did not say."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The job ends before its end."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Crash:
    """Something happened that nobody foresaw."""

    error: Exception


Ending = Complete | Continue | Snooze | Fail | Crash


def ending_of(error: ServiceError | DiskFull | FileStoreUnavailable) -> Ending:
    """How a slice ends when a call to the service failed, or files could not be read or written.

    Raises Fenced where the call was withdrawn: the slice is another process's, and has no ending here.
    """
    match error:
        case CallWithdrawn():
            raise Fenced from error
        case RetryLater(after=after):
            return Snooze(error.message, after)
        case DiskFull(what=what):
            return Snooze(
                f"the server has no room left for {what}; it goes on by itself when there is room"
            )
        case FileStoreUnavailable():
            return Snooze(
                "the place for openbulk's files cannot be used; it goes on by itself when it can"
            )
        case SignInAgain():
            return Snooze(error.message, most=SIGN_IN_BACKOFF_MOST)
        case Refused():
            return Fail(Status.ERROR, error.message)
        case _:
            return Snooze(error.message)
