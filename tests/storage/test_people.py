"""Organizations, users, and the secrets by which they are known."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.access import Role
from openbulk.domain.errors import Conflict
from openbulk.domain.instance import CallingInstance, Instance
from openbulk.domain.people import NewSecret
from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts
from openbulk.storage.known_secrets import KnownSecrets, Owner
from openbulk.storage.people import NewUser, People
from support.people import add_organization


@pytest.fixture
async def people(engine: AsyncEngine) -> People:
    made = People(engine)
    assert await made.is_empty()
    assert await made.add_first_organization(
        "organization-secret", "ann@example.com", "user-secret"
    )
    return made


@pytest.fixture
def secrets(engine: AsyncEngine, people: People) -> KnownSecrets:
    return KnownSecrets(engine)


async def instance(engine: AsyncEngine) -> Instance:
    made = await Accounts(engine, Sealer([bytes(32)])).add_instance(
        organization_id=1,
        element="memory",
        name="Mine",
        token="element-token",
        configuration={},
        tags=[],
        now=datetime(2026, 3, 1, tzinfo=UTC),
        limit=10,
    )
    assert made is not None
    return made


async def test_callers_are_recognized_by_their_secrets(
    people: People, secrets: KnownSecrets, engine: AsyncEngine
) -> None:
    made = await instance(engine)
    caller = await secrets.identify("user-secret", "organization-secret", "element-token")
    assert caller is not None
    assert (caller.user.email, caller.user.organization_id) == ("ann@example.com", 1)
    assert caller.knows_organization
    assert caller.instance == CallingInstance(made.id, 1, "memory")
    assert not await people.is_empty()


async def test_each_secret_is_recognized_by_itself(
    people: People, secrets: KnownSecrets, engine: AsyncEngine
) -> None:
    await instance(engine)
    assert await secrets.identify("user-secret ", "organization-secret", "element-token") is None
    for organization_secret in ("user-secret", None):
        caller = await secrets.identify("user-secret", organization_secret, "element-token")
        assert caller is not None
        assert (caller.knows_organization, caller.instance is None) == (False, False)
    for token in ("another", None):
        caller = await secrets.identify("user-secret", "organization-secret", token)
        assert caller is not None
        assert (caller.knows_organization, caller.instance) == (True, None)


async def test_secrets_of_two_organizations_do_not_belong_together(
    people: People, secrets: KnownSecrets, engine: AsyncEngine
) -> None:
    await instance(engine)
    await add_organization(engine, "other-organization", "bob@example.com", "other-user")
    caller = await secrets.identify("other-user", "organization-secret", "element-token")
    assert caller is not None
    assert caller.user.organization_id == 2
    assert (caller.knows_organization, caller.instance) == (False, None)


async def test_the_address_of_the_first_user_is_set(
    people: People, secrets: KnownSecrets, engine: AsyncEngine
) -> None:
    await add_organization(engine, "other-organization", "bob@example.com", "other-user")
    await people.set_email("cara@example.com")
    for secret, email in (("user-secret", "cara@example.com"), ("other-user", "bob@example.com")):
        caller = await secrets.identify(secret, None, None)
        assert caller is not None
        assert caller.user.email == email


async def test_adding_the_first_user_again_says_again_that_it_is_the_first(
    engine: AsyncEngine,
) -> None:
    """The first answer may have been lost, and with it secrets that are shown once."""
    people = People(engine)
    for _ in range(2):
        assert await people.add_first_organization("organization", "ann@example.com", "user")
    for organization, user in (("organization", "another"), ("another", "user")):
        assert not await people.add_first_organization(organization, "bob@example.com", user)


async def test_secrets_that_are_set_from_outside_take_the_place_of_the_first(
    people: People,
    secrets: KnownSecrets,
) -> None:
    assert await people.set_secrets(["organization-secret"], ["another-user-secret"]) == ["user"]
    assert await secrets.identify("user-secret", "organization-secret", None) is None
    caller = await secrets.identify("another-user-secret", "organization-secret", None)
    assert caller is not None
    assert caller.knows_organization


@pytest.mark.parametrize("order", [("new", "old"), ("old", "new"), ("new", "old", "new")])
async def test_several_secrets_of_one_owner_hold_until_they_are_set_no_more(
    people: People, secrets: KnownSecrets, order: Sequence[str]
) -> None:
    of_user = {"new": "new-secret", "old": "user-secret"}
    organization = {"new": "new-organization", "old": "organization-secret"}

    async def holds(user: str, organization_secret: str) -> bool:
        caller = await secrets.identify(user, organization_secret, None)
        return caller is not None and caller.knows_organization

    both = [organization[age] for age in order], [of_user[age] for age in order]
    for _ in range(2):  # another server that starts sets the same
        assert await people.set_secrets(*both) == []
        for pair in product(organization.values(), of_user.values()):
            assert await holds(*reversed(pair))
    assert await people.set_secrets([], []) == []
    assert await holds("user-secret", "new-organization")
    assert await people.set_secrets(["new-organization"], ["new-secret"]) == [
        "organization",
        "user",
    ]
    assert await holds("new-secret", "new-organization")
    assert not await holds("new-secret", "organization-secret")
    assert not await holds("user-secret", "new-organization")


async def test_a_secret_that_has_ended_or_expired_does_not_hold(
    people: People, secrets: KnownSecrets
) -> None:
    owner = Owner(1, 1)
    made = await secrets.add(owner, NewSecret("CI"), "of-ci")
    late = await secrets.add(owner, NewSecret("old", lifetime=timedelta(0)), "late")
    caller = await secrets.identify("of-ci", None, None)
    assert caller is not None and (caller.problem, caller.secret_id) == ("", made.id)
    caller = await secrets.identify("late", None, None)
    assert caller is not None and "'old' has expired" in caller.problem
    assert [one.name for one in await secrets.all_of(owner)][1:] == ["CI", "old"]
    assert await secrets.end(owner, made.id)
    assert not await secrets.end(Owner(1), late.id), "a secret of the user, not the organization"
    assert await secrets.identify("of-ci", None, None) is None


async def test_a_rotated_secret_holds_beside_the_new_one_for_a_while(
    people: People, secrets: KnownSecrets
) -> None:
    owner = Owner(1, 1)
    key = NewSecret("CI", ["read"], timedelta(days=90))
    made = await secrets.add(owner, key, "first")
    second = await secrets.rotate(owner, made, "second", timedelta(hours=1))
    for value in ("first", "second"):
        caller = await secrets.identify(value, None, None)
        assert caller is not None and (caller.problem, caller.scopes) == ("", ["read"])
    third = await secrets.rotate(owner, second, "third", timedelta(0))
    assert (third.name, third.scopes) == ("CI", ["read"])
    caller = await secrets.identify("second", None, None)
    assert caller is not None and caller.problem


async def test_the_last_use_is_written_once_a_minute(
    people: People, secrets: KnownSecrets, engine: AsyncEngine
) -> None:
    async def last_uses() -> list[datetime | None]:
        owners = (Owner(1), Owner(1, 1))
        return [one.last_used_at for owner in owners for one in await secrets.all_of(owner)]

    assert await last_uses() == [None, None]
    await secrets.identify("user-secret", "organization-secret", None)
    first = await last_uses()
    assert None not in first
    await secrets.identify("user-secret", "organization-secret", None)
    assert await last_uses() == first
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE secrets SET last_used_at = last_used_at - 60000"))
    await secrets.identify("user-secret", "organization-secret", None)
    again = await last_uses()
    assert all(one and before and one >= before for one, before in zip(again, first, strict=True))


async def test_who_is_deactivated_is_known_and_not_let_in(
    people: People, secrets: KnownSecrets
) -> None:
    user = await people.user(1, 1)
    organization = await people.organization(1)
    assert user is not None and organization is not None
    await people.change_user(replace(user, active=False))
    caller = await secrets.identify("user-secret", None, None)
    assert caller is not None and "user ann@example.com is deactivated" in caller.problem
    await people.change_user(user)
    await people.change_organization(replace(organization, active=False))
    caller = await secrets.identify("user-secret", None, None)
    assert caller is not None and "organization is deactivated" in caller.problem


async def test_an_address_and_a_name_belong_to_one(people: People) -> None:
    with pytest.raises(Conflict, match=r"there is a user 'ANN@example.com' already"):
        await people.add_user(1, NewUser("ANN@example.com", Role.VIEWER))
    bob = await people.add_user(1, NewUser("bob@example.com", Role.VIEWER))
    with pytest.raises(Conflict, match="there is a user"):
        await people.change_user(replace(bob, email="Ann@Example.com"))
    with pytest.raises(Conflict, match="there is an organization"):
        await people.add_organization(
            "Organization 1", NewUser("cara@example.com", Role.VIEWER), "x", "y"
        )
    assert await people.user_with_email("cara@example.com") is None
    assert await people.users(1) == [await people.user(1, 1), bob]


async def test_an_owner_has_a_bounded_number_of_secrets(
    people: People, secrets: KnownSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbulk.storage.known_secrets.MAX_SECRETS", 3)
    owner = Owner(1, 1)
    made = [await secrets.add(owner, NewSecret(name), name) for name in ("one", "two")]
    with pytest.raises(Conflict, match="which is the limit; delete one"):
        await secrets.add(owner, NewSecret("three"), "three")
    with pytest.raises(Conflict, match="which is the limit"):
        await secrets.rotate(owner, made[0], "three", timedelta(0))
    await secrets.add(Owner(1), NewSecret("three"), "three")
