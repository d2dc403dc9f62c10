"""Calendars, the list of them that a person keeps, and who may see them.

Google numbers a new calendar itself: one that is made twice is there twice. So each is marked, at the end of its
description, with a name made from its record's key, by which it is found when the answer to its making was lost.
A service account owns the calendars that it makes for good
(https://developers.google.com/workspace/calendar/api/v3/reference/calendars/insert).
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from openbulk.connectors.base import Features
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.api import CalendarApi, page_of
from openbulk.connectors.googlecalendar.diff import changes
from openbulk.connectors.googlecalendar.errors import refusal
from openbulk.connectors.googlecalendar.events import calendar_of, encoded
from openbulk.connectors.googlecalendar.fields import check_required, converted
from openbulk.connectors.googlecalendar.schema import list_parameters, schema_of
from openbulk.connectors.http import Answer
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

CALENDARS, ENTRIES, RULES = "calendars", "calendar-list", "access-control-list"
MAX_PAGE = 250
_GONE = frozenset({404, 410})
_LIST = "/users/me/calendarList"


@dataclass(frozen=True, slots=True)
class Collection:
    """One of the three objects."""

    schema_name: str
    """In Google's discovery document."""
    insert: str
    """The method that makes one, there."""
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
        """The records of an object; parameters go to Google's list call."""
        parameters = {**query.parameters, "maxResults": str(min(request.size, MAX_PAGE))}
        calendar = calendar_of({"calendarId": parameters.pop("calendarId", None)})
        token = request.after
        while True:
            page = await self._page(
                query.object, calendar, {**parameters, **({"pageToken": token} if token else {})}
            )
            token = page.get("nextPageToken")
            yield Page([_shown(query.object, one) for one in _own(query.object, page)], token)
            if token is None:
                return

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """One record of an object. Raises NotFound."""
        calendar = calendar_of({"calendarId": parameters.get("calendarId")})
        there = await self._api.one(path_of(object, calendar, id))
        return _without_mark(there) if object == CALENDARS else there

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """The calendars that these records have made, by the marks in their descriptions."""
        marks = {_mark(record): record.key for record in batch}
        found: dict[str, str] = {}
        async for page in self.read(Query(target.object), PageRequest()):
            for calendar in page.records:
                last = str(calendar.get("description", "")).rpartition("\n")[2]
                if last in marks:
                    found[marks[last]] = str(calendar["id"])
        return found

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the target's action with each record. Raises ServiceError."""
        return [await self._one(target, record) for record in batch]

    async def _one(self, target: Target, record: Record) -> Outcome:
        values = dict(record.values)
        calendar = calendar_of(
            {**target.options, "calendarId": values.pop("calendarId", None) or _told(target)}
        )
        try:
            body = converted(values, COLLECTIONS[target.object].schema())
            place = _Place(target, record, calendar, _without_mark(body))
            match target.action:
                case Action.CREATE:
                    return await self._make(place)
                case Action.DELETE:
                    return await self._remove(place, await self._id_of(place))
                case _:
                    return await self._change(place)
        except FieldError as error:
            return Outcome.failed(record.row, error.message, field=error.field)

    # --- the actions ---

    async def _make(self, place: "_Place") -> Outcome:
        body = {**place.body, **place.identity}
        check_required(body, COLLECTIONS[place.object].schema())
        if place.object == CALENDARS:
            body.pop("id", None)
            body["description"] = f"{body.get('description', '')}\n{_mark(place.record)}".lstrip()
        answer = await self._api.call(
            "POST", place.path, place.counted, params=place.parameters, body=encoded(body)
        )
        if not answer.is_success:
            return _failed(place, answer)
        return Outcome(place.record.row, OutcomeKind.CREATED, str(answer.json().get("id")))

    async def _change(self, place: "_Place") -> Outcome:
        known = await self._id_of(place)
        answer = None if known is None else await self._api.call("GET", place.path_of(known))
        if answer is None or answer.status in _GONE:
            if place.target.action is Action.UPSERT and (
                known is None or place.object != CALENDARS
            ):
                return await self._make(place)
            raise FieldError(
                "id",
                f"{place.object} has none with {place.wanted}; the action create makes new ones",
            )
        if not answer.is_success:
            return _failed(place, answer)
        there = _without_mark(answer.json())
        different = changes({k: v for k, v in place.body.items() if k not in place.identity}, there)
        if not different:
            return Outcome(place.record.row, OutcomeKind.UNCHANGED, known)
        path = place.path_of(str(known))
        answer = await self._api.call(
            "PATCH", path, place.counted, params=place.parameters, body=encoded(different)
        )
        return (
            Outcome(place.record.row, OutcomeKind.UPDATED, known)
            if answer.is_success
            else _failed(place, answer)
        )

    async def _remove(self, place: "_Place", known: str | None) -> Outcome:
        if known is None:
            return Outcome(place.record.row, OutcomeKind.UNCHANGED)
        answer = await self._api.call("DELETE", place.path_of(known), place.counted)
        if answer.status in _GONE:
            return Outcome(
                place.record.row,
                OutcomeKind.DELETED if answer.status == 410 else OutcomeKind.UNCHANGED,
                known,
            )
        return (
            Outcome(place.record.row, OutcomeKind.DELETED, known)
            if answer.is_success
            else _failed(place, answer)
        )

    # --- what is there ---

    async def _id_of(self, place: "_Place") -> str | None:
        """The id that a row means; of a calendar also by its summary, where the caller says so. Raises FieldError."""
        own = place.identity.get("id") or place.body.get("id")
        if own:
            return str(own)
        if place.object == CALENDARS and place.target.identifier_field == "summary":
            return await self._calendar_called(str(place.body.get("summary", "")))
        if place.object == CALENDARS and place.target.action is Action.UPSERT:
            return None
        raise FieldError("id", f"id is missing: nothing says which of {place.object} is meant")

    async def _calendar_called(self, summary: str) -> str | None:
        named = [
            str(one["id"])
            async for page in self.read(Query(CALENDARS), PageRequest())
            for one in page.records
            if one.get("summary") == summary
        ]
        if len(named) > 1:
            raise FieldError(
                "summary",
                f"{len(named)} calendars are called {summary!r}; name the one meant by its id",
            )
        return named[0] if named else None

    async def _page(
        self, object: str, calendar: str, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        path = _rules_path(calendar) if object == RULES else _LIST
        return page_of(await self._api.call("GET", path, params=parameters), parameters)


@dataclass(frozen=True, slots=True)
class _Place:
    """A record, and where at Google it belongs."""

    target: Target
    record: Record
    calendar: str
    body: Mapping[str, Any]

    @property
    def object(self) -> str:
        return self.target.object

    @property
    def path(self) -> str:
        """Where new ones are made."""
        return path_of(self.object, self.calendar)

    def path_of(self, known: str) -> str:
        """Where one is that has an id."""
        return path_of(self.object, self.calendar, known)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What says which one it is. A rule's id is made of its scope."""
        scope = self.body.get("scope", {})
        if self.object == RULES and scope.get("type"):
            name = (
                "default"
                if scope["type"] == "default"
                else f"{scope['type']}:{scope.get('value', '')}"
            )
            return {"id": name, "scope": scope}
        return {"id": self.body["id"]} if self.body.get("id") else {}

    @property
    def wanted(self) -> str:
        """Which one is meant, for a person."""
        return str(self.identity.get("id") or self.body.get("summary") or "no id")

    @property
    def counted(self) -> str | None:
        """The calendar whose writes are counted."""
        return self.calendar if self.object == RULES else None

    @property
    def parameters(self) -> Mapping[str, str]:
        """No mail goes out unless it is asked for: Google's own default for rules is to send it."""
        if self.object == RULES:
            asked = str(self.target.options.get("sendNotifications", "")).lower() == "true"
            return {"sendNotifications": "true" if asked else "false"}
        colors = {"backgroundColor", "foregroundColor"} & self.body.keys()
        return {"colorRgbFormat": "true"} if self.object == ENTRIES and colors else {}


def path_of(object: str, calendar: str, id: str | None = None) -> str:
    """Where the records of an object are; or the one that has an id."""
    path = {CALENDARS: "/calendars", ENTRIES: _LIST, RULES: _rules_path(calendar)}[object]
    return path if id is None else f"{path}/{quote(id, safe='@:')}"


def _told(target: Target) -> Any:
    return target.options.get("calendarId")


def _rules_path(calendar: str) -> str:
    return f"/calendars/{quote(calendar, safe='@')}/acl"


def _mark(record: Record) -> str:
    return f"[openbulk {hashlib.sha256(record.key.encode()).hexdigest()[:16]}]"


def _without_mark(there: Mapping[str, Any]) -> dict[str, Any]:
    """A calendar as its maker described it."""
    description, _, last = str(there.get("description", "")).rpartition("\n")
    return {**there, "description": description} if last.startswith("[openbulk ") else dict(there)


def _own(object: str, page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of a page; of calendars, those that are the person's own."""
    items: list[Mapping[str, Any]] = page.get("items", [])
    return [one for one in items if object != CALENDARS or one.get("accessRole") == "owner"]


def _shown(object: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A calendar with the fields of a calendar, also where it was read from the person's list."""
    if object != CALENDARS:
        return entry
    return {
        name: entry[name]
        for name in ("id", "summary", "description", "location", "timeZone")
        if name in entry
    }


def _failed(place: _Place, answer: Answer) -> Outcome:
    refused = refusal(answer)
    hint = ""
    if refused.reason == "cannotDeletePrimaryCalendar":
        hint = (
            "a person's main calendar stays; the action delete with the object events empties it: "
        )
    return Outcome.failed(place.record.row, f"{hint}{refused}", provider_message=refused.message)
