"""From a job's rows to the records that are sent, and back to one outcome for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from openbulk.connectors.base import Features
from openbulk.connectors.targets import resolve_object
from openbulk.domain.job import Job
from openbulk.domain.records import (
    Action,
    Outcome,
    OutcomeKind,
    Problem,
    Record,
    Row,
    Target,
    value_at,
)


def target_of(job: Job, objects: Mapping[str, Features]) -> Target:
    """Where a job's records go: the object by the name that the service knows, also for a path."""
    target = replace(job.upload.target, run=job.upload.file, records=job.records)
    resolved = resolve_object(target.object, objects)
    options = {**target.options, **resolved.path_parameters}
    return replace(target, object=resolved.name, options=options)


def key_of(job: Job, row: Row) -> str:
    """A record's key: the caller's identifier where it tells records apart, else file and row."""
    target = job.upload.target
    # Two records that are created may have the same identifier, and are two records all the same.
    if target.identifier_field and target.action is not Action.CREATE:
        value = value_at(row.values or {}, target.identifier_field)
        if value is not None:
            return f"{target.identifier_field}={value}"
    return f"{job.upload.file}:{row.number}"


def ordering_key(target: Target, features: Features, record: Record) -> str:
    """What records have in common that must be sent one after another."""
    names = [target.identifier_field] if target.identifier_field else features.identifiers
    for name in names:
        value = value_at(record.values, name)
        if value not in (None, ""):
            return f"{name}={value}"
    return record.key


KIND_BY_ACTION = {
    Action.CREATE: OutcomeKind.CREATED,
    Action.UPDATE: OutcomeKind.UPDATED,
    Action.UPSERT: OutcomeKind.UPSERTED,
    Action.DELETE: OutcomeKind.DELETED,
}
"""The outcome of a record that the service has, after the answer to the call was lost."""


def unknown_problem(reason: str) -> Problem:
    """The problem of a record whose outcome is unknown."""
    return Problem(
        f"nobody knows whether the service has taken this record ({reason}); look there before "
        "sending it again"
    )


def one_each(batch: Sequence[Record], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Exactly one outcome for each record. One that a connector forgot is unknown."""
    by_row = {outcome.row: outcome for outcome in outcomes}
    problem = unknown_problem("the connector did not say")
    return [
        by_row.get(record.row, Outcome(record.row, OutcomeKind.UNKNOWN, problem=problem))
        for record in batch
    ]


@dataclass(slots=True)
class Progress:
    """What a slice knows of its job's rows."""

    cursor: int
    """All rows up to here have an outcome."""
    done: set[int] = field(default_factory=set)
    """Rows behind the cursor that have an outcome, recorded or not."""
    results: list[Outcome] = field(default_factory=list)
    """Outcomes that are not recorded yet."""
    lines: dict[int, int | None] = field(default_factory=dict)
    """The lines of rows that have no recorded outcome yet: a problem is shown with its line."""

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes, and move the cursor as far as every row has one."""
        for outcome in outcomes:
            self.results.append(outcome)
            self.done.add(outcome.row)
        while self.cursor + 1 in self.done:
            self.cursor += 1
            self.done.remove(self.cursor)

    def take(self) -> tuple[list[Outcome], dict[int, int | None]]:
        """The outcomes to record, and the lines of those with a problem."""
        results, self.results = self.results, []
        lines: dict[int, int | None] = {}
        for outcome in results:
            line = self.lines.pop(outcome.row, None)
            if outcome.problem is not None:
                lines[outcome.row] = line
        return results, lines
