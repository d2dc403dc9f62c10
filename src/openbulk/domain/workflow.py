"""A workflow: records go from one instance's object into another's, at once or by a schedule.

PLAN      what is read, and where it goes
TRANSFER  a plan that is carried out: a download, then an upload of what it has read
RUN       the transfers that were asked for together, one after another
SCHEDULE  plans that are carried out again and again
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from openbulk.domain.job import Download
from openbulk.domain.query import All, Comparison, conjuncts
from openbulk.domain.records import Target


@dataclass(frozen=True, slots=True)
class Changes:
    """Bounds by the date of a record's change."""

    field: str
    """The field with the date."""
    since: datetime | None = None
    """Only what was changed then or later."""
    until: datetime | None = None
    """Only what was changed until then, that moment included."""
    before: datetime | None = None
    """Only what was changed earlier."""
    is_known_to_service: bool = True
    """Whether the service itself dates changes by this field: then it is asked for no more than those."""


def bounded(download: Download, changes: Changes | None) -> Download:
    """A download of what was changed within these bounds, and of nothing else."""
    if changes is None:
        return download
    bounds = ((">=", changes.since), ("<=", changes.until), ("<", changes.before))
    parts = [
        Comparison(changes.field, operator, (moment.isoformat(),))
        for operator, moment in bounds
        if moment is not None
    ]
    return replace(
        download,
        where=All((*conjuncts(download.where), *parts)),
        changed_since=changes.since if changes.is_known_to_service else None,
    )


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the records of a transfer go."""

    instance_id: int
    target: Target
    callback_url: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read, and where it goes."""

    download: Download
    """Its file is named when it is carried out."""
    changes: Changes | None = None
    """Bounds by the date of change. Where a schedule has a lower one, each run begins where the last one ended."""
    destination: Destination | None = None
    """None where the records are only kept, to be fetched."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """What the caller said, less the secrets: to be shown."""


class RunStatus(StrEnum):
    """How a run or a transfer stands."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Run:
    """Transfers that were asked for together."""

    id: str
    organization_id: int
    instance_id: int
    """The instance that is read."""
    created_at: datetime
    schedule_id: str | None = None
    status: RunStatus = RunStatus.RUNNING
    finished_at: datetime | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A plan that is carried out."""

    id: int
    run: Run
    plan: Plan
    read_file: str
    """The file of the job that reads: it is known by that, and made once."""
    sent_file: str
    """The file of the job that sends."""
    status: RunStatus = RunStatus.RUNNING
    error: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Plans that are carried out again and again."""

    id: str
    organization_id: int
    instance_id: int
    """The instance that is read."""
    name: str
    description: str
    cron: str
    """When, as Quartz writes it; in UTC."""
    request: Mapping[str, Any]
    """What is carried out, as the caller said it, less the secrets: method, uri, query, body."""
    plans: Sequence[Plan]
    created_at: datetime
    due_at: datetime | None
    """When it is due next; None where it is disabled, or was due for the last time."""
