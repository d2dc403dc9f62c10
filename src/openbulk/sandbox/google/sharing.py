"""Calendars themselves, the list of them that each person keeps, and who may see them."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from openbulk.sandbox.google.answers import Rejected, bad_request, invalid, not_found, required
from openbulk.sandbox.google.oauth import SignIn
from openbulk.sandbox.google.store import Calendar, Store
from openbulk.sandbox.google.times import is_zone
from openbulk.sandbox.traffic import ReadBody, json_response

API = "/calendar/v3"
ROLES = frozenset({"none", "freeBusyReader", "reader", "writer", "owner"})
SCOPES = frozenset({"default", "user", "group", "domain"})
_OF_CALENDARS = ("summary", "description", "location", "timeZone")
_OF_ENTRIES = (
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
    """The handlers of `calendars`, `calendarList` and `acl`."""

    def __init__(self, store: Store, sign_in: SignIn, body: ReadBody) -> None:
        self._store = store
        self._sign_in = sign_in
        self._body = body

    def routes(self) -> list[web.RouteDef]:
        """Below the Calendar API."""
        calendar, entries = f"{API}/calendars/{{calendar}}", f"{API}/users/me/calendarList"
        rules = f"{calendar}/acl"
        return [
            web.post(f"{API}/calendars", self.insert_calendar),
            web.get(calendar, self.get_calendar),
            web.patch(calendar, self.change_calendar),
            web.put(calendar, self.change_calendar),
            web.delete(calendar, self.delete_calendar),
            web.get(entries, self.list_entries),
            web.post(entries, self.insert_entry),
            web.get(f"{entries}/{{calendar}}", self.get_entry),
            web.patch(f"{entries}/{{calendar}}", self.change_entry),
            web.put(f"{entries}/{{calendar}}", self.change_entry),
            web.delete(f"{entries}/{{calendar}}", self.delete_entry),
            web.get(rules, self.list_rules),
            web.post(rules, self.insert_rule),
            web.get(f"{rules}/{{rule}}", self.get_rule),
            web.patch(f"{rules}/{{rule}}", self.change_rule),
            web.put(f"{rules}/{{rule}}", self.change_rule),
            web.delete(f"{rules}/{{rule}}", self.delete_rule),
        ]

    def _calendar(self, request: web.Request) -> tuple[str, Calendar]:
        user = self._sign_in.user_of(request)
        return user, self._store.calendar(user, request.match_info["calendar"])

    # --- calendars ---

    async def insert_calendar(self, request: web.Request) -> web.Response:
        """`calendars.insert`."""
        user = self._sign_in.user_of(request)
        body = await self._body(request)
        calendar = self._store.add_calendar(user, body)
        _set(calendar, body)
        return json_response(self._store.keep(calendar).resource())

    async def get_calendar(self, request: web.Request) -> web.Response:
        """`calendars.get`."""
        return json_response(self._calendar(request)[1].resource())

    async def change_calendar(self, request: web.Request) -> web.Response:
        """`calendars.patch` and `calendars.update`."""
        user, calendar = self._calendar(request)
        _only_owner(user, calendar)
        _set(calendar, await self._body(request))
        return json_response(self._store.keep(calendar).resource())

    async def delete_calendar(self, request: web.Request) -> web.Response:
        """`calendars.delete`: for secondary calendars."""
        user, calendar = self._calendar(request)
        _only_owner(user, calendar)
        if calendar.id == user:
            raise Rejected(400, "cannotDeletePrimaryCalendar", "Cannot delete primary calendar.")
        self._store.remove_calendar(calendar)
        return web.Response(status=204)

    # --- the list that a person keeps ---

    async def list_entries(self, request: web.Request) -> web.Response:
        """`calendarList.list`, in pages."""
        user = self._sign_in.user_of(request)
        entries = [_entry(user, calendar) for calendar in self._store.calendars_of(user)]
        return _page("calendar#calendarList", entries, request)

    async def insert_entry(self, request: web.Request) -> web.Response:
        """`calendarList.insert`: an existing calendar that the person may see."""
        user = self._sign_in.user_of(request)
        body = await self._body(request)
        if not isinstance(body.get("id"), str):
            raise required("Required")
        calendar = self._store.calendar(user, body["id"])
        calendar.listed.setdefault(user, {}).update(_chosen(body, _OF_ENTRIES))
        return json_response(_entry(user, self._store.keep(calendar)))

    async def get_entry(self, request: web.Request) -> web.Response:
        """`calendarList.get`."""
        user, calendar = self._listed(request)
        return json_response(_entry(user, calendar))

    async def change_entry(self, request: web.Request) -> web.Response:
        """`calendarList.patch` and `calendarList.update`."""
        user, calendar = self._listed(request)
        calendar.listed.setdefault(user, {}).update(_chosen(await self._body(request), _OF_ENTRIES))
        return json_response(_entry(user, self._store.keep(calendar)))

    async def delete_entry(self, request: web.Request) -> web.Response:
        """`calendarList.delete`."""
        user, calendar = self._listed(request)
        if calendar.owner == user:
            raise invalid("The calendar cannot be removed from its owner's list.")
        del calendar.listed[user]
        self._store.keep(calendar)
        return web.Response(status=204)

    def _listed(self, request: web.Request) -> tuple[str, Calendar]:
        user, calendar = self._calendar(request)
        if calendar.owner != user and user not in calendar.listed:
            raise not_found()
        return user, calendar

    # --- who may see a calendar ---

    async def list_rules(self, request: web.Request) -> web.Response:
        """`acl.list`, in pages."""
        user, calendar = self._calendar(request)
        _only_owner(user, calendar)
        return _page(
            "calendar#acl", [_rule(name, role) for name, role in calendar.rules.items()], request
        )

    async def insert_rule(self, request: web.Request) -> web.Response:
        """`acl.insert`; one that exists changes its role."""
        user, calendar = self._calendar(request)
        _only_owner(user, calendar)
        body = await self._body(request)
        name = _rule_name(body.get("scope"))
        calendar.rules[name] = _role(body)
        self._store.keep(calendar)
        return json_response(_rule(name, calendar.rules[name]))

    async def get_rule(self, request: web.Request) -> web.Response:
        """`acl.get`."""
        calendar, name = self._rule_of(request)
        return json_response(_rule(name, calendar.rules[name]))

    async def change_rule(self, request: web.Request) -> web.Response:
        """`acl.patch` and `acl.update`."""
        calendar, name = self._rule_of(request)
        calendar.rules[name] = _role(await self._body(request))
        self._store.keep(calendar)
        return json_response(_rule(name, calendar.rules[name]))

    async def delete_rule(self, request: web.Request) -> web.Response:
        """`acl.delete`."""
        calendar, name = self._rule_of(request)
        if name == f"user:{calendar.owner}":
            raise Rejected(
                403, "cannotRemoveLastCalendarOwnerFromAcl", "Cannot remove the last owner."
            )
        del calendar.rules[name]
        self._store.keep(calendar)
        return web.Response(status=204)

    def _rule_of(self, request: web.Request) -> tuple[Calendar, str]:
        user, calendar = self._calendar(request)
        _only_owner(user, calendar)
        if request.match_info["rule"] not in calendar.rules:
            raise not_found()
        return calendar, request.match_info["rule"]


def _only_owner(user: str, calendar: Calendar) -> None:
    if calendar.owner != user and calendar.rules.get(f"user:{user}") != "owner":
        raise Rejected(403, "forbidden", "Forbidden")


def _set(calendar: Calendar, body: Mapping[str, Any]) -> None:
    fields = _chosen(body, _OF_CALENDARS)
    if not all(isinstance(value, str) for value in fields.values()):
        raise bad_request()
    if not is_zone(fields.get("timeZone", calendar.time_zone)):
        raise invalid("Invalid time zone.")
    calendar.summary = fields.pop("summary", calendar.summary)
    calendar.time_zone = fields.pop("timeZone", calendar.time_zone)
    calendar.more.update(fields)


def _chosen(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: body[name] for name in names if body.get(name) is not None}


def _entry(user: str, calendar: Calendar) -> dict[str, Any]:
    role = "owner" if calendar.owner == user else calendar.rules.get(f"user:{user}", "reader")
    primary = {"primary": True} if calendar.id == user else {}
    listed = calendar.listed.get(user, {})
    return {
        "kind": "calendar#calendarListEntry",
        "etag": '"1"',
        **calendar.entry(),
        "accessRole": role,
        **primary,
        **listed,
    }


def _rule_name(scope: Any) -> str:
    if not isinstance(scope, dict) or scope.get("type") not in SCOPES:
        raise invalid("Invalid scope type.")
    if scope["type"] == "default":
        return "default"
    if not isinstance(scope.get("value"), str) or not scope["value"]:
        raise invalid("Invalid scope value.")
    return f"{scope['type']}:{scope['value'].lower()}"


def _role(body: Mapping[str, Any]) -> str:
    role = body.get("role")
    if role is None:
        raise required("Required")
    if role not in ROLES:
        raise invalid("Invalid value for: role")
    return str(role)


def _rule(name: str, role: str) -> dict[str, Any]:
    kind, _, value = name.partition(":")
    scope = {"type": kind, "value": value} if value else {"type": kind}
    return {"kind": "calendar#aclRule", "etag": '"1"', "id": name, "scope": scope, "role": role}


def _page(kind: str, items: list[dict[str, Any]], request: web.Request) -> web.Response:
    """So many of the items as asked for; the token counts them."""
    size, begin = request.query.get("maxResults", "100"), request.query.get("pageToken", "0")
    if not size.isdecimal() or not begin.isdecimal() or not int(size):
        raise invalid("Invalid value.")
    end = int(begin) + min(int(size), 250)
    page = {"kind": kind, "etag": '"1"', "items": items[int(begin) : end]}
    return json_response({**page, "nextPageToken": str(end)} if end < len(items) else page)
