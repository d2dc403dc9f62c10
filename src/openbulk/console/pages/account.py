"""One's own account: name, password, authenticator app, and where one is signed in."""

from typing import Any

from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, path_of
from openbulk.console.pages.confirmation import require_confirmation
from openbulk.console.pages.organization import organization_of
from openbulk.console.visits import Visit

_ME = "/organizations/users/me"


async def account(visit: Visit) -> Response:
    """Show it."""
    return visit.page("account.html", **await _values_of(visit), done=visit.query.get("done", ""))


async def set_password(visit: Visit) -> Response:
    """Choose another password, or the first one, for which the person has to confirm."""
    if visit.user.has_password:
        return await _change_password(visit)
    return await require_confirmation(_change_password)(visit)


async def _change_password(visit: Visit) -> Response:
    form = await visit.form()
    given = {name: str(form.get(name, "")) for name in ("current", "new", "again")}
    if given["new"] != given["again"]:
        differs = visit.texts.gettext("The two passwords are not the same.")
        return visit.page("account.html", 400, **await _values_of(visit, differs))
    body = {"currentPassword": given["current"], "newPassword": given["new"]}
    try:
        await visit.api.send("PUT", f"{_ME}/password", body)
    except ApiRefusal as error:
        return visit.page("account.html", error.status, **await _values_of(visit, error.message))
    return visit.go_to("/account", done="password")


async def end_sessions(visit: Visit) -> Response:
    """Sign out somewhere else, or everywhere."""
    number = str((await visit.form()).get("session", ""))
    if number:
        await visit.api.send("DELETE", _ME + path_of("sessions", number))
        return visit.go_to("/account")
    await visit.api.send("DELETE", f"{_ME}/sessions")
    response = visit.go_to("/sign-in")
    visit.sessions.end(response)
    return response


async def add_app(visit: Visit) -> Response:
    """Show the key of a new authenticator app."""
    try:
        offered = await visit.api.send("POST", f"{_ME}/totp")
    except ApiRefusal as error:
        return visit.page("account.html", error.status, **await _values_of(visit, error.message))
    return visit.page("add_app.html", key=offered["key"], address=offered["address"], problem="")


async def enter_first_code(visit: Visit) -> Response:
    """Take the first code, and show the recovery codes."""
    form = await visit.form()
    try:
        answer = await visit.api.send("PUT", f"{_ME}/totp", {"code": str(form.get("code", ""))})
    except ApiRefusal as error:
        key, address = (str(form.get(name, "")) for name in ("key", "address"))
        values = {"key": key, "address": address, "problem": error.message}
        return visit.page("add_app.html", error.status, **values)
    return visit.page("recovery_codes.html", codes=answer["recoveryCodes"])


async def remove_app(visit: Visit) -> Response:
    """Sign in with the password alone again."""
    await visit.api.send("DELETE", f"{_ME}/totp")
    return visit.go_to("/account", done="app")


async def _values_of(visit: Visit, problem: str = "") -> dict[str, Any]:
    return {
        "me": await visit.api.get(_ME),
        "organization": await organization_of(visit),
        "sessions": await visit.api.get(f"{_ME}/sessions"),
        "problem": problem,
    }
