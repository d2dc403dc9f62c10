"""The plan of a job: what it would do with each of its records, before it does anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from openbulk.domain.records import Expectation, Outcome, OutcomeKind, Problem


class Completeness(StrEnum):
    """How much of a job its plan can say."""

    COMPLETE = "complete"
    """Every record is compared with what the service holds."""
    BY_KEY = "by key"
    """Records are found, and some rows are not decided: they depend on other rows of the file, or
    the service refuses them by rules of its own."""
    NONE = "none"
    """Rows are read and checked, and nothing is compared."""


class PlannedKind(StrEnum):
    """What would become of a record. Each row of a planned file has exactly one kind."""

    CREATED = "created"
    UPDATED = "updated"
    UPSERTED = "upserted"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    """The record would fail; its problem says why."""
    AMBIGUOUS = "ambiguous"
    """The service has several records that the row may mean, and so it would fail."""
    NOT_COMPARED = "not_compared"
    """The row can be read, and nobody can say what the service will do with it."""
    REVERSED = "reversed"
    """An undo would put the record back. This kind and the next three are those of undos."""
    KEPT = "kept"
    GONE_ALREADY = "gone_already"
    NOT_REVERSIBLE = "not_reversible"


_KINDS = {
    OutcomeKind.FAILED: PlannedKind.REFUSED,
    OutcomeKind.UNKNOWN: PlannedKind.NOT_COMPARED,
}


class Counted(StrEnum):
    """What a service counts beside calls."""

    CREATED = "created"
    MAILS_OUTSIDE = "mailsOutside"


@dataclass(frozen=True, slots=True)
class UsageLimit:
    """How much of something a service lets a person do in some time."""

    counted: Counted
    number: int
    sentence: str
    """The limit, and what happens when it is met."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field that a job would change."""

    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """What a calendar shows of an event."""

    title: str
    start: str
    """A date, or a date and time as the event has it: those of its own time zone."""
    end: str
    """As `start`. The end of whole days is the day behind them."""
    repeats: bool = False
    """Whether it is the first date of a series."""

    @property
    def days(self) -> tuple[str, str]:
        """Its first day and its last one."""
        is_whole = len(self.end) == len("2026-05-30")
        last = _day_before(self.end) if is_whole else self.end[:10]
        first = self.start[:10]
        return first, max(first, last)


def _day_before(day: str) -> str:
    try:
        return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):  # the service's own, which it may write as it likes
        return day


@dataclass(frozen=True, slots=True)
class Planned:
    """What a job would do with one record."""

    row: int
    kind: PlannedKind
    id: str | None = None
    """The id of the record that the service has; None for a new one."""
    changes: Mapping[str, Change] = field(default_factory=dict)
    """Field by field, what an update would change."""
    problem: Problem | None = None
    matches: int = 0
    """For an ambiguous row, how many records of the service it may mean."""
    version: str | None = None
    """The state of the service's record that was seen; None if it has none."""
    changed_at: str | None = None
    """When the service's record was changed last, as the service writes it; None if it does not
    say."""
    calls: int = 0
    """Calls that would write it; 0 if the service takes many records in one call."""
    lookups: int = 0
    """Calls that read, and that the job makes, too."""
    place: str | None = None
    """Where the calls that write count: the calendar of an event; None if there is no such place.
    """
    mails: int = 0
    """People whom the service would mail."""
    mails_outside: int = 0
    """Those of them outside the caller's organization."""
    remark: str = ""
    """What else the row would do, or leave out, in a sentence."""
    entry: CalendarEntry | None = None
    """Of an event, what its calendar would show; of one that is deleted, what it shows now."""
    key: str | None = None
    """Equal for all rows that mean this record; None if the row is a new one in any case."""
    is_early: bool = False
    """The row is refused because it needs one that may come later in the file: it is planned again
    behind the others."""

    @property
    def expectation(self) -> Expectation | None:
        """What carrying it out expects of the service's record; None if nothing is known of it."""
        if self.kind is PlannedKind.NOT_COMPARED or self.is_refused:
            return None
        before = {name: change.before for name, change in self.changes.items()}
        return Expectation(OutcomeKind(self.kind.value), self.id, self.version, before)

    @property
    def is_refused(self) -> bool:
        """Whether the record would fail."""
        return self.kind in {PlannedKind.REFUSED, PlannedKind.AMBIGUOUS}


def kind_of(outcome: Outcome) -> PlannedKind:
    """The kind of a row with this outcome."""
    return _KINDS.get(outcome.kind) or PlannedKind(outcome.kind.value)


def plan_of_refusal(outcome: Outcome, key: str | None = None) -> Planned:
    """The plan of a record that would fail with this outcome. `key` is `Planned.key`."""
    return Planned(
        outcome.row, kind_of(outcome), problem=outcome.problem, key=key, is_early=outcome.is_early
    )
