"""The application: which address is which page, and what surrounds each of them."""

import hmac
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlencode

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from openbulk.api.services import Services
from openbulk.console.api_calls import ApiRefusal, Download
from openbulk.console.pages import (
    account,
    approvals,
    audit,
    downloads,
    get_out,
    home,
    identity_provider,
    jobs,
    keys,
    links,
    load,
    mappings,
    oidc,
    organization,
    people,
    rows,
    schedules,
    services,
    sign_in,
    week,
)
from openbulk.console.pages.confirmation import require_confirmation
from openbulk.console.rendering import LANGUAGE_COOKIE, render
from openbulk.console.sessions import BrowserSession, BrowserSessions
from openbulk.console.texts import LANGUAGES
from openbulk.console.visits import MAX_FIELDS, Handler, Visit
from openbulk.domain.contract import BASE_PATH
from openbulk.domain.links import PAGES

log = structlog.get_logger()

_FOLDER = Path(str(files("openbulk.console")))
_FILES = {
    "console.css": _FOLDER / "static" / "console.css",
    "console.js": _FOLDER / "static" / "console.js",
    "icons.svg": _FOLDER / "static" / "icons.svg",
    "icon.svg": _FOLDER / "static" / "icon.svg",
    "htmx.js": _FOLDER / "vendor" / "htmx.min.js",
}
_OF_API = ("/elements/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics")
"""The beginnings of the API's paths."""
MAX_FORM_BYTES = 1024 * 1024
_YEAR = 365 * 24 * 3600


def with_console(api: ASGIApp, parts: Services) -> ASGIApp:
    """The API and the console as one application."""
    return WithConsole(api, make_console(api, parts))


def make_console(api: ASGIApp, parts: Services) -> Starlette:
    """The console of an API."""
    console = Starlette(
        routes=[
            Route("/console/{name}", _file),
            Route("/sign-in", _without_session(sign_in.form), methods=["GET"]),
            Route("/sign-in", _without_session(sign_in.sign_in), methods=["POST"]),
            Route("/sign-in/secrets", _without_session(sign_in.secrets_form), methods=["GET"]),
            Route("/sign-in/oidc", _without_session(oidc.form), methods=["GET"]),
            Route("/sign-in/oidc", _without_session(oidc.begin), methods=["POST"]),
            Route(oidc.CALLBACK, _without_session(oidc.finish), methods=["GET"]),
            Route("/sign-in/code", _without_session(sign_in.enter_code), methods=["POST"]),
            *(
                Route(page, _without_session(handler), methods=[method])
                for page in PAGES.values()
                for method, handler in (("GET", links.link), ("POST", links.use))
            ),
            Route("/language", _without_session(_choose_language), methods=["POST"]),
            *_pages(
                ("GET", "/", home.home),
                ("POST", "/sign-out", sign_in.sign_out),
                ("GET", "/jobs", jobs.jobs),
                ("GET", "/jobs/{id}", jobs.job),
                ("GET", "/jobs/{id}/live", jobs.live),
                ("GET", "/jobs/{id}/rows", rows.rows),
                ("GET", "/jobs/{id}/rows/{row}", rows.row),
                ("POST", "/jobs/{id}/rows/{row}", rows.mend_row),
                ("POST", "/jobs/{id}/mend", jobs.mend_group),
                ("POST", "/jobs/{id}/apply", jobs.carry_out),
                ("POST", "/jobs/{id}/approvals", approvals.decide),
                ("POST", "/jobs/{id}/approvals/{approval}/withdraw", approvals.withdraw),
                ("GET", "/jobs/{id}/results", jobs.results),
                ("GET", "/jobs/{id}/file", downloads.file),
                ("GET", "/jobs/{id}/week", week.week),
                ("POST", "/jobs/{id}/pace", jobs.set_pace),
                ("POST", "/jobs/{id}/{action}", jobs.act),
                ("GET", "/services", services.services),
                ("GET", "/services/connect", services.offers),
                ("GET", "/services/connect/{key}", services.connect_form),
                ("POST", "/services/connect/{key}", services.connect),
                ("GET", services.SIGNED_IN, services.finish_sign_in),
                ("GET", "/services/{id}", services.service),
                ("POST", "/services/{id}", services.change),
                ("GET", "/services/{id}/status", services.status),
                ("GET", "/account", account.account),
                ("POST", "/account/password", account.set_password),
                ("POST", "/account/sessions", account.end_sessions),
                ("POST", "/account/app", require_confirmation(account.add_app)),
                ("POST", "/account/app/code", account.enter_first_code),
                ("POST", "/account/app/remove", require_confirmation(account.remove_app)),
                ("POST", "/account/identity", require_confirmation(oidc.connect)),
                ("POST", "/account/identity/remove", require_confirmation(oidc.disconnect)),
                ("GET", "/account/keys", keys.keys),
                ("POST", "/account/keys", require_confirmation(keys.make)),
                ("POST", "/account/keys/{id}", require_confirmation(keys.replace)),
                ("GET", "/organization", organization.organization),
                ("POST", "/organization", require_confirmation(organization.change)),
                ("GET", "/people", people.people),
                ("GET", "/people/sign-in", identity_provider.form),
                ("POST", "/people/sign-in", require_confirmation(identity_provider.change)),
                ("POST", "/people/invitations", require_confirmation(people.invite)),
                ("POST", "/people/invitations/{id}", people.withdraw),
                ("GET", "/people/{id}", people.person),
                ("POST", "/people/{id}", require_confirmation(people.change)),
                ("GET", "/get", get_out.form),
                ("POST", "/get", get_out.begin),
                ("GET", "/schedules", schedules.schedules),
                ("GET", "/schedules/{id}", schedules.schedule),
                ("POST", "/schedules/{id}/{action}", schedules.act),
                ("GET", "/mappings", mappings.mappings),
                ("POST", "/mappings/{id}", mappings.delete),
                ("GET", "/audit", audit.entries),
                ("GET", "/audit/export", audit.export),
                ("GET", "/load", load.start),
                ("POST", "/load", load.receive),
                ("GET", "/load/{file}", load.file),
                ("POST", "/load/{file}/answer", load.answer),
                ("GET", "/load/{file}/where", load.where),
                ("GET", "/load/{file}/columns", load.columns),
                ("POST", "/load/{file}/plan", load.plan),
            ),
        ],
        exception_handlers={
            404: _not_found,
            405: _not_found,
            ApiRefusal: _show_refusal,
            HTTPException: _show_bad_form,
        },
    )
    console.state.api = api
    console.state.api_prefix = BASE_PATH
    console.state.accounts = parts.accounts
    console.state.sessions = BrowserSessions(parts.sessions, parts.sealer)
    return console


