"""The JSON bodies of requests."""

from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.google.errors import Rejected, bad_request


async def read_body(request: web.Request) -> dict[str, Any]:
    """A request's body, which is a JSON object. Raises Rejected (400)."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Rejected(400, "parseError", "Parse Error") from error
    if not isinstance(body, dict):
        raise bad_request()
    return body
