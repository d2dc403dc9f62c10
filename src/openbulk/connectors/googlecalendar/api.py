"""Calls of the Calendar API v3, each counted on the budgets that it uses."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from openbulk.connectors.answers import Answer, PageCount
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.errors import is_expired_token, read_refusal
from openbulk.connectors.googlecalendar.limits import Limits
from openbulk.connectors.googlecalendar.shapes import read_list, read_resource
from openbulk.connectors.http import Client
from openbulk.connectors.pace import Budget
from openbulk.domain.errors import CursorExpired, NotFound, Refused
from openbulk.exact_json import encode_json

_TOKENS = frozenset({"pageToken", "syncToken"})
DEFAULT_PAGE = 250
"""Google's, for a call without `maxResults`."""
_JSON = {"Content-Type": "application/json"}


class CalendarApi:
    """The API of one signed-in account."""

    def __init__(self, client: Client, base_url: str, limits: Limits) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/calendar/v3"
        self._limits = limits
        self.account = limits.account
        """A name for the account that does not reveal it."""

    def budgets(self, calendar: str) -> Sequence[Budget]:
        """The budgets of a call that changes this calendar, the widest first."""
        return self._limits.budgets(calendar)

    async def read(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """`GET` a path below `/calendar/v3`. Raises ServiceError."""
        budgets, records = self._limits.shared, page_size(params or {})
        return await self._client.call(
            "GET", self._url + path, params=params, budgets=budgets, records=records
        )

    async def write(
        self,
        method: str,
        path: str,
        calendar: str | None = None,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        etag: str | None = None,
    ) -> Answer:
        """Call a path below `/calendar/v3`; `calendar` is the calendar that the call changes.

        With an etag, Google refuses the call with 412 if what it changes has another one
        (https://developers.google.com/workspace/calendar/api/guides/version-resources).
        Raises ServiceError, and FieldError if JSON cannot hold the body.
        """
        content: dict[str, Any] = {"headers": {} if etag is None else {"If-Match": etag}}
        if body is not None:
            content["data"] = _encode_json(body)
            content["headers"] |= _JSON
        budgets = self._limits.budgets(calendar)
        url = self._url + path
        return await self._client.call(method, url, params=params, budgets=budgets, **content)

    async def get(self, path: str, name: str) -> dict[str, Any]:
        """The resource at a path; `name` is its type in Google's document.

        Raises NotFound, or Refused if Google refuses to show it.
        """
        answer = await self.read(path)
        require_success(answer)
        return read_resource(answer, name)

    async def get_of_calendar(
        self, path: str, name: str, calendar: str, what: str
    ) -> dict[str, Any]:
        """A resource of a calendar; `name` as in `get`, and `what` names it for a person.

        Raises NotFound, which says whether it or the calendar is missing: Google's answer is the
        same for both. Raises Refused if Google refuses to show it.
        """
        answer = await self.read(path)
        if answer.status == 404:
            # The narrowest scope allows this call.
            parameters = {"maxResults": "1", "fields": "kind"}
            of_calendar = await self.read(events_path(calendar), parameters)
            if of_calendar.status != 404:
                raise NotFound(
                    f"calendar {calendar!r} has no {what}",
                    provider_message=read_refusal(answer).message,
                )
        require_success(answer)
        return read_resource(answer, name)


def count_pages(parameters: Mapping[str, str]) -> PageCount:
    """Counts the pages of the list that is read with these parameters."""
    return PageCount(page_size(parameters))


def page_size(parameters: Mapping[str, str]) -> int:
    """The size of the page that a call asks for."""
    return int(parameters.get("maxResults", DEFAULT_PAGE))


def events_path(calendar: str) -> str:
    """The path of a calendar's events, below `/calendar/v3`."""
    return f"/calendars/{quote(calendar, safe='@')}/events"


def event_path(calendar: str, event_id: str) -> str:
    """The path of one event, below `/calendar/v3`."""
    return f"{events_path(calendar)}/{quote(event_id, safe='')}"


def _encode_json(body: Mapping[str, Any]) -> bytes:
    try:
        return encode_json(body)
    except TypeError as error:  # half a character, more than 64 bits, a thousand levels
        raise FieldError(None, f"the record cannot be written as JSON ({error})") from error


def require_success(answer: Answer) -> None:
    """Raise NotFound or Refused unless the call succeeded."""
    if answer.is_success:
        return
    refusal = read_refusal(answer)
    error = NotFound if refusal.is_missing else Refused
    raise error(str(refusal), provider_message=refusal.message)


def read_page(answer: Answer, parameters: Mapping[str, str], name: str) -> dict[str, Any]:
    """A page of the list with this name; `parameters` are those of its call.

    Raises CursorExpired if Google no longer knows a token among the parameters, NotFound, and
    Refused, also if the next page is this one again.
    """
    if _TOKENS & parameters.keys() and is_expired_token(answer):
        raise CursorExpired(
            "Google no longer knows this place in its list; read the list from its beginning"
        )
    require_success(answer)
    page = read_list(answer, name, page_size(parameters))
    require_progress(page, parameters, answer)
    return page


def require_progress(
    page: Mapping[str, Any], parameters: Mapping[str, str], answer: Answer
) -> None:
    """Raise Refused if the next page is this one again: the list would have no end."""
    token = page.get("nextPageToken")
    if token and token == parameters.get("pageToken"):
        raise Refused(f"{answer.call} answered a page whose next page is the same page again")
