"""A bounded number of requests is under way, also of those whose caller is gone."""

import asyncio
from contextlib import ExitStack

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from openbulk.api.http.under_way import BoundedRequests, RequestsUnderWay
from openbulk.domain.errors import ServerBusy


async def status_of(app: BoundedRequests, api: FastAPI, path: str) -> int:
    """The status of the answer to a request whose caller sends nothing more."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await app({**scope, "app": api, "state": {"request_id": "1"}}, receive, send)
    return int(sent[0]["status"])


async def test_requests_beyond_the_limit_are_refused_and_healthz_is_answered() -> None:
    may_end = asyncio.Event()

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/waits":
            await may_end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    api = FastAPI()
    api.state.under_way = RequestsUnderWay(2)
    app = BoundedRequests(handle)
    waiting = [asyncio.create_task(status_of(app, api, "/waits")) for _ in range(2)]
    await asyncio.sleep(0)
    assert await status_of(app, api, "/bulk/jobs") == 503
    assert await status_of(app, api, "/healthz") == 200
    may_end.set()
    assert [await task for task in waiting] == [200, 200]
    assert await status_of(app, api, "/bulk/jobs") == 200


def test_a_caller_has_half_of_them_and_gets_its_part_back() -> None:
    under_way = RequestsUnderWay(4)
    with ExitStack() as held:
        for owner in ("ann", "ann", "bob"):
            held.enter_context(under_way.of(owner))
        with pytest.raises(ServerBusy, match="2 requests of yours"), under_way.of("ann"):
            pass
        held.enter_context(under_way.of("bob"))
    assert not under_way._of_owner
