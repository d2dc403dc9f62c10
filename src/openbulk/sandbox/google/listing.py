"""`events.list` and `events.instances`: filters, pages and sync tokens.

https://developers.google.com/workspace/calendar/api/v3/reference/events/list
"""

import hashlib
import math
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from openbulk.sandbox.google.errors import Rejected, invalid
from openbulk.sandbox.google.store import Calendar, Event, Store
from openbulk.sandbox.google.times import parse_bound, time_range_empty


class Query(Protocol):
    """The parameters of a call; a parameter may be repeated."""

    def get(self, key: str, /) -> str | None: ...
    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]: ...


Test = Callable[[Event], bool]
"""Whether an event belongs to a list."""
MAX_RESULTS = 2500
DEFAULT_RESULTS = 250
# A longer number is refused before int() spends time on it.
_NUMBER = re.compile(r"\d{1,18}")
_PAGE_TOKEN = re.compile(r"p(?P<position>\d{1,18})\.(?P<version>\d{1,18})\.(?P<epoch>[^.]*)")
_SYNC_TOKEN = re.compile(r"s?(?P<epoch>[^.]*)\.(?P<version>\d{1,18})(?:\.(?P<signature>[^.]*)|\Z)")
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
_SIGNED_PARAMETERS = (
    "eventTypes",
    "maxAttendees",
    "showDeleted",
    "showHiddenInvitations",
    "singleEvents",
    "timeZone",
)
"""The other parameters. With a sync token they must be the same as in the first list."""


def list_events(store: Store, calendar: Calendar, query: Query) -> dict[str, Any]:
    """A page of a calendar's events, for orjson to encode. Raises Rejected (400, 410)."""
    signature = _signature(calendar, query)
    since = _synced_version(store, query, signature)
    position, version = _page_start(store, query)
    size = _page_size(query)
    is_wanted = _event_test(store, query, since)
    events = _listed_events(store, calendar, query)
    items: list[orjson.Fragment] = []
    while position < len(events) and len(items) < size:
        event = events[position]
        if is_wanted(event):
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
    return {**page, "nextSyncToken": f"s{store.sync_epoch}.{version}.{signature}"}


def list_instances(store: Store, calendar: Calendar, series: Event, query: Query) -> dict[str, Any]:
    """A page of the occurrences of a series, changed ones included. Raises Rejected (400)."""
    time_min, time_max = _time_range(query)
    tests = _time_tests(store, query)
    if not _is_true(query, "showDeleted"):
        tests.append(_is_live)
    changed = [one for one in calendar.events.values() if one.id.startswith(f"{series.id}_")]
    occurrences = [
        *filter(_all_of(tests), changed),
        *store.occurrences(calendar, series, time_min, time_max),
    ]
    occurrences.sort(key=_start)
    begin, version = _page_start(store, query)
    end = begin + _page_size(query)
    page: dict[str, Any] = {
        "kind": "calendar#events",
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "items": [orjson.Fragment(event.json) for event in occurrences[begin:end]],
    }
    if end < len(occurrences):
        page["nextPageToken"] = _page_token(store, end, version)
    return page


