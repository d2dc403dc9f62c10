"""Sign in and out."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from openbulk.api.http.audit import audit_session
from openbulk.api.wrong_secrets import WrongSecretLimit
from openbulk.console.rendering import render
from openbulk.console.sessions import Sessions
from openbulk.console.visits import Visit
from openbulk.domain.errors import TooManyGuesses
from openbulk.domain.people import Caller


async def form(request: Request) -> Response:
    """Ask for the secrets."""
    return _page(request, own_path(request.query_params.get("back", "")))


async def sign_in(request: Request) -> Response:
    """Open a session, and go back to where the person was."""
    fields = await request.form(max_files=0, max_fields=10)
    back = own_path(str(fields.get("back", "")))
    user, organization = (str(fields.get(name, "")).strip() for name in ("user", "organization"))
    limit: WrongSecretLimit = request.app.state.wrong_secrets
    sessions: Sessions = request.app.state.sessions
    address = request.client.host if request.client else ""
    try:
        limit.check(address, user)
    except TooManyGuesses:
        return _page(request, back, "too many", 429)
    response = RedirectResponse(back, 303)
    caller = await sessions.begin(request, response, user, organization)
    await _audit(request, caller, "sign-in")
    if caller is None:
        limit.note_wrong(address)
        return _page(request, back, "wrong", 401)
    limit.note_right(user)
    return response


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await _audit(visit.request, visit.session.caller, "sign-out")
    response = visit.go_to("/sign-in")
    visit.sessions.end(response)
    return response


async def _audit(request: Request, caller: Caller | None, action: str) -> None:
    """Write down that somebody signed in or out here, or tried to."""
    address = request.client.host if request.client else ""
    await audit_session(request.app.state.parts, caller, action, address)


def own_path(path: str) -> str:
    """A path of this server to go back to; the first page for anything else."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else "/"


def _page(request: Request, back: str, problem: str = "", status: int = 200) -> Response:
    return render(request, "sign_in.html", {"back": back, "problem": problem}, status)
