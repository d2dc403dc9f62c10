"""Bulk jobs on the wire: the answer to a new one, its status, its place in a list, its errors."""

from typing import Annotated, Any, Literal, NotRequired

import orjson
from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.approvals import ApprovalOfJob
from openbulk.api.wire.info_message import info_message
from openbulk.api.wire.masking import mask_callbacks, mask_url
from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms, without_none
from openbulk.domain.causes import cause_text
from openbulk.domain.file_mapping import is_reference
from openbulk.domain.job import Counts, Download, Job, Status
from openbulk.domain.records import OutcomeKind
from openbulk.storage import problems
from openbulk.storage.problems import ErrorGroup

JobState = Literal[
    "CREATED",
    "RUNNING",
    "CANCELLATION_PENDING",
    "COMPLETE",
    "COMPLETED",
    "CANCELLED",
    "ABORTED",
    "ERROR",
    "PLANNING",
    "PLANNED",
    "VERIFYING",
    "VERIFIED",
]
Direction = Literal["UPLOAD", "DOWNLOAD"]


# --- shapes ---


@with_config(EXACT)
class JobCreated(TypedDict):
    """A job that was accepted. Poll `/bulk/{job_id}/status` to follow it."""

    id: Annotated[str, doc("Id of the job.", "1")]
    status: Annotated[Literal["CREATED"], doc("Always CREATED: the job is accepted.", "CREATED")]
    instanceId: Annotated[int, doc("Instance that the job works with.", 1)]


@with_config(EXACT)
class JobStatus(TypedDict):
    """Status of an upload, or of a download that was requested with `POST /bulk/query`."""

    id: Annotated[str, doc("Id of the job.", "1")]
    instanceId: Annotated[int, doc("Instance that the job works with.", 1)]
    status: Annotated[
        JobState,
        doc(
            "A finished job is COMPLETE (COMPLETED if the server is configured so), CANCELLED, "
            "ABORTED (openbulk could not continue; `error` says why) or ERROR (the service "
            "refused the work). Only a job with `plan=true` is PLANNING, and then PLANNED; only "
            "one of `/bulk/{job_id}/verify` is VERIFYING, and then VERIFIED.",
            "COMPLETE",
        ),
    ]
    object_name: Annotated[str, doc("Object that the job reads or writes.", "events")]
    job_direction: Annotated[
        Direction, doc("UPLOAD into the service or DOWNLOAD from it.", "UPLOAD")
    ]
    recordsCount: Annotated[
        int,
        doc("Records with an outcome, failed ones included. For a download: records read.", 2),
    ]
    recordsFailedCount: Annotated[
        int, doc("Records that failed. `/bulk/{job_id}/errors` lists them.", 1)
    ]
    fileFormat: Annotated[
        str, doc("Format of the file: csv, json, jsonl, xlsx, ics or googlecsv.", "csv")
    ]
    fileSize: NotRequired[Annotated[int, doc("Size of the uploaded file, in bytes.", 207)]]
    metadata: Annotated[dict[str, Any], doc("The `metaData` of the request.", {"action": "create"})]
    requestId: Annotated[
        str, doc("Id of the request that created the job.", "4f0e3a5b9d9c4f5d8f0f4dfb1f2a9a55")
    ]
    bulk_start_time: NotRequired[
        Annotated[
            EpochMs, doc("When the job started, in milliseconds since 1970 (UTC).", EXAMPLE_TIME)
        ]
    ]
    bulk_finish_time: NotRequired[
        Annotated[EpochMs, doc("When the job finished. Absent until then.", EXAMPLE_TIME + 900)]
    ]
    infoMessage: NotRequired[
        Annotated[
            str,
            doc(
                "Further information, such as why the job waits and until when, or what was left "
                "out of its rows."
            ),
        ]
    ]
    error: NotRequired[Annotated[str, doc("Why the job stopped early.")]]


