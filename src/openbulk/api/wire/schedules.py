"""Schedules on the wire, and their runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.masking import mask_callbacks
from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms, without_none
from openbulk.domain import workflow
from openbulk.domain.job import Job
from openbulk.engine.workflows.cron import next_after

_SCHEDULE_ID = "5e0c9f1f2b5b4f0c9a3c1d2e3f4a5b6c"


# --- shapes ---


@with_config(EXACT)
class Trigger(TypedDict):
    """When a schedule is due."""

    id: Annotated[str, doc("Id of the schedule.", _SCHEDULE_ID)]
    cron: Annotated[str, doc("Quartz cron expression, in UTC.", "0 0 12 ? * *")]
    state: Annotated[
        Literal["NORMAL", "PAUSED", "COMPLETE"],
        doc("NORMAL, PAUSED (disabled) or COMPLETE (never due again).", "NORMAL"),
    ]
    startTime: Annotated[
        EpochMs,
        doc("When the schedule was created, in milliseconds since 1970 (UTC).", EXAMPLE_TIME),
    ]
    previousFireTime: NotRequired[Annotated[EpochMs, doc("When the schedule was last due.")]]
    nextFireTime: NotRequired[
        Annotated[EpochMs, doc("When the schedule is next due.", EXAMPLE_TIME + 3_600_000)]
    ]


@with_config(EXACT)
class Schedule(TypedDict):
    """A request that openbulk repeats."""

    id: Annotated[str, doc("Id of the schedule.", _SCHEDULE_ID)]
    name: Annotated[str, doc("Name of the schedule.", "Every noon")]
    description: Annotated[str, doc("Description of the schedule.", "")]
    instanceId: Annotated[int, doc("Instance that the schedule works with.", 1)]
    disallowConcurrent: Annotated[
        bool, doc("Always true: a run waits for the one before it.", True)
    ]
    data: Annotated[
        dict[str, Any],
        doc(
            "Request to repeat, with its tokens masked.",
            {"method": "POST", "uri": "/bulk/query", "body": {"q": "select * from events"}},
        ),
    ]
    schedule: Annotated[str, doc("Equal to `trigger.cron`.", "0 0 12 ? * *")]
    trigger: Trigger


@with_config(EXACT)
class ScheduledWorkflow(Schedule):
    """A workflow that openbulk repeats."""

    status: Annotated[
        Literal["CREATED"], doc("Always CREATED: the workflow is accepted.", "CREATED")
    ]


@with_config(EXACT)
class Run(TypedDict):
    """One run of a schedule."""

    id: Annotated[str, doc("Id of the run.", "0f6d1c6d1f6d4a7ab7a5f1a5b1d0c9e8")]
    jobId: NotRequired[Annotated[str, doc("Id of the schedule.", _SCHEDULE_ID)]]
    status: Annotated[
        Literal["RUNNING", "COMPLETED", "ERROR"], doc("Status of the run.", "COMPLETED")
    ]
    startTime: Annotated[
        EpochMs, doc("When the run started, in milliseconds since 1970 (UTC).", EXAMPLE_TIME)
    ]
    endTime: NotRequired[
        Annotated[EpochMs, doc("When the run finished. Absent until then.", EXAMPLE_TIME + 900)]
    ]
    message: NotRequired[Annotated[str, doc("What went wrong.")]]
    bulkJobIds: Annotated[
        list[str], doc("Ids of its jobs; see `/bulk/{job_id}/status`.", ["4", "5"])
    ]


# --- schedules as shapes ---


def present_schedule(
    schedule: workflow.Schedule, now: datetime, last_run: workflow.Run | None = None
) -> dict[str, Any]:
    """A schedule, with its state at the time `now`."""
    trigger = {
        "id": schedule.id,
        "cron": schedule.cron,
        "state": _trigger_state(schedule, now),
        "startTime": epoch_ms(schedule.created_at),
        "previousFireTime": epoch_ms(last_run.created_at) if last_run else None,
        "nextFireTime": epoch_ms(schedule.due_at),
    }
    return {
        "id": schedule.id,
        "name": schedule.name,
        "description": schedule.description,
        "instanceId": schedule.instance_id,
        "disallowConcurrent": True,
        "data": mask_callbacks(schedule.request),
        "schedule": schedule.cron,
        "trigger": without_none(trigger),
    }


def _trigger_state(schedule: workflow.Schedule, now: datetime) -> str:
    if schedule.due_at is not None:
        return "NORMAL"
    return "PAUSED" if next_after(schedule.cron, now) else "COMPLETE"


def present_run(
    run: workflow.Run, transfers: Sequence[workflow.Transfer], jobs: Mapping[str, Job]
) -> dict[str, Any]:
    """One run of a schedule. `jobs` holds the jobs by the names of their files."""
    files = (name for transfer in transfers for name in (transfer.read_file, transfer.sent_file))
    problems = [transfer.error for transfer in transfers if transfer.error]
    return without_none(
        {
            "id": run.id,
            "jobId": run.schedule_id,
            "status": run.status.value,
            "startTime": epoch_ms(run.created_at),
            "endTime": epoch_ms(run.finished_at),
            "message": "; ".join(problems) or None,
            "bulkJobIds": [str(jobs[name].id) for name in files if name in jobs],
        }
    )
