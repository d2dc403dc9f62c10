"""What can go wrong, named by what the catcher does next.

OpenbulkError
├── CallerError                    the request cannot be done as it stands; nothing was done
│   ├── BadInput                   ... correct the request
│   ├── NotSignedIn                ... send the right secrets
│   ├── NotAllowed                 ... ask somebody who may
│   ├── NotPossible                ... this thing has no such operation
│   ├── NotFound                   ... it does not exist, or is not yours
│   ├── Conflict                   ... its state does not allow this
│   └── TooLarge                   ... send less
├── IdempotencyKeyTaken            the instance has a job with this key: answer with that job
├── Unavailable                    openbulk's database does not answer: try again in a moment
│   └── FileStoreUnavailable       ... its file store does not; a job waits for it outside of its lane
├── DiskFull                       the server's disk is full: make room, and try again; nothing was done
├── Fenced                         another process has taken the slice over: stop, and write nothing more
├── FileTruncated                  a stored file is damaged: its job ends
├── SealBroken                     sealed bytes were changed, or belong somewhere else: do not use them
│   └── KeyMissing                 ... their master key is not set: put it back
├── CannotStart                    the settings do not fit: change what the message names, and start again
│   ├── WrongFiles                 ... the file store belongs to another ledger
│   └── WrongKey                   ... the ledger is sealed with another master key
├── FieldError                     one value cannot be sent: its record fails (connectors/fields.py)
├── AddressNotAllowed              a connection to a private address was refused; also an OSError
└── ServiceError                   a call to a cloud service failed; its kind says what happened to the records
    ├── RetryLater                 not done: send it again after a while
    ├── AnswerLost                 the answer was lost: it may have been done
    ├── Refused                    not done, and never will be as things stand: stop the job
    ├── SignInAgain                not done: the service no longer accepts the instance's credentials
    ├── CursorExpired              a list cannot be continued from there: read it from its beginning
    └── CallWithdrawn              not done: the slice that wanted the call is no longer this process's
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


class IdempotencyKeyTaken(OpenbulkError):
    """The instance has a job with this idempotency key already; nothing was written."""

    def __init__(self) -> None:
        super().__init__("the instance has a job with this Idempotency-Key already")


class Unavailable(OpenbulkError):
    """What openbulk itself needs, its database, is away for a moment. What was to be written may have been written."""


class FileStoreUnavailable(Unavailable):
    """The place where the files are does not answer, or does not let us in. Nothing was changed."""

    @property
    def reason(self) -> str:
        """What the place itself said, in a line: for those who run the server, not for callers."""
        return str(self.__cause__).partition("\n")[0]


class Fenced(OpenbulkError):
    """Another process works on this slice now: stop, and write nothing more."""

    def __init__(self) -> None:
        super().__init__("another process has taken this slice over")


class DiskFull(OpenbulkError):
    """There is no room for it on the server's disk. Nothing was done; with room, the same can be done again."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the server has no room left for {what}: its disk is full. Nothing was lost; send it again when whoever "
            "runs the server has made room"
        )
        self.what = what
        """What there is no room for."""


class FileTruncated(OpenbulkError):
    """A block of a file is missing or short: the store has lost what it was given."""


class SealBroken(OpenbulkError):
    """Sealed bytes were changed, belong somewhere else, or were sealed with a key that is not on the ring."""


class KeyMissing(SealBroken):
    """Sealed bytes are intact, but the key that opens them is not on the ring: a person has to put it back."""


class CannotStart(OpenbulkError):
    """The server cannot start as it is set; the message says what to change."""


class WrongFiles(CannotStart):
    """The files in this place are not the ledger's; the message says what would be right."""


class WrongKey(CannotStart):
    """The ledger is sealed with another master key than this process has."""


class ServiceError(OpenbulkError):
    """A call to a cloud service failed. The records of that call have no outcome yet."""


class RetryLater(ServiceError):
    """The service did not do it, and would later (busy, throttled, down). Not a failure: it is waited for."""

    def __init__(
        self, message: str, *, after: float | None = None, provider_message: str | None = None
    ) -> None:
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


class CallWithdrawn(ServiceError):
    """The call was not made: another process may have taken over the slice that wanted it.

    A connector passes it on like any other `ServiceError`. The slice that called the connector stops with `Fenced`.
    """

    def __init__(self) -> None:
        super().__init__("the call was not made: another process may have taken this slice over")


class AddressNotAllowed(OpenbulkError, OSError):
    """A connection to an address that this server may not call (private, loopback, link-local) was refused.

    It is an OSError, too: HTTP clients and drivers treat it as a connection that the network refused.
    """
