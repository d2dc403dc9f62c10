"""`events.list`: filters, pages and sync tokens (https://developers.google.com/workspace/calendar/api/v3/reference/events/list)."""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from openbulk.sandbox.google.answers import Rejected, invalid
from openbulk.sandbox.google.store import Calendar, Event, Store
from openbulk.sandbox.google.times import parse_bound, time_range_empty


class Query(Protocol):
    """The parameters of a call; a parameter may be repeated."""

    def get(self, key: str, /) -> str | None: ...
    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]: ...


MAX_RESULTS = 2500
_MAX_DIGITS = 18
DEFAULT_RESULTS = 250
_NOT_WITH_SYNC_TOKEN = (
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
)
_OF_FEED = (
    "eventTypes",
    "maxAttendees",
    "showDeleted",
    "showHiddenInvitations",
    "singleEvents",
    "timeZone",
)
"""The other parameters, which have to be the same as they were for the first page."""


def list_events(store: Store, calendar: Calendar, query: Query) -> dict[str, Any]:
    """A page, for orjson to encode, of a calendar's events. Raises Rejected (400, 410)."""
    sign = _sign(calendar, query)
    since = _synced_version(store, query, sign)
    begin, version = _page_start(store, query)
    size = _size(query)
    wanted = _filter(store, query, since)
    items: list[orjson.Fragment] = []
    position = begin
    events = (
        _Events(calendar)
        if query.get("singleEvents") != "true"
        else _single_events(store, calendar, query)
    )
    while position < len(events) and len(items) < size:
        event = events[position]
        if wanted(event):
            items.append(orjson.Fragment(event.json))
        position += 1
    page = {
        "kind": "calendar#events",
        "etag": f'"{store.version}"',
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "accessRole": "owner",
        "items": items,
    }
    if position < len(events):
        return {**page, "nextPageToken": _page_token(store, position, version)}
    return {**page, "nextSyncToken": f"s{store.changes_since}.{version}.{sign}"}


def list_instances(store: Store, calendar: Calendar, series: Event, query: Query) -> dict[str, Any]:
    """A page of the occurrences of a series, those that were changed among them. Raises Rejected (400)."""
    time_min, time_max = parse_bound(query.get("timeMin")), parse_bound(query.get("timeMax"))
    own = [event for event in calendar.events.values() if event.id.startswith(f"{series.id}_")]
    wanted = _time_tests(store, query)
    if query.get("showDeleted") != "true":
        wanted.append(lambda event: event.is_live)
    found = [
        *(event for event in own if all(test(event) for test in wanted)),
        *(
            store.occurrences(calendar, series, time_min, time_max)
            if series.body.get("recurrence")
            else ()
        ),
    ]
    found.sort(key=lambda event: event.start)
    begin, version = _page_start(store, query)
    end = begin + _size(query)
    items = [orjson.Fragment(event.json) for event in found[begin:end]]
    page = {
        "kind": "calendar#events",
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "items": items,
    }
    return {**page, "nextPageToken": _page_token(store, end, version)} if end < len(found) else page


