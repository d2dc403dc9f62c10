"""Signing in: Basic authentication, and OAuth 2 with refresh tokens that change at each use.

https://docs.oracle.com/cloud/latest/marketingcs_gs/OMCAC/Authentication_Auth.html
"""

import base64
import secrets
import time
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from aiohttp import web

from openbulk.sandbox.page import page, paragraph
from openbulk.sandbox.traffic import json_response

WRONG_PASSWORD = "wrong"  # noqa: S105 - the one password that the sandbox refuses


@dataclass
class SignIn:
    """Codes and tokens that were given out."""

    token_seconds: int
    codes: dict[str, str] = field(default_factory=dict)
    """With the address that each was sent to."""
    access: dict[str, float] = field(default_factory=dict)
    """With the time at which each runs out."""
    refresh: set[str] = field(default_factory=set)

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.get("/auth/oauth2/authorize", self.ask),
            web.post("/auth/oauth2/authorize", self.decide),
            web.post("/auth/oauth2/token", self.token),
        ]

    def knows(self, request: web.Request) -> bool:
        """Whether a call is signed in: any `Company\\user` with any password but one, or a token."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.access.get(secret, 0) > time.time()
        user, _, password = _basic(request)
        return "\\" in user and _is_accepted(password)

    def expire(self, request: web.Request) -> None:
        """Let the access token of a call run out now."""
        self.access.pop(request.headers.get("Authorization", "").partition(" ")[2], None)

    async def ask(self, request: web.Request) -> web.Response:
        """The page on which a person accepts or declines; 400 for a request that could not be answered."""
        query = request.query
        if (
            query.get("response_type") != "code"
            or not query.get("client_id")
            or not _is_address(query)
        ):
            refusal = page(
                "Sign in to the Eloqua sandbox", paragraph("The app's request is not valid.")
            )
            refusal.set_status(400)
            return refusal
        hidden = "".join(
            f"<input type=hidden name='{escape(n)}' value='{escape(v)}'>" for n, v in query.items()
        )
        return page(
            "Sign in to the Eloqua sandbox",
            f"<p><b>{escape(query['client_id'])}</b> wants to act for you.</p><form method=post>{hidden}"
            "<button name=decision value=allow>Accept</button><button name=decision value=deny>Decline</button></form>",
        )

    async def decide(self, request: web.Request) -> web.Response:
        """Send the person back to the app, with a code or without."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not _is_address(form):
            raise web.HTTPBadRequest
        address = form["redirect_uri"]
        back = {"state": form["state"]} if form.get("state") else {}
        if form.get("decision") == "allow":
            back["code"] = secrets.token_urlsafe(24)
            self.codes[back["code"]] = address
        else:
            back["error"] = "access_denied"
        joint = "&" if "?" in address else "?"
        return web.Response(status=302, headers={"Location": f"{address}{joint}{urlencode(back)}"})

    async def token(self, request: web.Request) -> web.Response:
        """An access token for a grant, in JSON or a form; the client in Basic authentication."""
        client, _, client_secret = _basic(request)
        if not client or not client_secret:
            return json_response({"error": "invalid_client"}, 401)
        form = await _form(request)
        if form.get("grant_type") not in {"authorization_code", "refresh_token", "password"}:
            return json_response({"error": "unsupported_grant_type"}, 400)
        if not self._grants(form):
            return json_response({"error": "invalid_grant"}, 400)
        return json_response(self._issue())

    def _grants(self, form: dict[str, str]) -> bool:
        """Each code and each refresh token is good once."""
        if form["grant_type"] == "authorization_code":
            address = self.codes.pop(form.get("code", ""), None)
            return address is not None and address == form.get("redirect_uri")
        if form["grant_type"] == "refresh_token":
            is_known = form.get("refresh_token", "") in self.refresh
            self.refresh.discard(form.get("refresh_token", ""))
            return is_known
        return "\\" in form.get("username", "") and _is_accepted(form.get("password", ""))

    def _issue(self) -> dict[str, Any]:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.access[access] = time.time() + self.token_seconds
        self.refresh.add(refresh)
        return {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": self.token_seconds,
            "refresh_token": refresh,
        }


def _is_accepted(password: str) -> bool:
    return password not in {"", WRONG_PASSWORD}


def _is_address(values: Any) -> bool:
    address = urlsplit(values.get("redirect_uri", ""))
    return address.scheme in {"http", "https"} and bool(address.netloc)


def _basic(request: web.Request) -> tuple[str, str, str]:
    """User, colon and password; empty where the call has none."""
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    try:
        return (
            base64.b64decode(secret).decode().partition(":")
            if kind.lower() == "basic"
            else ("", "", "")
        )
    except ValueError:
        return "", "", ""


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/json":
        return {name: str(value) for name, value in (await request.post()).items()}
    try:
        said = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return {}
    return {name: str(value) for name, value in said.items()} if isinstance(said, dict) else {}
