"""An answer holds no memory that its caller does not take."""

import asyncio
import gc
import sys
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from openbulk.api.http import streamed_answers
from openbulk.api.http.streamed_answers import StreamedAnswer, stream_pieces
from openbulk.byte_budget import ByteBudget
from openbulk.domain.errors import NotFound


async def answer_of(*made: bytes) -> StreamedAnswer:
    left = [*made, b""]

    async def make() -> bytes:
        return left.pop(0)

    pieces = stream_pieces(make)
    return StreamedAnswer(pieces, await anext(pieces), {"content-type": "text/csv"})


async def test_an_answer_that_is_not_taken_ends_and_the_next_one_gets_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection breaks: a file must not look complete."""
    monkeypatch.setattr(streamed_answers, "_memory", ByteBudget(100_000))
    monkeypatch.setattr(streamed_answers, "_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(streamed_answers, "_BYTES_PER_SECOND", 10_000_000)
    sent: list[MutableMapping[str, Any]] = []

    async def never_taken(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()
        sent.append(message)

    async def taken(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    slow = await answer_of(b"x" * 100_000)
    next_one = asyncio.create_task(answer_of(b"y" * 60_000, b"z" * 70_000))
    await asyncio.wait_for(slow.stream_response(never_taken), 60)
    assert [message["type"] for message in sent] == ["http.response.start"]
    sent.clear()
    await asyncio.wait_for((await asyncio.wait_for(next_one, 60)).stream_response(taken), 60)
    assert b"".join(message.get("body", b"") for message in sent) == b"y" * 60_000 + b"z" * 70_000
    assert max(len(message.get("body", b"")) for message in sent) < 70_000
    assert not sent[-1]["more_body"]


async def test_an_answer_of_what_is_deleted_meanwhile_is_cut_with_a_line_in_the_log() -> None:
    async def make() -> bytes:
        if sent:
            raise NotFound("job 5 was deleted while it was read")
        return b"x"

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    pieces = stream_pieces(make)
    answer = StreamedAnswer(pieces, await anext(pieces), {"content-type": "text/csv"})
    with capture_logs() as logs:
        await answer.stream_response(send)
    assert sent[-1]["more_body"], "the last piece is missing, so that the answer is no whole one"
    (line,) = logs
    assert (line["event"], line["reason"]) == (
        "answer cut off",
        "job 5 was deleted while it was read",
    )
    assert "exc_info" not in line


async def test_while_others_wait_the_slowest_caller_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streamed_answers, "_memory", ByteBudget(100_000))
    monkeypatch.setattr(streamed_answers, "_GIVES_WAY_SECONDS", 0.0)
    monkeypatch.setattr(streamed_answers, "_LOOK_SECONDS", 0.01)

    async def never_taken(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    first, second = [await answer_of(b"x" * 50_000) for _ in range(2)]
    slowest = asyncio.create_task(first.stream_response(never_taken))
    await asyncio.sleep(0)
    slow = asyncio.create_task(second.stream_response(never_taken))
    await asyncio.sleep(0.05)
    assert not slowest.done()  # as long as nobody waits
    await asyncio.wait_for(answer_of(b"y" * 50_000), 60)
    await asyncio.wait_for(slowest, 60)
    assert not slow.done()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_a_piece_that_nobody_waits_for_counts_until_its_thread_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many callers come and go, so many pieces are made at once, and none stays held."""
    monkeypatch.setattr(streamed_answers, "_memory", ByteBudget(100_000))
    working, begun = asyncio.Event(), 0

    async def make() -> bytes:
        nonlocal begun
        begun += 1
        await asyncio.shield(asyncio.create_task(working.wait()))  # as a thread, to its end
        return b"x" * 50_000

    for _ in range(5):
        caller = asyncio.create_task(anext(stream_pieces(make)))
        for _ in range(10):
            await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert begun == streamed_answers.MADE_AT_ONCE
    working.set()
    await asyncio.wait_for(streamed_answers._memory.take(100_000), 60)


async def test_an_answer_whose_caller_is_gone_leaves_nothing_to_the_garbage_collector() -> None:
    """It comes late: it counts objects, and not their bytes."""
    piece = b"x" * 100_000
    references = sys.getrefcount(piece)
    answer, taking = await answer_of(piece), asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await taking.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            taking.set()
            await asyncio.Event().wait()

    gc.disable()
    try:
        await asyncio.wait_for(answer({"type": "http", "asgi": {}}, receive, send), 60)
        assert sys.getrefcount(piece) == references
    finally:
        gc.enable()
