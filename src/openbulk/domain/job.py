"""A job: one file on its way into one object of one service, or out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from openbulk.domain.apply import Apply
from openbulk.domain.approvals import NOBODY_KNOWN, Author
from openbulk.domain.query import ChangedRange, Query
from openbulk.domain.records import OutcomeKind, Target


class Status(StrEnum):
    """A job's status, as the wire contract spells it. Why `COMPLETE`: decision 4."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    CANCELLATION_PENDING = "CANCELLATION_PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    ABORTED = "ABORTED"
    """openbulk could not continue: the file cannot be read, or a slice kept failing."""
    ERROR = "ERROR"
    """The service refused to continue."""
    PLANNING = "PLANNING"
    """openbulk finds out what the job would do. Only a job that is to be planned has it."""
    PLANNED = "PLANNED"
    """The plan is made, and nothing of it, or its first rows alone, is carried out."""
    VERIFYING = "VERIFYING"
    """openbulk compares what an earlier job has written. Only the job that does it has it."""
    VERIFIED = "VERIFIED"
    """All rows of the earlier job are compared."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in FINAL


ENDS_WELL = frozenset({Status.COMPLETE, Status.PLANNED, Status.VERIFIED})
"""How jobs end that have come to their last row."""
FINAL = frozenset({*ENDS_WELL, Status.CANCELLED, Status.ABORTED, Status.ERROR})
SMALL_FILE = 64 * 1024
"""Bytes. A larger file is cut in a slice of its own, before the first slice that sends records."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of records with each kind of outcome."""

    created: int = 0
    updated: int = 0
    upserted: int = 0
    unchanged: int = 0
    deleted: int = 0
    not_found: int = 0
    failed: int = 0
    drifted: int = 0
    unknown: int = 0
    reversed: int = 0
    kept: int = 0
    gone_already: int = 0
    not_reversible: int = 0

    @classmethod
    def of(cls, kinds: Mapping[OutcomeKind, int]) -> "Counts":
        """Counts from the number of records of each kind; a missing kind counts as 0."""
        return cls(**{kind.value: kinds.get(kind, 0) for kind in OutcomeKind})

    @property
    def total(self) -> int:
        """Records that have an outcome."""
        return sum(getattr(self, kind.value) for kind in OutcomeKind)


@dataclass(frozen=True, slots=True)
class Retry:
    """What a job retries: some rows of an earlier job."""

    of: int
    """Id of the earlier job."""
    files: tuple[str, ...]
    """The files of that job and those before it, if it is a retry itself: the first one first."""
    rows: int
    """How many rows it retries."""


@dataclass(frozen=True, slots=True)
class Undo:
    """What a job undoes: the writes of an earlier job."""

    of: int
    """Id of the earlier job."""
    overwrites: bool = False
    """Whether records that somebody has changed since are put back, too."""
    rows: tuple[int, ...] | None = None
    """The rows of the earlier job that are undone; None for all that it wrote."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a job verifies: the rows that an earlier job has written."""

    of: int
    """Id of the earlier job."""
    files: tuple[str, ...]
    """The file of that job, whose parts are read, behind those of the jobs that it retries."""
    rows: int
    """How many rows that job had."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way into a service: the part of a job that never changes."""

    target: Target
    file: str
    """Name of the uploaded file in the file store: random, and never used twice."""
    file_size: int
    """Bytes."""
    file_format: str
    """By its name in `formats.FORMATS`, such as `csv`."""
    callback_url: str | None = None
    records_of: int | None = None
    """Id of the download whose records are sent; None if they come from an uploaded file."""
    planned_file: str | None = None
    """A digest of the file, if the job is planned before it writes; None for any other."""
    uploaded_file: str | None = None
    """Name in the file store of the file of `POST /files` that the job reads, as others may; None
    if its file came with its request."""
    retry: Retry | None = None
    """None if it sends all rows of its file."""
    undo: Undo | None = None
    """None if it sends records; else its rows are what an earlier job did, the last one first."""
    verification: Verification | None = None
    """None if it does not verify an earlier job."""

    @property
    def of_earlier_job(self) -> Retry | Verification | None:
        """What it does with rows of an earlier job; None if its rows are its own."""
        return self.retry or self.verification

    @property
    def earlier_files(self) -> tuple[str, ...]:
        """The files of the jobs that sent its rows before it, the first one first."""
        return () if self.of_earlier_job is None else self.of_earlier_job.files

    @property
    def file_of_parts(self) -> str:
        """The file whose parts it reads, by its name in the file store."""
        return self.file if self.verification is None else self.verification.files[-1]

    @property
    def first_file(self) -> str:
        """The file that its rows come from, whatever was mended in them since."""
        return self.file if self.retry is None else self.retry.files[0]

    @property
    def has_own_file(self) -> bool:
        """Whether the file is of this job alone, and not of an earlier one or of `POST /files`."""
        others = (self.uploaded_file, self.records_of, self.of_earlier_job, self.undo)
        return all(other is None for other in others)

    @property
    def file_to_read(self) -> str:
        """The file that is cut into parts, by its name in the file store. `file` keeps them."""
        return self.uploaded_file or self.file

    @property
    def is_small(self) -> bool:
        """Whether the first slice that sends records also cuts the file."""
        return self.records_of is None and self.file_size <= SMALL_FILE


