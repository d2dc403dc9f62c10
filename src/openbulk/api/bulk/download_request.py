"""What the two ways of asking for a download say, as the job that they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Protocol

from openbulk.api.bulk.metadata import parse_metadata
from openbulk.api.wire.query_language import EXAMPLE, field_list, parse, parse_where
from openbulk.connectors.base import Connector, Features
from openbulk.connectors.targets import refusal_to_read, resolve_object
from openbulk.domain.errors import BadInput, ServiceError
from openbulk.domain.job import Download, Job
from openbulk.domain.query import All, Comparison, Condition, conjuncts, fields_of
from openbulk.domain.workflow import Changes, bounded
from openbulk.formats.recognition import resolve_format_name


class EarlierDownloads(Protocol):
    """The downloads that others can go on with."""

    async def job(self, text: str) -> Job:
        """A finished download by its id."""


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """A download as it was asked for; what the service has to say to it comes later."""

    download: Download
    continued: str | None = None
    """The id of the job to go on with."""
    changed_from: datetime | None = None
    changed_to: datetime | None = None
    changed_field: str | None = None
    """The field with the date, where the caller names one."""

    async def completed(self, past: EarlierDownloads | None, connector: Connector) -> Download:
        """The job to submit. Raises BadInput for what the service cannot be asked, and as `EarlierDownloads.job`."""
        return bounded(*await self.settled(past, connector))

    async def settled(
        self, past: EarlierDownloads | None, connector: Connector
    ) -> tuple[Download, Changes | None]:
        """What is to be read, and the bounds of the date of change beside it. Raises as `completed`."""
        download = self.download
        if self.continued and past is not None:
            download = _going_on(download, await past.job(self.continued))
        if not download.object:
            raise BadInput(f"q is missing; it looks like: {EXAMPLE}")
        objects = await connector.objects()
        name, _ = resolve_object(download.object, objects)
        if (refusal := refusal_to_read(name, objects)) is not None:
            raise BadInput(refusal)
        download = _with_parameters(download, objects[name])
        changes = self._changes(download, objects[name])
        await _check_fields(bounded(download, changes), name, connector)
        return replace(download, is_sorted_by_service=objects[name].sorts), changes

    def _changes(self, download: Download, features: Features) -> Changes | None:
        if self.changed_from is None and self.changed_to is None:
            return None
        name = self.changed_field or features.changed
        if name is None:
            raise BadInput(
                f"{download.object!r} does not say when a record was changed; leave from and to out"
            )
        return Changes(
            name,
            since=self.changed_from,
            until=self.changed_to,
            is_known_to_service=name == features.changed,
        )


def download_of_query(
    given: Mapping[str, Any], file: str, callback_url: str | None
) -> DownloadRequest:
    """What `POST /bulk/query` asks for. Raises BadInput."""
    text = str(given.get("q") or given.get("query") or "")
    asked = parse(text) if text else None
    download = Download(
        object=asked.object if asked else "",
        file=file,
        fields=asked.fields if asked else (),
        where=asked.where if asked else None,
        order=asked.order if asked else (),
        limit=asked.limit if asked else None,
        text=text,
        options=parse_metadata(given.get("metaData")),
        file_format=resolve_format_name(given.get("fileFormat"), "fileFormat") or "csv",
        callback_url=callback_url,
    )
    return DownloadRequest(
        download,
        continued=_text(given, "continueFromJobId"),
        changed_from=_moment(given, "from") or _moment(given, "lastRunDate"),
        changed_to=_moment(given, "to"),
    )


def download_of_body(body: Mapping[str, Any], file: str) -> DownloadRequest:
    """What `POST /bulk/download` asks for. Raises BadInput."""
    if body.get("docsHubDetails"):
        raise BadInput(
            "docsHubDetails is not possible: there is no connector to documents; fetch the file instead"
        )
    name, where = _text(body, "objectName"), _text(body, "where")
    if not name and not body.get("continueFromJobId"):
        raise BadInput(
            'objectName is missing; it looks like {"objectName": "events", "format": "text/csv"}'
        )
    fields = field_list(_text(body, "selectFields") or "")
    query = body.get("query") or {}
    if not isinstance(query, Mapping):
        raise BadInput(
            'query is not an object of parameters; it looks like {"showDeleted": "true"}'
        )
    download = Download(
        object=name or "",
        file=file,
        fields=fields,
        where=parse_where(where) if where else None,
        limit=_whole(body, "limit", least=0),
        page_size=_whole(body, "pageSize", least=1),
        page_limit=_whole(body, "apiLimit", least=1),
        parameters={str(key): str(value) for key, value in query.items()},
        keeps_nulls=body.get("filterNulls") is False,
        text=" ".join(
            [
                "select",
                ", ".join(fields) or "*",
                "from",
                name or "",
                *(["where", where] if where else []),
            ]
        ),
        options=dict(body),
        file_format=resolve_format_name(body.get("format"), "format") or "csv",
        callback_url=_text(body, "notificationUrl"),
        is_v3=True,
    )
    return DownloadRequest(
        download,
        continued=_text(body, "continueFromJobId"),
        changed_from=_moment(body, "from"),
        changed_to=_moment(body, "to"),
        changed_field=_text(body, "filterDateField"),
    )


def _going_on(download: Download, job: Job) -> Download:
    """The query of an earlier job from where it ended; its limit holds for each of the two."""
    before, position = job.download, job.position
    if before.is_sorted_here:
        raise BadInput(
            f"job {job.id} sorted its records: there is no behind to go on from; ask without order by"
        )
    has_more = position.after is not None or position.skip > 0
    return replace(
        before,
        file=download.file,
        limit=download.limit if download.limit is not None else before.limit,
        page_limit=download.page_limit if download.page_limit is not None else before.page_limit,
        begin=replace(position, is_end=not has_more, pages=0, continues=True),
        file_format=download.file_format,
        callback_url=download.callback_url,
        options=download.options,
        is_v3=download.is_v3,
    )


def _with_parameters(download: Download, features: Features) -> Download:
    """What a condition says of the service's own parameters is for the service; the rest is for us."""
    told = {} if download.is_v3 else download.options  # the same that an upload's metaData says
    parameters = {name: str(value) for name, value in told.items() if name in features.parameters}
    parameters |= download.parameters
    rest: list[Condition] = []
    for part in conjuncts(download.where):
        match part:
            case Comparison(field=name, operator="=", values=(value,)) if (
                name in features.parameters
            ):
                parameters[name] = str(value).lower() if isinstance(value, bool) else str(value)
            case _:
                rest.append(part)
    for part in rest:
        for name in fields_of(part):
            if name in features.parameters:
                raise BadInput(
                    f"{name} is a parameter of the service: it can be compared with = and joined with and"
                )
    return replace(download, parameters=parameters, where=All(tuple(rest)) if rest else None)


