"""The three collections: calendars, a person's list of calendars, and rules of access.

Google assigns the id of a new calendar, so a calendar that is created twice exists twice. openbulk
therefore ends its description with a marker, derived from its record's key, and finds the calendar
by the marker if the answer to its creation was lost.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from openbulk.connectors.base import Features
from openbulk.connectors.googlecalendar.api import CalendarApi, count_pages, read_page
from openbulk.connectors.googlecalendar.event_rows import PRIMARY
from openbulk.connectors.googlecalendar.schema import list_parameters, schema_of
from openbulk.domain.plan import Completeness
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Record

CALENDARS = "calendars"
ACCESS_RULES = "access-control-list"
MAX_DIRECTORY_PAGE = 250
_ACTIONS = frozenset(Action)
_MARKER = "[openbulk "

Fields = Mapping[str, Any]


class Collection:
    """One of the three objects. This class has the behavior that most of them share."""

    schema_name: ClassVar[str]
    """The name in Google's discovery document."""
    insert_method: ClassVar[str]
    """The method that creates one, in that document."""
    path: ClassVar[str] = "/users/me/calendarList"
    """The path at which Google creates one, below `/calendar/v3`; it may contain `{calendar}`."""
    list_name: ClassVar[str] = "CalendarList"
    """The name of Google's list of them, in that document."""
    list_path: ClassVar[str] = path
    """The path at which Google lists them."""
    features: ClassVar[Features]
    is_of_calendar = False
    """The records belong to one calendar, and writing them counts against its limit."""
    has_given_ids = False
    """Google assigns the ids."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a record."""
        return schema_of(self.schema_name, self.insert_method)

    def identity(self, body: Fields) -> dict[str, Any]:
        """The fields of a row that identify its record; empty if it has none."""
        return {"id": body["id"]} if body.get("id") else {}

    def write_parameters(self, body: Fields, options: Mapping[str, Any]) -> dict[str, str]:
        """The query parameters of a call that writes; `options` are the job's metaData."""
        return {}

    def records(self, entries: Sequence[Fields]) -> Sequence[Fields]:
        """The records on a page of Google's list."""
        return entries

    def visible_record(self, record: Fields) -> Fields:
        """A record without what openbulk added to it."""
        return record


class Calendars(Collection):
    """The calendars that a person owns.

    Google does not list them: they are read from the person's list of calendars.
    """

    schema_name = "Calendar"
    insert_method = "calendar.calendars.insert"
    path = "/calendars"
    features = Features(
        _ACTIONS,
        concurrency=2,
        identifiers=("id",),
        extra_columns=("calendarId",),
        plan=Completeness.COMPLETE,
    )
    has_given_ids = True
    _fields = ("id", "summary", "description", "location", "timeZone")

    def records(self, entries: Sequence[Fields]) -> Sequence[Fields]:
        """The entries of own calendars, with the fields of a calendar."""
        # The list also has the calendars of other people.
        own = [entry for entry in entries if entry.get("accessRole") == "owner"]
        return [{name: entry[name] for name in self._fields if name in entry} for entry in own]

    def visible_record(self, record: Fields) -> Fields:
        """A calendar without its marker."""
        return without_marker(record)


class CalendarList(Collection):
    """A person's list of calendars."""

    schema_name = "CalendarListEntry"
    insert_method = "calendar.calendarList.insert"
    features = Features(
        _ACTIONS,
        concurrency=4,
        idempotent_writes=True,
        identifiers=("id",),
        extra_columns=("calendarId",),
        parameters=list_parameters("calendar.calendarList.list"),
        plan=Completeness.COMPLETE,
    )

    def write_parameters(self, body: Fields, options: Mapping[str, Any]) -> dict[str, str]:
        """Google accepts colors outside its palette only with this parameter
        (https://developers.google.com/workspace/calendar/api/v3/reference/calendarList)."""
        if body.keys().isdisjoint({"backgroundColor", "foregroundColor"}):
            return {}
        return {"colorRgbFormat": "true"}


