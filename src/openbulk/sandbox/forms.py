"""The consent pages of the sandboxes: their forms, and the way back to the app."""

import re
from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode, urlsplit

from aiohttp import web

_BLANK = re.compile(r"\s")


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form that a browser or an app posts. Raises HTTPBadRequest."""
    try:
        fields = await request.post()
    except (ValueError, LookupError, AssertionError) as error:
        # Of aiohttp's parsers: a form without an end, or in an encoding that there is not.
        raise web.HTTPBadRequest(text="the form cannot be read") from error
    return {name: str(value) for name, value in fields.items()}


def is_web_address(text: str) -> bool:
    """Whether a browser can be sent to an address."""
    try:
        parts = urlsplit(text)
    except ValueError:  # such as `http://[`
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and not _BLANK.search(text)


def hidden_inputs(values: Mapping[str, str]) -> str:
    """Hidden fields, so that a consent form posts the parameters of its page again."""
    return "".join(
        f"<input type=hidden name='{escape(name)}' value='{escape(value)}'>"
        for name, value in values.items()
    )


def redirect(address: str, parameters: Mapping[str, str]) -> web.Response:
    """302 to an address, with these parameters added to its query."""
    # The address may have a query of its own, which must be kept (RFC 6749, section 3.1.2).
    joint = "&" if "?" in address else "?"
    return web.Response(
        status=302, headers={"Location": f"{address}{joint}{urlencode(parameters)}"}
    )
