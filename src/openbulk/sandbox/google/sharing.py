"""The handlers of calendars, of each user's list of calendars, and of access rules."""

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from openbulk.sandbox.google.bodies import read_call_body
from openbulk.sandbox.google.errors import Rejected, invalid, missing_value, not_found
from openbulk.sandbox.google.listing import page_size
from openbulk.sandbox.google.schemas import read_fields
from openbulk.sandbox.google.store import Calendar, Store
from openbulk.sandbox.google.times import is_zone
from openbulk.sandbox.google.tokens import Tokens
from openbulk.sandbox.traffic import json_response

DEFAULT_RESULTS, MAX_RESULTS = 100, 250
_POSITION = re.compile(r"\d{1,9}", re.ASCII)
_RULE_FIELDS = ("role", "scope")
_CALENDAR_FIELDS = ("summary", "description", "location", "timeZone")
_ENTRY_FIELDS = (
    "colorId",
    "backgroundColor",
    "foregroundColor",
    "hidden",
    "selected",
    "summaryOverride",
    "defaultReminders",
    "notificationSettings",
)


class Sharing:
    """Handles `calendars`, `calendarList` and `acl`."""

    def __init__(self, store: Store, tokens: Tokens) -> None:
        self._store = store
        self._tokens = tokens

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes below a prefix."""
        calendar = f"{prefix}/calendars/{{calendar}}"
        entries = f"{prefix}/users/me/calendarList"
        entry = f"{entries}/{{calendar}}"
        rules = f"{calendar}/acl"
        rule = f"{rules}/{{rule}}"
        return [
            web.post(f"{prefix}/calendars", self.insert_calendar),
            web.get(calendar, self.get_calendar),
            web.patch(calendar, self.change_calendar),
            web.put(calendar, self.change_calendar),
            web.delete(calendar, self.delete_calendar),
            web.get(entries, self.list_entries),
            web.post(entries, self.insert_entry),
            web.get(entry, self.get_entry),
            web.patch(entry, self.change_entry),
            web.put(entry, self.change_entry),
            web.delete(entry, self.delete_entry),
            web.get(rules, self.list_rules),
            web.post(rules, self.insert_rule),
            web.get(rule, self.get_rule),
            web.patch(rule, self.change_rule),
            web.put(rule, self.change_rule),
            web.delete(rule, self.delete_rule),
        ]

    def _calendar(self, request: web.Request) -> tuple[str, Calendar]:
        """The user and the calendar of a call. Raises Rejected (401, 404)."""
        user = self._tokens.user_of(request)
        return user, self._store.calendar(user, request.match_info["calendar"])

    def _owned_calendar(self, request: web.Request) -> tuple[str, Calendar]:
        """The user and the calendar of a call. Raises Rejected (401, 403, 404)."""
        user, calendar = self._calendar(request)
        if calendar.owner != user and calendar.rules.get(f"user:{user}") != "owner":
            raise Rejected(403, "forbidden", "Forbidden")
        return user, calendar

    # --- calendars ---

    async def insert_calendar(self, request: web.Request) -> web.Response:
        """`calendars.insert`."""
        body = await read_call_body(request, self._tokens)
        fields = read_fields(body, "Calendar", _CALENDAR_FIELDS)
        calendar = self._store.add_calendar(self._tokens.user_of(request), fields)
        _set_fields(calendar, fields)
        return json_response(self._store.save_calendar(calendar).resource())

    async def get_calendar(self, request: web.Request) -> web.Response:
        """`calendars.get`."""
        return json_response(self._calendar(request)[1].resource())

    async def change_calendar(self, request: web.Request) -> web.Response:
        """`calendars.patch` and `calendars.update`."""
        fields = read_fields(
            await read_call_body(request, self._tokens), "Calendar", _CALENDAR_FIELDS
        )
        _, calendar = self._owned_calendar(request)
        _set_fields(calendar, fields)
        return json_response(self._store.save_calendar(calendar).resource())

    async def delete_calendar(self, request: web.Request) -> web.Response:
        """`calendars.delete`: for secondary calendars."""
        user, calendar = self._owned_calendar(request)
        # The primary calendar has its owner's address for an id. It can only be cleared.
        if calendar.id == user:
            raise Rejected(400, "cannotDeletePrimaryCalendar", "Cannot delete primary calendar.")
        self._store.remove_calendar(calendar)
        return web.Response(status=204)

    # --- the list of a user ---

    async def list_entries(self, request: web.Request) -> web.Response:
        """`calendarList.list`, in pages."""
        user = self._tokens.user_of(request)
        entries = [_entry_resource(user, calendar) for calendar in self._store.calendars_of(user)]
        return _page("calendar#calendarList", entries, request)

    async def insert_entry(self, request: web.Request) -> web.Response:
        """`calendarList.insert`: an existing calendar that the user may see."""
        body = await read_call_body(request, self._tokens)
        fields = read_fields(body, "CalendarListEntry", _ENTRY_FIELDS)
        if not isinstance(body.get("id"), str):
            raise missing_value("Required")
        user = self._tokens.user_of(request)
        calendar = self._store.calendar(user, body["id"])
        calendar.listed.setdefault(user, {}).update(_without_nulls(fields))
        return json_response(_entry_resource(user, self._store.save_calendar(calendar)))

    async def get_entry(self, request: web.Request) -> web.Response:
        """`calendarList.get`."""
        user, calendar = self._listed_calendar(request)
        return json_response(_entry_resource(user, calendar))

    async def change_entry(self, request: web.Request) -> web.Response:
        """`calendarList.patch` and `calendarList.update`."""
        body = await read_call_body(request, self._tokens)
        fields = read_fields(body, "CalendarListEntry", _ENTRY_FIELDS)
        user, calendar = self._listed_calendar(request)
        calendar.listed.setdefault(user, {}).update(_without_nulls(fields))
        return json_response(_entry_resource(user, self._store.save_calendar(calendar)))

    async def delete_entry(self, request: web.Request) -> web.Response:
        """`calendarList.delete`."""
        user, calendar = self._listed_calendar(request)
        if calendar.owner == user:
            raise invalid("The calendar cannot be removed from its owner's list.")
        del calendar.listed[user]
        self._store.save_calendar(calendar)
        return web.Response(status=204)

    def _listed_calendar(self, request: web.Request) -> tuple[str, Calendar]:
        user, calendar = self._calendar(request)
        if not calendar.is_listed_by(user):
            raise not_found()
        return user, calendar

    # --- access rules ---

    async def list_rules(self, request: web.Request) -> web.Response:
        """`acl.list`, in pages."""
        _, calendar = self._owned_calendar(request)
        return _page(
            "calendar#acl",
            [_rule_resource(name, role) for name, role in calendar.rules.items()],
            request,
        )

    async def insert_rule(self, request: web.Request) -> web.Response:
        """`acl.insert`: a new rule, or a new role of one that exists."""
        body = read_fields(await read_call_body(request, self._tokens), "AclRule", _RULE_FIELDS)
        name, role = _parse_scope(body.get("scope")), _parse_role(body)
        _, calendar = self._owned_calendar(request)
        calendar.rules[name] = role
        self._store.save_calendar(calendar)
        return json_response(_rule_resource(name, calendar.rules[name]))

    async def get_rule(self, request: web.Request) -> web.Response:
        """`acl.get`."""
        calendar, name = self._requested_rule(request)
        return json_response(_rule_resource(name, calendar.rules[name]))

    async def change_rule(self, request: web.Request) -> web.Response:
        """`acl.patch` and `acl.update`."""
        body = read_fields(await read_call_body(request, self._tokens), "AclRule", _RULE_FIELDS)
        role = _parse_role(body)
        calendar, name = self._requested_rule(request)
        calendar.rules[name] = role
        self._store.save_calendar(calendar)
        return json_response(_rule_resource(name, calendar.rules[name]))

    async def delete_rule(self, request: web.Request) -> web.Response:
        """`acl.delete`."""
        calendar, name = self._requested_rule(request)
        if name == f"user:{calendar.owner}":
            raise Rejected(
                403, "cannotRemoveLastCalendarOwnerFromAcl", "Cannot remove the last owner."
            )
        del calendar.rules[name]
        self._store.save_calendar(calendar)
        return web.Response(status=204)

    def _requested_rule(self, request: web.Request) -> tuple[Calendar, str]:
        _, calendar = self._owned_calendar(request)
        if request.match_info["rule"] not in calendar.rules:
            raise not_found()
        return calendar, request.match_info["rule"]


def _set_fields(calendar: Calendar, fields: Mapping[str, Any]) -> None:
    changed = _without_nulls(fields)
    if not is_zone(changed.get("timeZone", calendar.time_zone)):
        raise invalid("Invalid time zone.")
    calendar.summary = changed.pop("summary", calendar.summary)
    calendar.time_zone = changed.pop("timeZone", calendar.time_zone)
    calendar.more.update(changed)


def _without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _entry_resource(user: str, calendar: Calendar) -> dict[str, Any]:
    entry = {"kind": "calendar#calendarListEntry", "etag": '"1"', **calendar.entry()}
    entry["accessRole"] = calendar.rules.get(f"user:{user}", "reader")
    if calendar.owner == user:
        entry["accessRole"] = "owner"
    if calendar.id == user:
        entry["primary"] = True
    return {**entry, **calendar.listed.get(user, {})}


def _parse_scope(scope: Mapping[str, Any] | None) -> str:
    """The id of the rule of a scope, such as `user:ann@example.com`. Raises Rejected (400)."""
    if not scope or not scope.get("type"):
        raise invalid("Invalid scope type.")
    if scope["type"] == "default":
        return "default"
    if not scope.get("value"):
        raise invalid("Invalid scope value.")
    return f"{scope['type']}:{scope['value'].lower()}"


def _parse_role(body: Mapping[str, Any]) -> str:
    role = body.get("role")
    if role is None:
        raise missing_value("Required")
    return str(role)


def _rule_resource(name: str, role: str) -> dict[str, Any]:
    kind, _, value = name.partition(":")
    scope = {"type": kind}
    if value:
        scope["value"] = value
    return {"kind": "calendar#aclRule", "etag": '"1"', "id": name, "scope": scope, "role": role}


def _page(kind: str, items: list[dict[str, Any]], request: web.Request) -> web.Response:
    """A page of items. Its token is the position at which it begins."""
    size = page_size(request.query, DEFAULT_RESULTS, MAX_RESULTS)
    position = request.query.get("pageToken") or "0"
    if not _POSITION.fullmatch(position):
        raise invalid("Invalid page token value.", "pageToken")
    begin = int(position)
    end = begin + size
    page: dict[str, Any] = {"kind": kind, "etag": '"1"', "items": items[begin:end]}
    if end < len(items):
        page["nextPageToken"] = str(end)
    return json_response(page)
