"""Turns jobs into rows of the ledger, and rows into jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, func, or_

from openbulk.domain.apply import Apply
from openbulk.domain.approvals import Author
from openbulk.domain.conditions import condition_of
from openbulk.domain.file_mapping import parse_mapping
from openbulk.domain.job import (
    FINAL,
    NO_REMARKS,
    SMALL_FILE,
    Counts,
    Download,
    Job,
    Position,
    Remarks,
    Retry,
    RowRemark,
    Status,
    Undo,
    Upload,
    Verification,
)
from openbulk.domain.query import Order, Query, View
from openbulk.domain.records import Action, Target
from openbulk.domain.transformation import transformation_of
from openbulk.storage.tables import jobs

ACTIVE = tuple(status.value for status in Status if status not in FINAL)
AT_REST: Mapping[str, Any] = {"waiting_until": None, "waiting_for": None, "paused": False}
"""What the row of a finished job has in columns that say what happens to an unfinished one."""
_IS_SMALL = and_(jobs.c.records_of.is_(None), jobs.c.file_size <= SMALL_FILE)
HAS_WORK_IN_LANE = and_(
    jobs.c.status.in_(ACTIVE),
    jobs.c.paused.is_(False),
    or_(jobs.c.records.is_not(None), jobs.c.query.is_not(None), _IS_SMALL),
)
"""Jobs that are neither finished nor paused and, as `Job.calls_its_service` says, need the lane."""


def is_ready(now: datetime | ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a job waits for nothing."""
    return or_(jobs.c.waiting_until.is_(None), jobs.c.waiting_until <= now)


_later = jobs.alias()
HAS_UNFINISHED_LATER_JOB = exists().where(
    _later.c.first_file == func.coalesce(jobs.c.first_file, jobs.c.file),
    _later.c.id != jobs.c.id,
    _later.c.status.in_(ACTIVE),
)
"""Jobs of which an unfinished one retries or verifies rows: it reads their rows and outcomes."""
_undo = jobs.alias()
HAS_UNFINISHED_UNDO = exists().where(_undo.c.undo_of == jobs.c.id, _undo.c.status.in_(ACTIVE))
"""Jobs that an unfinished one undoes: it reads what they have overwritten."""


def job_of(row: Row[Any]) -> Job:
    """A job from its row."""
    columns, delimiter = _columns_of(row.columns)
    return Job(
        id=row.id,
        organization_id=row.organization_id,
        instance_id=row.instance_id,
        work=work_of(row),
        position=Position(**(row.position or {})),
        columns=columns,
        delimiter=delimiter,
        has_file=row.has_file,
        status=Status(row.status),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        request_id=row.request_id,
        records=row.records,
        remarks=_remarks_of(row.remarks),
        cursor=row.cursor,
        counts=Counts(**{field.name: getattr(row, field.name) for field in fields(Counts)}),
        mailed_outside=row.mailed_outside,
        slice=row.slice,
        slice_attempts=row.slice_attempts,
        waiting_until=row.waiting_until,
        waiting_for=row.waiting_for,
        is_paused=row.paused,
        priority=row.priority,
        calls_per_minute=row.calls_per_minute,
        error=row.error,
        author=Author(row.created_by, row.by_agent),
        planned_at=row.planned_at,
        apply=row.apply and Apply.of_json(row.apply),
    )


def columns_value(columns: Sequence[str], delimiter: str) -> Any:
    """The column `columns` of a job's row: names, or also the delimiter if it is no comma."""
    if not columns:
        return None
    return list(columns) if delimiter == "," else {"names": list(columns), "delimiter": delimiter}


def _columns_of(kept: Any) -> tuple[tuple[str, ...], str]:
    if isinstance(kept, Mapping):
        return tuple(kept["names"]), kept["delimiter"]
    return tuple(kept or ()), ","


def remarks_value(remarks: Remarks) -> dict[str, Any] | None:
    """The column `remarks` of a job's row; None where nothing was left out."""
    if remarks == NO_REMARKS:
        return None
    first = [[remark.row, remark.line, remark.text] for remark in remarks.first]
    return {"rows": remarks.rows, "first": first, "columns": list(remarks.columns)}


def _remarks_of(kept: Mapping[str, Any] | None) -> Remarks:
    if kept is None:
        return NO_REMARKS
    first = tuple(RowRemark(*remark) for remark in kept["first"])
    return Remarks(kept["rows"], first, tuple(kept.get("columns", ())))


def work_values(work: Upload | Download) -> dict[str, Any]:
    """The columns of a job's row that describe its work; `work_of` reads them back."""
    return _download_values(work) if isinstance(work, Download) else _upload_values(work)


def work_of(row: Any) -> Upload | Download:
    """A job's work, from a row with at least the columns of `work_values`.

    `Download.begin` is not read back: the row's `position` has moved on since.
    """
    if row.query is not None:  # uploads have none
        return _download_of(row)
    return Upload(
        target=Target(
            row.object,
            Action(row.action),
            row.identifier_field,
            row.options,
            unused_options=tuple(row.unused_options or ()),
            transformation=row.transformation and transformation_of(row.transformation),
            mapping=row.mapping and parse_mapping(row.mapping),
        ),
        file=row.file,
        file_size=row.file_size,
        file_format=row.file_format,
        callback_url=row.callback_url,
        records_of=row.records_of,
        retry=_retry_of(row),
        undo=_undo_of(row),
        verification=_verification_of(row),
        planned_file=row.planned_file,
        uploaded_file=row.uploaded_file,
    )


