"""Exceptions, classified by what the handler does next.

OpenbulkError
├── CallerError                the request cannot be carried out; nothing was done
│   ├── BadInput               ... correct the request
│   │   └── OpenQuestion       ... say how the file is read (domain/file_questions.py)
│   │       ├── DateOrderUnknown  ... and in which order its dates are (domain/date_order.py)
│   │       ├── DelimiterUnknown  ... and its delimiter (formats/csv/delimiter_candidates.py)
│   │       ├── EncodingUnknown   ... and its encoding (formats/encoding_detection.py)
│   │       └── HeaderUnknown     ... and which row has its names (formats/header_candidates.py)
│   ├── NotSignedIn            ... send the right secrets
│   ├── TooManyGuesses         ... wait: too many wrong secrets came from this address
│   ├── TooManyUnderWay        ... wait until some of what is under way is finished
│   ├── LimitReached           ... wait, delete something, or have the limit raised
│   ├── NotAllowed             ... ask somebody who may
│   │   └── ConfirmFirst       ... or show once more that it is you
│   ├── NotPossible            ... this thing cannot do it
│   ├── NotFound               ... it does not exist, or is not yours
│   ├── Conflict               ... its state does not allow this
│   └── TooLarge               ... send less
├── IdempotencyKeyTaken        the instance has a job with this key: answer with that job
├── Unavailable                openbulk's database does not answer: try again in a moment
│   └── FileStoreUnavailable   ... its file store does not; a job waits outside of its lane
├── ReaderUnavailable          no process can read the file now: try again in a moment
├── ServerBusy                 the memory for such requests is taken: try again in a moment
├── DiskFull                   the server's disk is full: make room, and try again; nothing was done
├── SliceStopped               the job is cancelled, or the process stops: end the slice
├── Fenced                     another process took the slice over: stop, and write nothing more
├── FileTruncated              a stored file is damaged: its job ends
├── SealBroken                 sealed bytes were changed, or are another's: do not use them
│   └── KeyMissing             ... their master key is not set: put it back
├── CannotStart                the settings do not fit: change them as the message says
│   ├── WrongFiles             ... the file store belongs to another ledger
│   └── WrongKey               ... the ledger is sealed with another master key
├── FieldError                 a value cannot be sent: its record fails (connectors/fields.py)
│   ├── RecordTooEarly         ... it needs another one, which may come later in the file
│   └── UnknownColumn          ... a column means no field of the object (connectors/columns.py)
├── PathTaken                  two fields of a record go to one (domain/renaming.py): it fails
├── RecordRefused              Google refused a record: it fails (connectors/googlecalendar)
├── EventDrifted               a plan saw the event otherwise: it stays (connectors/googlecalendar)
├── NotKept                    a column would round a value: its row fails (connectors/sql)
├── Undoable                   a part of an export is left out, and listed (connectors/custom)
├── TrialError                 PostgreSQL refuses a row that was tried alone: its row fails
├── RolledBack                 a row ended its transaction: its neighbours are written without it
├── WrittenElsewhere           a database held rows back: they are written one by one, and counted
├── NotUnderstood              a text is not a query: say where (api/wire/sql_queries.py)
├── AlreadyRecorded            a record has an outcome already: write nothing (storage)
├── CommandFailed              a command of the terminal ends, with its exit code (client)
├── ApiRefusal                 the API refuses what the console asks for: show why (console)
├── ProviderFailed             an organization's OpenID provider does not work: show why
├── AddressNotAllowed          openbulk does not connect to a private address; an OSError, too
└── ServiceError               a call to a service failed; its class says what became of the records
    ├── RetryLater             not done: send it again after a while
    ├── AnswerLost             the answer was lost: it may have been done
    ├── Refused                not done, and a retry will not help: stop the job
    ├── SignInAgain            not done: the service no longer accepts the credentials
    │   └── InstanceDisabled   ... or somebody has disabled the instance: enable it
    ├── CursorExpired          the page token has expired: read the list from its beginning
    └── CallWithdrawn          not done: another process may have taken the slice over
"""

from collections.abc import Collection


