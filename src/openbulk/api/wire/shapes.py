"""The vendor's JSON shapes: the only place that knows how the wire contract spells things."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from openbulk.connectors.base import Features, Provider, Setting
from openbulk.domain.instance import Instance
from openbulk.domain.job import Download, Job, Status
from openbulk.domain.workflow import Run, Schedule, Transfer
from openbulk.engine.workflows.cron import next_after
from openbulk.formats.table import order_columns
from openbulk.storage.accounts import User
from openbulk.storage.ledger import RecordError

MASK = "********"
PLATFORM_SETTINGS = (
    Setting(
        "event.notification.signature.key", "Key that notifications are signed with.", secret=True
    ),
    Setting("event.notification.callback.headers", "Headers to add to notifications.", secret=True),
    Setting(
        "bulk.json.lines",
        "true: application/json answers of downloads are JSON Lines, as some clients expect.",
    ),
    Setting("event.notification.basic.username", "User name for notifications."),
    Setting("event.notification.basic.password", "Password for notifications.", secret=True),
)
"""Configuration that every instance understands, whatever its service."""
_SOUNDS_SECRET = re.compile(
    r"secret|password|passwd|token|key|credential|private|auth", re.IGNORECASE
)


def job_created(job: Job) -> dict[str, Any]:
    """The answer to an upload. It has no `message`: a client takes one for an error."""
    return {"id": str(job.id), "status": Status.CREATED.value, "instanceId": job.instance_id}


def job_status(job: Job, completed: str) -> dict[str, Any]:
    """The status of a job, with the keys of the way in which it was asked for."""
    status = completed if job.status is Status.COMPLETE else job.status.value
    is_v3 = job.is_download and job.download.is_v3
    shape = _status_v3(job, status) if is_v3 else _status_v2(job, status)
    return {key: value for key, value in shape.items() if value is not None}


def _status_v3(job: Job, status: str) -> dict[str, Any]:
    return {
        "id": job.id,
        "instanceId": job.instance_id,
        "status": status,
        "jobStatus": status,
        "objectName": job.object,
        "jobDirection": "DOWNLOAD",
        "recordCount": job.cursor,
        "errorCount": 0,
        "statusMessage": _info(job)
        or (f"Successfully downloaded {job.cursor} records" if job.is_finished else None),
        "error": job.error,
        "createdDate": _epoch_ms(job.created_at),
        "completionTime": _epoch_ms(job.finished_at),
        "fileFormat": job.work.file_format.upper(),
        "jobCriteria": dict(job.options),
        "metaData": {"object": job.object},
        "notificationUrl": job.work.callback_url,
        "defaultSelectFields": ",".join(job.download.query.fields),
        "native": False,
    }


def _status_v2(job: Job, status: str) -> dict[str, Any]:
    """No other keys than the contract's: a strict client breaks on more."""
    return {
        "id": str(job.id),
        "status": status,
        "instanceId": job.instance_id,
        "object_name": job.object,
        "job_direction": "DOWNLOAD" if job.is_download else "UPLOAD",
        "recordsCount": job.cursor if job.is_download else job.counts.reached,
        "recordsFailedCount": job.counts.failed + job.counts.unknown,
        "fileFormat": job.work.file_format,
        "fileSize": None if isinstance(job.work, Download) else job.work.file_size,
        "metadata": dict(job.options),
        "requestId": job.request_id,
        "bulk_start_time": _epoch_ms(job.started_at),
        "bulk_finish_time": _epoch_ms(job.finished_at),
        "infoMessage": _info(job),
        "error": job.error,
    }


def job_item(job: Job, completed: str) -> dict[str, Any]:
    """A job in the list of jobs."""
    status = completed if job.status is Status.COMPLETE else job.status.value
    shape = {
        "id": job.id,
        "instanceId": job.instance_id,
        "status": status,
        "job_status": status,
        "object_name": job.object,
        "job_direction": "DOWNLOAD" if job.is_download else "UPLOAD",
        "job_query": job.download.text if job.is_download else None,
        "job_state": job.waiting_for,
        "job_reset_attempt": job.slice_attempts,
        "record_count": job.cursor if job.is_download else job.counts.reached,
        "error_count": job.counts.failed + job.counts.unknown,
        "fileFormat": job.work.file_format,
        "notification_url": job.work.callback_url,
        "createdDate": _epoch_ms(job.created_at),
        "completion_time": _epoch_ms(job.finished_at),
    }
    return {key: value for key, value in shape.items() if value is not None}


def workflow_created(run: Run) -> dict[str, Any]:
    """The answer to a workflow; its id is the `groupName` of its transfers."""
    return {"id": run.id, "status": Status.CREATED.value, "instanceId": run.instance_id}


