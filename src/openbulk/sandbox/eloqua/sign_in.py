"""Signing in: Basic authentication, and OAuth 2 with refresh tokens that change at each use.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/GettingStarted/Authentication/auth.htm
"""

import base64
import binascii
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from openbulk.sandbox.page import page
from openbulk.sandbox.traffic import json_response

TOKEN_SECONDS = 8 * 3600
WRONG_PASSWORD = "wrong"  # noqa: S105 - the one password that the sandbox refuses


@dataclass
class SignIn:
    """Codes and tokens that were given out."""

    codes: dict[str, str] = field(default_factory=dict)
    access: dict[str, float] = field(default_factory=dict)
    refresh: set[str] = field(default_factory=set)

    def knows(self, request: web.Request) -> bool:
        """Whether a call is signed in: any `Company\\user` with any password but one, or a token."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind == "Bearer":
            return self.access.get(secret, 0) > time.time()
        user, _, password = _basic(secret)
        return kind == "Basic" and "\\" in user and password not in {"", WRONG_PASSWORD}

    def expire(self, request: web.Request) -> None:
        """Let the access token of a call run out now."""
        self.access.pop(request.headers.get("Authorization", "").removeprefix("Bearer "), None)

    def issue(self) -> dict[str, Any]:
        """An access token and a refresh token."""
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.access[access] = time.time() + TOKEN_SECONDS
        self.refresh.add(refresh)
        return {"access_token": access, "token_type": "bearer", "expires_in": TOKEN_SECONDS, "refresh_token": refresh}


def _basic(secret: str) -> tuple[str, str, str]:
    try:
        return base64.b64decode(secret).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", "", ""


async def authorize_page(request: web.Request) -> web.Response:
    """`GET /auth/oauth2/authorize`."""
    hidden = "".join(f"<input type=hidden name='{escape(n)}' value='{escape(v)}'>" for n, v in request.query.items())
    asking = escape(request.query.get("client_id", ""))
    return page(
        "Sign in to the Eloqua sandbox",
        f"<p><b>{asking}</b> wants to act for you.</p><form method=post>{hidden}"
        "<button name=decision value=allow>Accept</button><button name=decision value=deny>Decline</button></form>",
    )


def authorize(sign_in: SignIn) -> Callable[[web.Request], Awaitable[web.Response]]:
    """`POST /auth/oauth2/authorize`."""

    async def handle(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        back = {"state": form["state"]} if form.get("state") else {}
        if form.get("decision") == "allow":
            back["code"] = secrets.token_urlsafe(24)
            sign_in.codes[back["code"]] = form.get("redirect_uri", "")
        else:
            back["error"] = "access_denied"
        return web.Response(status=302, headers={"Location": f"{form.get('redirect_uri', '')}?{urlencode(back)}"})

    return handle


def token(sign_in: SignIn) -> Callable[[web.Request], Awaitable[web.Response]]:
    """`POST /auth/oauth2/token`, JSON or a form, the client in Basic authentication."""

    async def handle(request: web.Request) -> web.Response:
        client, _, client_secret = _basic(request.headers.get("Authorization", "").removeprefix("Basic "))
        if not client or not client_secret:
            return json_response({"error": "invalid_client"}, 401)
        if request.content_type == "application/json":
            form = orjson.loads(await request.read())
        else:
            form = {name: str(value) for name, value in (await request.post()).items()}
        if not _grants(sign_in, form):
            return json_response({"error": "invalid_grant"}, 400)
        return json_response(sign_in.issue())

    return handle


def _grants(sign_in: SignIn, form: dict[str, Any]) -> bool:
    match form.get("grant_type"):
        case "authorization_code":
            return bool(sign_in.codes.pop(form.get("code", ""), None) == form.get("redirect_uri", ""))
        case "refresh_token" if form.get("refresh_token") in sign_in.refresh:
            sign_in.refresh.discard(form["refresh_token"])
            return True
        case "password":
            return "\\" in form.get("username", "") and form.get("password") not in {None, "", WRONG_PASSWORD}
    return False
