"""`events.list` and `events.instances`: filters, pages and sync tokens.

https://developers.google.com/workspace/calendar/api/v3/reference/events/list
"""

import hashlib
import heapq
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import chain, groupby, islice
from typing import Any, Protocol

import orjson

from openbulk.sandbox.google.errors import Rejected, invalid
from openbulk.sandbox.google.store import Calendar, Event, Store
from openbulk.sandbox.google.times import is_zone, parse_bound, time_range_empty, unix_time


class Query(Protocol):
    """The parameters of a call; a parameter may be repeated."""

    def get(self, key: str, /) -> str | None: ...
    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]: ...
    def items(self) -> Iterable[tuple[str, str]]: ...


Place = tuple[int, int]
"""Where a page begins, by the order of its list."""
Places = Iterator[tuple[Place, Event]]
"""Events with their places."""
TimeRange = tuple[float, float]
"""`timeMin` and `timeMax` in Unix time; infinite if a bound is missing."""
Test = Callable[[Event], bool]
"""Whether an event belongs to a list."""
_ALWAYS = (-math.inf, math.inf)
_BEGINNING = -(10**17)
"""Before the start of any event."""
MAX_OPEN_LISTS = 8
MAX_RESULTS = 2500
DEFAULT_RESULTS = 250
# A longer number is refused before int() spends time on it.
_COUNT = re.compile(r"\d{1,18}", re.ASCII)
_PAGE_TOKEN = re.compile(
    r"p(?P<first>-?\d{1,18})\.(?P<second>-?\d{1,18})\.(?P<version>\d{1,18})\.(?P<epoch>[^.]*)",
    re.ASCII,
)
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
    begin, version = _page_start(store, query)
    size = page_size(query, DEFAULT_RESULTS, MAX_RESULTS)
    is_wanted = _event_test(store, calendar, query, since)

    def start_list() -> Places:
        events = _listed_events(calendar, query, since or 0, begin)
        return ((place, event) for place, event in events if is_wanted(event))

    key = ("events", calendar.id, calendar.time_zone, signature, *query.items())
    items, following = _take_page(store, key, begin, size, start_list)
    page = {
        "kind": "calendar#events",
        "etag": f'"{store.version}"',
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "accessRole": "owner",
        "items": items,
    }
    if following is not None:
        return {**page, "nextPageToken": _page_token(store, following, version)}
    return {**page, "nextSyncToken": f"s{store.sync_epoch}.{version}.{signature}"}


def list_instances(store: Store, calendar: Calendar, series: Event, query: Query) -> dict[str, Any]:
    """A page of the occurrences of a series, changed ones included. Raises Rejected (400)."""
    tests = _time_tests(store, calendar, query)
    if not _is_true(query, "showDeleted"):
        tests.append(_is_live)
    if original_start := query.get("originalStart"):
        tests.append(_original_start_test(original_start, calendar))
    begin, version = _page_start(store, query)
    size = page_size(query, DEFAULT_RESULTS, MAX_RESULTS)
    is_wanted = _all_of(tests)

    def start_list() -> Places:
        events = [series, *calendar.changed_occurrences(series)]
        places = _by_start(calendar, events, _time_range(query), begin)
        return (one for one in places if one[1].id != series.id and is_wanted(one[1]))

    key = ("instances", calendar.id, calendar.time_zone, series.id, *query.items())
    items, following = _take_page(store, key, begin, size, start_list)
    page: dict[str, Any] = {
        "kind": "calendar#events",
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "items": items,
    }
    if following is not None:
        page["nextPageToken"] = _page_token(store, following, version)
    return page


def _take_page(
    store: Store,
    parameters: Sequence[Any],
    begin: Place | None,
    size: int,
    start_list: Callable[[], Places],
) -> tuple[list[orjson.Fragment], Place | None]:
    """The items of a page, and the place of the next page.

    A list goes on where its last page ended, as long as nothing has changed: to look at all series
    again for each page would take a time that grows with the square of their number.
    """
    key = (*filter(_is_of_list, parameters), store.version)
    places = store.open_lists.pop((*key, begin), None) or start_list()
    items = [orjson.Fragment(event.json) for _, event in islice(places, size)]
    following = next(places, None)
    if following is None:
        return items, None
    if len(store.open_lists) == MAX_OPEN_LISTS:
        store.open_lists.pop(next(iter(store.open_lists)))
    store.open_lists[(*key, following[0])] = chain([following], places)
    return items, following[0]


