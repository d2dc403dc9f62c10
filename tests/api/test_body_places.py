"""Bodies share the places, and one that is slow gives its own up to one that waits."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from openbulk.api.http.body_places import BodyPlaces
from openbulk.byte_budget import ByteBudget
from openbulk.domain.errors import BadInput

FOREVER = 1_000.0


class Body:
    """A body whose chunks come when the test sends them."""

    def __init__(self, body_places: BodyPlaces, owner: str) -> None:
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(body_places, owner))

    async def _read(self, body_places: BodyPlaces, owner: str) -> bytes:
        await body_places.take(1, owner)
        try:
            return b"".join([chunk async for chunk in body_places.chunks(self._chunks(), owner)])
        finally:
            body_places.budget.give_back(1, owner)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self._sent.get():
            yield chunk

    def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self._sent.put_nowait(chunk)

    async def end(self) -> bytes:
        self.send(b"")
        return await asyncio.wait_for(self._reading, 60)


async def begun(body_places: BodyPlaces, *owners: str) -> list[Body]:
    """Bodies that have asked for their places, in this order."""
    bodies = [Body(body_places, owner) for owner in owners]
    for _ in range(5):
        await asyncio.sleep(0)
    return bodies


@pytest.fixture
def places() -> Iterator[ByteBudget]:
    """Four places, which must be free again in the end."""
    budget = ByteBudget(4, 2)
    yield budget
    assert budget._free == 4
    assert not budget._held


async def test_a_slow_body_loses_its_place_only_to_one_that_waits(places: ByteBudget) -> None:
    body_places = BodyPlaces(places, 1_000, patience=0.0)
    first, second = await begun(body_places, "ann", "ann")
    await asyncio.sleep(0.3)  # nobody waits for their places
    second.send(b"later")
    (third,) = await begun(body_places, "ann")
    assert await third.end() == b""
    with pytest.raises(BadInput, match="more slowly than 1,000 bytes a second while others wait"):
        await first.end()
    assert await second.end() == b"later"


async def test_a_body_that_is_fast_enough_keeps_its_place(places: ByteBudget) -> None:
    body_places = BodyPlaces(places, 1, patience=FOREVER)
    first, second = await begun(body_places, "ann", "ann")
    (third,) = await begun(body_places, "ann")
    await asyncio.sleep(0.6)  # the third one has looked twice
    first.send(b"here ", b"it is")
    assert await first.end() == b"here it is"
    assert await third.end() == await second.end() == b""


async def test_who_waits_because_of_its_own_bodies_ends_none_of_others(places: ByteBudget) -> None:
    body_places = BodyPlaces(places, 1_000, patience=0.0)
    bobs, *anns = await begun(body_places, "bob", "ann", "ann", "ann")
    assert await anns[2].end() == b""
    bobs.send(b"late")
    assert await bobs.end() == b"late"
    results = await asyncio.gather(anns[0].end(), anns[1].end(), return_exceptions=True)
    assert [type(result) for result in results if result] == [BadInput]


async def test_a_caller_finds_a_place_whatever_another_one_holds(places: ByteBudget) -> None:
    body_places = BodyPlaces(places, 1, patience=FOREVER)
    anns = await begun(body_places, *["ann"] * 5)
    (bobs,) = await begun(body_places, "bob")
    assert await bobs.end() == b""
    assert [await body.end() for body in anns] == [b""] * 5


async def test_a_body_whose_caller_is_gone_leaves_the_queue(places: ByteBudget) -> None:
    body_places = BodyPlaces(places, 1, patience=FOREVER)
    bodies = await begun(body_places, *["ann"] * 4)
    for body in bodies[1:]:
        body._reading.cancel()
    await asyncio.wait({body._reading for body in bodies[1:]})
    assert await bodies[0].end() == b""
