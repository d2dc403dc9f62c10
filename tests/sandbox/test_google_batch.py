"""Batches: up to 50 calls in one request, each answered alone."""

import json
import re

import pytest

from sandbox.test_google import EVENTS, Caller, ann, event, sandbox

__all__ = ["ann"]
BATCH = "/batch/calendar/v3"


def batch_body(*calls: tuple[str, str, object]) -> bytes:
    parts = [
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <call-{number}>\r\n\r\n"
        f"{verb} {path}\r\nContent-Type: application/json\r\n\r\n"
        f"{json.dumps(value) if value else ''}\r\n"
        for number, (verb, path, value) in enumerate(calls)
    ]
    return "".join([*parts, "--b--\r\n"]).encode()


async def send_batch(caller: Caller, content: bytes) -> tuple[int, list[tuple[str, int]]]:
    """The status of the batch, and that of each call by its Content-ID."""
    headers = {"Content-Type": 'multipart/mixed; boundary="b"'}
    status, text = await caller.call("POST", BATCH, data=content, headers=headers)
    found = re.findall(r"Content-ID: <response-call-(\d+)>\r\n\r\nHTTP/1\.1 (\d+)", str(text))
    return status, [(number, int(code)) for number, code in found]


async def test_every_call_of_a_batch_is_answered_alone(ann: Caller) -> None:
    """The answers keep the order. A refused call does not stop the others."""
    calls = [
        ("POST", EVENTS, event(id="maths2026")),
        ("POST", EVENTS, event(id="NO")),
        ("GET", f"{EVENTS}/nowhere", None),
        ("POST", f"{EVENTS}?sendUpdates=none", event(id="music2026")),
    ]
    assert await send_batch(ann, batch_body(*calls)) == (
        200,
        [("0", 200), ("1", 400), ("2", 404), ("3", 200)],
    )
    assert [one["id"] for one in await ann.list_events()] == ["maths2026", "music2026"]


async def test_each_call_counts_on_the_quota() -> None:
    """A batch saves connections, not calls."""
    async with sandbox(quota_per_minute=3) as ann:
        status, codes = await send_batch(
            ann, batch_body(*[("POST", EVENTS, event()) for _ in range(5)])
        )
        assert status == 200
        assert sorted(code for _, code in codes) == [200, 200, 200, 403, 403]
        assert (await ann.stats())["calls"] == 5


@pytest.mark.parametrize(
    "content",
    [
        batch_body(*[("GET", EVENTS, None)] * 51),
        b"--b\r\n\r\nhello\r\n\r\n--b--",
        batch_body(("POST", BATCH, {"a": 1})),
        batch_body(("GET", "//[/calendar/v3/", None)),
        batch_body(("GET", "/sandbox/events", None)),
    ],
    ids=["more than 50", "no call", "a batch in a batch", "no address", "no call of the API"],
)
async def test_an_invalid_batch_is_refused(ann: Caller, content: bytes) -> None:
    """No call of it is done."""
    assert (await send_batch(ann, content))[0] == 400


async def test_a_batch_needs_a_boundary(ann: Caller) -> None:
    """Without one, no call has an end."""
    assert (await ann.call("POST", BATCH, data=b"x", headers={"Content-Type": "multipart/mixed"}))[
        0
    ] == 400
