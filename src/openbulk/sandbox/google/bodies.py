"""The JSON bodies of requests."""

from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.google.errors import Rejected, bad_request
from openbulk.sandbox.google.tokens import Tokens


async def read_body(request: web.Request) -> dict[str, Any]:
    """A request's body, which is a JSON object. Raises Rejected (400)."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Rejected(400, "parseError", "Parse Error") from error
    if not isinstance(body, dict):
        raise bad_request()
    return body


async def read_call_body(request: web.Request, tokens: Tokens) -> dict[str, Any]:
    """The body of a signed-in call, read before anything is looked up.

    What is looked up before may be changed by another call meanwhile. Raises Rejected (400, 401).
    """
    tokens.user_of(request)
    return await read_body(request)
