"""A job: one file on its way into one object of one service, or out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from openbulk.domain.query import Condition, Order
from openbulk.domain.records import OutcomeKind, Target


class Status(StrEnum):
    """Where a job stands. The words are the wire contract's; `COMPLETE` is the seed's spelling."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    CANCELLATION_PENDING = "CANCELLATION_PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    ABORTED = "ABORTED"
    """openbulk could not go on: the file cannot be read, or a slice failed again and again."""
    ERROR = "ERROR"
    """The service refused to go on."""

    @property
    def is_final(self) -> bool:
        """True where nothing more will happen to the job."""
        return self in FINAL


FINAL = frozenset({Status.COMPLETE, Status.CANCELLED, Status.ABORTED, Status.ERROR})
SMALL_FILE = 64 * 1024
"""Bytes. A file up to here is read within its job's first turn: it is not worth a turn of its own."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records ended how."""

    created: int = 0
    updated: int = 0
    upserted: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, kinds: Mapping[OutcomeKind, int]) -> "Counts":
        """Counts from a tally of kinds."""
        return cls(**{kind.value: kinds.get(kind, 0) for kind in OutcomeKind})

    @property
    def reached(self) -> int:
        """Records that have an outcome."""
        return sum(getattr(self, kind.value) for kind in OutcomeKind)


@dataclass(frozen=True, slots=True)
class Upload:
    """What the caller asked for: the part of a job that never changes."""

    target: Target
    file: str
    """Name of the uploaded file in the file store: random, and never used twice."""
    file_size: int
    """Bytes."""
    file_format: str
    """`csv`, `json` or `jsonl`."""
    callback_url: str | None = None
    records_of: int | None = None
    """The download whose records are sent, in place of a file of their own."""

    @property
    def is_small(self) -> bool:
        """Whether the file is read in the turn that begins to send its records."""
        return self.records_of is None and self.file_size <= SMALL_FILE


@dataclass(frozen=True, slots=True)
class Download:
    """What the caller asked for, where records are to come back."""

    object: str
    """By the name that the service knows, or one of its paths."""
    file: str
    """Name in the file store under which the records are kept: random, and never used twice."""
    fields: tuple[str, ...] = ()
    """The fields to keep, dotted; all of them where there are none."""
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    """The fields to sort by, the first of them first."""
    is_sorted_by_service: bool = False
    """Whether the service does the sorting; otherwise everything is read first, and sorted here."""
    limit: int | None = None
    page_size: int | None = None
    page_limit: int | None = None
    """Most pages to ask the service for; the rest is for a job that goes on behind this one."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The service's own query parameters, passed through."""
    changed_since: datetime | None = None
    keeps_nulls: bool = False
    """Whether a field that was asked for and is not there is null, rather than absent."""
    begin: "Position | None" = None
    """Where to go on reading what an earlier job began; None at the beginning."""
    text: str = ""
    """The query as it is shown."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The caller's `metaData`, or the body that asked for it, as it came."""
    file_format: str = "csv"
    """The format in which the caller wants the records, unless he says otherwise when he fetches them."""
    callback_url: str | None = None
    is_v3: bool = False
    """Whether it was asked for as `POST /bulk/download`, whose status has keys of its own."""

    @property
    def is_sorted_here(self) -> bool:
        """Whether its records are brought into their order once all of them have been read."""
        return bool(self.order) and not self.is_sorted_by_service


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """By what a request is known again that its caller may send twice, and means once."""

    key: str
    """The caller's; of an instance, no two jobs have the same."""
    digest: str
    """Digest of all that was asked for, the file's bytes included."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a download has read."""

    after: str | None = None
    """The cursor of the last page that was read; None before the first."""
    skip: int = 0
    """Records of the page behind it that were taken already."""
    is_end: bool = False
    """Whether there is nothing behind it."""
    pages: int = 0
    """Pages that were read to their end."""
    since: str | None = None
    """The bookmark from which on changes are read; None where the records themselves are."""
    continues: bool = False
    """Whether what is before it belongs to another job: there is no going back to the beginning."""
    restarts: int = 0
    """How often reading had to begin again, because the service did not know any more where it was."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the ledger remembers it."""

    id: int
    organization_id: int
    instance_id: int
    work: Upload | Download
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    request_id: str | None = None
    records: int | None = None
    """Records in the file; None until it has been read to its end."""
    cursor: int = 0
    """Every record up to this row has an outcome."""
    counts: Counts = field(default_factory=Counts)
    mailed_outside: int = 0
    """Records about which people outside the organization were sent mail."""
    slice: int = 0
    """Number of the slice that is due or running."""
    slice_attempts: int = 0
    """How often this slice was started without moving the cursor."""
    waiting_until: datetime | None = None
    waiting_for: str | None = None
    """Why the job waits, in a sentence; None once it has got on again."""
    error: str | None = None
    """Why the job stopped before its end, in a sentence."""
    position: Position = Position()
    """How far a download has read; its cursor is the number of records that it has kept."""
    columns: tuple[str, ...] = ()
    """The dotted names of all fields that the records of a download have."""

    @property
    def upload(self) -> Upload:
        """What was asked for, of an upload."""
        assert isinstance(self.work, Upload)
        return self.work

    @property
    def download(self) -> Download:
        """What was asked for, of a download."""
        assert isinstance(self.work, Download)
        return self.work

    @property
    def is_download(self) -> bool:
        """Whether records come out of the service."""
        return isinstance(self.work, Download)

    @property
    def calls_its_service(self) -> bool:
        """Whether its turns call the service, and so have to stand in its lane: not while a large file is read."""
        return self.records is not None or self.is_download or self.upload.is_small

    @property
    def object(self) -> str:
        """The object that it is about, as the caller called it."""
        return self.work.object if isinstance(self.work, Download) else self.work.target.object

    @property
    def options(self) -> Mapping[str, Any]:
        """The caller's `metaData`, as it came."""
        return self.work.options if isinstance(self.work, Download) else self.work.target.options

    @property
    def is_finished(self) -> bool:
        """True where nothing more will happen to it."""
        return self.status.is_final

    @property
    def not_reached(self) -> int | None:
        """Records without an outcome; None until the file has been read to its end."""
        return None if self.records is None else self.records - self.counts.reached
