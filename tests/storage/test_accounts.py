"""Instances: recognized, never readable."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import SealBroken
from openbulk.domain.instance import Instance
from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts, reseal
from support.people import add_organization

OLD, NEW = bytes(32), bytes(range(32))


@pytest.fixture
async def accounts(engine: AsyncEngine) -> Accounts:
    await add_organization(engine)
    return Accounts(engine, Sealer([OLD]))


async def instance(accounts: Accounts, token: str = "element-token") -> Instance:
    made = await accounts.add_instance(
        organization_id=1,
        element="memory",
        name="Mine",
        token=token,
        configuration={"password": "unmistakable"},
        tags=["a"],
        now=datetime(2026, 3, 1, tzinfo=UTC),
        limit=10,
    )
    assert made is not None
    return made


async def test_an_instance_is_remembered_changed_and_forgotten(accounts: Accounts) -> None:
    made = await instance(accounts)
    assert (
        await accounts.instance(made.id)
        == made
        == await accounts.instance_with_token("element-token")
    )
    assert await accounts.instance_with_token("another") is None
    changed = replace(made, name="Yours", tags=("b",), disabled=True, configuration={"x": "y"})
    assert await accounts.change_instance(made, changed) == changed
    assert await accounts.instances_of(1) == [changed]
    await accounts.update_configuration(made.id, {"z": "1"})
    assert (await accounts.instances_of(1))[0].configuration == {"x": "y", "z": "1"}
    await accounts.delete_instance(made.id)
    await accounts.update_configuration(made.id, {"z": "2"})
    assert await accounts.instances_of(1) == []
    assert await accounts.change_instance(made, changed) is None


async def test_a_change_by_another_process_in_the_same_moment_stays(accounts: Accounts) -> None:
    """Such as a refresh token that a worker has renewed while a person changes the name."""
    read = await instance(accounts)
    await accounts.update_configuration(read.id, {"token": "new", "added": "1"})
    wanted = replace(read, name="Yours", configuration={**read.configuration, "mine": "2"})
    changed = await accounts.change_instance(read, wanted)
    assert changed is not None
    assert changed == (await accounts.instances_of(1))[0]
    assert (changed.name, changed.tags) == ("Yours", read.tags)
    assert changed.configuration == {
        **read.configuration,
        "token": "new",
        "added": "1",
        "mine": "2",
    }
    without = await accounts.change_instance(changed, replace(changed, configuration={"mine": "2"}))
    assert without is not None
    assert without.configuration == {"mine": "2"}


async def test_no_secret_can_be_read_in_the_database(accounts: Accounts, tmp_path: Path) -> None:
    await instance(accounts)
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (b"unmistakable", b"element-token", b"user-secret", b"organization-secret"):
        assert secret not in held


async def test_a_new_master_key_seals_everything_again(
    accounts: Accounts, engine: AsyncEngine
) -> None:
    made = await instance(accounts)
    rotated = Sealer([NEW, OLD])
    async with engine.begin() as connection:
        assert (await reseal(connection, rotated), await reseal(connection, rotated)) == (1, 0)
    assert await Accounts(engine, Sealer([NEW])).instance(made.id) == made
    with pytest.raises(SealBroken, match="this server no longer has"):
        await accounts.instance(made.id)


async def test_a_token_can_be_read_again_only_if_it_is_kept_for_that(
    accounts: Accounts, engine: AsyncEngine
) -> None:
    """Sealed, also under a new master key. Without it, a token is known by its fingerprint."""
    forgotten = await instance(accounts)
    for keeps_token in (True, False):
        await accounts.replace_token(forgotten.id, "kept-token", keeps_token=keeps_token)
        read = await accounts.instance(forgotten.id)
        assert read is not None
        assert read.token == ("kept-token" if keeps_token else None)
        assert await accounts.instance_with_token("kept-token") == forgotten
    await accounts.replace_token(forgotten.id, "kept-token", keeps_token=True)
    sealer = Sealer([NEW, OLD])
    async with engine.begin() as connection:
        assert await reseal(connection, sealer) == 1
    rotated = await Accounts(engine, Sealer([NEW])).instance(forgotten.id)
    assert rotated is not None
    assert (rotated.token, rotated.configuration) == ("kept-token", forgotten.configuration)


async def test_a_sealed_token_does_not_open_for_another_instance(
    accounts: Accounts, engine: AsyncEngine
) -> None:
    one, other = await instance(accounts, "one"), await instance(accounts, "other")
    await accounts.replace_token(one.id, "kept-token", keeps_token=True)
    async with engine.begin() as connection:
        copy = (
            "UPDATE instances SET sealed_token = (SELECT sealed_token FROM instances WHERE id = "
            f"{one.id}) WHERE id = {other.id}"
        )
        await connection.execute(text(copy))
    with pytest.raises(SealBroken, match="token of instance"):
        await accounts.instance(other.id)


async def test_credentials_that_were_moved_to_another_instance_are_not_opened(
    accounts: Accounts, engine: AsyncEngine
) -> None:
    mine, theirs = await instance(accounts, "mine"), await instance(accounts, "theirs")
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE instances SET sealed_configuration = "
                "(SELECT sealed_configuration FROM instances WHERE id = :mine) WHERE id = :theirs"
            ),
            {"mine": mine.id, "theirs": theirs.id},
        )
    assert await accounts.instance(mine.id) == mine
    with pytest.raises(SealBroken, match="was changed after it was sealed"):
        await accounts.instance(theirs.id)


async def test_a_token_stands_for_one_instance_only(accounts: Accounts) -> None:
    mine, theirs = await instance(accounts, "mine"), await instance(accounts, "theirs")
    assert (
        await accounts.instance_with_token("mine"),
        await accounts.instance_with_token("theirs"),
    ) == (mine, theirs)


async def test_changes_of_one_configuration_at_the_same_time_all_stay(accounts: Accounts) -> None:
    made = await instance(accounts)
    await asyncio.gather(
        *(accounts.update_configuration(made.id, {f"key{n}": str(n)}) for n in range(8))
    )
    changed = await accounts.instance(made.id)
    assert changed is not None
    assert changed.configuration == {
        "password": "unmistakable",
        **{f"key{n}": str(n) for n in range(8)},
    }
