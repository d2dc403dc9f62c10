"""Small request bodies: read whole up to a limit, and parsed as JSON."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Message

from openbulk.domain.errors import BadInput, TooLarge

MAX_BODY_BYTES = 1024 * 1024


class BoundedRoute(APIRoute):
    """A route with a small body; a larger one than `MAX_BODY_BYTES` gets the answer 413.

    FastAPI itself reads a body of any size into memory, before it checks the caller's secrets.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with a body that is already read."""
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            body = await read_body(request)

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handle(Request(request.scope, receive))

        return handle_bounded


async def read_body(request: Request) -> bytes:
    """Read a small body. Raises BadInput if it is cut off, TooLarge over `MAX_BODY_BYTES`."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise TooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:
        raise BadInput("the connection closed before the whole body had arrived") from error
    return bytes(body)


def parse_json(body: bytes, example: str) -> Any:
    """The JSON value of a body. Raises BadInput, whose message shows the example."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"the body is not JSON: error at character {error.pos + 1}; it looks like {example}"
        ) from error


def parse_json_object(body: bytes, example: str) -> dict[str, Any]:
    """The JSON object of a body. Raises BadInput, whose message shows the example."""
    value = parse_json(body, example)
    if not isinstance(value, dict):
        raise BadInput(f"the body is not a JSON object; it looks like {example}")
    return value