class _EventsInOrder:
    """A calendar's events in their order. A page decodes only the events that it reads."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def __len__(self) -> int:
        return len(self._calendar.order)

    def __getitem__(self, position: int) -> Event:
        return self._calendar.events[self._calendar.order[position]]


def _listed_events(
    store: Store, calendar: Calendar, query: Query
) -> Sequence[Event] | _EventsInOrder:
    """The events to filter; with `singleEvents`, occurrences in place of their series."""
    if not _is_true(query, "singleEvents"):
        return _EventsInOrder(calendar)
    time_min, time_max = _time_range(query)
    events: list[Event] = []
    for event in calendar.events.values():
        if event.is_live and event.is_series:
            events += store.occurrences(calendar, event, time_min, time_max)
        else:
            events.append(event)
    if query.get("orderBy") == "startTime":
        events.sort(key=_start)
    return events


# --- pages and tokens ---


def _page_size(query: Query) -> int:
    text = query.get("maxResults")
    if text is None:
        return DEFAULT_RESULTS
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise invalid("Invalid value for: maxResults", "maxResults")
    return min(int(text), MAX_RESULTS)


def _page_token(store: Store, position: int, version: int) -> str:
    return f"p{position}.{version}.{store.page_epoch}"


def _page_start(store: Store, query: Query) -> tuple[int, int]:
    """The position of a page, and the version of the first page.

    A change after the first page belongs to the next sync.
    """
    token = query.get("pageToken")
    if not token:
        return 0, store.version
    match = _PAGE_TOKEN.match(token)
    if match is None or match["epoch"] != store.page_epoch:
        raise invalid("Invalid page token value.", "pageToken")
    return int(match["position"]), int(match["version"])


def _signature(calendar: Calendar, query: Query) -> str:
    """A digest of the parameters for which a sync token is valid.

    For any others Google promises "undefined behavior"; the sandbox refuses them.
    """
    parameters = [f"{name}={query.get(name)}" for name in _SIGNED_PARAMETERS if query.get(name)]
    return hashlib.sha256("&".join([calendar.id, *parameters]).encode()).hexdigest()[:8]


def _synced_version(store: Store, query: Query, signature: str) -> int | None:
    """The version of the list that a sync token continues; None without a token."""
    token = query.get("syncToken")
    if not token:
        return None
    excluded = [name for name in _NOT_WITH_SYNC_TOKEN if query.get(name)]
    if excluded:
        raise invalid(f"Sync token cannot be used with {excluded[0]}.", excluded[0])
    if query.get("showDeleted") == "false":
        raise invalid("Sync token cannot be used with showDeleted=false.", "showDeleted")
    match = _SYNC_TOKEN.match(token)
    if match is None or match["epoch"] != store.sync_epoch:
        raise _full_sync_required()
    if match["signature"] != signature:
        raise invalid("Sync token was made with other parameters, or for another calendar.")
    return int(match["version"])


def _full_sync_required() -> Rejected:
    # Domain and location as in KeepSoftwareSimple/compass-calendar#1239.
    message = "Sync token is no longer valid, a full sync is required."
    location = ("parameter", "syncToken")
    return Rejected(410, "fullSyncRequired", message, domain="calendar", location=location)


def _too_long_ago() -> Rejected:
    # googleapis/google-api-dotnet-client#239
    message = "The requested minimum modification time lies too far in the past."
    location = ("parameter", "updatedMin")
    return Rejected(410, "updatedMinTooLongAgo", message, domain="calendar", location=location)


# --- filters ---


def _event_test(store: Store, query: Query, since: int | None) -> Test:
    is_single = _is_true(query, "singleEvents")
    if query.get("orderBy") == "startTime" and not is_single:
        message = "The requested ordering is not available for the particular query."
        raise invalid(message, "orderBy")
    # A list from a sync token holds every change, deletions too.
    if since is not None:
        return lambda event: event.version > since
    tests = _time_tests(store, query)
    # With `updatedMin`, deleted events are always listed, whatever `showDeleted` is (discovery
    # document).
    if not _is_true(query, "showDeleted") and not query.get("updatedMin"):
        tests.append(_is_live if is_single else _is_live_or_occurrence)
    return _all_of([*tests, *_value_tests(query)])


def _value_tests(query: Query) -> list[Test]:
    tests: list[Test] = []
    if uid := query.get("iCalUID"):
        tests.append(lambda event: bool(event.body["iCalUID"] == uid))
    if words := query.get("q"):
        tests.append(lambda event: words.lower() in _searched_text(event).lower())
    for kind in ("private", "shared"):
        constraints = query.getall(f"{kind}ExtendedProperty", ())
        tests += [_property_test(text, kind) for text in constraints]
    return tests


def _time_tests(store: Store, query: Query) -> list[Test]:
    time_min, time_max = _time_range(query)
    if time_min >= time_max:
        raise time_range_empty()
    tests: list[Test] = [lambda event: event.end > time_min and event.start < time_max]
    if query.get("updatedMin"):
        updated_min = parse_bound(query.get("updatedMin"), -math.inf)
        if updated_min < time.time() - store.changes_seconds:
            raise _too_long_ago()
        tests.append(lambda event: _updated_at(event) >= updated_min)
    return tests


def _time_range(query: Query) -> tuple[float, float]:
    """`timeMin` and `timeMax` in Unix time; infinite if a bound is missing."""
    time_min = parse_bound(query.get("timeMin"), -math.inf)
    return time_min, parse_bound(query.get("timeMax"), math.inf)


def _all_of(tests: Sequence[Test]) -> Test:
    return lambda event: all(test(event) for test in tests)


def _is_true(query: Query, name: str) -> bool:
    return query.get(name) == "true"


def _start(event: Event) -> float:
    return event.start


def _updated_at(event: Event) -> float:
    return datetime.fromisoformat(event.body["updated"]).timestamp()


def _is_live(event: Event) -> bool:
    return event.is_live


def _is_live_or_occurrence(event: Event) -> bool:
    # A list shows a cancelled occurrence as long as its series exists (discovery document,
    # `showDeleted`).
    return event.is_live or "recurringEventId" in event.body


def _searched_text(event: Event) -> str:
    body = event.body
    names = ("summary", "description", "location", "attendees")
    return " ".join(str(body.get(name, "")) for name in names)


def _property_test(constraint: str, kind: str) -> Test:
    """The test of `name=value` in the private or the shared extended properties."""
    name, equals, value = constraint.partition("=")
    if not equals:
        raise invalid("Invalid extended property constraint.", f"{kind}ExtendedProperty")

    def test(event: Event) -> bool:
        properties = event.body.get("extendedProperties", {})
        return bool(properties.get(kind, {}).get(name) == value)

    return test
