"""Calendars, the list of them that a person keeps, and who may see them.

Google makes the id of a new calendar itself: a calendar that is created twice exists twice. So
openbulk ends its description with a mark, a name made of its record's key, and finds it by the mark
when the answer to its creation was lost.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from openbulk.connectors.base import Features
from openbulk.connectors.googlecalendar.api import CalendarApi, read_page
from openbulk.connectors.googlecalendar.event_rows import PRIMARY
from openbulk.connectors.googlecalendar.schema import list_parameters, schema_of
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Record

CALENDARS, ENTRIES, RULES = "calendars", "calendar-list", "access-control-list"
MAX_DIRECTORY_PAGE = 250
_MARK = "[openbulk "
_LIST = "/users/me/calendarList"
_CALENDAR_FIELDS = ("id", "summary", "description", "location", "timeZone")


@dataclass(frozen=True, slots=True)
class Collection:
    """One of the three objects."""

    schema_name: str
    """In Google's discovery document."""
    insert: str
    """The method that makes one, in that document."""
    features: Features

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a record."""
        return schema_of(self.schema_name, self.insert)


COLLECTIONS: Mapping[str, Collection] = {
    CALENDARS: Collection(
        "Calendar",
        "calendar.calendars.insert",
        Features(frozenset(Action), concurrency=2, identifiers=("id",)),
    ),
    ENTRIES: Collection(
        "CalendarListEntry",
        "calendar.calendarList.insert",
        Features(
            frozenset(Action),
            concurrency=4,
            idempotent_writes=True,
            identifiers=("id",),
            parameters=list_parameters("calendar.calendarList.list"),
        ),
    ),
    RULES: Collection(
        "AclRule",
        "calendar.acl.insert",
        Features(
            frozenset(Action),
            concurrency=4,
            idempotent_writes=True,
            identifiers=("id", "scope.value"),
            paths=("calendars/{calendarId}/access-control-list", "calendars/{calendarId}/acl"),
            parameters=list_parameters("calendar.acl.list"),
        ),
    ),
}


class Directory:
    """The three objects of one account."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """The records of an object; the parameters go to Google's list call."""
        size = min(request.size, MAX_DIRECTORY_PAGE)
        parameters = {**query.parameters, "maxResults": str(size)}
        calendar = parameters.pop("calendarId", None) or PRIMARY
        path = _list_path(query.object, calendar)
        token = request.after
        while True:
            page_parameters = dict(parameters)
            if token:
                page_parameters["pageToken"] = token
            answer = await self._api.call("GET", path, params=page_parameters)
            page = read_page(answer, page_parameters)
            token = page.get("nextPageToken")
            yield Page(_records(query.object, page), token)
            if token is None:
                return

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """One record of an object. Raises NotFound."""
        calendar = parameters.get("calendarId") or PRIMARY
        record = await self._api.get(path_of(object, calendar, id))
        return without_mark(record) if object == CALENDARS else record

    async def find(self, batch: Sequence[Record]) -> Mapping[str, str]:
        """The ids of the calendars that these records have created, by the records' keys."""
        keys = {mark_of(record): record.key for record in batch}
        ids: dict[str, str] = {}
        async for page in self.read(Query(CALENDARS), PageRequest()):
            for calendar in page.records:
                mark = str(calendar.get("description", "")).rpartition("\n")[2]
                if mark in keys:
                    ids[keys[mark]] = str(calendar["id"])
        return ids


def path_of(object: str, calendar: str, id: str | None = None) -> str:
    """The path at which an object's records are created; with an id, the path of one of them."""
    path = "/calendars" if object == CALENDARS else _list_path(object, calendar)
    return path if id is None else f"{path}/{quote(id, safe='@:')}"


def _list_path(object: str, calendar: str) -> str:
    return f"/calendars/{quote(calendar, safe='@')}/acl" if object == RULES else _LIST


def mark_of(record: Record) -> str:
    """The last line of the description of a calendar that this record creates."""
    return f"{_MARK}{hashlib.sha256(record.key.encode()).hexdigest()[:16]}]"


def without_mark(calendar: Mapping[str, Any]) -> dict[str, Any]:
    """A calendar with the description that its creator gave it."""
    description, _, last = str(calendar.get("description", "")).rpartition("\n")
    if last.startswith(_MARK):
        return {**calendar, "description": description}
    return dict(calendar)


def _records(object: str, page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records on a page of Google's list.

    Google has no list of calendars: those that the person owns are read from the person's list, and
    have a calendar's fields only.
    """
    entries: list[Mapping[str, Any]] = page.get("items", [])
    if object != CALENDARS:
        return entries
    return [_calendar(entry) for entry in entries if entry.get("accessRole") == "owner"]


def _calendar(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: entry[name] for name in _CALENDAR_FIELDS if name in entry}
