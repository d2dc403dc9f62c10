"""The calls that read and write one calendar, entry of the person's list, or rule of access."""

from collections.abc import Collection as Several
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from openbulk.connectors.answers import Answer
from openbulk.connectors.googlecalendar.api import CalendarApi
from openbulk.connectors.googlecalendar.collections import (
    CALENDARS,
    CalendarCollections,
    Collection,
    Fields,
    path_for,
)
from openbulk.connectors.googlecalendar.errors import read_existing, require_accepted
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Outcome, OutcomeKind, Record, Target


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


class Removal(Enum):
    """What became of a record that was to be deleted."""

    DONE = auto()
    DONE_BEFORE = auto()
    NEVER_THERE = auto()


# Google answers 410 if it was deleted before, by our retry or by a person.
_NOTHING_TO_DELETE = {404: Removal.NEVER_THERE, 410: Removal.DONE_BEFORE}


class CollectionCalls:
    """Makes the calls for the rows of one account. Each raises RecordRefused and ServiceError."""

    def __init__(self, api: CalendarApi, collections: CalendarCollections) -> None:
        self._api = api
        self._collections = collections

    async def find_calendars(self, row: CollectionRow, summary: str) -> Several[str]:
        """The ids of the person's own calendars with this summary."""
        ids: list[str] = []
        async for page in self._collections.read(Query(CALENDARS), PageRequest()):
            ids += [str(one["id"]) for one in page.records if one.get("summary") == summary]
        return ids

    async def read(self, row: CollectionRow, id: str) -> Fields | None:
        """The record with an id; None if there is none."""
        answer = await self._api.read(row.path(id))
        return read_existing(answer, row.collection.schema_name)

    async def create(self, row: CollectionRow, body: Fields) -> str | None:
        """Create a record, and return its id."""
        answer = await self._write("POST", row.path(), row, body)
        return answer.text_at("id")

    async def patch(self, row: CollectionRow, id: str, fields: Fields) -> None:
        """Change fields of a record."""
        await self._write("PATCH", row.path(id), row, fields)

    async def delete(self, row: CollectionRow, id: str) -> Removal:
        """Delete a record."""
        answer = await self._call("DELETE", row.path(id), row)
        if answer.status in _NOTHING_TO_DELETE:
            return _NOTHING_TO_DELETE[answer.status]
        require_accepted(answer)
        return Removal.DONE

    async def _write(self, method: str, path: str, row: CollectionRow, body: Fields) -> Answer:
        answer = await self._call(method, path, row, params=row.parameters, body=body)
        require_accepted(answer)
        return answer

    async def _call(self, method: str, path: str, row: CollectionRow, **content: Any) -> Answer:
        calendar = row.calendar if row.collection.is_of_calendar else None
        return await self._api.write(method, path, calendar, **content)
