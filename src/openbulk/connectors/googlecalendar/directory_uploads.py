"""Writes calendars, entries of the person's list, and rules of access.

A service account owns the calendars that it creates for good
(https://developers.google.com/workspace/calendar/api/v3/reference/calendars/insert).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.api import CalendarApi
from openbulk.connectors.googlecalendar.diff import changes
from openbulk.connectors.googlecalendar.directory import (
    CALENDARS,
    COLLECTIONS,
    ENTRIES,
    RULES,
    Directory,
    mark_of,
    path_of,
    without_mark,
)
from openbulk.connectors.googlecalendar.errors import GONE, RecordRefused
from openbulk.connectors.googlecalendar.event_rows import calendar_of
from openbulk.connectors.googlecalendar.fields import convert, require_fields
from openbulk.connectors.http import Answer
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """A record of one of the three objects, prepared for Google."""

    record: Record
    target: Target
    calendar: str
    body: Mapping[str, Any]
    """The fields in Google's types."""
    identity: Mapping[str, Any]
    """The fields that say which record of the object it is; empty where the row has none."""
    parameters: Mapping[str, str]
    """The query parameters of a call that writes."""

    @property
    def object(self) -> str:
        return self.target.object

    def path(self, id: str | None = None) -> str:
        """Where the record is created; with its id, where it is."""
        return path_of(self.object, self.calendar, id)

    @property
    def limited_calendar(self) -> str | None:
        """The calendar on whose limit a call that writes counts."""
        return self.calendar if self.object == RULES else None

    @property
    def id(self) -> str | None:
        """The record's id, where the row has it."""
        return str(self.identity["id"]) if self.identity else None

    @property
    def label(self) -> str:
        """The name of the record for a person."""
        return str(self.id or self.body.get("summary") or "no id")

    def outcome(self, kind: OutcomeKind, id: str | None = None) -> Outcome:
        """The outcome of the record."""
        return Outcome(self.record.row, kind, id)


def directory_row(record: Record, target: Target) -> DirectoryRow:
    """A record, prepared for Google. Raises FieldError."""
    values = dict(record.values)
    calendar = str(values.pop("calendarId", None) or calendar_of(target.options))
    body = without_mark(convert(values, COLLECTIONS[target.object].schema()))
    identity, parameters = _identity(target.object, body), _parameters(target, body)
    return DirectoryRow(record, target, calendar, body, identity, parameters)


