"""Reads the events of a calendar page by page: all of them, or the changed ones."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from openbulk.connectors.answers import Answer
from openbulk.connectors.googlecalendar.api import CalendarApi, count_pages, events_path, read_page
from openbulk.connectors.googlecalendar.errors import TOO_LONG_AGO, read_refusal
from openbulk.connectors.googlecalendar.event_lookup import MAX_EVENTS_PAGE
from openbulk.connectors.googlecalendar.event_rows import PRIMARY
from openbulk.connectors.googlecalendar.events import Event, is_cancelled, is_deleted
from openbulk.domain.errors import CursorExpired
from openbulk.domain.query import Bookmark, Page, PageRequest, Query

_WHOLE = "whole:"
"""Begins the page tokens of a listing that is not bounded by a date of change."""
_SINCE = "updatedMin"
_NOT_WITH_SYNC_TOKEN = frozenset(
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
"""Parameters that Google does not accept together with a sync token (discovery document,
`syncToken`), without those that openbulk never sends."""
_CUT_OFF = timedelta(seconds=1)
"""The header Date has no fractions of a second (RFC 9110, section 5.6.7)."""


async def read_events(api: CalendarApi, query: Query, request: PageRequest) -> AsyncIterator[Page]:
    """The events of the calendar that the parameter `calendarId` names.

    The other parameters go to `events.list`. Google bounds a listing by the date of change for the
    last few weeks only (googleapis/google-api-dotnet-client issue 239 saw 20 days). For an earlier
    date openbulk lists the whole calendar, and `Query.where` leaves out what is older. The changes
    since a bookmark are listed by Google's sync token, whatever its age, until Google forgets it.
    """
    path = events_path(query.parameters.get("calendarId") or PRIMARY)
    parameters = _list_parameters(query, request, api.account)
    prefix, token = _split_page_token(request.after or "")
    if token:
        parameters["pageToken"] = token
    count = count_pages(parameters)
    while True:
        if prefix:
            parameters.pop(_SINCE, None)
        answer = await api.read(path, parameters)
        # The prefix also keeps the date out of the calls for later pages.
        if _is_too_long_ago(answer, parameters):
            prefix = _WHOLE
            continue
        body = read_page(answer, parameters, "Events")
        events = [event for event in body["items"] if _is_wanted(event, parameters)]
        if query.changed_since is not None:
            _require_dates(body["items"], answer)
        token = body.get("nextPageToken", "")
        next_page = prefix + token if token else None
        bookmark = _bookmark(answer, body, parameters, api.account)
        yield Page(events, next_page, bookmark, listed=len(body["items"]))
        if not token:
            return
        count.add(len(body["items"]), answer.call, token)
        parameters["pageToken"] = token


def _split_page_token(page_token: str) -> tuple[str, str]:
    """The prefix of a page token, and Google's own page token."""
    token = page_token.removeprefix(_WHOLE)
    return page_token.removesuffix(token), token


def _list_parameters(query: Query, request: PageRequest, account: str) -> dict[str, str]:
    """The parameters that all pages have in common."""
    parameters = dict(query.parameters)
    parameters.pop("calendarId", None)
    parameters["maxResults"] = str(min(request.size, MAX_EVENTS_PAGE))
    if parameters.get("showDeleted") != "true":
        # False is the default, but Google refuses it together with a sync token.
        parameters.pop("showDeleted", None)
    if request.since is not None:
        parameters["syncToken"] = _sync_token(request.since, account)
    elif query.changed_since is not None:
        parameters.setdefault(_SINCE, query.changed_since.isoformat())
    return parameters


def _is_too_long_ago(answer: Answer, parameters: Mapping[str, str]) -> bool:
    """Whether Google refuses a first page because it does not list changes since that date."""
    if answer.status != 410 or _SINCE not in parameters or "pageToken" in parameters:
        return False
    return read_refusal(answer).reason == TOO_LONG_AGO


def _require_dates(events: Sequence[Event], answer: Answer) -> None:
    """Raise ServiceError for an event without its date of change, which would seem unchanged."""
    for number, event in enumerate(events):
        if not event.get("updated") and not is_cancelled(event):
            raise answer.mismatch(f"nothing as items[{number}].updated", "a time there")


def _is_wanted(event: Event, parameters: Mapping[str, str]) -> bool:
    """Whether the query selects an event: a list of changes always includes deleted ones.

    If series are listed as their occurrences, a cancelled occurrence is a deleted event.
    """
    if parameters.get("showDeleted") == "true":
        return True
    if parameters.get("singleEvents") == "true":
        return not is_cancelled(event)
    return not is_deleted(event)


def _bookmark(
    answer: Answer, body: Mapping[str, Any], parameters: Mapping[str, str], account: str
) -> Bookmark | None:
    """The bookmark on a last page; None if Google would not accept it with these parameters.

    Its time is by Google's clock, like the dates of changes, and no earlier than the token.
    """
    token, answered_at = body.get("nextSyncToken"), answer.date
    if not token or answered_at is None or _NOT_WITH_SYNC_TOKEN & parameters.keys():
        return None
    return Bookmark(f"{account}:{token}", answered_at + _CUT_OFF)


def _sync_token(bookmark: str, account: str) -> str:
    """Google's token in a bookmark.

    Raises CursorExpired if another account was signed in when the bookmark was taken: its `primary`
    was another calendar.
    """
    owner, _, token = bookmark.partition(":")
    if owner != account:
        raise CursorExpired("another account has signed in since")
    return token
