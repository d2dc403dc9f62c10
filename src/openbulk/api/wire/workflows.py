"""Workflows on the wire: transfers of records from one instance into another."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.info_message import info_message
from openbulk.api.wire.jobs import JobState, failed_count, status_word
from openbulk.api.wire.masking import MASK
from openbulk.api.wire.schema import (
    EXACT,
    EXAMPLE_TIME,
    EpochMs,
    doc,
    epoch_ms,
    without_none,
)
from openbulk.domain import workflow
from openbulk.domain.job import Job, Status

# --- shapes ---


@with_config(EXACT)
class WorkflowCreated(TypedDict):
    """A workflow that was accepted. `/bulkloader` lists its transfers."""

    id: Annotated[
        str,
        doc(
            "Id of the workflow; the `groupName` of its transfers.",
            "0f6d1c6d1f6d4a7ab7a5f1a5b1d0c9e8",
        ),
    ]
    status: Annotated[
        Literal["CREATED"], doc("Always CREATED: the workflow is accepted.", "CREATED")
    ]
    instanceId: Annotated[int, doc("Instance that the workflow reads from.", 1)]


@with_config(EXACT)
class Transfer(TypedDict):
    """A copy of records from one instance into another: one job reads, a second one writes."""

    bulkLoaderId: Annotated[int, doc("Number of the transfer.", 1)]
    groupName: Annotated[
        str, doc("Id of the workflow or the run.", "0f6d1c6d1f6d4a7ab7a5f1a5b1d0c9e8")
    ]
    jobId: NotRequired[Annotated[str, doc("Id of the schedule that started the transfer.")]]
    createdDate: Annotated[
        EpochMs,
        doc("When the transfer was created, in milliseconds since 1970 (UTC).", EXAMPLE_TIME),
    ]
    completionTime: NotRequired[
        Annotated[
            EpochMs, doc("When the transfer finished. Absent until then.", EXAMPLE_TIME + 900)
        ]
    ]
    status: Annotated[
        Literal["RUNNING", "COMPLETED", "ERROR"], doc("Status of the transfer.", "COMPLETED")
    ]
    statusMessage: NotRequired[Annotated[str, doc("What went wrong.")]]
    payload: Annotated[
        dict[str, Any],
        doc(
            "Request for the transfer, with its token masked.",
            {"query": "select * from events", "targetConfiguration": {"token": MASK}},
        ),
    ]
    sourceElementKey: NotRequired[
        Annotated[str, doc("Service that the transfer reads from.", "googlecalendar")]
    ]
    sourceObjectName: Annotated[str, doc("Object that the transfer reads.", "events")]
    sourceJobId: NotRequired[Annotated[str, doc("Id of the job that reads.", "4")]]
    sourceStatus: NotRequired[Annotated[JobState, doc("Status of the job that reads.", "COMPLETE")]]
    sourceStatusMessage: NotRequired[
        Annotated[str, doc("Why the job that reads waits or has stopped.")]
    ]
    sourceRecordCount: NotRequired[Annotated[int, doc("Records read.", 1)]]
    targetElementKey: NotRequired[
        Annotated[str, doc("Service that the transfer writes into.", "memory")]
    ]
    targetObjectName: NotRequired[
        Annotated[str, doc("Object that the transfer writes.", "records")]
    ]
    targetJobId: NotRequired[Annotated[str, doc("Id of the job that writes.", "5")]]
    targetStatus: NotRequired[
        Annotated[JobState, doc("Status of the job that writes.", "COMPLETE")]
    ]
    targetStatusMessage: NotRequired[
        Annotated[str, doc("Why the job that writes waits or has stopped.")]
    ]
    targetErrorCount: NotRequired[Annotated[int, doc("Records that failed.", 0)]]


# --- workflows as shapes ---


def present_new_workflow(run: workflow.Run) -> dict[str, Any]:
    """The answer to a new workflow."""
    return {"id": run.id, "status": Status.CREATED.value, "instanceId": run.instance_id}


def present_transfer(
    transfer: workflow.Transfer,
    jobs: Mapping[str, Job],
    elements: Mapping[int, str],
    completed_status: str,
) -> dict[str, Any]:
    """A transfer with its two jobs.

    `jobs` holds jobs by the names of their files, `elements` the keys of services by instance id.
    """
    read_job, write_job = jobs.get(transfer.read_file), jobs.get(transfer.sent_file)
    shape = {
        "bulkLoaderId": transfer.id,
        "groupName": transfer.run.id,
        "jobId": transfer.run.schedule_id,
        "createdDate": epoch_ms(transfer.run.created_at),
        "completionTime": epoch_ms(transfer.finished_at),
        "status": transfer.status.value,
        "statusMessage": transfer.error,
        "payload": dict(transfer.spec.request),
        "sourceElementKey": elements.get(transfer.run.instance_id),
        "sourceObjectName": transfer.spec.download.query.name,
    }
    if read_job is not None:
        shape |= _job_keys("source", read_job, completed_status)
        shape["sourceRecordCount"] = read_job.cursor
    if transfer.spec.destination is not None:
        shape["targetElementKey"] = elements.get(transfer.spec.destination.instance_id)
        shape["targetObjectName"] = transfer.spec.destination.target.object
        if write_job is not None:
            shape |= _job_keys("target", write_job, completed_status)
            shape["targetErrorCount"] = failed_count(write_job)
    return without_none(shape)


def _job_keys(side: Literal["source", "target"], job: Job, completed_status: str) -> dict[str, Any]:
    return {
        f"{side}JobId": str(job.id),
        f"{side}Status": status_word(job, completed_status),
        f"{side}StatusMessage": job.error or info_message(job),
    }
