"""What answers look like: the keys of each, what they mean, and a value to show.

`shapes.py` makes them; here they are described, for `/openapi.json` and who reads it. The examples in the document are
put together from the values here, and tests compare them with what a running server answers.
"""

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.shapes import MASK

_EXACT = ConfigDict(extra="forbid")
_MAKING_OF_EXAMPLES = 1_780_134_000_000


def shown(example: Any, means: str) -> Any:
    """What a key means, and a value to show of it."""
    return Field(description=means, examples=[example])


def told(means: str) -> Any:
    """What a key means that is there in some answers only, and not in the example."""
    return Field(description=means)


JobState = Literal[
    "CREATED",
    "RUNNING",
    "CANCELLATION_PENDING",
    "COMPLETE",
    "COMPLETED",
    "CANCELLED",
    "ABORTED",
    "ERROR",
]
Direction = Literal["UPLOAD", "DOWNLOAD"]
EpochMs = int


# --- jobs ---


@with_config(_EXACT)
class JobCreated(TypedDict):
    """A job that was taken in. Ask `/bulk/{job_id}/status` for it."""

    id: Annotated[str, shown("1", "the job's id")]
    status: Annotated[Literal["CREATED"], shown("CREATED", "it was taken in and will be done")]
    instanceId: Annotated[int, shown(1, "the instance that does it")]


@with_config(_EXACT)
class JobStatus(TypedDict):
    """How an upload stands, or a download that was asked for by a query."""

    id: Annotated[str, shown("1", "the job's id")]
    instanceId: Annotated[int, shown(1, "the instance that does it")]
    status: Annotated[
        JobState,
        shown(
            "COMPLETE",
            "a finished job is COMPLETE (COMPLETED where the server is set so), CANCELLED, ABORTED (openbulk could not "
            "go on; `error` says why) or ERROR (the service refused to)",
        ),
    ]
    object_name: Annotated[str, shown("events", "the object that it is about")]
    job_direction: Annotated[Direction, shown("UPLOAD", "into the service or out of it")]
    recordsCount: Annotated[
        int, shown(2, "records that have an outcome, those included that were not taken")
    ]
    recordsFailedCount: Annotated[
        int, shown(1, "records that were not taken; `/bulk/{job_id}/errors` lists them")
    ]
    fileFormat: Annotated[str, shown("csv", "csv, json, jsonl, xlsx, ics or googlecsv")]
    fileSize: NotRequired[Annotated[int, shown(207, "bytes of the file; of an upload")]]
    metadata: Annotated[
        dict[str, Any], shown({"action": "create"}, "the caller's metaData, as it came")
    ]
    requestId: Annotated[str, shown("4f0e3a5b9d9c4f5d8f0f4dfb1f2a9a55", "the request that made it")]
    bulk_start_time: NotRequired[
        Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES, "milliseconds since 1970, UTC")]
    ]
    bulk_finish_time: NotRequired[
        Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES + 900, "once it is finished")]
    ]
    infoMessage: NotRequired[
        Annotated[str, told("what a person should know: why it waits and until when")]
    ]
    error: NotRequired[Annotated[str, told("why it stopped before its end")]]


@with_config(_EXACT)
class DownloadStatus(TypedDict):
    """How a download stands that was asked for by `POST /bulk/download`, in the keys of version 3."""

    id: Annotated[int, shown(3, "the job's id")]
    instanceId: Annotated[int, shown(1, "the instance that does it")]
    status: Annotated[JobState, shown("COMPLETE", "the same as `jobStatus`")]
    jobStatus: Annotated[JobState, shown("COMPLETE", "as in JobStatus")]
    objectName: Annotated[str, shown("events", "the object that it is about")]
    jobDirection: Annotated[Literal["DOWNLOAD"], shown("DOWNLOAD", "out of the service")]
    recordCount: Annotated[int, shown(1, "records that were read")]
    errorCount: Annotated[int, shown(0, "always 0: a record is read or it is not")]
    statusMessage: NotRequired[
        Annotated[str, shown("Successfully downloaded 1 records", "in words")]
    ]
    error: NotRequired[Annotated[str, told("why it stopped before its end")]]
    createdDate: Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES, "milliseconds since 1970, UTC")]
    completionTime: NotRequired[
        Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES + 900, "once it is finished")]
    ]
    fileFormat: Annotated[str, shown("CSV", "the format that it was asked for")]
    jobCriteria: Annotated[
        dict[str, Any], shown({"objectName": "events"}, "the body that asked for it")
    ]
    metaData: Annotated[dict[str, Any], shown({"object": "events"}, "the object, once more")]
    notificationUrl: NotRequired[Annotated[str, told("where its end is told")]]
    defaultSelectFields: Annotated[
        str, shown("id,summary", "the fields that were asked for; empty: all")
    ]
    native: Annotated[bool, shown(False, "always false")]


