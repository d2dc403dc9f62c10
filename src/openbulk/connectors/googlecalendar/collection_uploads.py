"""Writes calendars, entries of the person's list, and rules of access.

A service account owns the calendars that it creates for good
(https://developers.google.com/workspace/calendar/api/v3/reference/calendars/insert).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openbulk.connectors.answers import Answer
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.api import CalendarApi
from openbulk.connectors.googlecalendar.collections import (
    CALENDARS,
    COLLECTIONS,
    CalendarCollections,
    Collection,
    marker_of,
    path_for,
    without_marker,
)
from openbulk.connectors.googlecalendar.diff import changes
from openbulk.connectors.googlecalendar.errors import (
    RecordRefused,
    read_existing,
    require_accepted,
)
from openbulk.connectors.googlecalendar.event_rows import calendar_of
from openbulk.connectors.googlecalendar.fields import convert, require_fields
from openbulk.connectors.repeated_rows import Meaning, RepeatedRows
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target


@dataclass(frozen=True, slots=True)
class CollectionRow:
    """A record of one of the three collections, prepared for Google."""

    record: Record
    target: Target
    collection: Collection
    calendar: str
    body: Mapping[str, Any]
    """The fields in Google's types."""
    identity: Mapping[str, Any]
    """The fields that identify the record in its collection; empty if the row has none."""
    parameters: Mapping[str, str]
    """The query parameters of a call that writes."""

    def path(self, id: str | None = None) -> str:
        """The path at which Google creates the record; with an id, the path of the record."""
        return path_for(self.collection.path, self.calendar, id)

    @property
    def label(self) -> str:
        """The name of the record for a person."""
        return str(self.identity.get("id") or self.body.get("summary") or "no id")

    def outcome(self, kind: OutcomeKind, id: str | None = None) -> Outcome:
        """The outcome of the record."""
        return Outcome(self.record.row, kind, id)


def collection_row(record: Record, target: Target) -> CollectionRow:
    """A record, prepared for Google. Raises FieldError."""
    collection = COLLECTIONS[target.object]
    values = dict(record.values)
    calendar = str(values.pop("calendarId", None) or calendar_of(target.options))
    body = without_marker(convert(values, collection.schema()))
    identity = collection.identity(body)
    parameters = collection.write_parameters(body, target.options)
    return CollectionRow(record, target, collection, calendar, body, identity, parameters)


def _meaning(record: Record, target: Target) -> Meaning | None:
    """The record of Google's that a row means; None if it can only be a new one, or is refused."""
    try:
        row = collection_row(record, target)
    except FieldError:
        return None
    field, value = "id", row.identity.get("id")
    if row.collection.has_given_ids:
        if target.action is Action.CREATE:
            return None
        if value is None and target.identifier_field == "summary":
            field, value = "summary", row.body.get("summary")
    if value is None:
        return None
    # The ids are mail addresses, whose case Google ignores.
    name = f"{row.calendar if row.collection.is_of_calendar else ''} {field} {value}".lower()
    fields = {one: row.body[one] for one in row.body.keys() - {*row.identity, field}}
    return Meaning(field, f"{field} {value}", name, fields)


