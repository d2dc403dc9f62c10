"""Resolves queries: checks their object and fields, and finds what the service itself applies.

A condition may name the service's own parameters (`where timeMin = '2026-01-01T00:00:00Z'`).
They are passed through; openbulk applies the rest of the condition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import Any

from openbulk.connectors.base import Connector, Features
from openbulk.connectors.targets import (
    refusal_to_download,
    refusal_to_read,
    resolve_object,
)
from openbulk.domain.comparison import as_text
from openbulk.domain.conditions import (
    All,
    Comparison,
    Condition,
    conjuncts,
    fields_of,
    rename_fields,
)
from openbulk.domain.errors import BadInput, Conflict, NotFound, ServiceError
from openbulk.domain.job import Download, Job
from openbulk.domain.options import option_text, with_known_spelling
from openbulk.domain.query import ChangedRange, Query, View
from openbulk.domain.renamed_schemas import schema_from_service
from openbulk.domain.transformation import Transformation, service_name_of
from openbulk.storage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class DateFilter:
    """The caller's time range of changes, before the service's field for it is known."""

    since: datetime | None = None
    until: datetime | None = None
    field: str = ""
    """The field with the date; empty for the service's own."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that the caller has sent."""
        bounds = {"from": self.since, "to": self.until}
        return tuple(name for name, moment in bounds.items() if moment is not None)


NO_DATES = DateFilter()
NO_OPTIONS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A query that the service can answer."""

    query: Query
    """With the service's parameters among `parameters`, and no longer in `where`."""
    changes: ChangedRange | None
    """Not yet in the query: each run of a schedule has another range."""
    is_sorted_by_service: bool


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """A download as its caller describes it."""

    download: Download
    """Its query has no object if only `continue_from` defines what to read."""
    continue_from: str = ""
    """Id of the earlier job to continue, as the caller wrote it; empty for none."""
    dates: DateFilter = NO_DATES
    keeps_nulls: bool | None = None
    """`Download.keeps_nulls`, if the caller says so; a continued job keeps that of the earlier."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that must be parameters of the object."""


@dataclass(frozen=True, slots=True)
class ResolvedDownload:
    """A download that can be submitted, once it is restricted to its changes."""

    download: Download
    changes: ChangedRange | None


async def resolve_download(
    request: DownloadRequest,
    connector: Connector,
    transformation: Transformation | None = None,
    *,
    ignores_dates: bool = False,
) -> ResolvedDownload:
    """A requested download in the service's terms; `transformation` as in `resolve_query`.

    With `ignores_dates`, a time range of changes has no effect on an object that does not date its
    changes; the job says so. Raises BadInput otherwise, and for an object or a field that does not
    exist, or an object that jobs do not read, and ServiceError if the service does not list its
    objects.
    """
    objects = await connector.objects()
    wanted = service_name_of(request.download.query.object, transformation)
    name = resolve_object(wanted, objects).name
    refusal = refusal_to_download(name, objects)
    if refusal is not None:
        raise BadInput(refusal)
    dates, unused = request.dates, request.download.unused_options
    if ignores_dates and dates.names and not _has_dates(request, objects[name]):
        dates, unused = NO_DATES, (*unused, *dates.names)
    resolved = await resolve_query(
        request.download.query,
        connector,
        dates=dates,
        options=request.options,
        transformation=transformation,
    )
    download = replace(
        request.download,
        query=resolved.query,
        is_sorted_by_service=resolved.is_sorted_by_service,
        unused_options=unused,
    )
    return ResolvedDownload(download, resolved.changes)


def _has_dates(request: DownloadRequest, features: Features) -> bool:
    """Whether changes are dated: by a field that the caller names, or by the service."""
    return bool(request.dates.field or features.changed)


