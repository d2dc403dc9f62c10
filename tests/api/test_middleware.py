"""What surrounds every request."""

import json
from collections.abc import AsyncIterator
from typing import cast

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from openbulk.api import make_api, prepare_routes
from openbulk.api.http.middleware import HeadAsGet, RequestIds, UnhandledErrors
from openbulk.api.http.under_way import RequestsUnderWay
from openbulk.api.services import Services
from support.work import calls_of_this_thread

SECRET = "postgresql://openbulk:a-password@db.example.com"


async def test_an_answer_to_an_unexpected_error_shows_nothing_of_it() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError(SECRET)

    async def receive() -> Message:
        return {"type": "http.request"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await RequestIds(UnhandledErrors(fail))(scope, receive, send)
    assert sent[0]["status"] == 500
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert json.loads(sent[1]["body"]) == {
        "message": "openbulk failed to handle this request; its log has the details under this "
        "request id",
        "requestId": headers["elements-request-id"],
    }
    assert SECRET not in repr(sent)


async def test_nobody_makes_the_rest_of_an_answer_of_which_the_head_is_wanted() -> None:
    made = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"a piece"

    async def receive() -> Message:
        return {"type": "http.request"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    app = StreamingResponse(pieces(), headers={"content-type": "text/csv"})
    scope = {"type": "http", "method": "HEAD", "asgi": {"spec_version": "2.4"}}
    await HeadAsGet(app)(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (sent[0]["status"], (b"content-type", b"text/csv") in sent[0]["headers"]) == (200, True)
    assert sent[1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert made == 1


async def test_the_first_request_does_no_more_than_the_next_one() -> None:
    """All others would wait for it."""
    api = make_api(cast(Services, None), RequestsUnderWay())
    await prepare_routes(api)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    counts = []
    for _ in range(2):
        scope = {"type": "http", "method": "GET", "path": "/healthz", "headers": []}
        with calls_of_this_thread() as calls:
            await api({**scope, "query_string": b"", "root_path": ""}, receive, send)
        counts.append(calls.count)
    first, second = counts
    assert first < second + 5_000
