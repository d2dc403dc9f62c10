"""The events of a calendar, page by page."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from openbulk.connectors.googlecalendar.api import CalendarApi, found
from openbulk.connectors.googlecalendar.errors import TOO_LONG_AGO, refusal
from openbulk.connectors.googlecalendar.events import calendar_of
from openbulk.connectors.googlecalendar.lookup import MAX_PAGE
from openbulk.domain.query import Page, Query

_WHOLE = "whole:"
"""Begins the cursors of a listing that Google would not bound by a date of change."""
_SINCE = "updatedMin"


async def read_events(api: CalendarApi, query: Query) -> AsyncIterator[Page]:
    """The events of the calendar that the parameter `calendarId` names; other parameters go to `events.list`.

    Google bounds a listing by the date of change for some weeks only (googleapis/google-api-dotnet-client#239 saw 20
    days). For dates before that the whole calendar is listed, and what is older is left out by `Query.where`.
    """
    parameters = dict(query.parameters)
    calendar = calendar_of({"calendarId": parameters.pop("calendarId", None)})
    path = f"/calendars/{quote(calendar, safe='@')}/events"
    parameters["maxResults"] = str(min(query.page_size, MAX_PAGE))
    if query.changed_since is not None and _SINCE not in parameters:
        parameters[_SINCE] = query.changed_since.isoformat()
    # "Entries deleted since this time will always be included" (discovery document, `updatedMin`).
    shows_deleted = parameters.get("showDeleted") == "true"
    token = query.after or ""
    is_whole = token.startswith(_WHOLE)
    token = token.removeprefix(_WHOLE)
    while True:
        if is_whole:
            parameters.pop(_SINCE, None)
        page = {**parameters, "pageToken": token} if token else parameters
        answer = await api.call("GET", path, calendar, params=page)
        if answer.status == 410 and not token and _SINCE in page and refusal(answer).reason == TOO_LONG_AGO:
            is_whole = True
            continue
        body = found(answer).json()
        token = body.get("nextPageToken") or ""
        events = [one for one in body.get("items", []) if shows_deleted or not is_deleted(one)]
        yield Page(events, f"{_WHOLE if is_whole else ''}{token}" if token else None)
        if not token:
            return


def is_deleted(event: Mapping[str, Any]) -> bool:
    """Whether nothing is left of an event; an occurrence that was called off is something about its series."""
    return event.get("status") == "cancelled" and "recurringEventId" not in event
