"""What can go wrong, named by what the catcher does next.

    OpenbulkError
    ├── CallerError            the caller's request cannot be done as it stands; nothing was done
    │   ├── BadInput           ... mend the request
    │   ├── NotSignedIn        ... send the right secrets
    │   ├── NotAllowed         ... ask somebody who may
    │   ├── NotPossible        ... this thing has no such operation
    │   ├── NotFound           ... it is not there, or not yours
    │   ├── Conflict           ... it is in a state that does not allow this
    │   └── TooLarge           ... send less
    ├── Unavailable            something that openbulk itself needs is away: come again in a moment
    │   └── FileStoreUnavailable          ... the place for files; a job waits for it outside of its lane
    ├── DiskFull                 the server's disk is full: make room, and it goes on; nothing was done
    └── ServiceError           a call to a cloud service failed; what happened to its records is said by the kind
        ├── RetryLater         not done: send it again after a while
        ├── AnswerLost             the answer was lost: it may have been done
        ├── Refused            not done, and never will be as things stand: stop the job
        ├── SignInAgain        not done: the instance's credentials are no longer accepted
        └── CursorExpired           a list cannot be gone on with from there: read it from its beginning

Beside the tree: AddressNotAllowed, an OSError raised where a connection is opened.
"""

from collections.abc import Collection


class OpenbulkError(Exception):
    """Everything openbulk raises on purpose. The message is a sentence for a person."""

    def __init__(self, message: str, *, provider_message: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.provider_message = provider_message
        """What the cloud service itself said, where it said something."""


class CallerError(OpenbulkError):
    """The caller's request cannot be done as it stands; nothing was done."""


class BadInput(CallerError):
    """The request is malformed or asks for something that does not exist; the message says what would be right."""


class NotSignedIn(CallerError):
    """The secrets in the request are missing or wrong."""


class NotAllowed(CallerError):
    """The caller is known, but may not do this."""


class NotPossible(CallerError):
    """The thing is there, and cannot do this; the message says what it can."""

    def __init__(self, message: str, *, can: Collection[str]) -> None:
        super().__init__(message)
        self.can = can
        """What can be done with it: of read, create, update and delete."""


class NotFound(CallerError):
    """It does not exist, or belongs to somebody else: the caller cannot tell which."""


class Conflict(CallerError):
    """The thing asked about is in a state that does not allow this."""


class TooLarge(CallerError):
    """The request is larger than the server takes."""


class Unavailable(OpenbulkError):
    """What openbulk itself needs, its database, is away for a moment. What was to be written may have been written."""


class FileStoreUnavailable(Unavailable):
    """The place where the files are does not answer, or does not let us in. Nothing was changed."""

    @property
    def reason(self) -> str:
        """What the place itself said, in a line: for those who run the server, not for callers."""
        return str(self.__cause__).partition("\n")[0]


class DiskFull(OpenbulkError):
    """There is no room for it on the server's disk. Nothing was done; with room, the same can be done again."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the server has no room left for {what}: its disk is full. Nothing was lost; send it again when whoever "
            "runs the server has made room"
        )
        self.what = what
        """What there is no room for."""


class ServiceError(OpenbulkError):
    """A call to a cloud service failed. The records of that call have no outcome yet."""


class RetryLater(ServiceError):
    """The service did not do it, and would later (busy, throttled, down). Not a failure: it is waited for."""

    def __init__(self, message: str, *, after: float | None = None, provider_message: str | None = None) -> None:
        super().__init__(message, provider_message=provider_message)
        self.after = after
        """Seconds that the service asked us to wait; None where it did not say."""


class AnswerLost(ServiceError):
    """The answer was lost: the service may or may not have done it."""


class Refused(ServiceError):
    """The service will not do this for anybody's retry (forbidden, disabled, misconfigured): the job stops."""


class SignInAgain(ServiceError):
    """The service no longer accepts the instance's credentials: the job waits for a person to sign in again."""


class CursorExpired(ServiceError):
    """The service does not know a cursor or a bookmark any more: forget both, and read from the beginning."""


class AddressNotAllowed(OSError):
    """A connection to an address that this server may not call (private, loopback, link-local) was refused.

    An OSError, because it takes the place of a connection that the network refused.
    """
