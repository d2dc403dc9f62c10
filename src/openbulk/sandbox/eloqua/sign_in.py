"""Sign-in: Basic authentication, and OAuth 2 with refresh tokens that change at each use.

https://docs.oracle.com/cloud/latest/marketingcs_gs/OMCAC/Authentication_Auth.html
"""

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.forms import hidden_inputs, is_web_address, read_form, redirect
from openbulk.sandbox.page import page, paragraph
from openbulk.sandbox.traffic import json_response

WRONG_PASSWORD = "wrong"  # noqa: S105 - the one password that the sandbox refuses
_REFUSED_PASSWORDS = frozenset({"", WRONG_PASSWORD})
_TITLE = "Sign in to the Eloqua sandbox"
_BUTTONS = (
    "<button name=decision value=allow>Accept</button>"
    "<button name=decision value=deny>Decline</button>"
)


@dataclass
class SignIn:
    """The valid codes and tokens, and the handlers of OAuth 2."""

    token_seconds: int
    codes: dict[str, str] = field(default_factory=dict)
    """The redirect address of each code."""
    access: dict[str, float] = field(default_factory=dict)
    """The time at which each access token expires."""
    refresh: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Map each grant type to its check."""
        self._grants: Mapping[str, Callable[[Mapping[str, str]], bool]] = {
            "authorization_code": self._redeem_code,
            "refresh_token": self._redeem_refresh_token,
            "password": self._accept_password,
        }

    def routes(self) -> list[web.RouteDef]:
        """The routes of OAuth 2."""
        return [
            web.get("/auth/oauth2/authorize", self.show_consent),
            web.post("/auth/oauth2/authorize", self.redirect_back),
            web.post("/auth/oauth2/token", self.issue_token),
        ]

    def is_signed_in(self, request: web.Request) -> bool:
        """Whether a call has a valid token, or a `Company\\user` with any password but `wrong`."""
        kind, secret = _authorization(request)
        if kind == "bearer":
            return self.access.get(secret, 0) > time.time()
        return _is_accepted(*_basic_credentials(request))

    def expire(self, request: web.Request) -> None:
        """Expire the access token of a call now."""
        self.access.pop(_authorization(request)[1], None)

    async def show_consent(self, request: web.Request) -> web.Response:
        """The page on which a person accepts or declines; 400 for an invalid request."""
        query = request.query
        is_code = query.get("response_type") == "code"
        if not is_code or not query.get("client_id") or not _has_redirect_uri(query):
            return page(_TITLE, paragraph("The app's request is not valid."), status=400)
        client = escape(query["client_id"])
        return page(
            _TITLE,
            f"<p><b>{client}</b> wants to act for you.</p>"
            f"<form method=post>{hidden_inputs(query)}{_BUTTONS}</form>",
        )

    async def redirect_back(self, request: web.Request) -> web.Response:
        """Send the person back to the app, with a code or with `access_denied`."""
        form = await read_form(request)
        if not _has_redirect_uri(form):
            raise web.HTTPBadRequest
        address = form["redirect_uri"]
        back = {"state": form["state"]} if form.get("state") else {}
        if form.get("decision") == "allow":
            back["code"] = secrets.token_urlsafe(24)
            self.codes[back["code"]] = address
        else:
            back["error"] = "access_denied"
        return redirect(address, back)

    async def issue_token(self, request: web.Request) -> web.Response:
        """An access token for a grant, in JSON or a form; the client in Basic authentication."""
        if not all(_basic_credentials(request)):
            return json_response({"error": "invalid_client"}, 401)
        form = await _read_token_request(request)
        redeem = self._grants.get(form.get("grant_type", ""))
        if redeem is None:
            return json_response({"error": "unsupported_grant_type"}, 400)
        if not redeem(form):
            return json_response({"error": "invalid_grant"}, 400)
        return json_response(self._make_tokens())

    def _redeem_code(self, form: Mapping[str, str]) -> bool:
        # A code is valid once, even if the address is wrong.
        address = self.codes.pop(form.get("code", ""), None)
        return address is not None and address == form.get("redirect_uri")

    def _redeem_refresh_token(self, form: Mapping[str, str]) -> bool:
        token = form.get("refresh_token", "")
        is_known = token in self.refresh
        self.refresh.discard(token)
        return is_known

    def _accept_password(self, form: Mapping[str, str]) -> bool:
        return _is_accepted(form.get("username", ""), form.get("password", ""))

    def _make_tokens(self) -> dict[str, Any]:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.access[access] = time.time() + self.token_seconds
        self.refresh.add(refresh)
        return {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": self.token_seconds,
            "refresh_token": refresh,
        }


def _is_accepted(user: str, password: str) -> bool:
    return "\\" in user and password not in _REFUSED_PASSWORDS


def _has_redirect_uri(values: Mapping[str, str]) -> bool:
    return is_web_address(values.get("redirect_uri", ""))


def _authorization(request: web.Request) -> tuple[str, str]:
    """The scheme in lower case, and the credentials, of the header `Authorization`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower(), credentials


def _basic_credentials(request: web.Request) -> tuple[str, str]:
    """User and password; empty if the call has none."""
    scheme, credentials = _authorization(request)
    if scheme != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(credentials).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


async def _read_token_request(request: web.Request) -> dict[str, str]:
    """The parameters of a token request; none if the JSON cannot be read."""
    if request.content_type != "application/json":
        return await read_form(request)
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(body, dict):
        return {}
    return {name: str(value) for name, value in body.items()}