@with_config(EXACT)
class Outcomes(TypedDict):
    """What became of the records of an upload. Each record of its file counts once."""

    created: Annotated[int, doc("Records that the job created.", 1)]
    updated: Annotated[int, doc("Records that the job changed.", 0)]
    upserted: Annotated[int, doc("Records created or changed: the service does not say which.", 0)]
    unchanged: Annotated[int, doc("Records that already were as their rows say.", 0)]
    deleted: Annotated[int, doc("Records that the job deleted.", 0)]
    notFound: Annotated[
        int, doc("Records to delete that the service did not have. They have not failed.", 0)
    ]
    failed: Annotated[int, doc("Records that failed.", 1)]
    drifted: NotRequired[
        Annotated[
            int,
            doc(
                "Of a job that carries out a plan: records that have changed since the plan, and "
                "were left as they are."
            ),
        ]
    ]
    unknown: Annotated[int, doc("Records that the service may have taken: the answer was lost.", 0)]
    reversed: NotRequired[Annotated[int, doc("Of an undo alone: records that it has put back.")]]
    kept: NotRequired[
        Annotated[int, doc("Of an undo alone: records that somebody has changed since.")]
    ]
    goneAlready: NotRequired[
        Annotated[int, doc("Of an undo alone: records that somebody has deleted since.")]
    ]
    notReversible: NotRequired[
        Annotated[int, doc("Of an undo alone: records that cannot be put back.")]
    ]
    notReached: Annotated[
        int,
        doc("Records that the job has not come to, as far as the file has been read.", 0),
    ]


@with_config(EXACT)
class PaceOfJob(TypedDict):
    """How fast a job may be."""

    callsPerMinute: Annotated[int, doc("Maximum calls of the service a minute.", 300)]


@with_config(EXACT)
class UploadDetails(JobStatus):
    """An upload: the outcomes of its records, and what its caller wants of it."""

    outcomes: Outcomes
    retryOf: NotRequired[Annotated[str, doc("Id of the job of which this one retries rows.")]]
    undoOf: NotRequired[Annotated[str, doc("Id of the job that this one undoes.")]]
    createdBy: NotRequired[Annotated[int, doc("Number of the user who has made the job.", 1)]]
    byAgent: NotRequired[
        Annotated[bool, doc("True if an agent has made it, with a key of that user.")]
    ]
    approval: NotRequired[
        Annotated[
            ApprovalOfJob, doc("Of a plan that can be carried out: where its approval stands.")
        ]
    ]
    mapping: NotRequired[
        Annotated[
            dict[str, Any],
            doc(
                "How the columns of the file make the fields, also where `metaData.mapping` is "
                "`auto` or a name. It can be sent again, and saved."
            ),
        ]
    ]
    savedMapping: NotRequired[
        Annotated[
            dict[str, Any],
            doc("The saved mapping that it is: its name and version."),
        ]
    ]
    verifyOf: NotRequired[Annotated[str, doc("Id of the job that this one verifies.")]]
    recordsTotal: NotRequired[
        Annotated[int, doc("Records in the file. Absent until it has been read to its end.", 2)]
    ]
    paused: Annotated[bool, doc("Whether the job is paused.", False)]
    priority: Annotated[
        int, doc("Of the jobs of an instance, those with a higher priority go first.", 0)
    ]
    pace: NotRequired[Annotated[PaceOfJob, doc("Absent if the job is as fast as it can.")]]


@with_config(EXACT)
class DownloadStatus(TypedDict):
    """Status of a download that was requested with `POST /bulk/download`."""

    id: Annotated[int, doc("Id of the job.", 3)]
    instanceId: Annotated[int, doc("Instance that the job works with.", 1)]
    status: Annotated[JobState, doc("Equal to `jobStatus`.", "COMPLETE")]
    jobStatus: Annotated[JobState, doc("Status of the job, as in JobStatus.", "COMPLETE")]
    objectName: Annotated[str, doc("Object that the job reads.", "events")]
    jobDirection: Annotated[Literal["DOWNLOAD"], doc("Always DOWNLOAD.", "DOWNLOAD")]
    recordCount: Annotated[int, doc("Records read.", 1)]
    errorCount: Annotated[int, doc("Always 0: a download has no failed records.", 0)]
    statusMessage: NotRequired[
        Annotated[str, doc("The status as a sentence.", "Successfully downloaded 1 records")]
    ]
    error: NotRequired[Annotated[str, doc("Why the job stopped early.")]]
    createdDate: Annotated[
        EpochMs, doc("When the job was created, in milliseconds since 1970 (UTC).", EXAMPLE_TIME)
    ]
    completionTime: NotRequired[
        Annotated[EpochMs, doc("When the job finished. Absent until then.", EXAMPLE_TIME + 900)]
    ]
    fileFormat: Annotated[str, doc("Format of the file to download.", "CSV")]
    jobCriteria: Annotated[
        dict[str, Any], doc("Body of the request, unchanged.", {"objectName": "events"})
    ]
    metaData: Annotated[
        dict[str, Any], doc("The object's name, as in `objectName`.", {"object": "events"})
    ]
    notificationUrl: NotRequired[
        Annotated[str, doc("URL that openbulk calls when the job finishes.")]
    ]
    defaultSelectFields: Annotated[
        str, doc("Selected fields, comma-separated. Empty if all are selected.", "id,summary")
    ]
    native: Annotated[bool, doc("Always false.", False)]