def _is_of_list(parameter: Any) -> bool:
    """Whether a parameter is one of the list, and not one of its page."""
    return not isinstance(parameter, tuple) or parameter[0] not in {"pageToken", "maxResults"}


# --- events in order, from a place on ---


class _EventsInOrder:
    """A calendar's events in their order. A page decodes only the events that it reads."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def __len__(self) -> int:
        return len(self._calendar.order)

    def __getitem__(self, position: int) -> Event:
        return self._calendar.events[self._calendar.order[position]]


def _listed_events(calendar: Calendar, query: Query, since: int, begin: Place | None) -> Places:
    """The events to filter, from a place on: those that have changed since a version.

    With `singleEvents`, there are occurrences in place of their series.
    """
    order = query.get("orderBy")
    # This order is for single events only (_event_test).
    if order == "startTime":
        changed = [one for one in calendar.events.values() if one.version > since]
        return _by_start(calendar, changed, _time_range(query), begin)
    time_range = _time_range(query) if _is_true(query, "singleEvents") else None
    events: Sequence[Event] | _EventsInOrder = _EventsInOrder(calendar)
    if order == "updated":
        events = sorted(calendar.events.values(), key=lambda event: event.version)
    return _by_position(calendar, events, time_range, since, begin)


def _by_position(
    calendar: Calendar,
    events: Sequence[Event] | _EventsInOrder,
    time_range: TimeRange | None,
    since: int,
    begin: Place | None,
) -> Places:
    """Events in their order. A place is a position, and the start of an occurrence."""
    first, first_start = begin or (0, _BEGINNING)
    for position in range(first, len(events)):
        event = events[position]
        if event.version <= since:
            continue
        if time_range is None or not event.recurs:
            yield (position, _BEGINNING), event
            continue
        earliest = first_start if position == first else _BEGINNING
        for one in _unchanged_occurrences(calendar, event, time_range, earliest):
            yield (position, int(one.start)), one


def _by_start(
    calendar: Calendar, events: Sequence[Event], time_range: TimeRange, begin: Place | None
) -> Places:
    """Events and occurrences by their start. A place is a second, and a number in that second."""
    first = begin or (_BEGINNING, 0)
    singles = sorted((one for one in events if not one.recurs), key=_start)
    occurrences = [
        _unchanged_occurrences(calendar, one, time_range, first[0]) for one in events if one.recurs
    ]
    for second, group in groupby(heapq.merge(singles, *occurrences, key=_start), key=_start_second):
        for number, event in enumerate(group):
            if (second, number) >= first:
                yield (second, number), event


def _unchanged_occurrences(
    calendar: Calendar, event: Event, time_range: TimeRange, earliest: int
) -> Iterator[Event]:
    """The occurrences of a series in a time range, from a start on.

    Changed ones are events of their own.
    """
    series = event.series(calendar)
    for start in series.starts(*time_range, earliest):
        if series.occurrence_id(start) not in calendar.events:
            yield event.occurrence(series, start)


def _start_second(event: Event) -> int:
    return math.floor(event.start)


# --- pages and tokens ---


def page_size(query: Query, default: int, maximum: int) -> int:
    """The number of items in a page. Raises Rejected (400)."""
    text = query.get("maxResults")
    if text is None:
        return default
    if not _COUNT.fullmatch(text) or int(text) == 0:
        raise invalid("Invalid value for: maxResults", "maxResults")
    return min(int(text), maximum)


def _page_token(store: Store, place: Place, version: int) -> str:
    return f"p{place[0]}.{place[1]}.{version}.{store.page_epoch}"


def _page_start(store: Store, query: Query) -> tuple[Place | None, int]:
    """The place at which a page begins, if it is not the first, and the first page's version.

    A change after the first page belongs to the next sync.
    """
    token = query.get("pageToken")
    if not token:
        return None, store.version
    match = _PAGE_TOKEN.match(token)
    if match is None or match["epoch"] != store.page_epoch:
        raise invalid("Invalid page token value.", "pageToken")
    return (int(match["first"]), int(match["second"])), int(match["version"])


def _signature(calendar: Calendar, query: Query) -> str:
    """A digest of the parameters for which a sync token is valid.

    For any others Google promises "undefined behavior"; the sandbox refuses them.
    """
    parameters = [f"{name}={query.get(name)}" for name in filter(query.get, _SIGNED_PARAMETERS)]
    return hashlib.sha256("&".join([calendar.id, *parameters]).encode()).hexdigest()[:8]


def _synced_version(store: Store, query: Query, signature: str) -> int | None:
    """The version of the list that a sync token continues; None without a token."""
    token = query.get("syncToken")
    if not token:
        return None
    excluded = next(filter(query.get, _NOT_WITH_SYNC_TOKEN), None)
    if excluded:
        raise invalid(f"Sync token cannot be used with {excluded}.", excluded)
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


def _event_test(store: Store, calendar: Calendar, query: Query, since: int | None) -> Test:
    is_single = _is_true(query, "singleEvents")
    if query.get("orderBy") == "startTime" and not is_single:
        message = "The requested ordering is not available for the particular query."
        raise invalid(message, "orderBy")
    # A list from a sync token holds every change, deletions too.
    if since is not None:
        return _all_of([])
    tests = _time_tests(store, calendar, query)
    # With `updatedMin`, deleted events are always listed, whatever `showDeleted` is (discovery
    # document).
    if not _is_true(query, "showDeleted") and not query.get("updatedMin"):
        tests.append(_is_live if is_single else _is_live_or_occurrence)
    return _all_of([*tests, *_value_tests(query)])


def _value_tests(query: Query) -> list[Test]:
    tests: list[Test] = []
    if uid := query.get("iCalUID"):
        tests.append(lambda event: bool(event.body["iCalUID"] == uid))
    if types := set(query.getall("eventTypes", ())):
        tests.append(lambda event: event.body.get("eventType", "default") in types)
    if words := query.get("q"):
        tests.append(lambda event: words.lower() in _searched_text(event).lower())
    for kind in ("private", "shared"):
        constraints = query.getall(f"{kind}ExtendedProperty", ())
        tests += [_property_test(text, kind) for text in constraints]
    return tests


def _time_tests(store: Store, calendar: Calendar, query: Query) -> list[Test]:
    zone = query.get("timeZone")
    if zone and not is_zone(zone):
        raise invalid("Invalid value for: timeZone", "timeZone")
    time_min, time_max = _time_range(query)
    if time_min >= time_max:
        raise time_range_empty()
    tests: list[Test] = []
    if (time_min, time_max) != _ALWAYS:
        tests.append(partial(_is_within, calendar, (time_min, time_max)))
    if query.get("updatedMin"):
        updated_min = parse_bound(query.get("updatedMin"), -math.inf)
        if updated_min < time.time() - store.changes_seconds:
            raise _too_long_ago()
        tests.append(lambda event: _updated_at(event) >= updated_min)
    return tests


def _time_range(query: Query) -> TimeRange:
    time_min = parse_bound(query.get("timeMin"), -math.inf)
    return time_min, parse_bound(query.get("timeMax"), math.inf)


def _is_within(calendar: Calendar, time_range: TimeRange, event: Event) -> bool:
    """Whether an event, or an occurrence of a series, is in a time range."""
    if event.recurs:
        return any(True for _ in event.series(calendar).starts(*time_range))
    return event.end > time_range[0] and event.start < time_range[1]


def _original_start_test(text: str, calendar: Calendar) -> Test:
    """The test of `originalStart`: a day, or a time."""
    forms = {True: "dateTime", False: "date"}
    wanted = unix_time({forms["T" in text]: text}, calendar.time_zone)
    return lambda event: unix_time(event.body["originalStartTime"], calendar.time_zone) == wanted


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
    # A list of series shows cancelled occurrences (discovery document, `showDeleted`).
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