class OpenbulkError(Exception):
    """Every error that openbulk raises on purpose. Its message is a sentence for a person."""

    def __init__(self, message: str, *, provider_message: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.provider_message = provider_message
        """The cloud service's own message, word for word; None if it sent none."""


class CallerError(OpenbulkError):
    """The caller's request cannot be carried out; nothing was done."""


class BadInput(CallerError):
    """The request is malformed, or names something that does not exist.

    The message says what would be right.
    """


class NotSignedIn(CallerError):
    """The secrets in the request are missing or wrong."""


class TooManyGuesses(CallerError):
    """Too many wrong secrets came from this address."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds until the address may try again."""


class TooManyUnderWay(CallerError):
    """The organization has as many unfinished jobs or workflows as it may have."""


class LimitReached(CallerError):
    """The organization uses as much as its limits allow (domain/limits.py)."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which a retry may work; None if nobody knows them."""


class NotAllowed(CallerError):
    """The caller is known, but may not do this."""


class ConfirmFirst(NotAllowed):
    """The caller may do this, once they have shown again that the session is theirs."""


class NotPossible(CallerError):
    """The thing exists, but cannot do this. The message says what it can do."""

    def __init__(self, message: str, *, can: Collection[str]) -> None:
        super().__init__(message)
        self.can = can
        """What can be done with it: of read, create, update and delete."""


class NotFound(CallerError):
    """It does not exist, or belongs to somebody else: the caller cannot tell which."""


class Conflict(CallerError):
    """The state of the thing does not allow this."""


class TooLarge(CallerError):
    """The request is larger than the server takes."""


class IdempotencyKeyTaken(OpenbulkError):
    """The instance has a job with this idempotency key already; nothing was written."""

    def __init__(self) -> None:
        super().__init__("the instance has a job with this Idempotency-Key already")


class Unavailable(OpenbulkError):
    """Openbulk's own database does not answer at the moment. A write may have taken effect."""


class FileStoreUnavailable(Unavailable):
    """The file store does not answer, or refuses access. Nothing was changed."""

    @property
    def reason(self) -> str:
        """The store's own message, in one line: for the operator of the server, not for callers."""
        return str(self.__cause__).partition("\n")[0]


class ReaderUnavailable(OpenbulkError):
    """No process can read a file now: all are busy, or somebody killed the one that read it."""


class ServerBusy(OpenbulkError):
    """Other requests hold all memory that the server has for such ones. Nothing was done."""


class Fenced(OpenbulkError):
    """Another process works on this slice now: stop, and write nothing more."""

    def __init__(self) -> None:
        super().__init__("another process has taken this slice over")


class DiskFull(OpenbulkError):
    """The server's disk is full. Nothing was done; try again once there is room."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the disk of the server is full: it has no space for {what}. Nothing was lost; "
            "send the request again once the operator of the server has freed space"
        )
        self.what = what
        """What does not fit on the disk."""


class SliceStopped(OpenbulkError):
    """The job is cancelled, or the process stops: the slice ends while it waits."""

    def __init__(self) -> None:
        super().__init__("the job is cancelled, or openbulk is stopping")


class FileTruncated(OpenbulkError):
    """A block of a file is missing or short: the file store has lost data."""


class SealBroken(OpenbulkError):
    """Sealed bytes were changed, belong somewhere else, or their key is not on the key ring."""


class KeyMissing(SealBroken):
    """The key of sealed bytes is not on the key ring: a person has to put it back."""


class ProviderFailed(OpenbulkError):
    """The OpenID provider of an organization does not answer, or not as OpenID Connect asks for."""


class CannotStart(OpenbulkError):
    """The server cannot start with these settings. The message says what to change."""


class WrongFiles(CannotStart):
    """The file store belongs to another ledger. The message says what would be right."""


class WrongKey(CannotStart):
    """The ledger is sealed with a master key that this process does not have."""


class ServiceError(OpenbulkError):
    """A call to a cloud service failed. The records of that call have no outcome yet."""


class RetryLater(ServiceError):
    """The service is busy, throttled or down, and did nothing. Waiting for it is not a failure."""

    def __init__(
        self, message: str, *, after: float | None = None, provider_message: str | None = None
    ) -> None:
        super().__init__(message, provider_message=provider_message)
        self.after = after
        """Seconds to wait, as the service demands; None if it does not say."""


class AnswerLost(ServiceError):
    """The answer was lost: the service may or may not have done it."""


class Refused(ServiceError):
    """The service will not do this on any retry: it is forbidden, disabled or misconfigured."""


class SignInAgain(ServiceError):
    """The service no longer accepts the credentials: a person has to sign in again."""


class InstanceDisabled(SignInAgain):
    """Somebody has disabled the instance: a person has to enable it."""


class CursorExpired(ServiceError):
    """A page token or a bookmark has expired: drop both, and read from the beginning."""


class CallWithdrawn(ServiceError):
    """The call was not made: another process may have taken over the slice that wanted it.

    A connector passes it on like any other `ServiceError`. The slice that called the connector
    stops with `Fenced`.
    """

    def __init__(self) -> None:
        super().__init__("the call was not made: another process may have taken this slice over")


class AddressNotAllowed(OpenbulkError, OSError):
    """This server may not connect to the address: it is private, loopback or link-local.

    It is also an OSError, so that HTTP clients and drivers treat it as a connection that the
    network refused.
    """
