"""Pages from templates: in the person's language, with a nonce for the page's own scripts."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, Undefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from openbulk.console.texts import LANGUAGES, Texts, choose_language, texts_of

FOLDER = Path(__file__).parent
ZONE_COOKIE = "openbulk-zone"
LANGUAGE_COOKIE = "openbulk-language"
# What comes from files and services is text: a page runs the scripts of this server alone.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


def texts_for(request: Request) -> Texts:
    """The texts for the sender of a request, by cookies and headers."""
    accepted = [
        part.split(";")[0].strip()
        for part in request.headers.get("accept-language", "").split(",")[:10]
    ]
    language = choose_language(request.cookies.get(LANGUAGE_COOKIE), accepted)
    # The browser writes it as it writes parts of addresses: `Europe%2FBerlin`.
    return texts_of(language, unquote(request.cookies.get(ZONE_COOKIE, "UTC"))[:64])


def render(
    request: Request, template: str, values: Mapping[str, Any], status: int = 200
) -> HTMLResponse:
    """A page, or a part of one."""
    texts = texts_for(request)
    session = getattr(request.state, "session", None)
    text = environment(texts.language).get_template(template)
    page = text.render(
        texts=texts,
        languages=LANGUAGES,
        path=request.url.path,
        session=session,
        csrf=session.csrf if session else "",
        **values,
    )
    return HTMLResponse(page, status, headers=PAGE_HEADERS)


@cache
def environment(language: str) -> Environment:
    """The templates in one language. Everything that they show is escaped."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = texts_of(language, "UTC")
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]
    return made