class AccessRules(Collection):
    """The rules of who may see and change a calendar."""

    schema_name = "AclRule"
    list_name = "Acl"
    insert_method = "calendar.acl.insert"
    path = list_path = "/calendars/{calendar}/acl"
    features = Features(
        _ACTIONS,
        concurrency=4,
        idempotent_writes=True,
        identifiers=("id", "scope.value"),
        extra_columns=("calendarId",),
        paths=("calendars/{calendarId}/access-control-list", "calendars/{calendarId}/acl"),
        parameters=list_parameters("calendar.acl.list"),
        plan=Completeness.COMPLETE,
    )
    is_of_calendar = True

    def identity(self, body: Fields) -> dict[str, Any]:
        """The id of a rule is derived from its scope: `user:ann@example.com`, or `default`
        (https://developers.google.com/workspace/calendar/api/v3/reference/acl)."""
        scope = body.get("scope", {})
        if not scope.get("type"):
            return super().identity(body)
        if scope["type"] == "default":
            return {"id": "default", "scope": scope}
        return {"id": f"{scope['type']}:{scope.get('value', '')}", "scope": scope}

    def write_parameters(self, body: Fields, options: Mapping[str, Any]) -> dict[str, str]:
        """Google mails the person of a rule unless the parameter forbids it. openbulk forbids it
        unless the caller wants it."""
        send = str(options.get("sendNotifications", "")).lower() == "true"
        return {"sendNotifications": str(send).lower()}


COLLECTIONS: Mapping[str, Collection] = {
    CALENDARS: Calendars(),
    "calendar-list": CalendarList(),
    ACCESS_RULES: AccessRules(),
}


class CalendarCollections:
    """Reads the collections of one account."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """The records of a collection; the parameters go to Google's list call."""
        collection = COLLECTIONS[query.object]
        size = min(request.size, MAX_DIRECTORY_PAGE)
        parameters = {**query.parameters, "maxResults": str(size)}
        path = path_for(collection.list_path, parameters.pop("calendarId", "") or PRIMARY)
        token = request.after
        count = count_pages(parameters)
        while True:
            if token:
                parameters["pageToken"] = token
            answer = await self._api.read(path, parameters)
            page = read_page(answer, parameters, collection.list_name)
            token = page.get("nextPageToken") or None
            yield Page(collection.records(page["items"]), token, listed=len(page["items"]))
            if token is None:
                return
            count.add(len(page["items"]), answer.call, token)

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Fields:
        """One record of a collection. Raises NotFound."""
        collection = COLLECTIONS[object]
        calendar = parameters.get("calendarId") or PRIMARY
        path, name = path_for(collection.path, calendar, id), collection.schema_name
        if collection.is_of_calendar:
            what = f"rule of access {id!r}"
            return await self._api.get_of_calendar(path, name, calendar, what)
        return collection.visible_record(await self._api.get(path, name))

    async def find(self, batch: Sequence[Record]) -> Mapping[str, str]:
        """The ids of the calendars that these records have created, by the records' keys."""
        # Google cannot search descriptions: all of the person's calendars are read.
        keys = {marker_of(record): record.key for record in batch}
        ids: dict[str, str] = {}
        async for page in self.read(Query(CALENDARS), PageRequest()):
            for calendar in page.records:
                marker = str(calendar.get("description", "")).rpartition("\n")[2]
                if marker in keys:
                    ids[keys[marker]] = str(calendar["id"])
        return ids


def path_for(template: str, calendar: str, id: str | None = None) -> str:
    """The path of a collection; with an id, the path of one of its records."""
    path = template.format(calendar=quote(calendar, safe="@"))
    return path if id is None else f"{path}/{quote(id, safe='@:')}"


def marker_of(record: Record) -> str:
    """The marker of a calendar that this record creates: the last line of its description."""
    return f"{_MARKER}{hashlib.sha256(record.key.encode()).hexdigest()[:16]}]"


def without_marker(calendar: Fields) -> dict[str, Any]:
    """A calendar without the marker in its description."""
    description, _, last = str(calendar.get("description", "")).rpartition("\n")
    if last.startswith(_MARKER):
        return {**calendar, "description": description}
    return dict(calendar)