@with_config(_EXACT)
class JobItem(TypedDict, total=False):
    """A job in the list of jobs: those of its keys that were asked for, all of them where `fields` is empty."""

    id: Annotated[int, shown(3, "the job's id")]
    instanceId: Annotated[int, shown(1, "the instance that does it")]
    status: Annotated[JobState, shown("COMPLETE", "as in JobStatus")]
    job_status: Annotated[JobState, shown("COMPLETE", "the same")]
    object_name: Annotated[str, shown("events", "the object that it is about")]
    job_direction: Annotated[Direction, shown("DOWNLOAD", "into the service or out of it")]
    job_query: Annotated[
        str, shown("select id, summary from events", "of a download: what was asked for")
    ]
    job_state: Annotated[str, told("what it waits for")]
    job_reset_attempt: Annotated[
        int, shown(0, "how often in a row it failed without getting anywhere")
    ]
    record_count: Annotated[int, shown(1, "records that have an outcome, or were read")]
    error_count: Annotated[int, shown(0, "records that were not taken")]
    fileFormat: Annotated[str, shown("csv", "csv, json, jsonl, xlsx, ics or googlecsv")]
    notification_url: Annotated[str, told("where its end is told")]
    createdDate: Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES, "milliseconds since 1970, UTC")]
    completion_time: Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES + 900, "once it is finished")]


@with_config(_EXACT)
class RecordError(TypedDict, total=False):
    """A record that was not taken: those of its keys that were asked for, all of them where `fields` is empty."""

    rowNum: Annotated[int, shown(2, "the record, counted from 1")]
    lineNum: Annotated[int, shown(3, "the line of the file where it begins; the header is line 1")]
    status: Annotated[
        str, shown("2026-02-30 is not a date; dates look like 2026-02-28", "the same as `error`")
    ]
    error: Annotated[
        str,
        shown(
            "2026-02-30 is not a date; dates look like 2026-02-28",
            "what is wrong, and what would be right",
        ),
    ]
    field: Annotated[str, shown("start.dateTime", "the field that is at fault")]
    response: Annotated[str, told("what the service itself said")]


Record = Annotated[
    dict[str, Any],
    Field(
        description="a record, as the service has it",
        examples=[{"id": "choir2026", "summary": "Choir practice"}],
    ),
]


# --- workflows and schedules ---


@with_config(_EXACT)
class WorkflowCreated(TypedDict):
    """A workflow that was taken in. `/bulkloader` shows its transfers."""

    id: Annotated[
        str,
        shown(
            "0f6d1c6d1f6d4a7ab7a5f1a5b1d0c9e8",
            "the workflow's id, the `groupName` of its transfers",
        ),
    ]
    status: Annotated[Literal["CREATED"], shown("CREATED", "it was taken in and will be done")]
    instanceId: Annotated[int, shown(1, "the instance that is read from")]


@with_config(_EXACT)
class Trigger(TypedDict):
    """When a schedule is due."""

    id: Annotated[str, shown("5e0c9f1f2b5b4f0c9a3c1d2e3f4a5b6c", "the schedule's id")]
    cron: Annotated[str, shown("0 0 12 ? * *", "as Quartz writes it, in UTC")]
    state: Annotated[
        Literal["NORMAL", "PAUSED", "COMPLETE"], shown("NORMAL", "COMPLETE: it is never due again")
    ]
    startTime: Annotated[
        EpochMs, shown(_MAKING_OF_EXAMPLES, "when it was made; milliseconds since 1970, UTC")
    ]
    previousFireTime: NotRequired[Annotated[EpochMs, told("when it was due last")]]
    nextFireTime: NotRequired[
        Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES + 3_600_000, "when it is due next")]
    ]


@with_config(_EXACT)
class Schedule(TypedDict):
    """Something that is done again and again."""

    id: Annotated[str, shown("5e0c9f1f2b5b4f0c9a3c1d2e3f4a5b6c", "the schedule's id")]
    name: Annotated[str, shown("Every noon", "what its owner calls it")]
    description: Annotated[str, shown("", "what its owner says of it")]
    instanceId: Annotated[int, shown(1, "the instance that does it")]
    disallowConcurrent: Annotated[
        bool, shown(True, "always true: a run waits for the one before it")
    ]
    data: Annotated[
        dict[str, Any],
        shown(
            {"method": "POST", "uri": "/bulk/query", "body": {"q": "select * from events"}},
            "the request; tokens masked",
        ),
    ]
    schedule: Annotated[str, shown("0 0 12 ? * *", "the same as trigger.cron")]
    trigger: Trigger


@with_config(_EXACT)
class ScheduledWorkflow(Schedule):
    """A workflow that is done again and again."""

    status: Annotated[Literal["CREATED"], shown("CREATED", "it was taken in")]


