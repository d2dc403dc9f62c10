"""Finds in Google's calendars the events that rows mean, and the calendars' time zones."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from openbulk.connectors.googlecalendar.api import (
    CalendarApi,
    count_pages,
    event_path,
    events_path,
    require_progress,
)
from openbulk.connectors.googlecalendar.calendar_cache import CalendarCache
from openbulk.connectors.googlecalendar.claims import Claims
from openbulk.connectors.googlecalendar.errors import read_existing, require_accepted
from openbulk.connectors.googlecalendar.event_rows import (
    SERIES_PROPERTY,
    EventRow,
    series_marker,
)
from openbulk.connectors.googlecalendar.events import Event, is_cancelled, is_part
from openbulk.connectors.googlecalendar.identity import (
    ICAL_UID,
    ID,
    Identity,
    occurrence_of,
    part_name,
    summary_and_start,
)
from openbulk.connectors.googlecalendar.recurrence import time_value
from openbulk.connectors.googlecalendar.shapes import read_list, read_resource
from openbulk.connectors.googlecalendar.times import is_zone
from openbulk.domain.errors import Refused
from openbulk.domain.records import Action, Record, Target

MAX_EVENTS_PAGE = 2500
FEW_RECORDS = 20
"""A job of up to this many records looks events up one by one; a larger one lists the calendar."""
MAX_CACHES = 8
MAX_JOBS = 32
"""Jobs whose claims are kept."""
MAX_REFUSED = 10_000
MAX_FOUND = 10_000
"""Events that are found for one row: a series with all of its changed dates."""
MAX_CALENDAR = 10_000_000
"""Events of a calendar that a job looks its rows up in: they take some 10 GB of a disk."""
_ANY_ZONE = timedelta(days=1)
_MOMENT = timedelta(seconds=1)
"""The margins around a start within which its event is found; `timeMin` excludes an event that ends
then."""


class EventLookup:
    """Finds events in the calendars of one account, by one listing for a large job."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api
        self._caches: dict[tuple[str, str, str | None], CalendarCache] = {}
        self._claims: dict[str, Claims] = {}
        self._zones: dict[str, str] = {}
        self._refused: dict[tuple[str, str, str], int] = {}
        """Rows that were refused, by job and identifier."""

    async def find(self, row: EventRow) -> Event | None:
        """The event that a row means, as `events.list` shows it; None if the calendar has none.

        Raises RecordRefused, ServiceError.
        """
        cache = self.cache_of(row)
        records = row.target.records
        if records is None or records > FEW_RECORDS:
            await self._fill(cache, row)
        event = cache.find(row.identity)
        if event is not None or cache.is_complete:
            return event
        event = await self.fetch(row, row.identity) or await self._fetch_alike(row)
        # Google shows a cancelled occurrence of a series: it can be restored.
        if event is None or (is_cancelled(event) and not row.identity.occurrence):
            return None
        cache.put(event)
        return event

    async def find_series(self, row: EventRow) -> Event | None:
        """The series of an occurrence; None if the calendar has none.

        Another process may have written it since the calendar was listed: a series that the cache
        does not hold is fetched.
        """
        cache = self.cache_of(row)
        series = cache.find(row.identity.series)
        if series is None and not cache.is_absent(row.identity.series):
            cache.put(*await self._fetch_with_occurrences(row, row.identity.series))
            series = cache.find(row.identity.series)
            if series is None:
                cache.note_absent(row.identity.series)
        return series

    async def find_alone(self, row: EventRow) -> Event | None:
        """An occurrence whose series the calendar does not have: of a guest of that date alone."""
        if row.identity.field == ID:
            return await self.fetch(row, row.identity)
        return self.cache_of(row).find(row.identity)

    async def _fetch_with_occurrences(self, row: EventRow, series: Identity) -> Sequence[Event]:
        """A series and its occurrences that differ from it; the series alone if it has an id."""
        if series.field != ID:
            return await self._events(row, _search_parameters(series))
        event = await self.fetch(row, series)
        return [event] if event else []

    async def exceptions_of(self, row: EventRow, series: Event) -> Mapping[str, Event]:
        """The occurrences that differ from their series, by the names of `Identity.occurrence`."""
        uid = str(series["iCalUID"])
        cache = self.cache_of(row)
        if cache.is_complete:
            events = cache.occurrences(uid)
        else:
            events = await self._events(row, _search_parameters(Identity(ICAL_UID, uid)))
        own = (event for event in events if event.get("recurringEventId") == series["id"])
        return {name: event for event in own if (name := occurrence_of(event)) is not None}

    async def parts_of(self, row: EventRow, series: Event) -> dict[str, Event]:
        """The later parts of a series, which are events of their own, by `PartName.begin`.

        A small job finds those that openbulk has written.
        """
        uid = str(series["iCalUID"])
        cache = self.cache_of(row)
        if cache.is_complete:
            events = cache.parts(uid)
        else:
            marker = Identity(SERIES_PROPERTY, series_marker(uid))
            events = await self._events(row, _search_parameters(marker))
        named = ((part_name(event.get("iCalUID")), event) for event in events)
        return {
            part.begin: event
            for part, event in named
            if part is not None and part.series == uid and is_part(event)
        }

    def note_refused(self, target: Target, record: Record) -> None:
        """Remember that a row which may be a series was refused: its occurrences say so."""
        if len(self._refused) >= MAX_REFUSED:
            self._refused.clear()
        if record.values.get("originalStartTime"):
            return
        for field in filter(record.values.get, (ID, ICAL_UID)):
            self._refused[target.run, field, str(record.values[field])] = record.row

    def refused_row(self, row: EventRow, series: Identity) -> int | None:
        """The row of the job that has this series, if it was refused."""
        return self._refused.get((row.target.run, series.field, series.value))

    async def fetch(self, row: EventRow, identity: Identity, **parameters: str) -> Event | None:
        """Fetch the event with an identity from a row's calendar.

        The parameters go to `events.list`, if that is used.
        """
        if identity.field == ID:
            answer = await self._api.read(event_path(row.calendar, identity.event_id))
            return read_existing(answer, calendar=row.calendar)
        events = await self._events(row, {**_search_parameters(identity), **parameters})
        same = (event for event in events if occurrence_of(event) == identity.occurrence)
        return next(same, None)

    async def count(self, row: EventRow) -> int:
        """How many events have the value by which a row's column identifies its event.

        1 for a row that has no such column.
        """
        identity = row.identity
        if not identity.is_property or identity.alike is not None:
            return 1
        cache = self.cache_of(row)
        if cache.is_complete:
            return cache.count(identity.value)
        events = await self._events(row, _search_parameters(identity))
        return sum(occurrence_of(event) is None for event in events)

    async def _fetch_alike(self, row: EventRow) -> Event | None:
        """The event with the summary and the start of a row that has no identifier."""
        alike = row.identity.alike
        if alike is None:
            return None
        events = await self._events(row, _around(row.fields["start"]))
        return next((event for event in events if summary_and_start(event) == alike), None)

    async def fetch_taken(self, row: EventRow, event_id: str) -> Event:
        """The event that has an id, or had it before it was deleted. Raises RecordRefused."""
        answer = await self._api.read(event_path(row.calendar, event_id))
        require_accepted(answer)
        return read_resource(answer, "Event")

    async def zone_of(self, calendar: str) -> str:
        """The time zone of a calendar, fetched once. Raises RecordRefused."""
        if calendar not in self._zones:
            parameters = {"maxResults": "1", "fields": "timeZone"}
            answer = await self._api.read(events_path(calendar), parameters)
            require_accepted(answer, calendar=calendar)
            zone = read_resource(answer, "Events").get("timeZone")
            if not is_zone(zone):
                raise answer.mismatch(f"{zone!r} as timeZone", "a time zone there")
            self._zones[calendar] = str(zone)
        return self._zones[calendar]

    def remember(self, row: EventRow, event: Event) -> None:
        """Cache an event that a row wrote, as Google returned it. The row means it."""
        self.claims_of(row.target).claim(row, str(event["id"]), row.fields)
        # A job that only creates looks nothing up but the series of occurrences.
        if row.target.action is not Action.CREATE or event.get("recurrence"):
            self.cache_of(row).put(event)

    def claims_of(self, target: Target) -> Claims:
        """The events that the rows of a job mean."""
        # The job that has waited longest for a row has most likely ended. If not, its claims are
        # read from its file again.
        claims = self._claims.pop(target.run, None) or Claims()
        if len(self._claims) == MAX_JOBS:
            self._claims.pop(next(iter(self._claims))).close()
        self._claims[target.run] = claims
        claims.begin_slice(target)
        return claims

    def forget(self, row: EventRow, event_id: str) -> None:
        """Drop an event that a row deleted from the cache."""
        self.cache_of(row).drop(event_id)

    def cache_of(self, row: EventRow) -> CalendarCache:
        """What a row's job has fetched of its calendar."""
        property_name = row.identity.field if row.identity.is_property else None
        key = (row.target.run, row.calendar, property_name)
        if key not in self._caches:
            # A cache belongs to one job. The job of the oldest cache has most likely ended.
            if len(self._caches) == MAX_CACHES:
                self._caches.pop(next(iter(self._caches))).close()
            self._caches[key] = CalendarCache(property_name)
        return self._caches[key]

    async def _fill(self, cache: CalendarCache, row: EventRow) -> None:
        """List the calendar, from the page at which an earlier call was interrupted."""
        # Rows are looked up concurrently: the first one lists, and the others wait for it.
        async with cache.filling:
            if cache.is_complete:
                return
            parameters = {"maxResults": str(MAX_EVENTS_PAGE)}
            async for events, next_page in self._pages(row, parameters, cache.page_token):
                cache.put(*events)
                cache.page_token = next_page
            cache.is_complete = True

    async def _events(self, row: EventRow, search: Mapping[str, str]) -> Sequence[Event]:
        """The events of a row's calendar that a search selects."""
        found: list[Event] = []
        async for events, _ in self._pages(row, search):
            found += events
            if len(found) > MAX_FOUND:
                raise Refused(
                    f"Google Calendar found more than {MAX_FOUND:,} events for row {row.number}; "
                    "expected one, and its dates"
                )
        return found

    async def _pages(
        self, row: EventRow, search: Mapping[str, str], page_token: str | None = None
    ) -> AsyncIterator[tuple[Sequence[Event], str | None]]:
        """The events of a row's calendar that a search selects, and the tokens of next pages.

        Google may answer an empty page before others.
        """
        parameters, count, listed = dict(search), count_pages(search), 0
        while True:
            if page_token:
                parameters["pageToken"] = page_token
            answer = await self._api.read(events_path(row.calendar), parameters)
            require_accepted(answer, calendar=row.calendar)
            page = read_list(answer, "Events", MAX_EVENTS_PAGE)
            require_progress(page, parameters, answer)
            page_token = page.get("nextPageToken") or None
            yield page["items"], page_token
            if page_token is None:
                return
            count.add(len(page["items"]), answer.call, page_token)
            listed += len(page["items"])
            if listed > MAX_CALENDAR:
                raise Refused(
                    f"{answer.call} listed more than {MAX_CALENDAR:,} events, and names a next "
                    "page; expected the end of the calendar"
                )


def _search_parameters(identity: Identity) -> dict[str, str]:
    # A series with many changed occurrences takes more than the 250 events of a default page.
    parameters = {"maxResults": str(MAX_EVENTS_PAGE)}
    if identity.field == ICAL_UID:
        return {**parameters, "iCalUID": identity.value}
    return {**parameters, "privateExtendedProperty": f"{identity.field}={identity.value}"}


def _around(start: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a list of the events at a time. A day is in any zone."""
    time = time_value(start)
    margin = _ANY_ZONE if time.is_day else _MOMENT
    moment = time.in_utc().local
    return {
        "maxResults": str(MAX_EVENTS_PAGE),
        "timeMin": f"{(moment - margin).isoformat()}Z",
        "timeMax": f"{(moment + margin).isoformat()}Z",
    }