class _Events:
    """A calendar's events in their order, looked up as they are asked for."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def __len__(self) -> int:
        return len(self._calendar.order)

    def __getitem__(self, position: int) -> Event:
        return self._calendar.events[self._calendar.order[position]]


def _single_events(store: Store, calendar: Calendar, query: Query) -> Sequence[Event]:
    """Occurrences in place of their series (`singleEvents`), by their start where that is asked for."""
    time_min, time_max = parse_bound(query.get("timeMin")), parse_bound(query.get("timeMax"))
    found: list[Event] = []
    for event in calendar.events.values():
        if event.is_live and b'"recurrence"' in event.json and event.body.get("recurrence"):
            found += store.occurrences(calendar, event, time_min, time_max)
        else:
            found.append(event)
    return (
        sorted(found, key=lambda event: event.start)
        if query.get("orderBy") == "startTime"
        else found
    )


def _size(query: Query) -> int:
    text = query.get("maxResults")
    if text is None:
        return DEFAULT_RESULTS
    size = _number(text)
    if not size:
        raise invalid("Invalid value for: maxResults", "maxResults")
    return min(size, MAX_RESULTS)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else None


def _page_token(store: Store, position: int, version: int) -> str:
    return f"p{position}.{version}.{store.pages_since}"


def _page_start(store: Store, query: Query) -> tuple[int, int]:
    """Where a page begins, and the version that the first page saw: what changes since belongs to the next sync."""
    token = query.get("pageToken")
    if not token:
        return 0, store.version
    first, second, sign = (*token.removeprefix("p").split("."), "", "")[:3]
    position, version = _number(first), _number(second)
    if (
        not token.startswith("p")
        or position is None
        or version is None
        or sign != store.pages_since
    ):
        raise invalid("Invalid page token value.", "pageToken")
    return position, version


def _sign(calendar: Calendar, query: Query) -> str:
    """What a sync token stands for: with any other parameters, "undefined behavior" is all that is promised."""
    asked = [f"{name}={query.get(name)}" for name in _OF_FEED if query.get(name)]
    return hashlib.sha256("&".join([calendar.id, *asked]).encode()).hexdigest()[:8]


def _synced_version(store: Store, query: Query, sign: str) -> int | None:
    token = query.get("syncToken")
    if not token:
        return None
    for name in _NOT_WITH_SYNC_TOKEN:
        if query.get(name):
            raise invalid(f"Sync token cannot be used with {name}.", name)
    if query.get("showDeleted") == "false":
        raise invalid("Sync token cannot be used with showDeleted=false.", "showDeleted")
    changes_since, text, made_for = (*token.removeprefix("s").split("."), "", "")[:3]
    version = _number(text)
    if changes_since != store.changes_since or version is None:
        raise _full_sync_required()
    if made_for != sign:
        raise invalid("Sync token was made with other parameters, or for another calendar.")
    return version


def _full_sync_required() -> Rejected:
    # Domain and location as in KeepSoftwareSimple/compass-calendar#1239.
    message = "Sync token is no longer valid, a full sync is required."
    return Rejected(
        410, "fullSyncRequired", message, domain="calendar", location=("parameter", "syncToken")
    )


def _too_long_ago() -> Rejected:
    # googleapis/google-api-dotnet-client#239
    message = "The requested minimum modification time lies too far in the past."
    return Rejected(
        410,
        "updatedMinTooLongAgo",
        message,
        domain="calendar",
        location=("parameter", "updatedMin"),
    )


def _filter(store: Store, query: Query, since: int | None) -> Callable[[Event], bool]:
    if query.get("orderBy") == "startTime" and query.get("singleEvents") != "true":
        raise invalid(
            "The requested ordering is not available for the particular query.", "orderBy"
        )
    if since is not None:
        return lambda event: event.version > since
    tests = _time_tests(store, query)
    if query.get("showDeleted") != "true" and not query.get("updatedMin"):
        # An occurrence that was called off is shown as long as its series is (discovery document, `showDeleted`).
        tests.append(
            lambda event: (
                event.is_live or (query.get("singleEvents") != "true" and _is_called_off(event))
            )
        )
    if uid := query.get("iCalUID"):
        tests.append(lambda event: bool(event.body["iCalUID"] == uid))
    if words := query.get("q"):
        tests.append(lambda event: words.lower() in _text(event).lower())
    for kind in ("private", "shared"):
        parameter = f"{kind}ExtendedProperty"
        tests += [_property_test(text, kind, parameter) for text in query.getall(parameter, ())]
    return lambda event: all(test(event) for test in tests)


def _is_called_off(event: Event) -> bool:
    return "recurringEventId" in event.body


def _time_tests(store: Store, query: Query) -> list[Callable[[Event], bool]]:
    time_min, time_max = parse_bound(query.get("timeMin")), parse_bound(query.get("timeMax"))
    tests: list[Callable[[Event], bool]] = []
    if time_min is not None and time_max is not None and time_min >= time_max:
        raise time_range_empty()
    if time_min is not None:
        tests.append(lambda event: event.end > time_min)
    if time_max is not None:
        tests.append(lambda event: event.start < time_max)
    if (updated_min := parse_bound(query.get("updatedMin"))) is not None:
        if updated_min < time.time() - store.changes_seconds:
            raise _too_long_ago()
        tests.append(
            lambda event: datetime.fromisoformat(event.body["updated"]).timestamp() >= updated_min
        )
    return tests


def _text(event: Event) -> str:
    body = event.body
    return " ".join(
        str(body.get(name, "")) for name in ("summary", "description", "location", "attendees")
    )


def _property_test(text: str, kind: str, parameter: str) -> Callable[[Event], bool]:
    name, equals, value = text.partition("=")
    if not equals:
        raise invalid("Invalid extended property constraint.", parameter)
    return lambda event: bool(
        event.body.get("extendedProperties", {}).get(kind, {}).get(name) == value
    )