@with_config(EXACT)
class JobItem(TypedDict, total=False):
    """A job in a list of jobs. `fields` selects its keys."""

    id: Annotated[int, doc("Id of the job.", 3)]
    instanceId: Annotated[int, doc("Instance that the job works with.", 1)]
    status: Annotated[JobState, doc("Status of the job, as in JobStatus.", "COMPLETE")]
    job_status: Annotated[JobState, doc("Equal to `status`.", "COMPLETE")]
    object_name: Annotated[str, doc("Object that the job reads or writes.", "events")]
    job_direction: Annotated[
        Direction, doc("UPLOAD into the service or DOWNLOAD from it.", "DOWNLOAD")
    ]
    job_query: Annotated[str, doc("Query of a download.", "select id, summary from events")]
    job_state: Annotated[str, doc("What the job waits for.")]
    job_reset_attempt: Annotated[int, doc("Failed attempts since the last progress.", 0)]
    record_count: Annotated[
        int,
        doc("Records with an outcome, failed ones included. For a download: records read.", 1),
    ]
    error_count: Annotated[int, doc("Records that failed.", 0)]
    fileFormat: Annotated[
        str, doc("Format of the file: csv, json, jsonl, xlsx, ics or googlecsv.", "csv")
    ]
    notification_url: Annotated[str, doc("URL that openbulk calls when the job finishes.")]
    createdDate: Annotated[
        EpochMs, doc("When the job was created, in milliseconds since 1970 (UTC).", EXAMPLE_TIME)
    ]
    completion_time: Annotated[
        EpochMs, doc("When the job finished. Absent until then.", EXAMPLE_TIME + 900)
    ]


JOB_FIELDS = (
    "id",
    "instanceId",
    "status",
    "job_status",
    "object_name",
    "job_direction",
    "job_query",
    "job_state",
    "job_reset_attempt",
    "record_count",
    "error_count",
    "fileFormat",
    "notification_url",
    "createdDate",
    "completion_time",
)
"""The keys of a JobItem. A filter on the list of jobs can name them."""


@with_config(EXACT)
class RecordError(TypedDict, total=False):
    """A record that failed. `fields` selects its keys."""

    rowNum: Annotated[int, doc("Number of the record, counted from 1.", 2)]
    lineNum: Annotated[
        int, doc("Line of the file on which the record starts. The header is line 1.", 3)
    ]
    status: Annotated[
        str, doc("Equal to `error`.", "2026-02-30 is not a date; dates look like 2026-02-28")
    ]
    error: Annotated[
        str,
        doc(
            "What is wrong, and what would be right.",
            "2026-02-30 is not a date; dates look like 2026-02-28",
        ),
    ]
    field: Annotated[str, doc("Field with the wrong value.", "start.dateTime")]
    response: Annotated[str, doc("Error message of the service.")]


