"""A job: one file on its way into one object of one service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from openbulk.domain.records import Fate, Target


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
    def of(cls, fates: Mapping[Fate, int]) -> "Counts":
        """Counts from a tally of fates."""
        return cls(**{fate.value: fates.get(fate, 0) for fate in Fate})

    @property
    def reached(self) -> int:
        """Records that have an outcome."""
        return sum(getattr(self, fate.value) for fate in Fate)


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


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the ledger remembers it."""

    id: int
    organization_id: int
    instance_id: int
    upload: Upload
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

    @property
    def is_finished(self) -> bool:
        """True where nothing more will happen to it."""
        return self.status.is_final

    @property
    def not_reached(self) -> int | None:
        """Records without an outcome; None until the file has been read to its end."""
        return None if self.records is None else self.records - self.counts.reached