class CollectionUploads:
    """Writes the three collections of one account."""

    def __init__(self, api: CalendarApi, collections: CalendarCollections) -> None:
        self._api = api
        self._collections = collections
        self._repeated = RepeatedRows()
        self._actions: Mapping[Action, Callable[[CollectionRow], Awaitable[Outcome]]] = {
            Action.CREATE: self._create,
            Action.UPDATE: self._change,
            Action.UPSERT: self._change,
            Action.DELETE: self._delete,
        }

    async def write(self, record: Record, target: Target) -> Outcome:
        """Do the target's action with one record. Raises ServiceError."""
        try:
            row = collection_row(record, target)
            await self._require_no_other(row)
            return await self._actions[target.action](row)
        except (FieldError, RecordRefused) as error:
            return error.outcome(record.row)

    async def _require_no_other(self, row: CollectionRow) -> None:
        """Raise FieldError if an earlier row of the file says otherwise of the same record."""
        if row.target.action is not Action.DELETE:
            problems = await self._repeated.problems(
                row.target, [row.record], lambda record: _meaning(record, row.target)
            )
            for problem in problems.values():
                raise problem

    async def _create(self, row: CollectionRow) -> Outcome:
        body = {**row.body, **row.identity}
        require_fields(body, row.collection.schema())
        if row.collection.has_given_ids:
            # The marker identifies the calendar if the answer is lost (collections.py).
            body.pop("id", None)
            body["description"] = f"{body.get('description', '')}\n{marker_of(row.record)}".lstrip()
        answer = await self._write("POST", row.path(), row, body)
        return row.outcome(OutcomeKind.CREATED, answer.text_at("id"))

    async def _change(self, row: CollectionRow) -> Outcome:
        known_id = await self._find_id(row)
        if known_id is None:
            return await self._create_missing(row, None)
        answer = await self._api.read(row.path(known_id))
        current = read_existing(answer, row.collection.schema_name)
        if current is None:
            return await self._create_missing(row, known_id)
        fields = {name: row.body[name] for name in row.body.keys() - row.identity.keys()}
        different = changes(fields, without_marker(current))
        if not different:
            return row.outcome(OutcomeKind.UNCHANGED, known_id)
        await self._write("PATCH", row.path(known_id), row, different)
        return row.outcome(OutcomeKind.UPDATED, known_id)

    async def _create_missing(self, row: CollectionRow, known_id: str | None) -> Outcome:
        """Create what an upsert did not find, unless Google would assign a different id."""
        is_possible = known_id is None or not row.collection.has_given_ids
        if row.target.action is Action.UPSERT and is_possible:
            return await self._create(row)
        raise FieldError(
            "id", f"{row.target.object} has none with {row.label}; use action create to make one"
        )

    async def _delete(self, row: CollectionRow) -> Outcome:
        known_id = await self._find_id(row)
        if known_id is None:
            return row.outcome(OutcomeKind.NOT_FOUND)
        answer = await self._call("DELETE", row.path(known_id), row)
        if answer.status == 404:
            return row.outcome(OutcomeKind.NOT_FOUND)
        # Google answers 410 if it was deleted before, by our retry or by a person.
        if answer.status == 410:
            return row.outcome(OutcomeKind.NOT_FOUND, known_id)
        require_accepted(answer)
        return row.outcome(OutcomeKind.DELETED, known_id)

    async def _write(
        self, method: str, path: str, row: CollectionRow, body: Mapping[str, Any]
    ) -> Answer:
        answer = await self._call(method, path, row, params=row.parameters, body=body)
        require_accepted(answer)
        return answer

    async def _call(self, method: str, path: str, row: CollectionRow, **content: Any) -> Answer:
        calendar = row.calendar if row.collection.is_of_calendar else None
        return await self._api.write(method, path, calendar, **content)

    async def _find_id(self, row: CollectionRow) -> str | None:
        """The id that a row means; None if it can only mean a new calendar. Raises FieldError.

        The caller may name calendars by their summary (`identifierFieldName`).
        """
        if row.identity:
            return str(row.identity["id"])
        if row.collection.has_given_ids:
            if row.target.identifier_field == "summary":
                return await self._find_calendar(str(row.body.get("summary", "")))
            if row.target.action is Action.UPSERT:
                return None
        raise FieldError("id", "id is missing: it identifies the record")

    async def _find_calendar(self, summary: str) -> str | None:
        ids: list[str] = []
        async for page in self._collections.read(Query(CALENDARS), PageRequest()):
            ids += [str(one["id"]) for one in page.records if one.get("summary") == summary]
        if len(ids) > 1:
            raise FieldError(
                "summary",
                f"{len(ids)} calendars are called {summary!r}; give the id of one",
            )
        return next(iter(ids), None)