@with_config(_EXACT)
class Run(TypedDict):
    """One time that a schedule was due."""

    id: Annotated[str, shown("0f6d1c6d1f6d4a7ab7a5f1a5b1d0c9e8", "the run's id")]
    jobId: NotRequired[
        Annotated[str, shown("5e0c9f1f2b5b4f0c9a3c1d2e3f4a5b6c", "the schedule's id")]
    ]
    status: Annotated[Literal["RUNNING", "COMPLETED", "ERROR"], shown("COMPLETED", "how it stands")]
    startTime: Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES, "milliseconds since 1970, UTC")]
    endTime: NotRequired[
        Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES + 900, "once it is finished")]
    ]
    message: NotRequired[Annotated[str, told("what went wrong")]]
    bulkJobIds: Annotated[list[str], shown(["4", "5"], "its jobs: `/bulk/{job_id}/status`")]


@with_config(_EXACT)
class Transfer(TypedDict):
    """Records that are carried over, and the two jobs that do it: one reads, the other writes."""

    bulkLoaderId: Annotated[int, shown(1, "the transfer's number")]
    groupName: Annotated[
        str, shown("0f6d1c6d1f6d4a7ab7a5f1a5b1d0c9e8", "the workflow, or the run, that it is of")
    ]
    jobId: NotRequired[Annotated[str, told("the schedule that had it done")]]
    createdDate: Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES, "milliseconds since 1970, UTC")]
    completionTime: NotRequired[
        Annotated[EpochMs, shown(_MAKING_OF_EXAMPLES + 900, "once it is finished")]
    ]
    status: Annotated[Literal["RUNNING", "COMPLETED", "ERROR"], shown("COMPLETED", "how it stands")]
    statusMessage: NotRequired[Annotated[str, told("what went wrong")]]
    payload: Annotated[
        dict[str, Any],
        shown(
            {"query": "select * from events", "targetConfiguration": {"token": MASK}},
            "what was asked for",
        ),
    ]
    sourceElementKey: NotRequired[
        Annotated[str, shown("googlecalendar", "the service that is read from")]
    ]
    sourceObjectName: Annotated[str, shown("events", "the object that is read")]
    sourceJobId: NotRequired[Annotated[str, shown("4", "the job that reads")]]
    sourceStatus: NotRequired[Annotated[JobState, shown("COMPLETE", "how that job stands")]]
    sourceStatusMessage: NotRequired[Annotated[str, told("why it waits or stopped")]]
    sourceRecordCount: NotRequired[Annotated[int, shown(1, "records that were read")]]
    targetElementKey: NotRequired[
        Annotated[str, shown("memory", "the service that is written into")]
    ]
    targetObjectName: NotRequired[Annotated[str, shown("records", "the object that is written")]]
    targetJobId: NotRequired[Annotated[str, shown("5", "the job that writes")]]
    targetStatus: NotRequired[Annotated[JobState, shown("COMPLETE", "how that job stands")]]
    targetStatusMessage: NotRequired[Annotated[str, told("why it waits or stopped")]]
    targetErrorCount: NotRequired[Annotated[int, shown(0, "records that were not taken")]]


# --- instances and what they are made of ---


@with_config(_EXACT)
class Element(TypedDict):
    """A service that instances can be made of."""

    id: Annotated[int, shown(1, "its number on this server")]
    key: Annotated[str, shown("googlecalendar", "its key: what paths and bodies call it")]
    name: Annotated[str, shown("Google Calendar", "its name")]
    hub: Annotated[str, shown("scheduling", "the hub that it belongs to")]


@with_config(_EXACT)
class Setting(TypedDict):
    """An entry of the configuration that instances take."""

    key: Annotated[str, shown("oauth.api.key", "its name")]
    description: Annotated[str, shown("Client id of the application.", "what it is for")]
    type: Annotated[
        Literal["PASSWORD", "TEXTFIELD_255"],
        shown("TEXTFIELD_255", "PASSWORD: it is never shown again"),
    ]


@with_config(_EXACT)
class ElementWithSettings(Element):
    """A service, with the configuration that its instances take."""

    configuration: list[Setting]


@with_config(_EXACT)
class Bulk(TypedDict):
    """What can be done in bulk."""

    upload: Annotated[bool, shown(True, "files can be uploaded")]
    download: Annotated[bool, shown(True, "records can be downloaded")]


@with_config(_EXACT)
class Support(TypedDict):
    """Whether something can be done with an object."""

    supported: Annotated[bool, shown(True, "it can")]
    native: NotRequired[
        Annotated[bool, shown(False, "of an upload: by the service's own bulk import")]
    ]


@with_config(_EXACT)
class ObjectBulk(TypedDict):
    """What can be done with an object in bulk."""

    upload: Support
    download: Support


