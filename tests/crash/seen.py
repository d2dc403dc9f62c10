"""What was seen of a run, for the checker."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crash.receiver import Told
from crash.scenario import Scenario, Work


@dataclass(slots=True)
class Attempt:
    """A request for a job: whoever gets no answer asks again."""

    work: Work
    tag: str
    job_id: int | None = None
    """Where it was answered."""
    is_cancelled: bool = False
    """Whether somebody asked for it to be cancelled."""


@dataclass(frozen=True, slots=True)
class LedgerJob:
    """A job as the ledger has it in the end."""

    id: int
    tag: str
    status: str
    records: int | None
    cursor: int
    counts: Mapping[str, int]
    """By kind, as the job itself counts them."""
    kinds: Mapping[int, str]
    """By row."""
    problems: Mapping[int, str]
    """What was wrong with those that were not taken, by row."""
    error: str | None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in {"COMPLETE", "CANCELLED", "ABORTED", "ERROR"}


@dataclass(slots=True)
class Seen:
    """All of it."""

    scenario: Scenario
    attempts: list[Attempt] = field(default_factory=list)
    jobs: Sequence[LedgerJob] = ()
    statuses: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """What the API says in the end, by job."""
    errors: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The error records of uploads, by job."""
    files: list[tuple[str, bytes]] = field(default_factory=list)
    """Downloads' files by the names of their works, as often as they were fetched."""
    told: Sequence[Told] = ()
    ever: Counter[str] = field(default_factory=Counter)
    """How often an event with this text was ever made, and is there or was deleted."""
    live: Counter[str] = field(default_factory=Counter)
    """How often an event or a calendar with this text is there."""
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Whose the event or calendar with this text is, and where the event takes place."""
    wrong: list[str] = field(default_factory=list)
    """What was wrong by itself: processes that ended, answers that nobody should get."""
    failed_answers: Counter[str] = field(default_factory=Counter)
    """Answers that were lost, or said that the server cannot: they may come while something is down."""
    blows: list[str] = field(default_factory=list)
    """What was done, by kind and to whom."""
    seconds: float = 0.0
    seconds_after: float = 0.0
    """From when all was well again to when all was finished."""
