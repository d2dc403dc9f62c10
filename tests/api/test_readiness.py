"""Whether the server can take work."""

import asyncio

from openbulk.api.readiness import Readiness


async def test_an_answer_is_remembered_for_a_moment() -> None:
    """Whoever asks, and however often, costs the database one question."""
    asked: list[str] = []

    async def database() -> None:
        asked.append("database")
        raise ConnectionError

    async def files() -> None:
        asked.append("files")

    readiness = Readiness({"database": database, "files": files})
    answers = await asyncio.gather(*(readiness.broken_parts() for _ in range(100)))
    assert answers == [{"database": "ConnectionError"}] * 100
    assert asked == ["database", "files"]
