"""Small request bodies: read whole up to a limit, and parsed as JSON."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, model_validator
from starlette.requests import ClientDisconnect
from starlette.types import Message

from openbulk.api.http.body_places import BodyPlaces
from openbulk.api.http.callers import owner_of
from openbulk.api.http.permissions import require_permission_of_route
from openbulk.api.services import services_of
from openbulk.bounded_json import MAX_KEPT_BYTES, read_exact_json, read_json
from openbulk.byte_budget import ByteBudget
from openbulk.domain.errors import BadInput, ServerBusy, TooLarge
from openbulk.domain.spelling import refuse_misspelt
from openbulk.exact_json import encode_json
from openbulk.threads import Threads

MAX_BODY_BYTES = 1024 * 1024
MAX_BODY_VALUES = 50_000
"""Of a JSON body. An empty list has 3 bytes, and takes 64 in memory."""
LARGE_BODY_BYTES = 64 * 1024
"""A larger JSON body is parsed outside of the event loop."""
BODIES_BYTES = 64 * 1024 * 1024
BYTES_OF_ONE_CALLER = BODIES_BYTES // 2
_SHARE = 4
"""Memory for all bodies, and for each byte of one: its text, its values, and what checks them."""
SMALL_BODY_BYTES = 8 * 1024
"""A body of at most this size needs no place, and takes none from others. With one in each
connection, they take 64 MiB beside those that do."""
_FIRST_SECONDS = 15.0
_BYTES_PER_SECOND = 50_000
"""A body arrives in this time, and at this rate while others wait for its memory."""
_BODY = "the body"
_places = BodyPlaces(ByteBudget(BODIES_BYTES, BYTES_OF_ONE_CALLER), _BYTES_PER_SECOND)
_THREADS = Threads("bodies", 1)

T = TypeVar("T")


class BoundedRoute(APIRoute):
    """A route with a small body; a larger one than `MAX_BODY_BYTES` gets the answer 413.

    FastAPI itself reads a body of any size into memory, before it checks the caller's secrets, and
    parses NaN, halves of surrogate pairs and any nesting, which no answer could show again. This
    route identifies the caller first, and reads no body that its handler does not take.
    """

    needs_caller = True
    max_bytes = MAX_BODY_BYTES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with a body that is already read."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_bounded(request: Request) -> Response:
            if self.needs_caller:
                await require_permission_of_route(request, await services_of(request))
            body = await read_body(request, self.max_bytes)

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            of_body = _RequestInBounds(request.scope, receive)
            if body and "json" in request.headers.get("content-type", ""):
                # FastAPI replaces the message of an error in `Request.json`.
                of_body.value = await parse_large(parse_json, body, "{...}")
            return await handle(of_body)

        return handle_bounded


class OpenRoute(BoundedRoute):
    """A route for everybody, who may not have a secret yet. It reads small bodies alone."""

    needs_caller = False
    max_bytes = SMALL_BODY_BYTES


class _RequestInBounds(Request):
    """A request whose JSON body is parsed already, and within bounds."""

    value: Any = None

    async def json(self) -> Any:
        """The value of the body."""
        return self.value


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Read a small body, once there is memory for it; that is held until the request is answered.

    Raises BadInput if it is cut off or too slow, TooLarge over `max_bytes`, and ServerBusy.
    """
    size = _stated_size(request, max_bytes)
    chunks = request.stream()
    if size > SMALL_BODY_BYTES:
        owner = owner_of(request)
        await _hold_memory(request, _SHARE * size, owner)
        chunks = _places.chunks(chunks, owner)
    seconds = _FIRST_SECONDS + size / _BYTES_PER_SECOND
    try:
        async with asyncio.timeout(seconds):
            return await _read_to_end(chunks, max_bytes)
    except ClientDisconnect as error:
        raise BadInput("the connection closed before the whole body had arrived") from error
    except TimeoutError as error:
        raise BadInput(
            f"the body did not arrive within {seconds:.0f} s; send it faster, or send less"
        ) from error


def _stated_size(request: Request, max_bytes: int) -> int:
    """The size of a body by its header, or the most that one may have. Raises TooLarge."""
    if "transfer-encoding" in request.headers:  # beside it, a length says nothing
        return max_bytes
    stated = int(request.headers.get("content-length", "0"))  # h11 has checked that it is a number
    _require_small(stated, max_bytes)
    return stated


def _require_small(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLarge(f"the body is larger than {max_bytes} bytes")


async def _hold_memory(request: Request, memory: int, owner: Hashable) -> None:
    try:
        await _places.take(memory, owner)
    except TimeoutError as error:
        raise ServerBusy(
            "openbulk holds as many large bodies as it can, or as many of yours; "
            "send the request again in a moment"
        ) from error
    request.state.held.callback(_places.budget.give_back, memory, owner)


async def _read_to_end(body_chunks: AsyncGenerator[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    async with aclosing(body_chunks) as chunks:
        async for chunk in chunks:
            body += chunk
            _require_small(len(body), max_bytes)
    return bytes(body)


async def parse_large(parse: Callable[[bytes, str], T], body: bytes, example: str) -> T:
    """What `parse` makes of a body: in a thread if it is large, so that others are answered.

    `parse` takes the body and an example for its messages. Raises TooLarge for too many values.
    """
    if len(body) <= LARGE_BODY_BYTES:
        return parse(body, example)
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_BODY_VALUES:
        raise TooLarge(
            f"the body has more than {MAX_BODY_VALUES:,} values; send less, or upload a file"
        )
    return await _THREADS.run(parse, body, example)


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
    """Raise BadInput if a JSON object within bounds, or one inside it, has a key twice.

    `owner` begins the message. JSON leaves open which of the two counts (RFC 8259, section 4), and
    parsers take the last.
    """

    def require(pairs: list[tuple[str, Any]]) -> None:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                raise BadInput(f"{owner} has the key {key[:80]!r} twice; leave one of them out")

    json.loads(text, object_pairs_hook=require, parse_int=str)


class StrictBody(BaseModel):
    """A JSON body of which every key is known, and every value has the type that it is to have.

    No text is taken for a number or a switch, and `true` for no number.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class ContractBody(BaseModel):
    """A JSON body of the wire contract, whose clients send keys that openbulk does not read.

    A key that is almost a known one is refused; one that is like none is ignored. Values have the
    types that they are to have, as in a `StrictBody`.
    """

    model_config = ConfigDict(extra="ignore", strict=True)

    @model_validator(mode="before")
    @classmethod
    def refuse_misspelt_keys(cls, body: Any) -> Any:
        """Raise BadInput for a key that is almost a known one."""
        keys = body if isinstance(body, Mapping) else ()
        refuse_misspelt(map(str, keys), cls.model_fields, "the body takes no key {}")
        return body
