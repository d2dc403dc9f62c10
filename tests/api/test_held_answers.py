"""An answer holds no memory that its caller does not take."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from openbulk.api.http import held_answers
from openbulk.api.http.held_answers import HeldAnswer, held_pieces
from openbulk.byte_budget import ByteBudget


async def answer_of(*made: bytes) -> HeldAnswer:
    left = [*made, b""]

    async def make() -> bytes:
        return left.pop(0)

    pieces = held_pieces(make)
    return HeldAnswer(pieces, await anext(pieces), {"content-type": "text/csv"})


async def test_an_answer_that_is_not_taken_ends_and_the_next_one_gets_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection breaks: a file must not look complete."""
    monkeypatch.setattr(held_answers, "_memory", ByteBudget(100_000))
    monkeypatch.setattr(held_answers, "_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(held_answers, "_BYTES_PER_SECOND", 10_000_000)
    sent: list[MutableMapping[str, Any]] = []

    async def never_taken(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()
        sent.append(message)

    async def taken(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    slow = await answer_of(b"x" * 100_000)
    next_one = asyncio.create_task(answer_of(b"y" * 60_000, b"z" * 70_000))
    await asyncio.wait_for(slow.stream_response(never_taken), 5)
    assert [message["type"] for message in sent] == ["http.response.start"]
    sent.clear()
    await asyncio.wait_for((await asyncio.wait_for(next_one, 5)).stream_response(taken), 5)
    assert b"".join(message.get("body", b"") for message in sent) == b"y" * 60_000 + b"z" * 70_000
    assert max(len(message.get("body", b"")) for message in sent) < 70_000
    assert not sent[-1]["more_body"]
