"""What surrounds every request."""

import json

from starlette.types import Message, Receive, Scope, Send

from openbulk.api.http.middleware import RequestIds, UnhandledErrors

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
