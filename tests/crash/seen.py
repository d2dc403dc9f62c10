"""What a run has shown, for the checker."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crash.receiver import Callback
from crash.scenario import ForeignChanges, Scenario, Upload, Work


@dataclass(slots=True)
class Attempt:
    """A request for a job. A caller that gets no answer makes another."""

    work: Work
    tag: str
    job_id: int | None = None
    """None where the answer was lost."""
    is_cancelled: bool = False
    """Whether it was cancelled, as its caller was told."""
    is_applied: bool = False
    """Whether its plan was carried out, as its caller was told."""
    retry_id: int | None = None
    """The job that retries its rows, if any were left."""
    undo_id: int | None = None
    """The job that undoes it."""
    verification_id: int | None = None
    """The job that verifies it, if any of its rows was read."""

    @property
    def foreign(self) -> ForeignChanges:
        """What others have done to its records."""
        work = self.work
        if not isinstance(work, Upload) or work.foreign is None:
            return ForeignChanges()
        # Records without a reference are those of one attempt.
        is_changed = work.by_reference or self.job_id is not None
        return work.foreign if is_changed else ForeignChanges()


@dataclass(frozen=True, slots=True)
class LedgerJob:
    """A job, as the ledger has it in the end."""

    id: int
    tag: str
    status: str
    records: int | None
    cursor: int
    counts: Mapping[str, int]
    """By kind of outcome, as the job itself counts them."""
    kinds: Mapping[int, str]
    """The kinds of the outcomes, by row."""
    problems: Mapping[int, str]
    """Of records that were not taken, by row."""
    error: str | None
    retry_of: int | None = None
    """The job of which it retries rows."""
    undo_of: int | None = None
    """The job that it undoes."""
    verify_of: int | None = None
    """The job that it verifies."""
    planned: Mapping[int, int] = field(default_factory=dict)
    """How many parts of its plan, or of its comparison, have a row, by row."""
    planned_kinds: Mapping[str, int] = field(default_factory=dict)
    """How many rows its plan, or its comparison, has of a kind."""

    @property
    def is_original(self) -> bool:
        """Whether it follows up no other job."""
        return self.retry_of is self.undo_of is self.verify_of is None

    @property
    def is_finished(self) -> bool:
        """Whether its status is final."""
        return self.status in {"COMPLETE", "CANCELLED", "ABORTED", "ERROR", "PLANNED", "VERIFIED"}


@dataclass(frozen=True, slots=True)
class ShownVerification:
    """What the API says of a verification."""

    counts: Mapping[str, int]
    rows: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Seen:
    """All of a run."""

    scenario: Scenario
    attempts: list[Attempt] = field(default_factory=list)
    jobs: Sequence[LedgerJob] = ()
    statuses: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The API's statuses in the end, by job."""
    errors: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The API's error records of uploads, by job."""
    verifications: dict[int, ShownVerification] = field(default_factory=dict)
    """What the API says of verifications in the end, by the job that verifies."""
    files: list[tuple[str, bytes]] = field(default_factory=list)
    """The name of a download and its file, once for each time that it was fetched."""
    callbacks: Sequence[Callback] = ()
    ever: Counter[str] = field(default_factory=Counter)
    """How many events with this text were ever made, deleted ones included."""
    live: Counter[str] = field(default_factory=Counter)
    """How many events and calendars with this text are there."""
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Owner and location of the event or calendar with this text."""
    wrong: list[str] = field(default_factory=list)
    """What is wrong in any run: a process that ends by itself, an unexpected answer."""
    failed_answers: Counter[str] = field(default_factory=Counter)
    """Lost answers, and 503 and 507. They are right while something is down."""
    blows: list[str] = field(default_factory=list)
    """The blows that were struck: their kind and target."""
    seconds: float = 0.0
    seconds_after: float = 0.0
    """From the end of the last blow to the end of the last work."""
