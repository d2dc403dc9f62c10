"""Custom connectors: each belongs to one organization, and stays while it has instances."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.connectors.memory import MemoryProvider
from openbulk.domain.errors import Conflict, NotFound
from openbulk.engine.elements import FIRST_CUSTOM_NUMBER, Elements
from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts
from openbulk.storage.custom_elements import CustomElement, CustomElements, reseal_exports
from support.people import add_organization

OLD, NEW = bytes(32), bytes(range(32))
NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXPORT = {"key": "acme", "name": "Acme", "resources": [{"path": "/things", "vendorPath": "/t"}]}


@pytest.fixture
async def accounts(engine: AsyncEngine) -> Accounts:
    made = Accounts(engine, Sealer([OLD]))
    for name in ("one", "two"):
        await add_organization(engine, f"o-{name}", f"{name}@example.com", f"user-{name}")
    return made


@pytest.fixture
def stored(engine: AsyncEngine, accounts: Accounts) -> CustomElements:
    return CustomElements(engine, Sealer([OLD]))


async def add(stored: CustomElements, organization_id: int = 1, key: str = "acme") -> CustomElement:
    return await stored.add(organization_id, key, EXPORT, NOW, 2)


async def add_instance(accounts: Accounts, token: str = "token") -> int:
    made = await accounts.add_instance(
        organization_id=1,
        element="acme",
        name="Mine",
        token=token,
        configuration={},
        tags=[],
        now=NOW,
        limit=10,
        is_custom=True,
    )
    assert made is not None
    return made.id


async def test_organizations_do_not_see_the_connectors_of_others(stored: CustomElements) -> None:
    """Not by key, and not by number; both may use the same key."""
    memory = MemoryProvider(is_on=True)
    elements = Elements({"memory": memory}, {"memory": memory}, stored)
    first, second = await add(stored, 1), await add(stored, 2, "other")
    for organization_id, mine, others in ((1, first, second), (2, second, first)):
        catalogue = await elements.on_offer_to(organization_id)
        assert list(catalogue.providers) == ["memory", mine.key]
        number = str(FIRST_CUSTOM_NUMBER + mine.id)
        assert catalogue.find(number) is catalogue.find(mine.key.upper()) is not None
        assert catalogue.find(str(FIRST_CUSTOM_NUMBER + others.id)) is None
        assert catalogue.find(others.key) is None
        with pytest.raises(NotFound):
            await elements.provider(organization_id, others.key)
    await add(stored, 2)


async def test_a_deleted_connector_leaves_nothing_to_the_next_one(stored: CustomElements) -> None:
    """Processes know connectors by their numbers, and users write these into paths."""
    elements = Elements({}, {}, stored)
    first = await add(stored)
    await elements.provider(1, "acme")
    await stored.delete(first)
    second = await stored.add(2, "acme", {**EXPORT, "name": "Another"}, NOW, 2)
    assert second.id > first.id
    assert (await elements.provider(2, "acme")).name == "Another"


async def test_a_connector_is_read_again_once_it_has_changed(stored: CustomElements) -> None:
    elements = Elements({}, {}, stored)
    made = await add(stored)
    before = await elements.provider(1, "acme")
    assert await elements.provider(1, "acme") is before
    await stored.replace(made, {**EXPORT, "name": "Acme 2"}, problem="it has no instances")
    assert (await elements.provider(1, "acme")).name == "Acme 2"
    with pytest.raises(Conflict, match="changed at the same time"):
        await stored.replace(made, EXPORT)
    await stored.delete(made)
    with pytest.raises(NotFound):
        await stored.replace(made, EXPORT)


async def test_a_key_is_taken_once_and_an_organization_has_a_limit(stored: CustomElements) -> None:
    await add(stored)
    with pytest.raises(Conflict, match="change it with PUT /elements/acme"):
        await add(stored)
    await add(stored, key="second")
    with pytest.raises(Conflict, match="2 custom connectors, which is the limit"):
        await add(stored, key="third")


async def test_an_instance_keeps_its_connector_also_if_both_change_at_once(
    stored: CustomElements, accounts: Accounts
) -> None:
    made = await add(stored)
    instance = await add_instance(accounts)
    version = await accounts.version_of(instance)
    await stored.replace(made, EXPORT)
    assert await accounts.version_of(instance) == (version or 0) + 1
    with pytest.raises(Conflict, match="acme has instances, and it moves"):
        await stored.replace(made, EXPORT, problem="it moves")
    with pytest.raises(Conflict, match="has an instance"):
        await stored.delete(made)
    await accounts.delete_instance(instance)
    for attempt in range(5):
        results = await asyncio.gather(
            add_instance(accounts, f"token {attempt}"),
            stored.delete(made),
            return_exceptions=True,
        )
        failures = [one for one in results if isinstance(one, Exception)]
        assert [type(one) for one in failures] in ([NotFound], [Conflict])
        is_kept = isinstance(failures[0], Conflict)
        assert (await stored.version_of(1, "acme") is not None) is is_kept
        if is_kept:
            assert isinstance(results[0], int)
            await accounts.delete_instance(results[0])
        else:
            made = await add(stored)


async def test_exports_are_sealed_and_sealed_again_with_a_new_master_key(
    stored: CustomElements, engine: AsyncEngine
) -> None:
    """One that cannot be opened is left out of lists, and no other."""
    first, second = await add(stored), await add(stored, key="other")
    async with engine.begin() as connection:
        kept = (await connection.execute(text("SELECT sealed_export FROM custom_elements"))).all()
        assert b"things" not in b"".join(bytes(row[0]) for row in kept)
        rotated = Sealer([NEW, OLD])
        counts = [await reseal_exports(connection, rotated) for _ in range(2)]
        assert counts == [2, 0]
    renewed = CustomElements(engine, Sealer([NEW]))
    (found,) = await renewed.each([first.id])
    assert found.export == EXPORT
    async with engine.begin() as connection:
        broken = text("UPDATE custom_elements SET sealed_export = :seal WHERE id = :id")
        await connection.execute(broken, {"seal": b"x", "id": first.id})
    assert [one.id for one in await renewed.each([first.id, second.id])] == [second.id]
