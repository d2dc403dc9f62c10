"""Whatever a job does, and whatever others change after it: its undo takes back just the job."""

import random
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, UndoesWrites
from openbulk.connectors.memory import MemoryProvider
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, OutcomeKind, Record, Target
from openbulk.testing.connectors import KeptImages, reversal_of
from support import forget


@pytest.mark.parametrize("seed", range(20))
async def test_an_undo_leaves_what_was_there_and_what_others_have_changed(
    http: aiohttp.ClientSession, seed: int
) -> None:
    chance = random.Random(seed)
    connector = MemoryProvider().connect(ConnectionContext({}, http, forget))
    assert isinstance(connector, UndoesWrites)

    async def state() -> dict[str, Any]:
        pages = [page async for page in connector.read(Query("records"), PageRequest(size=500))]
        return {one["id"]: dict(one) for page in pages for one in page.records}

    async def write(action: Action, keys: list[str], value: str, run: str) -> Any:
        target = Target("records", action, "id", run=run, before_images=KeptImages())
        fields = [{"id": key, chance.choice("abc"): value} for key in keys]
        batch = [Record(row, one, f"id={one['id']}") for row, one in enumerate(fields, 1)]
        return await connector.write(target, batch)

    names = [f"r{number}" for number in range(30)]
    await write(Action.UPSERT, names[:20], "first", "0")
    before = await state()
    action = chance.choice([Action.UPSERT, Action.UPDATE, Action.DELETE])
    outcomes = await write(action, chance.sample(names, 25), "job", "1")
    after, some = await state(), chance.sample(names, 5)
    await write(Action.UPSERT, some[:3], "foreign", "2")
    await write(Action.DELETE, some[3:], "", "3")
    now = await state()
    foreign = {name for name in names if after.get(name) != now.get(name)}
    deeds = [one for one in outcomes if one.before is not None or one.version is not None]
    batch = [reversal_of(one) for one in reversed(deeds)]
    target = replace(Target("records", action, run="4"), before_images=KeptImages())
    undone = await connector.undo(target, batch, overwrites=False, is_trial=False)
    touched = {one.id for one in deeds}
    expected = {
        name: (now if name in foreign or name not in touched else before).get(name)
        for name in names
    }
    left = await state()
    assert {name: left.get(name) for name in names} == expected
    others = {one.id for one in undone if one.kind is not OutcomeKind.REVERSED}
    assert others <= foreign