def _identity(object: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The id of a rule is made of its scope: `user:ann@example.com`, or `default` for everybody
    (https://developers.google.com/workspace/calendar/api/v3/reference/acl)."""
    scope = body.get("scope", {})
    if object == RULES and scope.get("type"):
        name = f"{scope['type']}:{scope.get('value', '')}"
        return {"id": "default" if scope["type"] == "default" else name, "scope": scope}
    return {"id": body["id"]} if body.get("id") else {}


def _parameters(target: Target, body: Mapping[str, Any]) -> dict[str, str]:
    if target.object == RULES:
        # Google's default is to mail whom a rule is about; openbulk's is to send no mail.
        send = str(target.options.get("sendNotifications", "")).lower()
        return {"sendNotifications": "true" if send == "true" else "false"}
    if target.object == ENTRIES and {"backgroundColor", "foregroundColor"} & body.keys():
        return {"colorRgbFormat": "true"}  # without it, Google takes only the colors of its palette
    return {}


class DirectoryUploads:
    """Writes the three objects of one account."""

    def __init__(self, api: CalendarApi, directory: Directory) -> None:
        self._api = api
        self._directory = directory

    async def write(self, record: Record, target: Target) -> Outcome:
        """Do the target's action with one record. Raises ServiceError."""
        try:
            row = directory_row(record, target)
            match target.action:
                case Action.CREATE:
                    return await self._create(row)
                case Action.DELETE:
                    return await self._delete(row)
                case _:
                    return await self._change(row)
        except FieldError as error:
            return Outcome.failed(record.row, error.message, field=error.field)
        except RecordRefused as error:
            return Outcome.failed(
                record.row, error.message, provider_message=error.provider_message
            )

    async def _create(self, row: DirectoryRow) -> Outcome:
        body = {**row.body, **row.identity}
        require_fields(body, COLLECTIONS[row.object].schema())
        if row.object == CALENDARS:
            body.pop("id", None)
            body["description"] = f"{body.get('description', '')}\n{mark_of(row.record)}".lstrip()
        answer = await self._write("POST", row.path(), row, body)
        return row.outcome(OutcomeKind.CREATED, str(answer.json().get("id")))

    async def _change(self, row: DirectoryRow) -> Outcome:
        known_id = await self._find_id(row)
        current = None if known_id is None else await self._fetch(row, known_id)
        if known_id is None or current is None:
            return await self._create_missing(row, known_id)
        fields = {name: value for name, value in row.body.items() if name not in row.identity}
        different = changes(fields, current)
        if not different:
            return row.outcome(OutcomeKind.UNCHANGED, known_id)
        await self._write("PATCH", row.path(known_id), row, different)
        return row.outcome(OutcomeKind.UPDATED, known_id)

    async def _create_missing(self, row: DirectoryRow, known_id: str | None) -> Outcome:
        """Create what an upsert did not find. A calendar cannot be created with the row's id."""
        is_possible = known_id is None or row.object != CALENDARS
        if row.target.action is Action.UPSERT and is_possible:
            return await self._create(row)
        raise FieldError(
            "id", f"{row.object} has none with {row.label}; the action create makes new ones"
        )

    async def _delete(self, row: DirectoryRow) -> Outcome:
        known_id = await self._find_id(row)
        if known_id is None:
            return row.outcome(OutcomeKind.UNCHANGED)
        answer = await self._api.call("DELETE", row.path(known_id), row.limited_calendar)
        if answer.status == 404:
            return row.outcome(OutcomeKind.UNCHANGED, known_id)
        # Google answers 410 where it was deleted before: our retry, or a person.
        if not answer.is_success and answer.status != 410:
            raise RecordRefused(answer)
        return row.outcome(OutcomeKind.DELETED, known_id)

    async def _write(
        self, method: str, path: str, row: DirectoryRow, body: Mapping[str, Any]
    ) -> Answer:
        answer = await self._api.call(
            method, path, row.limited_calendar, params=row.parameters, body=body
        )
        if not answer.is_success:
            raise RecordRefused(answer)
        return answer

    async def _fetch(self, row: DirectoryRow, id: str) -> Mapping[str, Any] | None:
        """The record as Google has it, without its mark; None where it does not exist."""
        answer = await self._api.call("GET", row.path(id))
        if answer.status in GONE:
            return None
        if not answer.is_success:
            raise RecordRefused(answer)
        return without_mark(answer.json())

    async def _find_id(self, row: DirectoryRow) -> str | None:
        """The id that a row means; None where it can only mean a new calendar. Raises FieldError.

        The caller may name calendars by their summary (`identifierFieldName`).
        """
        if row.id is not None:
            return row.id
        if row.object == CALENDARS and row.target.identifier_field == "summary":
            return await self._find_calendar(str(row.body.get("summary", "")))
        if row.object == CALENDARS and row.target.action is Action.UPSERT:
            return None
        raise FieldError("id", f"id is missing: nothing says which of {row.object} is meant")

    async def _find_calendar(self, summary: str) -> str | None:
        ids: list[str] = []
        async for page in self._directory.read(Query(CALENDARS), PageRequest()):
            ids += [str(one["id"]) for one in page.records if one.get("summary") == summary]
        if len(ids) > 1:
            raise FieldError(
                "summary",
                f"{len(ids)} calendars are called {summary!r}; name the one that is meant by its id",
            )
        return ids[0] if ids else None
