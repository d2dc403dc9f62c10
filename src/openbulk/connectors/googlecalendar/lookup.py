"""What is in the calendars: the events that rows mean, and the calendars' zones."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from openbulk.connectors.googlecalendar.api import CalendarApi
from openbulk.connectors.googlecalendar.calendar_cache import Mirror
from openbulk.connectors.googlecalendar.errors import Refusal, refusal
from openbulk.connectors.googlecalendar.events import Draft, Plan
from openbulk.connectors.googlecalendar.identity import ICAL_UID, ID, Identity, occurrence_of
from openbulk.connectors.http import Answer
from openbulk.domain.errors import OpenbulkError
from openbulk.domain.records import Action, Target

MAX_PAGE = 2500
FEW_RECORDS = 20
"""A job of so few records looks its events up one by one; a larger one lists the calendar."""
MAX_MIRRORS = 8
GONE = frozenset({404, 410})

Event = Mapping[str, Any]


class NotTaken(OpenbulkError):
    """Google refused a record."""

    def __init__(self, refused: Refusal, before: str = "", calendar: str | None = None) -> None:
        super().__init__(f"calendar {calendar!r}: {refused}" if calendar else f"{before}{refused}")
        self.refused = refused
        self.calendar = calendar
        """The calendar, where it may be that which is not there."""


class Lookup:
    """Finds events in the calendars of one account, by one listing for a large job."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api
        self._mirrors: dict[tuple[str, str, str | None], Mirror] = {}
        self._zones: dict[str, str] = {}

    async def found(self, plan: Plan, target: Target) -> Event | None:
        """The event that a row means, as its calendar shows it."""
        mirror, identity = self._mirror(plan, target), named(plan)
        if target.records is None or target.records > FEW_RECORDS:
            await self._fill(mirror, plan)
        event = mirror.find(identity)
        if event is not None or mirror.is_complete:
            return event
        event = await self.one(plan, identity, {})
        if event is None or (event.get("status") == "cancelled" and not identity.occurrence):
            return None
        mirror.put(event)
        return event

    def _mirror(self, plan: Plan, target: Target) -> Mirror:
        identity = plan.identity
        name = identity.field if identity is not None and identity.is_property else None
        place = (target.run, plan.calendar, name)
        if place not in self._mirrors:
            if len(self._mirrors) == MAX_MIRRORS:
                self._mirrors.pop(next(iter(self._mirrors))).close()
            self._mirrors[place] = Mirror(name)
        return self._mirrors[place]

    async def _fill(self, mirror: Mirror, plan: Plan) -> None:
        """List the calendar, from where it was left when a call had to wait."""
        async with mirror.filling:
            while not mirror.is_complete:
                parameters = {"maxResults": str(MAX_PAGE)}
                if mirror.page_token:
                    parameters["pageToken"] = mirror.page_token
                page = (await self._call("GET", plan.events_path, plan, parameters)).json()
                mirror.put(*page.get("items", []))
                mirror.page_token = page.get("nextPageToken")
                mirror.is_complete = mirror.page_token is None

    async def one(
        self, plan: Plan, identity: Identity, parameters: Mapping[str, str]
    ) -> Event | None:
        """One event, asked for by itself."""
        if identity.field == ID:
            wanted = identity.value
            if identity.occurrence and not wanted.endswith(f"_{identity.occurrence}"):
                wanted = f"{wanted}_{identity.occurrence}"
            answer = await self._api.call("GET", plan.event_path(wanted))
            return None if answer.status in GONE else dict(checked(answer, plan).json())
        if identity.field == ICAL_UID:
            query = {"iCalUID": identity.value}
        else:
            query = {"privateExtendedProperty": f"{identity.field}={identity.value}"}
        page = (await self._call("GET", plan.events_path, plan, {**query, **parameters})).json()
        found = [
            event for event in page.get("items", []) if occurrence_of(event) == identity.occurrence
        ]
        return found[0] if found else None

    async def seen(self, plan: Plan, event_id: str) -> Event:
        """An event that is there, or was."""
        answer = await self._api.call("GET", plan.event_path(event_id))
        if not answer.is_success:
            raise NotTaken(refusal(answer))
        return dict(answer.json())

    async def zone_of(self, place: Plan | Draft) -> str:
        """The time zone of a calendar, asked for once."""
        if place.calendar not in self._zones:
            path = f"/calendars/{quote(place.calendar, safe='@')}/events"
            answer = await self._api.call(
                "GET", path, params={"maxResults": "1", "fields": "timeZone"}
            )
            if not answer.is_success:
                raise NotTaken(refusal(answer), calendar=missing_calendar(answer, place.calendar))
            self._zones[place.calendar] = str(answer.json().get("timeZone") or "UTC")
        return self._zones[place.calendar]

    def remember(self, plan: Plan, target: Target, event: Event) -> None:
        """An event is as this answer shows it."""
        if target.action is not Action.CREATE:
            self._mirror(plan, target).put(event)

    def forget(self, plan: Plan, target: Target, event: str) -> None:
        """An event is gone."""
        self._mirror(plan, target).forget(event)

    async def _call(
        self, method: str, path: str, plan: Plan, parameters: Mapping[str, str] | None = None
    ) -> Answer:
        return checked(await self._api.call(method, path, plan.calendar, params=parameters), plan)


def checked(answer: Answer, plan: Plan) -> Answer:
    """The answer, where Google did what was asked. Raises NotTaken."""
    if answer.is_success:
        return answer
    raise NotTaken(refusal(answer), calendar=missing_calendar(answer, plan.calendar))


def missing_calendar(answer: Answer, calendar: str) -> str | None:
    """The calendar, where it may be that which is not there."""
    return calendar if answer.status == 404 else None


def named(plan: Plan) -> Identity:
    """What tells the event of a row that is about one."""
    assert plan.identity is not None, "only what is created may be without an identity"
    return plan.identity
