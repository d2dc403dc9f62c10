"""Sign in and out."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal
from openbulk.console.rendering import render, texts_for
from openbulk.console.sessions import BrowserSessions
from openbulk.console.visits import Visit
from openbulk.identity.sign_in import SESSION_BEGINNING

_PASSWORD, _SECRETS, _CODE = "sign_in.html", "sign_in_with_secrets.html", "sign_in_with_code.html"
_MAX_FIELDS = 10


async def form(request: Request) -> Response:
    """Ask for address and password."""
    return _page(request, _PASSWORD, own_path(request.query_params.get("back", "")))


async def secrets_form(request: Request) -> Response:
    """Ask for the secrets."""
    return _page(request, _SECRETS, own_path(request.query_params.get("back", "")))


async def sign_in(request: Request) -> Response:
    """Open a session, and go back to where the person was."""
    fields = await _fields_of(request)
    back = own_path(fields.get("back", ""))
    if "email" in fields:
        return await with_password(request, fields["email"], fields.get("password", ""), back)
    user, organization = (fields.get(name, "").strip() for name in ("user", "organization"))
    secrets = f"User {user}, Organization {organization}"
    try:
        token = await _begin_with(request, secrets)
    except ApiRefusal as error:
        return _refusal(request, _SECRETS, back, error)
    return _begin(request, token, back)


async def with_password(request: Request, email: str, password: str, back: str) -> Response:
    """Open a session with a password, or ask for a code, too."""
    body = {"username": email, "password": password}
    try:
        answer = await _api_of(request).send("POST", "/authentication", body)
        token = answer["token"]
        if answer["twoFactor"]:
            return _page(request, _CODE, back, token=token)
        if not token.startswith(SESSION_BEGINNING):
            # The password of the settings opens secrets, and these a session.
            token = await _begin_with(request, f"Bearer {token}")
    except ApiRefusal as error:
        return _refusal(request, _PASSWORD, back, error, email=email)
    return _begin(request, token, back)


async def enter_code(request: Request) -> Response:
    """The second step: a code of the authenticator app."""
    fields = await _fields_of(request)
    back, token = own_path(fields.get("back", "")), fields.get("token", "")
    body = {"token": token, "code": fields.get("code", "")}
    try:
        answer = await _api_of(request).send("POST", "/authentication/code", body)
    except ApiRefusal as error:
        return _refusal(request, _CODE, back, error, token=token)
    return _begin(request, answer["token"], back)


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.api.send("DELETE", "/authentication")
    response = visit.go_to("/sign-in")
    visit.sessions.end(response)
    return response


def own_path(path: str) -> str:
    """A path of this server to go back to; the first page for anything else."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else "/"


async def _fields_of(request: Request) -> Mapping[str, str]:
    form = await request.form(max_files=0, max_fields=_MAX_FIELDS)
    return {name: str(value) for name, value in form.items()}


async def _begin_with(request: Request, authorization: str) -> str:
    """The token of a new session of whoever has these secrets. Raises ApiRefusal."""
    api = _api_of(request, authorization)
    begun = await api.send("POST", "/organizations/users/me/sessions")
    return str(begun["token"])


def _api_of(request: Request, authorization: str = "") -> ApiCalls:
    state = request.app.state
    return ApiCalls(state.api, state.api_prefix, request, None, authorization)


def _begin(request: Request, token: str, back: str) -> Response:
    sessions: BrowserSessions = request.app.state.sessions
    response = RedirectResponse(back, 303)
    sessions.begin(request, response, token)
    return response


def _refusal(
    request: Request, template: str, back: str, error: ApiRefusal, **values: Any
) -> Response:
    """The form once more, with why nobody was signed in."""
    gettext = texts_for(request).gettext
    problem = error.message
    if error.status == 429:
        problem = gettext("That was wrong too often. Wait a minute, and try again.")
    elif error.status in (400, 401):
        problem = {
            _PASSWORD: gettext("The email address or the password is wrong."),
            _SECRETS: gettext("These two secrets do not belong to anybody here."),
            _CODE: gettext("The code is wrong, was used already, or came too late."),
        }[template]
    return _page(request, template, back, problem, error.status, **values)


def _page(
    request: Request, template: str, back: str, problem: str = "", status: int = 200, **more: Any
) -> Response:
    return render(request, template, {"back": back, "problem": problem, **more}, status)