@with_config(_EXACT)
class ObjectSupport(TypedDict):
    """An object, and what can be done with it."""

    name: Annotated[str, shown("events", "its name")]
    bulk: ObjectBulk


@with_config(_EXACT)
class ElementMetadata(Element):
    """A service, and what it can do."""

    bulk: Bulk
    resources: NotRequired[
        Annotated[
            list[ObjectSupport],
            told("the objects of the instance whose token is sent, where the service answers"),
        ]
    ]


@with_config(_EXACT)
class Hub(TypedDict):
    """A kind of service."""

    key: Annotated[str, shown("scheduling", "what paths call it")]
    name: Annotated[str, shown("scheduling", "the same")]


@with_config(_EXACT)
class InstanceUser(TypedDict):
    """A user of the organization."""

    id: Annotated[int, shown(1, "the user's number")]
    emailAddress: Annotated[str, shown("admin@localhost", "the user's address")]


@with_config(_EXACT)
class Instance(TypedDict):
    """A service that was signed in to."""

    id: Annotated[int, shown(1, "the instance's number")]
    name: Annotated[str, shown("Calendar of the choir", "what its owner calls it")]
    token: Annotated[
        str, shown(MASK, "what calls on its behalf send; shown once, in the answer that makes it")
    ]
    element: Element
    configuration: Annotated[
        dict[str, str],
        shown(
            {"oauth.api.key": "client", "oauth.api.secret": MASK}, "as it was given; secrets masked"
        ),
    ]
    tags: Annotated[list[str], shown(["choir"], "words of its owner to find it by")]
    provisionInteractions: Annotated[list[Any], shown([], "always empty")]
    valid: Annotated[bool, shown(True, "always true: the credentials were seen to work")]
    disabled: Annotated[bool, shown(False, "whether its jobs wait until it is enabled")]
    createdDate: Annotated[str, shown("2026-05-30T10:00:00+00:00", "when it was made")]
    user: InstanceUser


@with_config(_EXACT)
class ConfigurationEntry(TypedDict):
    """An entry of an instance's configuration."""

    id: Annotated[int, shown(9, "its number among the instance's entries")]
    key: Annotated[str, shown("quota.user.minute", "its name")]
    propertyValue: NotRequired[
        Annotated[str, shown("600", "its value; absent where it has none, masked if secret")]
    ]
    description: NotRequired[
        Annotated[str, shown("Calls a minute that the user has.", "what it is for")]
    ]


@with_config(_EXACT)
class SignInAddress(TypedDict):
    """Where a person signs in."""

    element: Annotated[str, shown("googlecalendar", "the service")]
    oauthUrl: Annotated[
        str, shown("https://accounts.google.com/o/oauth2/v2/auth?client_id=client", "open it")
    ]
    state: NotRequired[
        Annotated[str, told("with pkce: comes back with the code; give it as providerData.state")]
    ]


# --- objects ---


@with_config(_EXACT)
class VendorObject(TypedDict):
    """An object, with `Elements-Version: Helium`."""

    name: Annotated[str, shown("events", "its name")]
    vendorName: Annotated[str, shown("events", "its name at the service")]
    type: Annotated[
        Literal["vendor"], shown("vendor", "always vendor: it is shown as the service has it")
    ]


ObjectName = Annotated[str, Field(examples=["events"])]
HubName = Annotated[str, Field(examples=["scheduling"])]


@with_config(_EXACT)
class ObjectField(TypedDict):
    """A field of an object."""

    vendorPath: Annotated[
        str, shown("summary", "its dotted path; `[*]` stands for each item of a list")
    ]
    type: Annotated[str | list[str], shown("string", "as in JSON Schema")]
    format: NotRequired[Annotated[str, told("as in JSON Schema: date-time, email, ...")]]
    vendorDisplayName: Annotated[str, shown("summary", "what the service calls it")]
    description: NotRequired[
        Annotated[str, shown("Title of the event.", "what the service says of it")]
    ]
    enum: NotRequired[Annotated[list[Any], told("the values that it can have")]]
    vendorReadOnly: Annotated[bool, shown(False, "whether the service fills it")]
    vendorRequired: Annotated[bool, shown(False, "whether a new record needs it")]


@with_config(_EXACT)
class ObjectFields(TypedDict):
    """The fields of an object."""

    fields: list[ObjectField]


@with_config(_EXACT)
class Nothing(TypedDict):
    """It was done, and there is nothing to show."""


@with_config(_EXACT)
class Readiness(TypedDict):
    """Whether the server can take work."""

    ready: Annotated[bool, shown(True, "whether all parts answer")]
    broken: Required[
        Annotated[dict[str, str], shown({}, "the parts that don't, and how each failed")]
    ]
