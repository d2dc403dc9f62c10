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
    """Where a job's records go: its object by the name that the service knows, whatever path it was given by."""
    target = replace(job.upload.target, run=job.upload.file, records=job.records)
    resolved = resolve_object(target.object, objects)
    options = {**target.options, **resolved.path_parameters}
    return replace(target, object=resolved.name, options=options)


def key_of(job: Job, row: Row) -> str:
    """The key of a record: by the caller's identifier where it tells records apart, else by file and row."""
    target = job.upload.target
    if target.identifier_field and target.action is not Action.CREATE:
        value = value_at(row.values or {}, target.identifier_field)
        if value is not None:
            return f"{target.identifier_field}={value}"
    return f"{job.upload.file}:{row.number}"


def ordering_key(target: Target, features: Features, record: Record) -> str:
    """What records have in common that must be sent one after another."""
    for name in [target.identifier_field] if target.identifier_field else features.identifiers:
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


def unknown(reason: str) -> str:
    """What to tell a person of a record whose outcome nobody knows."""
    return f"nobody knows whether the service has taken this record ({reason}); look there before sending it again"


def one_each(batch: Sequence[Record], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Exactly one outcome for each record, also where a connector forgot one: then it is unknown."""
    by_row = {outcome.row: outcome for outcome in outcomes}
    return [
        by_row.get(record.row)
        or Outcome(
            record.row, OutcomeKind.UNKNOWN, problem=Problem(unknown("the connector did not say"))
        )
        for record in batch
    ]


@dataclass(slots=True)
class Progress:
    """What a turn knows of its job's rows."""

    cursor: int
    done: set[int] = field(default_factory=set)
    """Rows behind the cursor that have an outcome, written down or not."""
    results: list[Outcome] = field(default_factory=list)
    """Outcomes that are not written down yet."""
    lines: dict[int, int | None] = field(default_factory=dict)
    """The lines of rows that may need one: those that are under way or have a problem."""

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes in, and move the cursor behind the last row before which all have one."""
        for outcome in outcomes:
            self.results.append(outcome)
            self.done.add(outcome.row)
        while self.cursor + 1 in self.done:
            self.cursor += 1
            self.done.remove(self.cursor)

    def take(self) -> tuple[list[Outcome], dict[int, int | None]]:
        """The outcomes to write down, and the lines of those with a problem."""
        results, self.results = self.results, []
        lines = {outcome.row: self.lines.pop(outcome.row, None) for outcome in results}
        return results, {
            outcome.row: lines[outcome.row] for outcome in results if outcome.problem is not None
        }