async def _check_fields(download: Download, object: str, connector: Connector) -> None:
    """Whether the fields of a query exist. Raises BadInput: a misspelt one would find nothing, and not say why."""
    sorted_by = [one.field for one in download.order]
    for name in sorted_by:
        if download.fields and name not in download.fields:
            raise BadInput(
                f"order by {name} is possible only where {name} is among the fields that are selected"
            )
    asked = [*download.fields, *sorted_by, *(fields_of(download.where) if download.where else ())]
    if not asked:
        return
    try:
        schema = await connector.metadata(object)
    except ServiceError:
        return  # the job will meet the same failure, and wait for the service
    for name in asked:
        if not _has_field(schema, name.split(".")):
            near = get_close_matches(name, _paths(schema), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"{object!r} has no field {name!r}{hint}")


def _has_field(schema: Mapping[str, Any], steps: list[str]) -> bool:
    if not steps or "type" not in schema:  # without a type, it may hold anything
        return True
    if schema["type"] != "object":
        return False
    field = schema.get("properties", {}).get(steps[0], schema.get("additionalProperties"))
    return isinstance(field, Mapping) and _has_field(field, steps[1:])


def _paths(schema: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, field in schema.get("properties", {}).items():
        found += [f"{prefix}{name}", *_paths(field, f"{prefix}{name}.")]
    return found


# --- values ---


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    return None if value in (None, "") else str(value)


def _whole(given: Mapping[str, Any], name: str, *, least: int) -> int | None:
    value = given.get(name)
    if value in (None, ""):
        return None
    if (
        isinstance(value, bool)
        or not str(value).isascii()
        or not str(value).isdecimal()
        or int(value) < least
    ):
        raise BadInput(
            f"{name} is {str(value)[:40]!r}; it has to be a whole number from {least} on"
        )
    return int(value)


def _moment(given: Mapping[str, Any], name: str) -> datetime | None:
    """A time in ISO 8601; a plus sign that the address has made a blank of is one again."""
    text = _text(given, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError as error:
        raise BadInput(
            f"{name} is {text[:40]!r}; it looks like 2026-05-30T10:00:00+02:00"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