async def resolve_query(
    query: Query,
    connector: Connector,
    *,
    dates: DateFilter = NO_DATES,
    options: Mapping[str, Any] = NO_OPTIONS,
    transformation: Transformation | None = None,
) -> ResolvedQuery:
    """A query in the service's terms; `options` as in `DownloadRequest`.

    With a `transformation`, the query has its names, and the answer gets them.

    Raises BadInput for an object or a field that does not exist, and ServiceError if the service
    does not list its objects.
    """
    objects = await connector.objects()
    name = resolve_object(service_name_of(query.object, transformation), objects).name
    refusal = refusal_to_read(name, objects)
    if refusal is not None:
        raise BadInput(refusal)
    features = objects[name]
    if transformation is not None:
        # The caller's own field counts, where a parameter has its name.
        own = {one.name for one in transformation.fields}
        features = replace(features, parameters=features.parameters - own)
    query = _pass_parameters(query, features, options)
    changes = _range_of(dates, query.object, features)
    await _require_fields(query, dates.field, name, connector, transformation)
    if transformation is None:
        return ResolvedQuery(query, changes, features.sorts)
    if changes is not None and dates.field:
        changes = replace(changes, field=_service_field(dates.field, transformation))
    return ResolvedQuery(_in_names_of_service(query, transformation), changes, features.sorts)


def _in_names_of_service(query: Query, transformation: Transformation) -> Query:
    """A query with a view, for one in the caller's names."""
    rename = partial(_service_field, transformation=transformation)
    names = dict.fromkeys(chain.from_iterable(map(transformation.vendor_names_of, query.fields)))
    return replace(
        query,
        object=transformation.vendor_name,
        fields=tuple(names),
        where=query.where and rename_fields(query.where, rename),
        order=tuple(replace(one, field=rename(one.field)) for one in query.order),
        view=View(transformation, query.fields, query.order),
    )


def _service_field(name: str, transformation: Transformation) -> str:
    """The service's field to compare or to sort by. Raises BadInput for an object."""
    names = transformation.vendor_names_of(name)
    if len(names) == 1:
        return names[0]
    raise BadInput(
        f"{name!r} of {transformation.name!r} is made of several fields of the service; name one "
        "of those in it"
    )


async def job_to_continue(ledger: Ledger, instance_id: int, job_id: int) -> Job:
    """A finished download of an instance.

    Raises NotFound if the instance has no such job, BadInput if it is an upload, and Conflict if it
    is not finished.
    """
    job = await ledger.job(job_id)
    if job is None or job.instance_id != instance_id:
        raise NotFound(f"this instance has no bulk job {job_id}")
    if not job.is_download:
        raise BadInput(f"job {job_id} is an upload; only a download can be continued")
    if not job.is_finished:
        raise Conflict(f"job {job_id} is {job.status.value}; continue it once it is finished")
    return job


def continue_job(request: DownloadRequest, earlier: Job) -> DownloadRequest:
    """A request that continues an earlier job: with its query, but a limit of its own.

    Raises BadInput if the earlier job cannot be continued.
    """
    download, before, position = request.download, earlier.download, earlier.position
    # It read everything and kept only the first records: no position tells which are left.
    if before.is_sorted_here:
        raise BadInput(
            f"job {earlier.id} sorted its records, so it cannot be continued; remove `order by`"
        )
    query = before.query
    _require_same_parameters(request, earlier)
    _require_usable_page_size(download, earlier)
    if download.query.limit is not None:
        query = replace(query, limit=download.query.limit)
    has_more = position.after is not None or position.skip > 0
    continued = replace(
        download,
        query=query,
        # Page limits count the pages of one job.
        begin=replace(position, is_end=not has_more, pages=0, continues=True),
        page_size=before.page_size if download.page_size is None else download.page_size,
        page_limit=download.page_limit or before.page_limit,
        keeps_nulls=before.keeps_nulls if request.keeps_nulls is None else request.keeps_nulls,
        text=before.text,
    )
    return replace(request, download=continued)