def _retry_of(row: Any) -> Retry | None:
    if row.retry_of is None:
        return None
    return Retry(row.retry_of, tuple(row.earlier_files), row.retried_rows)


def _undo_of(row: Any) -> Undo | None:
    if row.undo_of is None:
        return None
    rows = row.undo["rows"]
    return Undo(row.undo_of, row.undo["overwrites"], None if rows is None else tuple(rows))


def _undo_values(undo: Undo | None) -> dict[str, Any]:
    if undo is None:
        return {}
    kept = {"overwrites": undo.overwrites, "rows": undo.rows and list(undo.rows)}
    return {"undo_of": undo.of, "undo": kept}


def _upload_values(upload: Upload) -> dict[str, Any]:
    return (
        _earlier_values(upload.of_earlier_job)
        | _undo_values(upload.undo)
        | {
            "retry_of": upload.retry and upload.retry.of,
            "verify_of": upload.verification and upload.verification.of,
            "object": upload.target.object,
            "action": upload.target.action.value,
            "identifier_field": upload.target.identifier_field,
            "options": dict(upload.target.options),
            "unused_options": list(upload.target.unused_options) or None,
            "transformation": upload.target.transformation
            and upload.target.transformation.as_json(),
            "mapping": upload.target.mapping and upload.target.mapping.as_json(),
            "file": upload.file,
            "file_size": upload.file_size,
            "kept_bytes": upload.file_size if upload.has_own_file else 0,
            "file_format": upload.file_format,
            "callback_url": upload.callback_url,
            "records_of": upload.records_of,
            "planned_file": upload.planned_file,
            "uploaded_file": upload.uploaded_file,
        }
    )


def _verification_of(row: Any) -> Verification | None:
    if row.verify_of is None:
        return None
    return Verification(row.verify_of, tuple(row.earlier_files), row.retried_rows)


def _earlier_values(earlier: Retry | Verification | None) -> dict[str, Any]:
    if earlier is None:
        return {}
    return {
        "first_file": earlier.files[0],
        "earlier_files": list(earlier.files),
        "retried_rows": earlier.rows,
    }


def _download_values(download: Download) -> dict[str, Any]:
    query = download.query
    return {
        "object": query.object,
        "options": dict(download.options),
        "unused_options": list(download.unused_options) or None,
        "file": download.file,
        "file_size": 0,
        "file_format": download.file_format,
        "callback_url": download.callback_url,
        "position": download.begin and asdict(download.begin),
        "query": {
            "fields": list(query.fields),
            "where": query.where and query.where.as_json(),
            "order": [[one.field, one.descending] for one in query.order],
            "limit": query.limit,
            "parameters": dict(query.parameters),
            "changed_since": moment_text(query.changed_since),
            "is_sorted_by_service": download.is_sorted_by_service,
            "page_size": download.page_size,
            "page_limit": download.page_limit,
            "keeps_nulls": download.keeps_nulls,
            "text": download.text,
            "is_v3": download.is_v3,
            "view": query.view and _view_values(query.view),
        },
    }


def _download_of(row: Any) -> Download:
    kept: Mapping[str, Any] = row.query
    return Download(
        query=_query_of(row.object, kept),
        file=row.file,
        file_format=row.file_format,
        callback_url=row.callback_url,
        page_size=kept["page_size"],
        page_limit=kept["page_limit"],
        is_sorted_by_service=kept["is_sorted_by_service"],
        keeps_nulls=kept["keeps_nulls"],
        text=kept["text"],
        options=row.options,
        unused_options=tuple(getattr(row, "unused_options", None) or ()),
        is_v3=kept["is_v3"],
    )


def _query_of(object: str, kept: Mapping[str, Any]) -> Query:
    return Query(
        object,
        fields=tuple(kept["fields"]),
        where=kept["where"] and condition_of(kept["where"]),
        order=tuple(Order(*one) for one in kept["order"]),
        limit=kept["limit"],
        parameters=kept["parameters"],
        changed_since=moment_of(kept["changed_since"]),
        view=_view_of(kept.get("view")),
    )


def _view_values(view: View) -> dict[str, Any]:
    return {
        "transformation": view.transformation.as_json(),
        "fields": list(view.fields),
        "order": [[one.field, one.descending] for one in view.order],
    }


def _view_of(kept: Mapping[str, Any] | None) -> View | None:
    if kept is None:
        return None
    return View(
        transformation_of(kept["transformation"]),
        fields=tuple(kept["fields"]),
        order=tuple(Order(*one) for one in kept["order"]),
    )


def moment_text(moment: datetime | None) -> str | None:
    """A datetime as ISO 8601 text; `moment_of` reads it back."""
    return moment.isoformat() if moment else None


def moment_of(text: str | None) -> datetime | None:
    """A datetime from the text of `moment_text`."""
    return datetime.fromisoformat(text) if text else None