@dataclass(frozen=True, slots=True)
class Download:
    """The answer to a query, on its way into a file: the part of a job that never changes."""

    query: Query
    file: str
    """Name in the file store under which the records are kept: random, and never used twice."""
    file_format: str = "csv"
    """The format in which the file is fetched, unless the request that fetches it names another."""
    callback_url: str | None = None
    begin: "Position | None" = None
    """The end of the earlier job that this one continues; None to read from the beginning."""
    page_size: int | None = None
    page_limit: int | None = None
    """Maximum pages to read from the service; a job that continues this one reads the rest."""
    is_sorted_by_service: bool = False
    """If False, openbulk reads all records and then sorts them."""
    keeps_nulls: bool = False
    """Whether a selected field that a record lacks becomes null; otherwise it is left out."""
    text: str = ""
    """The query as text, for display."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The caller's `metaData`; for `POST /bulk/download`, the whole body. Its keys are in the
    spelling of the parts that read them."""
    unused_options: tuple[str, ...] = ()
    """What the caller sent that has no effect on this job, as `metaData.path`."""
    is_v3: bool = False
    """Whether it was created by `POST /bulk/download`, whose status has keys of its own."""

    @property
    def is_sorted_here(self) -> bool:
        """Whether openbulk sorts the records, once all of them have been read."""
        return bool(self.query.order) and not self.is_sorted_by_service

    def restrict_to(self, changes: ChangedRange | None) -> "Download":
        """This download, restricted to records changed within a range; unchanged if it is None."""
        return replace(self, query=self.query.restrict_to(changes))


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Identifies a request, so that a retry does not create a second job."""

    key: str
    """The caller's key: unique among the jobs of an instance."""
    digest: str
    """Digest of the whole request, the file's bytes included."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a download has read."""

    after: str | None = None
    """Page token of the last page that was read completely; None before the first page."""
    skip: int = 0
    """Records already taken from the page after the page token."""
    is_end: bool = False
    """Whether everything has been read."""
    pages: int = 0
    """Pages read completely."""
    since: str | None = None
    """The bookmark from which changes are read; None if the records themselves are read."""
    continues: bool = False
    """Whether an earlier job has read up to here: this one cannot restart from the beginning."""
    restarts: int = 0
    """How often reading restarted, because a page token or a bookmark had expired."""
    sparse: int = 0
    """The latest pages in a row that had hardly any records."""
    mark: str | None = None
    """A page token before: if it comes again, the list has no end."""


KEPT_REMARKS = 20
"""Rows whose remarks are kept; the others are counted."""
REMARK_CHARACTERS = 300
"""A longer remark is shortened: one event may have thousands of guests without an address."""


@dataclass(frozen=True, slots=True)
class RowRemark:
    """What a person should know of one row: what was left out of it, or what else it changed."""

    row: int
    line: int | None
    """The line of the file on which the row begins; None if the format has no lines."""
    text: str


@dataclass(frozen=True, slots=True)
class Remarks:
    """What a person should know of a job's rows, although they were sent."""

    rows: int = 0
    """Remarks on single rows."""
    first: tuple[RowRemark, ...] = ()
    """The first of them; the others are only counted. What a row changed comes before what was left
    out of one."""
    columns: tuple[str, ...] = ()
    """Columns that were left out of every row, because the service fills them itself."""

    def add(self, written: Sequence[RowRemark]) -> "Remarks":
        """These remarks, and those on rows that were written since."""
        shortened = (
            replace(remark, text=shorten_remark(remark.text)) for remark in written[:KEPT_REMARKS]
        )
        first = (*shortened, *self.first)[:KEPT_REMARKS]
        return replace(self, rows=self.rows + len(written), first=first)


def shorten_remark(text: str) -> str:
    """A remark of at most so many characters as are kept."""
    if len(text) <= REMARK_CHARACTERS:
        return text
    return f"{text[: REMARK_CHARACTERS - 1]}…"


