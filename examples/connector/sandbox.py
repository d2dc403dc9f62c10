"""Stands in for Contacts: the same calls, answers and refusals, in memory.

A sandbox imports nothing of openbulk, so that it cannot share a mistake with the connector. Hold it
against the service's own documentation.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

FIELDS = {"email", "name", "birthday", "newsletter", "status"}
STATUSES = {None, "lead", "customer", "former"}
MAX_PAGE = 100

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sandbox:
    """One address book with one key."""

    def __init__(self, key: str = "secret", calls: int = 1_000_000) -> None:
        """After `calls` calls, the sandbox refuses all others with 429."""
        self.contacts: dict[str, dict[str, Any]] = {}
        self._ids: dict[str, str] = {}
        """External keys to the ids of their contacts."""
        self._key = key
        self._calls_left = calls

    def app(self) -> web.Application:
        """The sandbox as a web application."""
        app = web.Application(middlewares=[self._admit])
        app.router.add_get("/v1/account", self._account)
        app.router.add_get("/v1/contacts", self._list)
        app.router.add_post("/v1/contacts", self._create)
        app.router.add_get("/v1/contacts/{id}", self._get)
        app.router.add_patch("/v1/contacts/{id}", self._update)
        app.router.add_delete("/v1/contacts/{id}", self._delete)
        return app

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return _refusal(401, "the key is not valid")
        if self._calls_left == 0:
            answer = _refusal(429, "too many calls")
            answer.headers["Retry-After"] = "30"
            return answer
        self._calls_left -= 1
        return await handler(request)

    async def _account(self, request: web.Request) -> web.Response:
        return web.json_response({"name": "Ann's address book"})

    async def _list(self, request: web.Request) -> web.Response:
        limit = int(request.query.get("limit", MAX_PAGE))
        if not 1 <= limit <= MAX_PAGE:
            return _refusal(400, f"limit is from 1 to {MAX_PAGE}", field="limit")
        ids = list(self.contacts)
        cursor = request.query.get("cursor")
        if cursor is not None and cursor not in ids:
            return _refusal(410, "the cursor is no longer valid")
        begin = ids.index(cursor) + 1 if cursor else 0
        page = ids[begin : begin + limit]
        has_more = begin + limit < len(ids)
        contacts = [self.contacts[contact_id] for contact_id in page]
        return web.json_response({"contacts": contacts, "next": page[-1] if has_more else None})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        key = body.pop("externalKey", None)
        if key in self._ids:
            return web.json_response({"id": self._ids[key]}, status=409)
        refusal = _check({"email": None, **body})
        if refusal is not None:
            return refusal
        contact_id = f"c{secrets.token_hex(4)}"
        if key is not None:
            self._ids[key] = contact_id
        self.contacts[contact_id] = {"id": contact_id, **body}
        return web.json_response(self.contacts[contact_id], status=201)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._contact(request))

    async def _update(self, request: web.Request) -> web.Response:
        contact, changes = self._contact(request), await request.json()
        refusal = _check(changes)
        if refusal is not None:
            return refusal
        contact.update(changes)
        return web.json_response(contact)

    async def _delete(self, request: web.Request) -> web.Response:
        del self.contacts[self._contact(request)["id"]]
        return web.Response(status=204)

    def _contact(self, request: web.Request) -> dict[str, Any]:
        try:
            return self.contacts[request.match_info["id"]]
        except KeyError:
            raise web.HTTPNotFound from None


def _check(values: dict[str, Any]) -> web.Response | None:
    """The refusal of a contact that is not valid."""
    for name in values.keys() - FIELDS:
        return _refusal(400, f"{name} is not a field", field=name)
    if "email" in values and "@" not in str(values["email"]):
        return _refusal(400, "email is not an address", field="email")
    if values.get("status") not in STATUSES:
        return _refusal(400, "status is not known", field="status")
    return None


def _refusal(status: int, message: str, field: str | None = None) -> web.Response:
    error = {"message": message, "field": field}
    return web.json_response({"error": error}, status=status)
