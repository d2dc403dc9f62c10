"""How the organization signs in: the OpenID provider that an administrator sets."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from openbulk.api.wire.identity_providers import redirect_uri_of
from openbulk.console.api_calls import ApiRefusal
from openbulk.console.pages.organization import organization_of
from openbulk.console.visits import Visit

_NONE_SET = 404
_EMPTY_LINES = 3
"""Lines for further roles, beside those that are set."""
_TEXTS = ("issuer", "clientId", "scopes", "roleClaim")


async def form(visit: Visit) -> Response:
    """Show it, and what has to be registered at the provider."""
    return visit.page("identity_provider.html", **await _values_of(visit))


async def change(visit: Visit) -> Response:
    """Set it, try it, or remove it."""
    given = await visit.form()
    path = _path_of(visit)
    action = str(given.get("action", ""))
    try:
        if action == "remove":
            await visit.api.send("DELETE", path)
        elif action == "check":
            found = await visit.api.send("POST", f"{path}/check")
            return visit.page("identity_provider.html", **await _values_of(visit, checked=found))
        else:
            await visit.api.send("PUT", path, _body_of(given))
    except ApiRefusal as error:
        values = await _values_of(visit, problem=error.message, given=_shape_of_form(given))
        return visit.page("identity_provider.html", error.status, **values)
    return visit.go_to(visit.request.url.path, done=action or "saved")


def _body_of(given: FormData) -> dict[str, Any]:
    """The body of the API for a form."""
    shown = _shape_of_form(given)
    body = {name: shown[name] for name in _TEXTS if shown[name] or name == "roleClaim"}
    body |= {"roles": shown["roles"], "emailDomains": shown["emailDomains"]}
    body["defaultRole"] = shown["defaultRole"]
    secret = str(given.get("clientSecret", ""))
    if secret:
        body["clientSecret"] = secret
    return body


def _shape_of_form(given: FormData) -> dict[str, Any]:
    """What a form has, as the API shows it."""
    values, roles = (given.getlist(name) for name in ("roleValue", "role"))
    pairs = zip(map(str, values), map(str, roles), strict=False)
    texts = {name: str(given.get(name, "")).strip() for name in _TEXTS}
    return {
        **texts,
        "roles": {value.strip(): role for value, role in pairs if value.strip()},
        "defaultRole": str(given.get("defaultRole", "")) or None,
        "emailDomains": str(given.get("emailDomains", "")).replace(",", " ").split(),
        "hasClientSecret": False,
    }


def _path_of(visit: Visit) -> str:
    return f"/organizations/{visit.user.organization_id}/sign-in"


async def _values_of(
    visit: Visit,
    problem: str = "",
    given: Mapping[str, Any] | None = None,
    checked: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    try:
        found = await visit.api.get(_path_of(visit))
    except ApiRefusal as error:
        if error.status != _NONE_SET:
            raise
        found = None
    shown = given or found or {}
    return {
        "provider": found,
        "shown": shown,
        "lines": [*shown.get("roles", {}).items(), *[("", "viewer")] * _EMPTY_LINES],
        "organization": await organization_of(visit),
        "callback_url": redirect_uri_of(visit.address),
        "link_url": f"{visit.address}/sign-in/oidc",
        "checked": checked,
        "problem": problem,
        "done": visit.query.get("done", "") if given is None else "",
    }
