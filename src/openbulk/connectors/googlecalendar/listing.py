"""The events of a calendar, page by page: all of them, or what was changed."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from openbulk.connectors.googlecalendar.api import CalendarApi, page_of
from openbulk.connectors.googlecalendar.errors import TOO_LONG_AGO, refusal
from openbulk.connectors.googlecalendar.events import calendar_of
from openbulk.connectors.googlecalendar.lookup import MAX_PAGE
from openbulk.connectors.http import Answer
from openbulk.domain.errors import CursorExpired
from openbulk.domain.query import Bookmark, Page, PageRequest, Query

_WHOLE = "whole:"
"""Begins the cursors of a listing that Google would not bound by a date of change."""
_SINCE = "updatedMin"
_WITHOUT_CHANGES = frozenset(
    {
        "iCalUID",
        "privateExtendedProperty",
        "q",
        "sharedExtendedProperty",
        "timeMin",
        "timeMax",
        _SINCE,
    }
)
"""What cannot be asked together with a sync token (discovery document, `syncToken`), less what is not ours to ask."""
_DATED_TO = timedelta(seconds=1)
"""The header Date has seconds, cut off (RFC 9110, section 5.6.7)."""


async def read_events(api: CalendarApi, query: Query, request: PageRequest) -> AsyncIterator[Page]:
    """The events of the calendar that the parameter `calendarId` names; other parameters go to `events.list`.

    Google bounds a listing by the date of change for some weeks only (googleapis/google-api-dotnet-client#239 saw 20
    days). For dates before that the whole calendar is listed, and what is older is left out by `Query.where`. What was
    changed since a bookmark is listed by Google's sync token, however long ago that was, until Google forgets it.
    """
    parameters = dict(query.parameters)
    calendar = calendar_of({"calendarId": parameters.pop("calendarId", None)})
    path = f"/calendars/{quote(calendar, safe='@')}/events"
    parameters["maxResults"] = str(min(request.size, MAX_PAGE))
    if parameters.get("showDeleted") != "true":
        parameters.pop(
            "showDeleted", None
        )  # Google's default, which must not be said beside a sync token
    if request.since is not None:
        parameters["syncToken"] = _sync_token(request.since, api.account)
    elif query.changed_since is not None:
        parameters.setdefault(_SINCE, query.changed_since.isoformat())
    token = request.after or ""
    is_whole = token.startswith(_WHOLE)
    token = token.removeprefix(_WHOLE)
    while True:
        if is_whole:
            parameters.pop(_SINCE, None)
        page = {**parameters, "pageToken": token} if token else parameters
        answer = await api.call("GET", path, calendar, params=page)
        if (
            answer.status == 410
            and not token
            and _SINCE in page
            and refusal(answer).reason == TOO_LONG_AGO
        ):
            is_whole = True
            continue
        body = page_of(answer, page)
        token = body.get("nextPageToken") or ""
        events = [one for one in body.get("items", []) if _is_shown(one, parameters)]
        cursor = f"{_WHOLE if is_whole else ''}{token}" if token else None
        yield Page(events, cursor, _bookmark(answer, body, parameters, api.account))
        if not token:
            return


def _is_shown(event: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Whether an event belongs to what is asked for: a list of changes has the deleted ones, asked for or not.

    Where a series is listed as its occurrences, one that was called off is a deleted event.
    """
    if parameters.get("showDeleted") == "true":
        return True
    return not (
        event.get("status") == "cancelled"
        if parameters.get("singleEvents") == "true"
        else is_deleted(event)
    )


def is_deleted(event: Mapping[str, Any]) -> bool:
    """Whether nothing is left of an event; an occurrence that was called off is something about its series."""
    return event.get("status") == "cancelled" and "recurringEventId" not in event


def _bookmark(
    answer: Answer, body: Mapping[str, Any], parameters: Mapping[str, str], account: str
) -> Bookmark | None:
    """The bookmark on a last page; none where Google would not take it with these parameters.

    Google's own clock dates it, since the dates of changes are Google's, and not before the token can have been made.
    """
    token, dated = body.get("nextSyncToken"), answer.date
    if not token or dated is None or _WITHOUT_CHANGES & parameters.keys():
        return None
    return Bookmark(f"{account}:{token}", dated + _DATED_TO)


def _sync_token(bookmark: str, account: str) -> str:
    """Google's token in a bookmark. Raises CursorExpired where another account was signed in when it was taken: `primary`
    was another calendar then."""
    owner, _, token = bookmark.partition(":")
    if owner != account:
        raise CursorExpired("another account has signed in since")
    return token