def transfer(
    transfer: Transfer, jobs: Mapping[str, Job], elements: Mapping[int, str], completed: str
) -> dict[str, Any]:
    """What is carried over, with its two jobs."""
    destination = transfer.plan.destination
    reading, sending = jobs.get(transfer.read_file), jobs.get(transfer.sent_file)
    shape = {
        "bulkLoaderId": transfer.id,
        "groupName": transfer.run.id,
        "jobId": transfer.run.schedule_id,
        "createdDate": _epoch_ms(transfer.run.created_at),
        "completionTime": _epoch_ms(transfer.finished_at),
        "status": transfer.status.value,
        "statusMessage": transfer.error,
        "payload": dict(transfer.plan.request),
        "sourceElementKey": elements.get(transfer.run.instance_id),
        "sourceObjectName": transfer.plan.download.query.object,
        **_side("source", reading, completed),
        "sourceRecordCount": reading and reading.cursor,
    }
    if destination is not None:
        shape |= {
            "targetElementKey": elements.get(destination.instance_id),
            "targetObjectName": destination.target.object,
            **_side("target", sending, completed),
            "targetErrorCount": sending and sending.counts.failed + sending.counts.unknown,
        }
    return {key: value for key, value in shape.items() if value is not None}


def _side(name: str, job: Job | None, completed: str) -> dict[str, Any]:
    if job is None:
        return {}
    return {
        f"{name}JobId": str(job.id),
        f"{name}Status": completed if job.status is Status.COMPLETE else job.status.value,
        f"{name}StatusMessage": job.error or _info(job),
    }


def schedule(schedule: Schedule, now: datetime, last: Run | None = None) -> dict[str, Any]:
    """What is carried out again and again."""
    following = None if schedule.due_at else next_after(schedule.cron, now)
    trigger = {
        "id": schedule.id,
        "cron": schedule.cron,
        "state": "NORMAL" if schedule.due_at else "PAUSED" if following else "COMPLETE",
        "startTime": _epoch_ms(schedule.created_at),
        "previousFireTime": last and _epoch_ms(last.created_at),
        "nextFireTime": _epoch_ms(schedule.due_at),
    }
    return {
        "id": schedule.id,
        "name": schedule.name,
        "description": schedule.description,
        "instanceId": schedule.instance_id,
        "disallowConcurrent": True,
        "data": dict(schedule.request),
        "schedule": schedule.cron,
        "trigger": {key: value for key, value in trigger.items() if value is not None},
    }


def run(run: Run, transfers: Sequence[Transfer], jobs: Mapping[str, Job]) -> dict[str, Any]:
    """One time that a schedule was due."""
    files = (name for one in transfers for name in (one.read_file, one.sent_file))
    shape = {
        "id": run.id,
        "jobId": run.schedule_id,
        "status": run.status.value,
        "startTime": _epoch_ms(run.created_at),
        "endTime": _epoch_ms(run.finished_at),
        "message": "; ".join(one.error for one in transfers if one.error) or None,
        "bulkJobIds": [str(jobs[name].id) for name in files if name in jobs],
    }
    return {key: value for key, value in shape.items() if value is not None}


