"""The people of an organization: invited, given roles, deactivated."""

from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, path_of
from openbulk.console.visits import Visit

_INVITATIONS, _USERS = "/organizations/invitations", "/organizations/users"


async def people(visit: Visit) -> Response:
    """All of them, and who is invited."""
    return visit.page("people.html", **await _values_of(visit, {}))


async def invite(visit: Visit) -> Response:
    """Invite somebody, and show the link."""
    form = await visit.form()
    given = {name: str(form.get(name, "")).strip() for name in ("email", "role")}
    try:
        made = await visit.api.send("POST", _INVITATIONS, given)
    except ApiRefusal as error:
        values = await _values_of(visit, given, error.message)
        return visit.page("people.html", error.status, **values)
    return visit.page("made_link.html", made=made, is_invitation=True)


async def withdraw(visit: Visit) -> Response:
    """Withdraw an invitation."""
    await visit.api.send("DELETE", _INVITATIONS + path_of(visit.request.path_params["id"]))
    return visit.go_to("/people")


async def person(visit: Visit) -> Response:
    """One of them."""
    return visit.page("person.html", **await _person_of(visit))


async def change(visit: Visit) -> Response:
    """Change somebody, or how they sign in."""
    form = await visit.form()
    try:
        return await _act(visit, str(form.get("action", "")), form)
    except ApiRefusal as error:
        return visit.page("person.html", error.status, **await _person_of(visit, error.message))


async def _act(visit: Visit, action: str, form: FormData) -> Response:
    user = _path_of(visit)
    if action == "link":
        made = await visit.api.send("POST", f"{user}/password-link")
        return visit.page("made_link.html", made=made, is_invitation=False)
    if action == "sign-out":
        await visit.api.send("DELETE", f"{user}/sessions")
    elif action == "remove-app":
        await visit.api.send("DELETE", f"{user}/totp")
    elif action == "disconnect":
        await visit.api.send("DELETE", f"{user}/identity")
    elif action in ("deactivate", "activate"):
        await visit.api.send("PATCH", user, {"active": action == "activate"})
    else:
        names = ("firstName", "lastName", "role")
        given = {name: str(form[name]).strip() for name in names if name in form}
        await visit.api.send("PATCH", user, given)
    return visit.go_to(visit.request.url.path)


def _path_of(visit: Visit) -> str:
    return _USERS + path_of(visit.request.path_params["id"])


async def _values_of(visit: Visit, given: dict[str, str], problem: str = "") -> dict[str, Any]:
    return {
        "users": await visit.api.get(_USERS),
        "invitations": await visit.api.get(_INVITATIONS),
        "given": given,
        "problem": problem,
    }


async def _person_of(visit: Visit, problem: str = "") -> dict[str, Any]:
    user = _path_of(visit)
    return {
        "person": await visit.api.get(user),
        "sessions": await visit.api.get(f"{user}/sessions"),
        "problem": problem,
    }
