"""An address book with a REST API, such as an organization may have of its own.

    python examples/custom_connector/service.py --port 9191

It lists people in pages of every common kind, at a path for each: `/offset/people`, `/page/people`,
`/cursor/people`, `/link/people` (an address in the body) and `/header/people` (one in the header
`Link`). It takes Basic (`ann`, `secret`), the header `X-Api-Key: secret`, the query parameter
`key=secret`, and access tokens of its own OAuth 2. It imports nothing of openbulk.
"""

import base64
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

MAX_PAGE = 100
BASIC = "Basic " + base64.b64encode(b"ann:secret").decode()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """One address book."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.requests: list[web.Request] = []
        """Every request that came, for tests."""
        self.busy = 0
        """How many of the next calls are refused with 429."""
        self.access_token = ""
        self.refresh_token = ""
        self.codes = {"code"}
        self._number = 0

    def app(self) -> web.Application:
        """The service as a web application."""
        app = web.Application(middlewares=[self._admit])
        app.router.add_post("/oauth/token", self._token)
        app.router.add_post("/oauth/revoke", self._revoke)
        app.router.add_get("/{kind}/me", self._me)
        app.router.add_get("/{kind}/people", self._list)
        app.router.add_post("/{kind}/people", self._create)
        app.router.add_get("/{kind}/people/{id}", self._get)
        app.router.add_patch("/{kind}/people/{id}", self._change)
        app.router.add_delete("/{kind}/people/{id}", self._delete)
        app.router.add_get("/{kind}/teams/{team}/people", self._list)
        app.router.add_post("/{kind}/teams/{team}/people", self._create)
        return app

    # --- who may ---

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(request)
        if not request.path.startswith("/oauth/") and not self._is_known(request):
            return _refusal(401, "who are you?")
        if self.busy:
            self.busy -= 1
            answer = _refusal(429, "too many calls")
            answer.headers["Retry-After"] = "1"
            return answer
        return await handler(request)

    def _is_known(self, request: web.Request) -> bool:
        authorization = request.headers.get("Authorization")
        if request.headers.get("X-Api-Key") == "secret" or request.query.get("key") == "secret":
            return True
        return authorization == BASIC or (
            bool(self.access_token) and authorization == f"Bearer {self.access_token}"
        )

    async def _token(self, request: web.Request) -> web.Response:
        """RFC 6749, sections 4.1.3 and 6. A refresh token is valid for one use."""
        form = await request.post()
        if (form.get("client_id"), form.get("client_secret")) != ("client", "client-secret"):
            return web.json_response({"error": "invalid_client"}, status=401)
        grant, code = form.get("grant_type"), str(form.get("code"))
        is_fresh = bool(self.refresh_token) and form.get("refresh_token") == self.refresh_token
        if not ((grant == "authorization_code" and code in self.codes) or is_fresh):
            return web.json_response({"error": "invalid_grant"}, status=400)
        self._number += 1
        self.access_token = f"access-{self._number}"
        self.refresh_token = f"refresh-{self._number}"
        return web.json_response(
            {
                "access_token": self.access_token,
                "refresh_token": self.refresh_token,
                "expires_in": 3600,
            }
        )

    async def _revoke(self, request: web.Request) -> web.Response:
        self.access_token = self.refresh_token = ""
        return web.Response()

    async def _me(self, request: web.Request) -> web.Response:
        return web.json_response({"name": "Ann"})

    # --- records ---

    def _people_for(self, request: web.Request) -> list[dict[str, Any]]:
        team = request.match_info.get("team")
        return [one for one in self.people.values() if team in {None, one.get("team")}]

    async def _list(self, request: web.Request) -> web.Response:
        people = self._people_for(request)
        size = min(int(request.query.get("limit", MAX_PAGE)), MAX_PAGE)
        kind = request.match_info["kind"]
        begin = int(request.query.get("offset", 0))
        if kind == "page":
            begin = (int(request.query.get("page", 1)) - 1) * size
        elif kind in {"cursor", "link", "header"}:
            begin = int(request.query.get("after", "p0").removeprefix("p"))
        page = people[begin : begin + size]
        body: dict[str, Any] = {"total": len(people), "items": page}
        headers = {}
        if begin + size < len(people):
            following = f"p{begin + size}"
            address = str(request.url.update_query(after=following))
            if kind == "cursor":
                body["paging"] = {"next": following}
            elif kind == "link":
                body["next"] = address
            elif kind == "header":
                headers["Link"] = f'</first>; rel="first", <{address}>; rel="next"'
        return web.json_response(body, headers=headers)

    async def _create(self, request: web.Request) -> web.Response:
        values = (await request.json())["person"]
        problem = _problem_of(values, is_new=True)
        if problem:
            return _refusal(422, problem)
        self._number += 1
        made = {"id": self._number, **values}
        if "team" in request.match_info:
            made["team"] = request.match_info["team"]
        self.people[str(made["id"])] = made
        return web.json_response({"data": made}, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        found = self.people.get(request.match_info["id"])
        return _missing() if found is None else web.json_response({"data": found})

    async def _change(self, request: web.Request) -> web.Response:
        found = self.people.get(request.match_info["id"])
        values = (await request.json())["person"]
        if found is None:
            return _missing()
        problem = _problem_of(values, is_new=False)
        if problem:
            return _refusal(422, problem)
        found.update(values)
        return web.json_response({"data": found})

    async def _delete(self, request: web.Request) -> web.Response:
        found = self.people.pop(request.match_info["id"], None)
        return _missing() if found is None else web.Response(status=204)


def _problem_of(values: dict[str, Any], *, is_new: bool) -> str:
    if (is_new or "email" in values) and "@" not in str(values.get("email")):
        return "email is not an address"
    if not isinstance(values.get("age", 0), int):
        return "age is not a number"
    return ""


def _missing() -> web.Response:
    return _refusal(404, "nobody is here")


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


if __name__ == "__main__":
    web.run_app(Service().app(), host="127.0.0.1", port=int(sys.argv[2]), print=None)
