"""The handlers of `events`."""

from aiohttp import web

from openbulk.sandbox.google import listing
from openbulk.sandbox.google.bodies import read_call_body
from openbulk.sandbox.google.errors import Rejected
from openbulk.sandbox.google.store import Calendar, Event, Store
from openbulk.sandbox.google.tokens import Tokens
from openbulk.sandbox.traffic import json_response


class Events:
    """Handles `calendars/{calendar}/events/...`."""

    def __init__(self, store: Store, tokens: Tokens) -> None:
        self._store = store
        self._tokens = tokens

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes below a prefix."""
        events = f"{prefix}/calendars/{{calendar}}/events"
        event = f"{events}/{{event}}"
        return [
            web.post(events, self.insert_event),
            web.post(f"{events}/import", self.import_event),
            web.get(events, self.list_events),
            web.get(event, self.get_event),
            web.get(f"{event}/instances", self.list_instances),
            web.patch(event, self.patch_event),
            web.put(event, self.update_event),
            web.delete(event, self.delete_event),
        ]

    async def insert_event(self, request: web.Request) -> web.Response:
        """`events.insert`."""
        body = await read_call_body(request, self._tokens)
        user, calendar = self._calendar(request)
        event = self._store.insert(calendar, user, body)
        return _event_response(event)

    async def import_event(self, request: web.Request) -> web.Response:
        """`events.import`."""
        body = await read_call_body(request, self._tokens)
        user, calendar = self._calendar(request)
        event = self._store.import_event(calendar, user, body)
        return _event_response(event)

    async def list_events(self, request: web.Request) -> web.Response:
        """`events.list`."""
        _, calendar = self._calendar(request)
        return json_response(listing.list_events(self._store, calendar, request.query))

    async def list_instances(self, request: web.Request) -> web.Response:
        """`events.instances`."""
        calendar, series = self._event(request)
        page = listing.list_instances(self._store, calendar, series, request.query)
        return json_response(page)

    async def get_event(self, request: web.Request) -> web.Response:
        """`events.get`."""
        # Cancelled events too: "the get method always returns" them (reference, field `status`).
        _, event = self._event(request)
        return _event_response(event)

    async def patch_event(self, request: web.Request) -> web.Response:
        """`events.patch`."""
        return await self._change(request, merge=True)

    async def update_event(self, request: web.Request) -> web.Response:
        """`events.update`."""
        return await self._change(request, merge=False)

    async def delete_event(self, request: web.Request) -> web.Response:
        """`events.delete`."""
        calendar, event = self._event(request)
        _check_etag(request, event)
        self._store.remove(calendar, event)
        return web.Response(status=204)

    async def _change(self, request: web.Request, *, merge: bool) -> web.Response:
        body = await read_call_body(request, self._tokens)
        # Looked up after the last await, or another call could change the event in between.
        _, calendar = self._calendar(request)
        event = self._store.event(calendar, request.match_info["event"])
        _check_etag(request, event)
        return _event_response(self._store.replace(calendar, event, body, merge=merge))

    def _calendar(self, request: web.Request) -> tuple[str, Calendar]:
        """The user and the calendar of a call. Raises Rejected (401, 404)."""
        user = self._tokens.user_of(request)
        return user, self._store.calendar(user, request.match_info["calendar"])

    def _event(self, request: web.Request) -> tuple[Calendar, Event]:
        """The calendar and the event of a call. Raises Rejected (401, 404)."""
        _, calendar = self._calendar(request)
        return calendar, self._store.event(calendar, request.match_info["event"])


def _event_response(event: Event) -> web.Response:
    return web.Response(
        body=event.json,
        content_type="application/json",
        charset="utf-8",
        headers={"ETag": event.etag},
    )


def _check_etag(request: web.Request, event: Event) -> None:
    if request.headers.get("If-Match", event.etag) not in {event.etag, "*"}:
        location = ("header", "If-Match")
        raise Rejected(412, "conditionNotMet", "Precondition Failed", location=location)