NO_REMARKS = Remarks()


@dataclass(frozen=True, slots=True)
class NextSlice:
    """A slice of a job that is due, now or later."""

    job_id: int
    number: int
    lane: int | None
    """The instance in whose lane it runs; None outside the lanes."""
    delay: float = 0.0
    """Seconds until it is due."""


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
    remarks: Remarks = NO_REMARKS
    """What was left out of the records; nothing until the file has been read to its end."""
    cursor: int = 0
    """Every record up to this row has an outcome."""
    counts: Counts = field(default_factory=Counts)
    mailed_outside: int = 0
    """Records about which the service mailed people outside the organization."""
    slice: int = 0
    """Number of the slice that is due or running."""
    slice_attempts: int = 0
    """How often this slice has started without moving the cursor."""
    waiting_until: datetime | None = None
    waiting_for: str | None = None
    """Why the job waits, in a sentence; None while it does not."""
    is_paused: bool = False
    """Whether its caller has paused it: no slice of it is due until it is resumed."""
    priority: int = 0
    """Of the jobs of an instance, those with a higher one go first."""
    calls_per_minute: int | None = None
    """How many calls its caller lets it make; None for as many as the service takes."""
    error: str | None = None
    """Why the job stopped before its end, in a sentence."""
    author: Author = NOBODY_KNOWN
    """Who has made it."""
    planned_at: datetime | None = None
    """When its plan was made."""
    apply: Apply | None = None
    """How its plan is carried out; None as long as it is not."""
    position: Position = Position()
    """How far a download has read; its `cursor` is the number of records kept."""
    has_file: bool = True
    """Whether its file, or its records, are still kept."""
    columns: tuple[str, ...] = ()
    """The fields of all records that a download has kept, dotted. Of an upload, the columns of its
    table, in their order; none of other formats."""
    delimiter: str = ","
    """What is between the cells of an uploaded CSV."""

    @property
    def upload(self) -> Upload:
        """The work of an upload job."""
        assert isinstance(self.work, Upload)
        return self.work

    @property
    def download(self) -> Download:
        """The work of a download job."""
        assert isinstance(self.work, Download)
        return self.work

    @property
    def retry(self) -> Retry | None:
        """What the job retries; None if it is no retry."""
        return self.work.retry if isinstance(self.work, Upload) else None

    @property
    def undo(self) -> Undo | None:
        """What the job undoes; None if it is no undo."""
        return self.work.undo if isinstance(self.work, Upload) else None

    @property
    def verification(self) -> Verification | None:
        """What the job verifies; None if it does not."""
        return self.work.verification if isinstance(self.work, Upload) else None

    @property
    def is_plan(self) -> bool:
        """Whether the job only says what it would do, so far."""
        is_planned = isinstance(self.work, Upload) and self.work.planned_file is not None
        return is_planned and self.apply is None

    @property
    def is_download(self) -> bool:
        """Whether the job reads records from the service."""
        return isinstance(self.work, Download)

    def next_slice(self, now: datetime) -> NextSlice:
        """The slice of the job that is due next."""
        lane = self.instance_id if self.calls_its_service else None
        delay = 0.0
        if self.waiting_until is not None:
            delay = max(0.0, (self.waiting_until - now).total_seconds())
        return NextSlice(self.id, self.slice, lane, delay)

    @property
    def calls_its_service(self) -> bool:
        """Whether its next slice calls the service, and so needs the lane.

        A slice that only reads a large file does not.
        """
        return self.records is not None or self.is_download or self.upload.is_small

    @property
    def object(self) -> str:
        """The job's object, by the name that the caller used."""
        if isinstance(self.work, Download):
            return self.work.query.name
        return self.work.target.object

    @property
    def options(self) -> Mapping[str, Any]:
        """The caller's `metaData`, its keys in the spelling of the parts that read them."""
        if isinstance(self.work, Download):
            return self.work.options
        return self.work.target.options

    @property
    def unused_options(self) -> tuple[str, ...]:
        """What the caller sent that has no effect on this job, as `metaData.path`."""
        if isinstance(self.work, Download):
            return self.work.unused_options
        return self.work.target.unused_options

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self.status.is_final

    @property
    def own_records(self) -> int | None:
        """Records that the job sends; None until the file has been read to its end.

        A retry, or a verification, knows them from the start. The others in its file are not its
        own.
        """
        earlier = None if self.is_download else self.upload.of_earlier_job
        return self.records if earlier is None else earlier.rows

    @property
    def not_reached(self) -> int | None:
        """Records without an outcome; None until the file has been read to its end."""
        return None if self.own_records is None else self.own_records - self.counts.total
