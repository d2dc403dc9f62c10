"""Definitions and transformations, on each kind of database."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import Conflict
from openbulk.domain.field_paths import parse_field_path
from openbulk.domain.job import Download, Upload
from openbulk.domain.query import Order, Query, View
from openbulk.domain.records import Action, Target
from openbulk.domain.transformation import DefinedField, MappedField, Transformation
from openbulk.domain.workflow import Destination, TransferSpec
from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts
from openbulk.storage.ledger import Ledger
from openbulk.storage.tables import definitions, transformations
from openbulk.storage.transfer_codec import spec_of, spec_values
from openbulk.storage.transformations import MAX_DEFINITIONS, Owner, Transformations
from support.people import add_organization

NOW = datetime(2026, 5, 30, 10, tzinfo=UTC)
OWN = Transformation(
    "meetings",
    "events",
    (
        MappedField(
            parse_field_path("guests[*].mail"),
            parse_field_path("attendees[*].email"),
            is_sent=False,
            configuration=({"type": "passThrough"},),
        ),
    ),
    shows_others=False,
)


@pytest.fixture
async def accounts(engine: AsyncEngine) -> Accounts:
    made = Accounts(engine, Sealer([bytes(32)]))
    await add_organization(engine)
    return made


async def new_instance(accounts: Accounts, token: str) -> int:
    instance = await accounts.add_instance(
        organization_id=1,
        element="memory",
        name=token,
        token=token,
        configuration={},
        tags=(),
        now=NOW,
        limit=9,
    )
    assert instance is not None
    return instance.id


async def test_they_are_kept_apart_and_deleted_with_their_instance(
    engine: AsyncEngine, accounts: Accounts
) -> None:
    stored = Transformations(engine)
    first, second = await new_instance(accounts, "1"), await new_instance(accounts, "2")
    for instance_id in (first, second):
        await stored.add_definitions(Owner(1, instance_id), {"meetings": [DefinedField("a")]})
        await stored.add_transformation(instance_id, OWN, NOW)
    await stored.add_definitions(Owner(1), {"meetings": [DefinedField("b", "number")]})
    assert await stored.definition(Owner(1), "meetings") == [DefinedField("b", "number")]
    assert await stored.definition(Owner(1, first), "meetings") == [DefinedField("a")]
    kept = await stored.transformation(first, "meetings")
    assert kept is not None and (kept.transformation, kept.changed_at) == (OWN, NOW)
    # A name with a character that no database has is one that nobody has.
    assert await stored.names_of(first, "meetings\0") is None
    await accounts.delete_instance(first)
    assert await stored.transformations_of(first) == []
    assert len(await stored.transformations_of(second)) == 1
    async with engine.connect() as connection:
        counts = [
            await connection.scalar(select(func.count()).select_from(table))
            for table in (definitions, transformations)
        ]
    assert counts == [2, 1]


async def test_a_name_is_taken_once_and_their_number_is_bounded(
    engine: AsyncEngine, accounts: Accounts
) -> None:
    stored, owner = Transformations(engine), Owner(1)
    field = [DefinedField("a")]
    done = await asyncio.gather(
        *(stored.add_definitions(owner, {"same": field}) for _ in range(4)), return_exceptions=True
    )
    assert [one for one in done if not isinstance(one, Conflict)] == [None]
    many = {f"object {number}": field for number in range(MAX_DEFINITIONS)}
    with pytest.raises(Conflict, match=f"there can be at most {MAX_DEFINITIONS} definitions"):
        await stored.add_definitions(owner, many)
    assert list(await stored.definitions_of(owner)) == ["same"]


async def test_a_job_has_a_copy_of_the_transformation(
    engine: AsyncEngine, accounts: Accounts
) -> None:
    ledger = Ledger(engine)
    view = View(OWN, ("guests",), (Order("guests", True),))
    works: list[Upload | Download] = [
        Upload(Target("meetings", Action.CREATE, transformation=OWN), "f1", 1, "csv"),
        Download(Query("events", ("attendees",), view=view), "f2"),
    ]
    for work in works:
        job = await ledger.add_job(work, organization_id=1, instance_id=1, request_id=None, now=NOW)
        again = await ledger.job(job.id)
        assert again is not None and again.work == work
        assert again.object == "meetings"


def test_a_schedule_has_a_copy_of_both_transformations() -> None:
    read = Download(Query("events", view=View(OWN)), "f")
    target = Target("meetings", Action.CREATE, transformation=OWN)
    spec = TransferSpec(read, destination=Destination(2, target))
    assert spec_of(json.loads(json.dumps(spec_values(spec)))) == spec