@with_config(EXACT)
class RecordErrorGroup(TypedDict):
    """Records that failed, or are unknown, for one cause."""

    id: Annotated[
        str,
        doc(
            "Id of the cause. `/bulk/{job_id}/errors?group=` lists its records.", "3f6c0b8e12d94a7c"
        ),
    ]
    count: Annotated[int, doc("Number of its records.", 2)]
    outcome: Annotated[
        Literal["failed", "drifted", "unknown", "kept", "goneAlready", "notReversible"],
        doc("What became of all of them.", "failed"),
    ]
    error: Annotated[
        str,
        doc(
            "What is wrong, and what would be right. … stands for values that differ.",
            "start.date … is not a date; dates look like …",
        ),
    ]
    field: NotRequired[
        Annotated[str, doc("Field with the wrong value; … is for an index.", "start.date")]
    ]
    example: Annotated[RecordError, doc("The first of its records in the file.")]


# --- jobs as shapes ---


def outcome_name(kind: OutcomeKind) -> str:
    """What became of a record, in the spelling of the API's keys: `not_found` is `notFound`."""
    first, *others = kind.value.split("_")
    return first + "".join(map(str.capitalize, others))


def present_new_job(job: Job) -> dict[str, Any]:
    """The answer to a new job."""
    # Without `message`: a client of the contract treats an answer that has one as an error.
    return {"id": str(job.id), "status": Status.CREATED.value, "instanceId": job.instance_id}


def present_job(job: Job, completed_status: str) -> dict[str, Any]:
    """The status of a job, with the keys of the contract's version that created it."""
    if job.is_download and job.download.is_v3:
        return without_none(_status_v3(job, completed_status))
    return without_none(_status_v2(job, completed_status))


def present_details(job: Job, completed_status: str) -> dict[str, Any]:
    """The status of a job; of an upload, with the outcomes of its records."""
    shape = present_job(job, completed_status)
    if job.is_download:
        return shape
    calls = job.calls_per_minute
    more = {
        "outcomes": _outcomes(job),
        "retryOf": job.retry and str(job.retry.of),
        "undoOf": job.undo and str(job.undo.of),
        "createdBy": job.author.user_id,
        "byAgent": job.author.is_agent or None,
        **present_mapping_of(job),
        "verifyOf": job.verification and str(job.verification.of),
        "recordsTotal": job.own_records,
        "paused": job.is_paused,
        "priority": job.priority,
        "pace": calls and {"callsPerMinute": calls},
    }
    return without_none({**shape, **more})


def present_mapping_of(job: Job) -> dict[str, Any]:
    """The mapping that a job uses, and the saved one that it is; nothing without one."""
    mapping = job.upload.target.mapping
    if mapping is None:
        return {}
    given = job.options.get("mapping")
    is_saved = isinstance(given, dict) and is_reference(given)
    return {"mapping": mapping.as_json(), "savedMapping": given if is_saved else None}


def present_job_event(job: Job, completed_status: str) -> dict[str, Any]:
    """A job as its events have it: what may change."""
    of_upload = {
        "outcomes": None if job.is_download else _outcomes(job),
        "recordsTotal": job.own_records,
    }
    return without_none(
        {
            "id": str(job.id),
            "status": status_word(job, completed_status),
            "recordsCount": _record_count(job),
            **({} if job.is_download else of_upload),
            "paused": job.is_paused,
            "waitingFor": job.waiting_for,
            "waitingUntil": epoch_ms(job.waiting_until),
            "infoMessage": info_message(job),
            "error": job.error,
        }
    )


def _outcomes(job: Job) -> dict[str, int]:
    counts = job.counts
    # Only a plan that is carried out knows of records that have changed since.
    drifted = {} if job.apply is None else {"drifted": counts.drifted}
    return {
        "created": counts.created,
        "updated": counts.updated,
        "upserted": counts.upserted,
        "unchanged": counts.unchanged,
        "deleted": counts.deleted,
        "notFound": counts.not_found,
        "failed": counts.failed,
        **drifted,
        "unknown": counts.unknown,
        **(_outcomes_of_undo(counts) if job.undo else {}),
        "notReached": job.not_reached or 0,
    }


def _outcomes_of_undo(counts: Counts) -> dict[str, int]:
    return {
        "reversed": counts.reversed,
        "kept": counts.kept,
        "goneAlready": counts.gone_already,
        "notReversible": counts.not_reversible,
    }