def with_fields(items: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Items with those fields alone that were asked for; with all that they have, where none were."""
    return [{name: item[name] for name in names or item if name in item} for item in items]


def columns(job: Job) -> Sequence[str]:
    """The columns of a download's table: those that were asked for, or all that its records have."""
    return job.download.query.fields or order_columns(job.columns)


JOB_FIELDS = (
    *(
        "id",
        "instanceId",
        "status",
        "job_status",
        "object_name",
        "job_direction",
        "job_query",
        "job_state",
    ),
    *(
        "job_reset_attempt",
        "record_count",
        "error_count",
        "fileFormat",
        "notification_url",
        "createdDate",
    ),
    "completion_time",
)
"""What a list of jobs shows of each, where it has it."""
SUFFIXES = {"googlecsv": "csv"}
"""Of files whose format is not called by its suffix."""
MAX_FILE_NAME = 150
_MASK = re.compile(r"\{([^{}]*)\}")
_PARTS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_DATE_PART = re.compile("|".join(_PARTS))
_UNSAFE = re.compile(r"[^\w .()+-]")


def file_name(job: Job, format: str) -> str:
    """The name of a download's file: what its caller asked for in `metaData.fileName`, where a mask such as
    `{yyyyMMdd_HHmmss}` stands for the time at which the job was made, in UTC."""

    def dated(mask: re.Match[str]) -> str:
        return _DATE_PART.sub(lambda part: job.created_at.strftime(_PARTS[part[0]]), mask[1])

    asked = str(job.options.get("fileName") or f"bulk-{job.id}")[:MAX_FILE_NAME]
    suffix = SUFFIXES.get(format, format)
    name = _UNSAFE.sub("_", _MASK.sub(dated, asked).removesuffix(f".{suffix}"))
    return f"{name}.{suffix}"


def notification(job: Job, completed: str) -> bytes:
    """What a caller is told of a finished job: its status, and what the caller asked to be given back."""
    shape = job_status(job, completed)
    if "callback-payload" in job.options:
        shape["callback-payload"] = job.options["callback-payload"]
    return orjson.dumps(shape)


def _epoch_ms(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _info(job: Job) -> str | None:
    """What a person should know beyond the numbers."""
    return "; ".join(_remarks(job)) or None


def _remarks(job: Job) -> Iterator[str]:
    if job.waiting_for is not None:
        yield job.waiting_for
        if job.waiting_until:
            yield f"goes on at {job.waiting_until.isoformat(timespec='seconds')}"
    if job.mailed_outside:
        yield f"{job.mailed_outside} records have attendees outside the organization, who were sent mail"
    if job.counts.unknown:
        yield f"{job.counts.unknown} records may or may not have been taken; /errors lists them"
    if job.status is Status.CANCELLED and job.records is not None and job.cursor == job.records:
        yield "it was cancelled after its last record"
    if job.is_finished and not job.is_download and job.not_reached:
        yield f"{job.not_reached} of {job.records} records were not reached"


def record_error(error: RecordError) -> dict[str, Any]:
    """A record that was not taken. Clients read the message from `status` or from `error`: it is in both."""
    shape = {
        "rowNum": error.row,
        "lineNum": error.line,
        "status": error.problem,
        "error": error.problem,
        "field": error.field,
        "response": error.provider_message,
    }
    return {key: value for key, value in shape.items() if value is not None}


def instance(
    instance: Instance, provider: Provider, element_id: int, user: User, token: str = MASK
) -> dict[str, Any]:
    """An instance. Its token is shown once, when it is made; its secrets never."""
    return {
        "id": instance.id,
        "name": instance.name,
        "token": token,
        "element": element(provider, element_id),
        "configuration": _shown(instance.configuration, provider),
        "tags": list(instance.tags),
        "provisionInteractions": [],
        "valid": True,
        "disabled": instance.disabled,
        "createdDate": instance.created_at.isoformat(timespec="seconds"),
        "user": {"id": user.id, "emailAddress": user.email},
    }


def configuration(instance: Instance, provider: Provider) -> list[dict[str, Any]]:
    """The entries of an instance's configuration: those that it understands, then those that it was given beside."""
    known = {setting.name: setting.help for setting in (*provider.settings, *PLATFORM_SETTINGS)}
    shown = _shown(instance.configuration, provider)
    names = [*known, *sorted(name for name in shown if name not in known)]
    entries = (
        {
            "id": number,
            "key": name,
            "propertyValue": shown.get(name),
            "description": known.get(name),
        }
        for number, name in enumerate(names, 1)
    )
    return [{key: value for key, value in entry.items() if value is not None} for entry in entries]


def _shown(configuration: Mapping[str, str], provider: Provider) -> dict[str, str]:
    return {
        name: MASK if _is_secret(name, provider) else value for name, value in configuration.items()
    }


def _is_secret(name: str, provider: Provider) -> bool:
    """Whether a configuration entry is never shown: one that its provider or the platform says is secret.

    Of an entry that nobody knows, the name decides: better one too many is hidden than one too few.
    """
    known = {setting.name: setting.secret for setting in (*provider.settings, *PLATFORM_SETTINGS)}
    return known.get(name, _SOUNDS_SECRET.search(name) is not None)


def element(provider: Provider, element_id: int) -> dict[str, Any]:
    """A service that instances can be made of."""
    return {"id": element_id, "key": provider.key, "name": provider.name, "hub": provider.hub}


def object_support(objects: Mapping[str, Features]) -> list[dict[str, Any]]:
    """What can be done in bulk with each object."""
    return [
        {
            "name": name,
            "bulk": {
                "upload": {"supported": bool(can.actions), "native": can.native},
                "download": {"supported": can.can_read},
            },
        }
        for name, can in objects.items()
    ]


def settings(provider: Provider) -> list[dict[str, Any]]:
    """The configuration that instances of a service take."""
    return [
        {
            "key": one.name,
            "description": one.help,
            "type": "PASSWORD" if one.secret else "TEXTFIELD_255",
        }
        for one in (*provider.settings, *PLATFORM_SETTINGS)
    ]


def sign_in_address(element_key: str, address: str, state: str | None = None) -> dict[str, str]:
    """Where a person signs in; and the state to give back with the code, where one was made."""
    return {"element": element_key, "oauthUrl": address} | ({"state": state} if state else {})


def fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object's fields, nested ones by dotted paths, from its JSON Schema."""
    return {"fields": list(_fields(schema, ""))}


def _fields(schema: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    required: Sequence[str] = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        shape = {
            "vendorPath": path,
            "type": field.get("type", "string"),
            "format": field.get("format"),
            "vendorDisplayName": field.get("title", name),
            "description": field.get("description"),
            "enum": field.get("enum"),
            "vendorReadOnly": bool(field.get("readOnly", False)),
            "vendorRequired": name in required,
        }
        yield {key: value for key, value in shape.items() if value is not None}
        yield from _fields(field, f"{path}.")
        if isinstance(field.get("items"), Mapping):
            yield from _fields(field["items"], f"{path}[*].")
