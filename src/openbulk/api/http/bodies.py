"""Small request bodies: read whole up to a limit, and parsed as JSON."""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, model_validator
from starlette.requests import ClientDisconnect
from starlette.types import Message

from openbulk.api.http.callers import identify_caller
from openbulk.api.services import services_of
from openbulk.bounded_json import MAX_KEPT_BYTES, read_exact_json, read_json
from openbulk.domain.errors import BadInput, TooLarge
from openbulk.domain.spelling import likely_name
from openbulk.exact_json import encode_json

MAX_BODY_BYTES = 1024 * 1024
_BODY = "the body"


class BoundedRoute(APIRoute):
    """A route with a small body; a larger one than `MAX_BODY_BYTES` gets the answer 413.

    FastAPI itself reads a body of any size into memory, before it checks the caller's secrets, and
    parses NaN, halves of surrogate pairs and any nesting, which no answer could show again. This
    route identifies the caller first, and reads no body that its handler does not take.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with a body that is already read."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_bounded(request: Request) -> Response:
            await identify_caller(request, await services_of(request))
            body = await read_body(request)

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            of_body = _RequestInBounds(request.scope, receive)
            if body and "json" in request.headers.get("content-type", ""):
                # FastAPI replaces the message of an error in `Request.json`.
                of_body.value = parse_json(body, "{...}")
            return await handle(of_body)

        return handle_bounded


class _RequestInBounds(Request):
    """A request whose JSON body is parsed already, and within bounds."""

    value: Any = None

    async def json(self) -> Any:
        """The value of the body."""
        return self.value


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Read a small body. Raises BadInput if it is cut off, TooLarge over `max_bytes`."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise TooLarge(f"the body is larger than {max_bytes} bytes")
    except ClientDisconnect as error:
        raise BadInput("the connection closed before the whole body had arrived") from error
    return bytes(body)


def answer_records(shown: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Records as JSON; their numbers keep their digits."""
    content = encode_json(shown, default=str)
    return Response(content, media_type="application/json", headers=headers)


def parse_json(body: bytes, example: str) -> Any:
    """The JSON value of a body. Raises BadInput, whose message shows the example."""
    return read_json(body, _BODY, example=example)


def parse_kept_json(body: bytes, example: str) -> Any:
    """The JSON value of a body that is stored, and shown in lists. Raises BadInput, TooLarge."""
    return read_json(body, _BODY, example=example, max_bytes=MAX_KEPT_BYTES)


def parse_json_object(body: bytes, example: str) -> dict[str, Any]:
    """The JSON object of a body that is stored. Raises BadInput, TooLarge.

    The message shows the example.
    """
    return _require_object(parse_kept_json(body, example), body, example)


def parse_record(body: bytes, example: str) -> dict[str, Any]:
    """The record in a body; its numbers keep their digits. Raises BadInput."""
    return _require_object(read_exact_json(body, _BODY, example=example), body, example)


def _require_object(value: Any, body: bytes, example: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"the body is not a JSON object; it looks like {example}")
    require_distinct_keys(body.decode("utf-8-sig"), _BODY)
    return value


def require_distinct_keys(text: str, owner: str) -> None:
    """Raise BadInput if a JSON object within bounds has a key twice. `owner` begins the message.

    JSON leaves open which of the two counts (RFC 8259, section 4), and parsers take the last.
    """
    pairs = json.loads(text, object_pairs_hook=list, parse_int=str)
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise BadInput(f"{owner} has the key {key[:80]!r} twice; leave one of them out")


class ContractBody(BaseModel):
    """A JSON body of the wire contract, whose clients send keys that openbulk does not read.

    A key that is almost a known one is refused; one that is like none is ignored.
    """

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def refuse_misspelt_keys(cls, body: Any) -> Any:
        """Raise BadInput for a key that is almost a known one."""
        keys = body if isinstance(body, Mapping) else ()
        for key in keys:
            near = None if key in cls.model_fields else likely_name(str(key), cls.model_fields)
            if near is not None:
                raise BadInput(f"the body takes no key {str(key)[:80]!r}; did you mean {near!r}?")
        return body
