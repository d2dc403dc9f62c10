"""Sign in with the OpenID provider of an organization, and connect one's account with it.

A cookie holds the sign-in that this browser has begun: an answer of the provider to another one
opens nothing.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from openbulk.api.wire import identity_providers
from openbulk.console.api_calls import ApiCalls, ApiRefusal
from openbulk.console.pages.organization import organization_of
from openbulk.console.pages.sign_in import own_path
from openbulk.console.rendering import render, texts_for
from openbulk.console.sessions import BrowserSession, BrowserSessions, keep_in_browser
from openbulk.console.visits import Visit
from openbulk.identity.oidc_sign_in import SIGN_IN_SECONDS

CALLBACK = f"/{identity_providers.CALLBACK}"
"""Where a provider sends people back to."""
PENDING_COOKIE = "openbulk-oidc"
ORGANIZATION_COOKIE = "openbulk-organization"
"""The organization of the last sign-in, so that nobody has to write it twice."""
_CONTEXT = "a sign-in at a provider that a browser has begun"
_ME = "/organizations/users/me"
_MAX_BACK = 1000
_MAX_FIELDS = 10
_YEAR = 365 * 24 * 3600


async def form(request: Request) -> Response:
    """Ask for the organization. It begins nothing: a link of others cannot sign anybody in."""
    last = unquote(request.cookies.get(ORGANIZATION_COOKIE, ""))
    name = request.query_params.get("organization") or last
    return _page(request, name[:_MAX_BACK], own_path(request.query_params.get("back", "")))


async def begin(request: Request) -> Response:
    """Send the person to the provider."""
    given = await request.form(max_files=0, max_fields=_MAX_FIELDS)
    name, back = (str(given.get(field, "")).strip() for field in ("organization", "back"))
    asks_again = "again" in given
    try:
        return await _send(request, name, {"back": own_path(back)}, asks_again=asks_again)
    except ApiRefusal as error:
        problem = error.message
        if error.status == 404:
            problem = texts_for(request).gettext(
                "No organization of this name signs in like this. Ask your administrator for it."
            )
        return _page(request, name, own_path(back), problem, error.status)


async def finish(request: Request) -> Response:
    """The person comes back from the provider."""
    pending = _pending_of(request)
    if pending is None:
        message = texts_for(request).gettext(
            "This sign-in was not begun in this browser, or took too long."
        )
        return _failure(request, message, 400, {})
    body = {"token": pending["token"], "answer": dict(request.query_params)}
    try:
        if "user" in pending:
            return await _finish_connecting(request, pending, body)
        answer = await _api_of(request).send("POST", "/authentication/oidc/code", body)
    except ApiRefusal as error:
        return _failure(request, error.message, error.status, pending)
    response = RedirectResponse(own_path(pending["back"]), 303)
    # The browser gets another session, whichever it had.
    _sessions_of(request).begin(request, response, answer["token"])
    response.delete_cookie(PENDING_COOKIE, path=CALLBACK)
    name = quote(pending["organization"])
    keep_in_browser(request, response, ORGANIZATION_COOKIE, name, seconds=_YEAR)
    return response


async def connect(visit: Visit) -> Response:
    """Send a person who is signed in to the provider, to sign in there from now on."""
    organization = await organization_of(visit)
    note = {"back": "/account", "user": visit.user.id}
    try:
        return await _send(visit.request, organization["name"], note)
    except ApiRefusal as error:
        note = {"back": "/account"}
        return _failure(visit.request, error.message, error.status, note)


async def disconnect(visit: Visit) -> Response:
    """Sign in with the password alone again."""
    await visit.api.send("DELETE", f"{_ME}/identity")
    return visit.go_to("/account", done="disconnected")


async def _finish_connecting(
    request: Request, pending: Mapping[str, Any], body: Mapping[str, Any]
) -> Response:
    """Connect the person who has begun it, and is signed in still. Raises ApiRefusal."""
    session = await _sessions_of(request).session_of(request)
    if session is None or session.caller.user.id != pending["user"]:
        message = texts_for(request).gettext(
            "You were signed out meanwhile. Sign in, and try again."
        )
        raise ApiRefusal(401, message, {})
    await _api_of(request, session).send("PUT", f"{_ME}/identity", body)
    response = RedirectResponse("/account?done=connected", 303)
    response.delete_cookie(PENDING_COOKIE, path=CALLBACK)
    return response


async def _send(
    request: Request, organization: str, note: Mapping[str, Any], *, asks_again: bool = False
) -> Response:
    """A page that leads to the provider, and a cookie for the way back. Raises ApiRefusal."""
    body = {
        "organization": organization,
        "redirectUri": identity_providers.redirect_uri_of(str(request.base_url)),
        "asksAgain": asks_again,
    }
    begun = await _api_of(request).send("POST", "/authentication/oidc", body)
    page = render(request, "go_to_provider.html", {"address": begun["address"]})
    # A form may lead to this server alone (CSP), and a redirect of its answer is part of that.
    page.headers["refresh"] = f"0; url={begun['address']}"
    pending = {**note, "token": begun["token"], "organization": organization}
    pending["back"] = note["back"] if len(note["back"]) <= _MAX_BACK else "/"
    sealed = _sessions_of(request).seal(json.dumps(pending).encode(), _CONTEXT)
    keep_in_browser(request, page, PENDING_COOKIE, sealed, seconds=SIGN_IN_SECONDS, path=CALLBACK)
    return page


def _pending_of(request: Request) -> dict[str, Any] | None:
    sealed = request.cookies.get(PENDING_COOKIE)
    content = _sessions_of(request).open(sealed, _CONTEXT) if sealed else None
    return None if content is None else json.loads(content)


def _sessions_of(request: Request) -> BrowserSessions:
    sessions: BrowserSessions = request.app.state.sessions
    return sessions


def _api_of(request: Request, session: BrowserSession | None = None) -> ApiCalls:
    state = request.app.state
    caller = None if session is None else session.caller
    return ApiCalls(state.api, state.api_prefix, request, caller)


def _failure(request: Request, message: str, status: int, pending: Mapping[str, Any]) -> Response:
    """Why the person is not signed in, and where to begin again."""
    values = {
        "message": message,
        "organization": pending.get("organization", ""),
        "back": pending.get("back", "/"),
        "is_connecting": "user" in pending,
    }
    response = render(request, "oidc_failed.html", values, status)
    response.delete_cookie(PENDING_COOKIE, path=CALLBACK)
    return response


def _page(
    request: Request, organization: str, back: str, problem: str = "", status: int = 200
) -> Response:
    values = {"organization": organization, "back": back, "problem": problem}
    return render(request, "sign_in_with_organization.html", values, status)