class WithConsole:
    """The API and the console as one application.

    The console has every address that the API does not have.
    """

    def __init__(self, api: ASGIApp, console: ASGIApp) -> None:
        self._api = api
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        is_page = scope["type"] == "http" and not scope["path"].startswith(_OF_API)
        await (self._console if is_page else self._api)(scope, receive, send)


def _pages(*pages: tuple[str, str, Handler]) -> list[Route]:
    return [Route(path, _for_person(handler), methods=[method]) for method, path, handler in pages]


def _for_person(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Let a handler see those who are signed in alone, and forms of the console alone."""

    async def handle(request: Request) -> Response:
        session = await _sessions_of(request).session_of(request)
        if session is None:
            return _to_sign_in(request)
        request.state.session = session
        refusal = _refusal_of_form(request)
        if refusal is None and request.method == "POST":
            refusal = None if await _has_token(request, session) else _refusal_as_expired(request)
        return refusal or await handler(Visit(request, session))

    return handle


def _without_session(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return _refusal_of_form(request) or await handler(request)

    return handle


def _refusal_of_form(request: Request) -> Response | None:
    """The answer to a form that is too large, or comes from a page of others; else None."""
    if request.method != "POST":
        return None
    if _is_too_large(request):
        return render(request, "too_large.html", {}, 413)
    return None if _is_of_this_site(request) else _refusal_as_expired(request)


def _refusal_as_expired(request: Request) -> Response:
    return render(request, "expired.html", {}, 403)


def _sessions_of(request: Request) -> BrowserSessions:
    sessions: BrowserSessions = request.app.state.sessions
    return sessions


def _to_sign_in(request: Request) -> Response:
    """Have the person sign in, and come back to where they were."""
    back = request.url.path
    if request.method == "GET" and request.url.query:
        back = f"{back}?{request.url.query}"
    return RedirectResponse(f"/sign-in?{urlencode({'back': back})}", 303)


async def _has_token(request: Request, session: BrowserSession) -> bool:
    """Whether a form is one of the console: it has the token of the person's session.

    A file's form has it in its address, since its body goes to the API as it arrives.
    """
    token = request.query_params.get("csrf")
    if token is None and not _is_file(request):
        token = str((await request.form(max_files=0, max_fields=MAX_FIELDS)).get("csrf", ""))
    return token is not None and hmac.compare_digest(token.encode(), session.csrf.encode())


def _is_too_large(request: Request) -> bool:
    """Whether a form is larger than any of the console. The API bounds files itself."""
    if _is_file(request):
        return request.url.path != "/load"
    length = request.headers.get("content-length", "")
    return not length.isdecimal() or int(length) > MAX_FORM_BYTES


def _is_file(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/")


def _is_of_this_site(request: Request) -> bool:
    """Whether the browser says that the request comes from a page of this server."""
    return request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


async def _choose_language(request: Request) -> Response:
    form = await request.form(max_files=0, max_fields=10)
    response = RedirectResponse(sign_in.own_path(str(form.get("back", ""))), 303)
    if (language := str(form.get("language", ""))) in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR, samesite="lax")
    return response


async def _file(request: Request) -> Response:
    path = _FILES.get(request.path_params["name"])
    if path is None:
        return await _not_found(request, None)
    return FileResponse(path, headers={"cache-control": "no-cache"})


async def _not_found(request: Request, _error: object) -> Response:
    """What is no page: a program that asks for it gets the API's answer."""
    if "text/html" not in request.headers.get("accept", ""):
        return Download(request.app.state.api, request.scope)
    return render(request, "not_found.html", {}, 404)


async def _show_refusal(request: Request, error: Exception) -> Response:
    """A page that the API does not let the person see."""
    assert isinstance(error, ApiRefusal)
    return render(request, "refused.html", {"message": error.message}, error.status)


async def _show_bad_form(request: Request, error: Exception) -> Response:
    """A form that cannot be read, or has too many fields."""
    assert isinstance(error, HTTPException)
    return render(request, "refused.html", {"message": error.detail}, error.status_code)
