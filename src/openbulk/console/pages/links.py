"""One-time links: to be the first user, to accept an invitation, to choose another password."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal
from openbulk.console.pages.sign_in import with_password
from openbulk.console.rendering import render, texts_for

_CHOSEN = ("firstName", "lastName", "email", "organization")


async def link(request: Request) -> Response:
    """What a link is for."""
    return await _page(request, request.query_params.get("code", ""), {})


async def use(request: Request) -> Response:
    """Use it, and sign the person in."""
    form = await request.form(max_files=0, max_fields=20)
    fields = {name: str(value) for name, value in form.items()}
    code, password = fields.get("code", ""), fields.get("password", "")
    if password != fields.get("again", ""):
        differs = texts_for(request).gettext("The two passwords are not the same.")
        return await _page(request, code, fields, differs, 400)
    chosen = {name: fields[name].strip() for name in _CHOSEN if fields.get(name, "").strip()}
    body = {"code": code, "password": password, **chosen}
    try:
        user = await _api_of(request).send("POST", "/authentication/links/use", body)
    except ApiRefusal as error:
        return await _page(request, code, fields, error.message, error.status)
    return await with_password(request, user["email"], password, "/")


async def _page(
    request: Request, code: str, given: Mapping[str, Any], problem: str = "", status: int = 200
) -> Response:
    try:
        found = await _api_of(request).send("POST", "/authentication/links/look", {"code": code})
    except ApiRefusal as error:
        message = "" if error.status == 404 else error.message
        return render(request, "link_over.html", {"message": message}, error.status)
    values = {"link": found, "code": code, "given": given, "problem": problem}
    return render(request, "link.html", values, status)


def _api_of(request: Request) -> ApiCalls:
    state = request.app.state
    return ApiCalls(state.api, state.api_prefix, request, None)
