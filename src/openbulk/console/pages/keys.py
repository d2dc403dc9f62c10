"""One's own secrets and API keys: made, replaced and ended."""

from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, path_of
from openbulk.console.visits import Visit
from openbulk.domain.access import AGENT_SCOPES, SCOPES

_SECRETS = "/organizations/users/me/secrets"


async def keys(visit: Visit) -> Response:
    """All of them, and a form for one more."""
    return visit.page("keys.html", **await _values_of(visit))


async def make(visit: Visit) -> Response:
    """Make a key, and show it this once."""
    form = await visit.form()
    try:
        made = await visit.api.send("POST", _SECRETS, _body_of(form))
    except ApiRefusal as error:
        return visit.page("keys.html", error.status, **await _values_of(visit, form, error.message))
    return visit.page("made_key.html", made=made, server=visit.address)


async def replace(visit: Visit) -> Response:
    """Make a key in place of one that goes on to hold for a day; or end it at once."""
    form = await visit.form()
    path = _SECRETS + path_of(visit.request.path_params["id"])
    try:
        if str(form.get("action", "")) == "end":
            await visit.api.send("DELETE", path)
            return visit.go_to("/account/keys")
        made = await visit.api.send("POST", f"{path}/rotate", {})
    except ApiRefusal as error:
        values = await _values_of(visit, problem=error.message)
        return visit.page("keys.html", error.status, **values)
    return visit.page("made_key.html", made=made, server=visit.address)


def _body_of(form: FormData) -> dict[str, Any]:
    """The body of the API for a form."""
    is_agent = "agent" in form
    known = AGENT_SCOPES if is_agent else SCOPES
    body: dict[str, Any] = {
        "name": str(form.get("name", "")).strip(),
        "scopes": [str(one) for one in known if one in form.getlist("scope")],
        "agent": is_agent,
    }
    days = str(form.get("days", ""))
    return {**body, "expiresInDays": int(days)} if days.isdecimal() and days.isascii() else body


async def _values_of(
    visit: Visit, form: FormData | None = None, problem: str = ""
) -> dict[str, Any]:
    return {
        "keys": await visit.api.get(_SECRETS),
        "scopes": [one for one in SCOPES if one in visit.session.caller.permissions],
        "given": {} if form is None else dict(form.items()),
        "chosen": ["read", "plan", "load"] if form is None else form.getlist("scope"),
        "problem": problem,
    }