def _status_v3(job: Job, completed_status: str) -> dict[str, Any]:
    status = status_word(job, completed_status)
    success = f"Successfully downloaded {job.cursor} records" if job.is_finished else None
    return {
        "id": job.id,
        "instanceId": job.instance_id,
        "status": status,
        "jobStatus": status,
        "objectName": job.object,
        "jobDirection": "DOWNLOAD",
        "recordCount": job.cursor,
        "errorCount": 0,
        "statusMessage": info_message(job) or success,
        "error": job.error,
        "createdDate": epoch_ms(job.created_at),
        "completionTime": epoch_ms(job.finished_at),
        "fileFormat": job.work.file_format.upper(),  # upper case in v3, lower case in v2
        "jobCriteria": mask_callbacks(job.options),
        "metaData": {"object": job.object},
        "notificationUrl": _shown_callback(job),
        "defaultSelectFields": ",".join(job.download.query.shown_fields),
        "native": False,
    }


def _shown_callback(job: Job) -> str | None:
    url = job.work.callback_url
    return None if url is None else mask_url(url)


def _status_v2(job: Job, completed_status: str) -> dict[str, Any]:
    """The status in version 2, without any further keys: strict clients refuse them."""
    return {
        "id": str(job.id),
        "status": status_word(job, completed_status),
        "instanceId": job.instance_id,
        "object_name": job.object,
        "job_direction": _direction(job),
        "recordsCount": _record_count(job),
        "recordsFailedCount": failed_count(job),
        "fileFormat": job.work.file_format,
        "fileSize": None if isinstance(job.work, Download) else job.work.file_size,
        "metadata": dict(job.options),
        "requestId": job.request_id,
        "bulk_start_time": epoch_ms(job.started_at),
        "bulk_finish_time": epoch_ms(job.finished_at),
        "infoMessage": info_message(job),
        "error": job.error,
    }


def present_job_item(job: Job, completed_status: str) -> dict[str, Any]:
    """A job in a list of jobs."""
    status = status_word(job, completed_status)
    return without_none(
        {
            "id": job.id,
            "instanceId": job.instance_id,
            "status": status,
            "job_status": status,
            "object_name": job.object,
            "job_direction": _direction(job),
            "job_query": job.download.text if job.is_download else None,
            "job_state": job.waiting_for,
            "job_reset_attempt": job.slice_attempts,
            "record_count": _record_count(job),
            "error_count": failed_count(job),
            "fileFormat": job.work.file_format,
            "notification_url": _shown_callback(job),
            "createdDate": epoch_ms(job.created_at),
            "completion_time": epoch_ms(job.finished_at),
        }
    )


def present_record_error(error: problems.RecordError) -> dict[str, Any]:
    """A record that failed."""
    return without_none(
        {
            "rowNum": error.row,
            "lineNum": error.line,
            # Some clients of the contract read the message from `status`, others from `error`.
            "status": error.problem,
            "error": error.problem,
            "field": error.field,
            "response": error.provider_message,
        }
    )


def present_error_group(group: ErrorGroup) -> dict[str, Any]:
    """The records that failed for one cause."""
    first = group.first
    return without_none(
        {
            "id": group.id,
            "count": group.count,
            "outcome": outcome_name(first.kind),
            "error": first.problem if group.has_one_text else cause_text(first.problem),
            "field": first.field and cause_text(first.field),
            "example": present_record_error(first),
        }
    )


def notification_body(job: Job, completed_status: str) -> bytes:
    """The JSON that a callback receives: the job's status, and the caller's `callback-payload`."""
    shape = present_job(job, completed_status)
    if "callback-payload" in job.options:
        shape["callback-payload"] = job.options["callback-payload"]
    return orjson.dumps(shape)


def status_word(job: Job, completed_status: str) -> str:
    """The word for a job's status; `completed_status` is the one for a complete job."""
    return completed_status if job.status is Status.COMPLETE else job.status.value


def failed_count(job: Job) -> int:
    """Number of failed records. Records that are unknown, or have drifted, count as failed."""
    return job.counts.failed + job.counts.unknown + job.counts.drifted


def _record_count(job: Job) -> int:
    return job.cursor if job.is_download else job.counts.total


def _direction(job: Job) -> str:
    return "DOWNLOAD" if job.is_download else "UPLOAD"
