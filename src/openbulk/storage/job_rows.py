"""A job as a row, and back."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from openbulk.domain.job import FINAL, Counts, Download, Job, Position, Status, Upload
from openbulk.domain.query import Order, as_json, condition_of
from openbulk.domain.records import Action, Target

ACTIVE = tuple(status.value for status in Status if status not in FINAL)


def job_of(row: Row[Any]) -> Job:
    """A job from its row."""
    return Job(
        id=row.id,
        organization_id=row.organization_id,
        instance_id=row.instance_id,
        work=work_of(row),
        position=Position(**(row.position or {})),
        columns=tuple(row.columns or ()),
        status=Status(row.status),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        request_id=row.request_id,
        records=row.records,
        cursor=row.cursor,
        counts=Counts(**{field.name: getattr(row, field.name) for field in fields(Counts)}),
        mailed_outside=row.mailed_outside,
        slice=row.slice,
        slice_attempts=row.slice_attempts,
        waiting_until=row.waiting_until,
        waiting_for=row.waiting_for,
        error=row.error,
    )


def work_values(work: Upload | Download) -> dict[str, Any]:
    """The columns of a job's row that never change."""
    return _download_values(work) if isinstance(work, Download) else _upload_values(work)


def work_of(row: Any) -> Upload | Download:
    """What a job was asked for; the row has what `work_values` gave, and may have more."""
    if row.query is not None:
        return _download_of(row, row.query)
    return Upload(
        target=Target(row.object, Action(row.action), row.identifier_field, row.options),
        file=row.file,
        file_size=row.file_size,
        file_format=row.file_format,
        callback_url=row.callback_url,
        records_of=row.records_of,
    )


def _upload_values(upload: Upload) -> dict[str, Any]:
    return {
        "object": upload.target.object,
        "action": upload.target.action.value,
        "identifier_field": upload.target.identifier_field,
        "options": dict(upload.target.options),
        "file": upload.file,
        "file_size": upload.file_size,
        "file_format": upload.file_format,
        "callback_url": upload.callback_url,
        "records_of": upload.records_of,
    }


def _download_values(download: Download) -> dict[str, Any]:
    return {
        "object": download.object,
        "options": dict(download.options),
        "file": download.file,
        "file_size": 0,
        "file_format": download.file_format,
        "callback_url": download.callback_url,
        "position": download.begin and asdict(download.begin),
        "query": {
            "fields": list(download.fields),
            "where": None if download.where is None else as_json(download.where),
            "order": [[one.field, one.descending] for one in download.order],
            "is_sorted_by_service": download.is_sorted_by_service,
            "limit": download.limit,
            "page_size": download.page_size,
            "page_limit": download.page_limit,
            "parameters": dict(download.parameters),
            "changed_since": download.changed_since and download.changed_since.isoformat(),
            "keeps_nulls": download.keeps_nulls,
            "text": download.text,
            "is_v3": download.is_v3,
        },
    }


def _download_of(row: Any, query: Mapping[str, Any]) -> Download:
    return Download(
        object=row.object,
        file=row.file,
        fields=tuple(query["fields"]),
        where=query["where"] and condition_of(query["where"]),
        order=tuple(Order(*one) for one in query["order"]),
        is_sorted_by_service=query["is_sorted_by_service"],
        limit=query["limit"],
        page_size=query["page_size"],
        page_limit=query["page_limit"],
        parameters=query["parameters"],
        changed_since=query["changed_since"] and datetime.fromisoformat(query["changed_since"]),
        keeps_nulls=query["keeps_nulls"],
        text=query["text"],
        is_v3=query["is_v3"],
        options=row.options,
        file_format=row.file_format,
        callback_url=row.callback_url,
    )
