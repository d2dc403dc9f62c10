"""A workflow copies records from one instance's object into another's, at once or by a schedule.

SPEC      the records that are read, and where they go
TRANSFER  a spec in progress: a download, then an upload of its records
RUN       the transfers of one request, one after another
SCHEDULE  specs with a cron expression, which says when each of their runs begins
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from openbulk.domain.job import Download
from openbulk.domain.query import ChangedRange
from openbulk.domain.records import Target


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the records of a transfer go."""

    instance_id: int
    target: Target
    callback_url: str | None = None


@dataclass(frozen=True, slots=True)
class TransferSpec:
    """The records that are read, and where they go."""

    download: Download
    """Its file gets its name when a run begins."""
    changes: ChangedRange | None = None
    """The changes to read. With a `since`, each run of a schedule begins where the previous run
    ended."""
    destination: Destination | None = None
    """None if the records are only kept, for the caller to fetch."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """The caller's request with secrets masked, for display."""


class RunStatus(StrEnum):
    """The state of a run or a transfer."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Run:
    """The transfers of one request."""

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
    """A spec in progress or finished."""

    id: int
    run: Run
    spec: TransferSpec
    read_file: str
    """File of the job that reads. It identifies the job, so that the job is created once."""
    sent_file: str
    """File of the job that sends; it identifies that job."""
    status: RunStatus = RunStatus.RUNNING
    error: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Transfer specs, and the cron expression that starts them."""

    id: str
    organization_id: int
    instance_id: int
    """The instance that is read."""
    name: str
    description: str
    cron: str
    """A cron expression in Quartz's syntax, in UTC."""
    request: Mapping[str, Any]
    """The scheduled request, secrets masked: method, uri, query, body."""
    specs: Sequence[TransferSpec]
    created_at: datetime
    due_at: datetime | None
    """The time of the next run; None if the schedule is disabled, or has run for the last time."""

    @property
    def writes(self) -> bool:
        """Whether its runs write into instances, and do not only read."""
        return any(spec.destination is not None for spec in self.specs)
