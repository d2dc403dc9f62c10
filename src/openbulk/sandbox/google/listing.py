"""`events.list`: filters, pages and sync tokens (https://developers.google.com/workspace/calendar/api/v3/reference/events/list)."""

from collections.abc import Callable, Mapping
from typing import Any

from openbulk.sandbox.google.answers import Rejected, invalid
from openbulk.sandbox.google.store import Calendar, Event, Store
from openbulk.sandbox.google.times import parse_bound

MAX_RESULTS = 2500
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


def list_events(store: Store, calendar: Calendar, query: Mapping[str, str]) -> dict[str, Any]:
    """A page of a calendar's events. Raises Rejected (400, 410)."""
    since = _synced_version(store, query)
    begin, version = _page_start(query, store.version)
    size = _size(query)
    wanted = _filter(query, since)
    items: list[dict[str, Any]] = []
    position = begin
    while position < len(calendar.order) and len(items) < size:
        event = calendar.events[calendar.order[position]]
        if wanted(event):
            items.append(event.body)
        position += 1
    page = {
        "kind": "calendar#events",
        "etag": f'"{store.version}"',
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "accessRole": "owner",
        "items": items,
    }
    if position < len(calendar.order):
        return {**page, "nextPageToken": f"p{position}.{version}"}
    return {**page, "nextSyncToken": f"s{store.generation}.{version}"}


def _size(query: Mapping[str, str]) -> int:
    text = query.get("maxResults", str(DEFAULT_RESULTS))
    if not text.isdecimal() or int(text) < 1:
        raise invalid("Invalid value for: maxResults", "maxResults")
    return min(int(text), MAX_RESULTS)


def _page_start(query: Mapping[str, str], now: int) -> tuple[int, int]:
    """Where a page begins, and the version that the first page saw: what changes since belongs to the next sync."""
    token = query.get("pageToken")
    if not token:
        return 0, now
    position, _, version = token.removeprefix("p").partition(".")
    if not token.startswith("p") or not position.isdecimal() or not version.isdecimal():
        raise invalid("Invalid page token value.", "pageToken")
    return int(position), int(version)


def _synced_version(store: Store, query: Mapping[str, str]) -> int | None:
    token = query.get("syncToken")
    if not token:
        return None
    for name in _NOT_WITH_SYNC_TOKEN:
        if query.get(name):
            raise invalid(f"Sync token cannot be used with {name}.", name)
    generation, _, version = token.removeprefix("s").partition(".")
    if generation != store.generation or not version.isdecimal():
        raise Rejected(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")
    return int(version)


def _filter(query: Mapping[str, str], since: int | None) -> Callable[[Event], bool]:
    tests: list[Callable[[Event], bool]] = []
    if since is not None:
        return lambda event: event.version > since
    if query.get("showDeleted") != "true":
        tests.append(lambda event: event.is_live)
    if query.get("orderBy") == "startTime" and query.get("singleEvents") != "true":
        raise invalid("The requested ordering is not available for the particular query.", "orderBy")
    if time_min := parse_bound(query.get("timeMin"), "timeMin"):
        tests.append(lambda event: event.end > time_min)
    if time_max := parse_bound(query.get("timeMax"), "timeMax"):
        tests.append(lambda event: event.start < time_max)
    if updated_min := parse_bound(query.get("updatedMin"), "updatedMin"):
        tests.append(lambda event: parse_bound(event.body["updated"], "updated") >= updated_min)  # type: ignore[operator]
    if uid := query.get("iCalUID"):
        tests.append(lambda event: event.body["iCalUID"] == uid)
    if words := query.get("q"):
        tests.append(lambda event: words.lower() in _text(event).lower())
    for name, kind in (("privateExtendedProperty", "private"), ("sharedExtendedProperty", "shared")):
        if query.get(name):
            tests.append(_property_test(query[name], kind, name))
    return lambda event: all(test(event) for test in tests)


def _text(event: Event) -> str:
    return " ".join(str(event.body.get(name, "")) for name in ("summary", "description", "location", "attendees"))


def _property_test(text: str, kind: str, parameter: str) -> Callable[[Event], bool]:
    name, equals, value = text.partition("=")
    if not equals:
        raise invalid("Invalid extended property constraint.", parameter)
    return lambda event: event.body.get("extendedProperties", {}).get(kind, {}).get(name) == value
