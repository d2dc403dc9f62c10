"""Services: which are connected, and how another one is."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, path_of
from openbulk.console.pages.instances import list_instances
from openbulk.console.sessions import keep_in_browser
from openbulk.console.visits import Visit

SIGNED_IN = "/services/signed-in"
"""Where a service sends the person back to."""
PENDING_COOKIE = "openbulk-connect"
PENDING_SECONDS = 3600
_CONTEXT = "a service that is being connected"
_OAUTH = ("oauth.api.key", "oauth.api.secret")
_OF_SIGN_IN = frozenset(
    {"oauth.callback.url", "oauth.user.refresh_token", "oauth.user.token", *_OAUTH}
)
_FOR_CALLBACKS = "event.notification."


async def services(visit: Visit) -> Response:
    """What is connected."""
    return visit.page("services.html", instances=await list_instances(visit))


async def status(visit: Visit) -> Response:
    """Whether one works: asked once its card is there."""
    try:
        api = await visit.api_of(visit.request.path_params["id"])
        await api.get("/ping")
    except ApiRefusal as error:
        return visit.page("service_status.html", works=False, message=error.message)
    return visit.page("service_status.html", works=True, message="")


async def offers(visit: Visit) -> Response:
    """What can be connected."""
    return visit.page("offers.html", elements=await visit.api.get("/elements"))


async def connect_form(visit: Visit) -> Response:
    """The form of one service."""
    return visit.page("connect.html", **await _values_of(visit, {}))


async def connect(visit: Visit) -> Response:
    """Connect a service with what the form has, or send the person to sign in there."""
    form = await visit.fields()
    entries = {
        name.removeprefix("entry:"): value
        for name, value in form.items()
        if name.startswith("entry:") and value
    }
    key = visit.request.path_params["key"]
    body = {"element": {"key": key}, "name": form.get("name", ""), "configuration": entries}
    try:
        if "sign-in" in form:
            return await _sign_in(visit, body)
        made = await visit.api.send("POST", "/instances", body)
    except ApiRefusal as error:
        values = await _values_of(visit, form, error.message)
        return visit.page("connect.html", error.status, **values)
    return visit.go_to("/services", connected=made["id"])


async def _sign_in(visit: Visit, body: Mapping[str, Any]) -> Response:
    entries = {**body["configuration"], "oauth.callback.url": callback_url(visit)}
    asked = {
        "apiKey": entries.get(_OAUTH[0], ""),
        "apiSecret": entries.get(_OAUTH[1], ""),
        "callbackUrl": entries["oauth.callback.url"],
        "pkce": True,
    }
    if entries.get("base.url"):
        asked["siteAddress"] = entries["base.url"]
    key = body["element"]["key"]
    answer = await visit.api.send("POST", path_of("elements", key, "oauth", "url"), asked)
    pending = json.dumps({**body, "configuration": entries}).encode()
    page = visit.page("go_and_sign_in.html", address=answer["oauthUrl"], name=body["name"])
    sealed = visit.seal(pending, _CONTEXT)
    keep_in_browser(
        visit.request, page, PENDING_COOKIE, sealed, seconds=PENDING_SECONDS, path=SIGNED_IN
    )
    return page


async def finish_sign_in(visit: Visit) -> Response:
    """The person comes back from the service, with a code."""
    body = _pending(visit)
    if body is None or "code" not in visit.query:
        return visit.page("sign_in_failed.html", 400, reason=visit.query.get("error", ""))
    data = {"code": visit.query["code"], "state": visit.query.get("state", "")}
    try:
        made = await visit.api.send("POST", "/instances", {**body, "providerData": data})
    except ApiRefusal as error:
        return visit.page("sign_in_failed.html", error.status, reason=error.message)
    page = visit.go_to("/services", connected=made["id"])
    page.delete_cookie(PENDING_COOKIE, path=SIGNED_IN)
    return page


def _pending(visit: Visit) -> dict[str, Any] | None:
    sealed = visit.request.cookies.get(PENDING_COOKIE)
    content = visit.open(sealed, _CONTEXT) if sealed else None
    return None if content is None else json.loads(content)


def callback_url(visit: Visit) -> str:
    """The address of this console that a service sends people back to."""
    return f"{visit.address}{SIGNED_IN}"


async def service(visit: Visit) -> Response:
    """One that is connected."""
    return visit.page("service.html", **await _instance_of(visit))


async def change(visit: Visit) -> Response:
    """Rename it, or delete it."""
    number, form = visit.request.path_params["id"], await visit.form()
    try:
        if "delete" in form:
            await visit.api.send("DELETE", path_of("instances", number))
            return visit.go_to("/services")
        body = {"name": str(form.get("name", ""))}
        await visit.api.send("PATCH", path_of("instances", number), body)
    except ApiRefusal as error:
        return visit.page("service.html", error.status, **await _instance_of(visit, error.message))
    return visit.go_to("/services")


async def _instance_of(visit: Visit, problem: str = "") -> dict[str, Any]:
    number = visit.request.path_params["id"]
    instance = await visit.api.get(path_of("instances", number))
    return {"instance": instance, "problem": problem}


async def _values_of(visit: Visit, given: Mapping[str, str], problem: str = "") -> dict[str, Any]:
    element = await visit.api.get(path_of("elements", visit.request.path_params["key"]))
    entries = [
        entry
        for entry in element["configuration"]
        if not entry["key"].startswith(_FOR_CALLBACKS) and entry["key"] != "bulk.json.lines"
    ]
    has_sign_in = any(entry["key"] == _OAUTH[0] for entry in entries)
    return {
        "element": element,
        "first": [one for one in entries if not has_sign_in or one["key"] in _OAUTH],
        "more": [one for one in entries if has_sign_in and one["key"] not in _OF_SIGN_IN],
        "has_sign_in": has_sign_in,
        "callback_url": callback_url(visit),
        "given": given,
        "problem": problem,
    }