def _require_same_parameters(request: DownloadRequest, earlier: Job) -> None:
    """Raise BadInput for a parameter of the service that the earlier job did not have."""
    before = earlier.download.query.parameters
    for name, value in {**request.options, **request.download.query.parameters}.items():
        if before.get(name) != option_text(value):
            raise BadInput(
                f"job {earlier.id} was read with other parameters than {name}={option_text(value)};"
                " a job that continues it cannot change them: leave them out"
            )


def _require_usable_page_size(download: Download, earlier: Job) -> None:
    """Raise BadInput for another page size, if the earlier job ended in the middle of a page."""
    position, before = earlier.position, earlier.download.page_size
    if download.page_size in (None, before) or not (position.skip or position.since):
        return
    size = "the default size" if before is None else f"{before} records"
    raise BadInput(
        f"job {earlier.id} ended in the middle of a page of {size}, so a job that continues it "
        "keeps that size: leave pageSize out"
    )


def _pass_parameters(query: Query, features: Features, options: Mapping[str, Any]) -> Query:
    """Move the service's parameters from the condition and the options into `parameters`.

    Raises BadInput for an option that is no parameter.
    """
    given = {**options, **query.parameters}
    spelt = with_known_spelling(given, features.parameters, repr(query.object), "parameter")
    parameters = {name: option_text(value) for name, value in spelt.items()}
    rest: list[Condition] = []
    for part in conjuncts(query.where):
        match part:
            case Comparison(name, "=", (value,)) if name in features.parameters:
                parameters[name] = as_text(value)
                if name in features.lookups:
                    rest.append(part)
            case _:
                rest.append(part)
    where = All(tuple(rest)) if rest else None
    for name in fields_of(where):
        if name in features.parameters - features.lookups:
            raise BadInput(
                f"{name} is a parameter of the service: compare it with =, and join it with and"
            )
    return replace(query, parameters=parameters, where=where)


def _range_of(dates: DateFilter, object: str, features: Features) -> ChangedRange | None:
    if dates.since is None and dates.until is None:
        return None
    name = dates.field or features.changed
    if name is None:
        raise BadInput(f"{object!r} has no date of change; leave from and to out")
    return ChangedRange(
        name, dates.since, dates.until, is_known_to_service=name == features.changed
    )


# --- fields ---


async def _require_fields(
    query: Query,
    date_field: str,
    object: str,
    connector: Connector,
    transformation: Transformation | None,
) -> None:
    """Raise BadInput for a field that the object does not have.

    A condition on a misspelt field would silently select no records.
    """
    order = [one.field for one in query.order]
    for name in order:
        if query.fields and name not in query.fields:
            raise BadInput(f"order by {name} needs {name} among the selected fields")
    names = (*query.fields, *order, *fields_of(query.where), *filter(None, [date_field]))
    if not names:
        return
    try:
        schema = await connector.metadata(object)
    except ServiceError:
        return  # the job will meet the same failure, and wait for the service
    shown_object = object if transformation is None else transformation.name
    if transformation is not None:
        schema = schema_from_service(transformation, schema)
    for name in names:
        # A name with a dot may be that of a field.
        if not (_has_field(schema, [name]) or _has_field(schema, name.split("."))):
            near = get_close_matches(name, list(_field_names(schema)), 1)
            hint = "".join(f"; did you mean {one!r}?" for one in near)
            raise BadInput(f"{shown_object!r} has no field {name!r}{hint}")


def _has_field(schema: Mapping[str, Any], steps: Sequence[str]) -> bool:
    # A schema without a type allows any value (JSON Schema, validation, section 6.1.1).
    if not steps or "type" not in schema:
        return True
    if schema["type"] != "object":
        return False
    nested = schema.get("properties", {}).get(steps[0], schema.get("additionalProperties"))
    return isinstance(nested, Mapping) and _has_field(nested, steps[1:])


def _field_names(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of all fields, each object's before the fields in it."""
    for name, nested in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from _field_names(nested, f"{prefix}{name}.")
