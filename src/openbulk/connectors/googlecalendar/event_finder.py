"""Finds in Google's calendars the events that rows mean, and the calendars' time zones."""

from collections.abc import Mapping
from typing import Any

from openbulk.connectors.googlecalendar.api import CalendarApi, event_path, events_path
from openbulk.connectors.googlecalendar.calendar_cache import CalendarCache
from openbulk.connectors.googlecalendar.errors import read_existing, require_accepted
from openbulk.connectors.googlecalendar.event_rows import EventRow
from openbulk.connectors.googlecalendar.events import Event, is_cancelled
from openbulk.connectors.googlecalendar.identity import ICAL_UID, ID, Identity, occurrence_of
from openbulk.domain.records import Action

MAX_EVENTS_PAGE = 2500
FEW_RECORDS = 20
"""A job of up to this many records looks events up one by one; a larger one lists the calendar."""
MAX_CACHES = 8


class EventFinder:
    """Finds events in the calendars of one account, by one listing for a large job."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api
        self._caches: dict[tuple[str, str, str | None], CalendarCache] = {}
        self._zones: dict[str, str] = {}

    async def find(self, row: EventRow) -> Event | None:
        """The event that a row means, as `events.list` shows it; None if the calendar has none.

        Raises RecordRefused, ServiceError.
        """
        cache = self._cache_of(row)
        records = row.target.records
        if records is None or records > FEW_RECORDS:
            await self._fill(cache, row)
        event = cache.find(row.identity)
        if event is not None or cache.is_complete:
            return event
        event = await self.fetch(row)
        # Google shows a cancelled occurrence of a series: it can be restored.
        if event is None or (is_cancelled(event) and not row.identity.occurrence):
            return None
        cache.put(event)
        return event

    async def fetch(
        self, row: EventRow, parameters: Mapping[str, str] | None = None
    ) -> Event | None:
        """Fetch the event that a row means. The parameters go to `events.list`, if that is used."""
        identity = row.identity
        if identity.field == ID:
            answer = await self._api.read(event_path(row.calendar, identity.event_id))
            return read_existing(answer, calendar=row.calendar)
        search = {**_search_parameters(identity), **(parameters or {})}
        events = (await self._page(row, search)).get("items", [])
        same = (event for event in events if occurrence_of(event) == identity.occurrence)
        return next(same, None)

    async def fetch_taken(self, row: EventRow, event_id: str) -> Event:
        """The event that has an id, or had it before it was deleted. Raises RecordRefused."""
        answer = await self._api.read(event_path(row.calendar, event_id))
        require_accepted(answer)
        return dict(answer.json())

    async def zone_of(self, calendar: str) -> str:
        """The time zone of a calendar, fetched once. Raises RecordRefused."""
        if calendar not in self._zones:
            parameters = {"maxResults": "1", "fields": "timeZone"}
            answer = await self._api.read(events_path(calendar), parameters)
            require_accepted(answer, calendar=calendar)
            self._zones[calendar] = str(answer.json().get("timeZone") or "UTC")
        return self._zones[calendar]

    def remember(self, row: EventRow, event: Event) -> None:
        """Cache an event that a row wrote, as Google returned it."""
        if row.target.action is not Action.CREATE:  # a job that only creates looks nothing up
            self._cache_of(row).put(event)

    def forget(self, row: EventRow, event_id: str) -> None:
        """Drop an event that a row deleted from the cache."""
        self._cache_of(row).drop(event_id)

    def _cache_of(self, row: EventRow) -> CalendarCache:
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
            while not cache.is_complete:
                parameters = {"maxResults": str(MAX_EVENTS_PAGE)}
                if cache.page_token:
                    parameters["pageToken"] = cache.page_token
                page = await self._page(row, parameters)
                cache.put(*page.get("items", []))
                cache.page_token = page.get("nextPageToken")
                cache.is_complete = cache.page_token is None

    async def _page(self, row: EventRow, parameters: Mapping[str, str]) -> dict[str, Any]:
        answer = await self._api.read(events_path(row.calendar), parameters)
        require_accepted(answer, calendar=row.calendar)
        return dict(answer.json())


def _search_parameters(identity: Identity) -> dict[str, str]:
    if identity.field == ICAL_UID:
        return {"iCalUID": identity.value}
    return {"privateExtendedProperty": f"{identity.field}={identity.value}"}
