"""Before what is dangerous, a person shows once more that it is they."""

from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal
from openbulk.console.pages.organization import organization_of
from openbulk.console.visits import Handler, Visit

_PASSWORD, _CODE = "confirm-password", "confirm-code"
_NOT_SENT_ON = frozenset({"csrf", _PASSWORD, _CODE})


def require_confirmation(handler: Handler) -> Handler:
    """A handler that is called once the person has confirmed; the form comes with them."""

    async def handle(visit: Visit) -> Response:
        form = await visit.form()
        problem = await _confirm(visit, form) if _PASSWORD in form else ""
        if visit.is_confirmed and not problem:
            return await handler(visit)
        if not visit.user.has_password and visit.user.identity_issuer is not None:
            organization = await organization_of(visit)
            back = urlsplit(visit.request.headers.get("referer", "")).path or "/"
            return visit.page("confirm_at_provider.html", organization=organization, back=back)
        fields = [(name, value) for name, value in form.multi_items() if name not in _NOT_SENT_ON]
        status = 401 if problem else 200
        return visit.page("confirm.html", status, fields=fields, problem=problem)

    return handle


async def _confirm(visit: Visit, form: FormData) -> str:
    """Confirm with a form; return why that was not possible, or nothing."""
    given, code = (str(form.get(name, "")) for name in (_PASSWORD, _CODE))
    body = {"password": given, "code": code}
    if not visit.user.has_password:
        body["secret"] = given.strip()
    try:
        await visit.api.send("POST", "/authentication/confirm", body)
    except ApiRefusal as error:
        texts = visit.texts
        if error.status == 401:
            return texts.gettext("That is not right. Try again.")
        return error.message
    await visit.look_again()
    return ""
