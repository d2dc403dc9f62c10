"""Organizations, users, and the instances that they have signed in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.errors import NotFound
from openbulk.domain.instance import CallingInstance, Instance
from openbulk.security import Sealer, fingerprint
from openbulk.storage.custom_elements import lock_custom_element
from openbulk.storage.database import FIRST_START, for_reading, keep_others_out
from openbulk.storage.readable_rows import read_each
from openbulk.storage.resealing import reseal_rows
from openbulk.storage.tables import (
    bookmarks,
    definitions,
    instances,
    organization_secrets,
    organizations,
    transformations,
    user_secrets,
    users,
)


@dataclass(frozen=True, slots=True)
class User:
    """A person or program that may call."""

    id: int
    organization_id: int
    email: str


@dataclass(frozen=True, slots=True)
class Caller:
    """The user, organization and instance that the secrets of a request belong to."""

    user: User
    knows_organization: bool
    """Whether the organization's secret is one of the user's organization."""
    instance: CallingInstance | None
    """The instance that the token belongs to, if it is one of the user's organization."""


def _has_secret(owners: Table, secrets: Table, name: str) -> ColumnElement[bool]:
    """Whether a secret, whose fingerprint is the parameter `name`, is one of the owner's."""
    further = select(secrets.c.owner_id).where(secrets.c.fingerprint == bindparam(name))
    return or_(owners.c.secret_fingerprint == bindparam(name), owners.c.id.in_(further))


_CALLER = (
    select(
        users.c.id,
        users.c.organization_id,
        users.c.email,
        _has_secret(organizations, organization_secrets, "organization").label(
            "knows_organization"
        ),
        instances.c.id.label("instance_id"),
        instances.c.element,
        instances.c.version,
    )
    .join_from(users, organizations)
    .outerjoin(
        instances,
        and_(
            instances.c.organization_id == users.c.organization_id,
            instances.c.token_fingerprint == bindparam("instance"),
        ),
    )
    .where(_has_secret(users, user_secrets, "user"))
)


def _by_id(instance_id: int) -> Select[*tuple[Any, ...]]:
    return select(instances).where(instances.c.id == instance_id)


class Accounts:
    """Remembers organizations, users and instances.

    It keeps secrets as fingerprints, and seals configurations.
    """

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._sealer = sealer

    async def version_of(self, instance_id: int) -> int | None:
        """The version of an instance, which each change raises; None if the instance is gone."""
        async with self._reading.connect() as connection:
            found: int | None = await connection.scalar(
                select(instances.c.version).where(instances.c.id == instance_id)
            )
        return found

    async def is_empty(self) -> bool:
        """Whether there is no user yet, because this is the first start."""
        async with self._reading.connect() as connection:
            return (await connection.execute(select(users.c.id).limit(1))).first() is None

    async def add_first_organization(self, secret: str, user_email: str, user_secret: str) -> bool:
        """Add the first organization and its first user; return whether they are the first.

        Also True if exactly these exist: the answer to an earlier call may have been lost.
        """
        async with self._engine.begin() as connection:
            await keep_others_out(connection, FIRST_START)
            if (await connection.execute(select(users.c.id).limit(1))).first() is None:
                await _add_organization(connection, secret, user_email, user_secret)
                return True
        caller = await self.identify(user_secret, secret, None)
        return caller is not None and caller.knows_organization

    async def add_organization(self, secret: str, user_email: str, user_secret: str) -> None:
        """Add an organization and its first user."""
        async with self._engine.begin() as connection:
            await _add_organization(connection, secret, user_email, user_secret)

    async def set_secrets(self, organization: Sequence[str], user: Sequence[str]) -> Sequence[str]:
        """Set all secrets of the first organization and of the first user. None changes none.

        Returns for which of "organization" and "user" an earlier secret has ended.
        """
        ended: list[str] = []
        async with self._engine.begin() as connection:
            await keep_others_out(connection, FIRST_START)
            for name, owners, further, secrets in (
                ("organization", organizations, organization_secrets, organization),
                ("user", users, user_secrets, user),
            ):
                if secrets and await _set_secrets(connection, owners, further, secrets):
                    ended.append(name)
        return ended

    async def set_email(self, email: str) -> None:
        """Set the address of the first user."""
        first = select(func.min(users.c.id)).scalar_subquery()
        async with self._engine.begin() as connection:
            await connection.execute(update(users).where(users.c.id == first).values(email=email))

    async def identify(
        self, user_secret: str, organization_secret: str | None, token: str | None
    ) -> Caller | None:
        """Whom the secrets of a request belong to; None if the user's is not known."""
        secrets = {"user": user_secret, "organization": organization_secret, "instance": token}
        fingerprints = {owner: secret and fingerprint(secret) for owner, secret in secrets.items()}
        async with self._reading.connect() as connection:
            row = (await connection.execute(_CALLER, fingerprints)).first()
        if row is None:
            return None
        instance = None
        if row.instance_id is not None:
            instance = CallingInstance(
                row.instance_id, row.organization_id, row.element, row.version
            )
        user = User(row.id, row.organization_id, row.email)
        return Caller(user, bool(row.knows_organization), instance)

    async def add_instance(
        self,
        *,
        organization_id: int,
        element: str,
        name: str,
        token: str,
        configuration: Mapping[str, str],
        tags: Sequence[str],
        now: datetime,
        limit: int,
        keeps_token: bool = False,
        is_custom: bool = False,
    ) -> Instance | None:
        """Remember a signed-in instance; None if its organization has as many as `limit`.

        With `keeps_token` the token can be read again. Else only its fingerprint is kept.
        Raises NotFound if its element `is_custom`, and was deleted meanwhile.
        """
        count = select(func.count()).where(instances.c.organization_id == organization_id)
        values = {
            "organization_id": organization_id,
            "element": element,
            "name": name,
            "tags": list(tags),
            "created_at": now,
        }
        async with self._engine.begin() as connection:
            if (await connection.execute(count)).scalar_one() >= limit:
                return None
            if is_custom and not await lock_custom_element(connection, organization_id, element):
                raise NotFound(f"the element {element!r} was deleted at the same time")
            # A configuration is sealed for its instance, whose id is not known before the insert.
            made = await connection.execute(
                insert(instances).values(
                    **values, token_fingerprint=fingerprint(token), sealed_configuration=b""
                )
            )
            assert made.inserted_primary_key is not None
            instance_id = int(made.inserted_primary_key.id)
            await connection.execute(
                update(instances)
                .where(instances.c.id == instance_id)
                .values(
                    sealed_configuration=self._seal(instance_id, configuration),
                    sealed_token=self._seal_token(instance_id, token) if keeps_token else None,
                )
            )
        return Instance(
            id=instance_id,
            organization_id=organization_id,
            element=element,
            name=name,
            configuration=dict(configuration),
            created_at=now,
            tags=tuple(tags),
            token=token if keeps_token else None,
        )

    async def instance(self, instance_id: int) -> Instance | None:
        """An instance by its id."""
        async with self._reading.connect() as connection:
            return await self._find(connection, _by_id(instance_id))

    async def instance_with_token(self, token: str) -> Instance | None:
        """The instance that a caller's `Element` token belongs to."""
        chosen = select(instances).where(instances.c.token_fingerprint == fingerprint(token))
        async with self._reading.connect() as connection:
            return await self._find(connection, chosen)

    async def instances_of(
        self, organization_id: int, *, after: int = 0, limit: int | None = None
    ) -> Sequence[Instance]:
        """The instances of an organization whose ids are above `after`, oldest first."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(
                select(instances)
                .where(instances.c.organization_id == organization_id, instances.c.id > after)
                .order_by(instances.c.id)
                .limit(limit)
            )
            return read_each(rows, self._instance, "instance")

    async def elements_of(self, organization_id: int) -> Mapping[int, str]:
        """The keys of the services of an organization's instances, by their ids."""
        chosen = select(instances.c.id, instances.c.element)
        chosen = chosen.where(instances.c.organization_id == organization_id)
        async with self._reading.connect() as connection:
            return {row.id: row.element for row in await connection.execute(chosen)}

    async def change_instance(self, before: Instance, after: Instance) -> Instance | None:
        """Apply the differences between two readings; return the instance, None if it is gone.

        They may be in its name, tags, `disabled`, and entries of its configuration. Other changes
        made meanwhile stay, such as a refresh token that a worker has renewed.
        """
        async with self._engine.begin() as connection:
            locked = await self._locked_instance(connection, before.id)
            if locked is None:
                return None
            now = _merge_changes(locked, before, after)
            await connection.execute(
                update(instances)
                .where(instances.c.id == now.id)
                .values(
                    name=now.name,
                    tags=list(now.tags),
                    disabled=now.disabled,
                    sealed_configuration=self._seal(now.id, now.configuration),
                    version=now.version,
                )
            )
        return now

    async def update_configuration(
        self, instance_id: int, changes: Mapping[str, str]
    ) -> int | None:
        """Change entries of a configuration; return the version, None if the instance is gone."""
        async with self._engine.begin() as connection:
            instance = await self._locked_instance(connection, instance_id)
            if instance is None:
                return None
            # Change only these entries: a person may have changed others meanwhile.
            configuration = {**instance.configuration, **changes}
            version: int | None = await connection.scalar(
                update(instances)
                .where(instances.c.id == instance_id)
                .values(
                    sealed_configuration=self._seal(instance_id, configuration),
                    version=instances.c.version + 1,
                )
                .returning(instances.c.version)
            )
        return version

    async def replace_token(
        self, instance_id: int, token: str, *, keeps_token: bool = False
    ) -> None:
        """Give an instance another token; the earlier one ends at once.

        `keeps_token` as in `add_instance`.
        """
        sealed = self._seal_token(instance_id, token) if keeps_token else None
        async with self._engine.begin() as connection:
            await connection.execute(
                update(instances)
                .where(instances.c.id == instance_id)
                .values(token_fingerprint=fingerprint(token), sealed_token=sealed)
            )

    async def set_missing_entry(self, instance_id: int, name: str, value: str) -> Mapping[str, str]:
        """Set an entry of a configuration if it has none; return the configuration.

        It is empty if the instance is gone.
        """
        async with self._engine.begin() as connection:
            instance = await self._locked_instance(connection, instance_id)
            if instance is None:
                return {}
            if instance.configuration.get(name):
                return instance.configuration
            configuration = {**instance.configuration, name: value}
            await connection.execute(
                update(instances)
                .where(instances.c.id == instance_id)
                .values(sealed_configuration=self._seal(instance_id, configuration))
            )
        return configuration

    async def delete_instance(self, instance_id: int) -> None:
        """Forget an instance, its credentials, its bookmarks, and its names of objects."""
        async with self._engine.begin() as connection:
            for table in (bookmarks, definitions, transformations):
                await connection.execute(delete(table).where(table.c.instance_id == instance_id))
            await connection.execute(delete(instances).where(instances.c.id == instance_id))

    async def _locked_instance(
        self, connection: AsyncConnection, instance_id: int
    ) -> Instance | None:
        """An instance that nobody else changes until the transaction ends."""
        return await self._find(connection, _by_id(instance_id).with_for_update())

    async def _find(
        self, connection: AsyncConnection, chosen: Select[*tuple[Any, ...]]
    ) -> Instance | None:
        row = (await connection.execute(chosen)).first()
        return None if row is None else self._instance(row)

    def _seal(self, instance_id: int, configuration: Mapping[str, str]) -> bytes:
        return self._sealer.seal(orjson.dumps(dict(configuration)), _context(instance_id))

    def _seal_token(self, instance_id: int, token: str) -> bytes:
        return self._sealer.seal(token.encode(), _token_context(instance_id))

    def _instance(self, row: Row[Any]) -> Instance:
        plain = self._sealer.open(row.sealed_configuration, _context(row.id))
        token: str | None = None
        if row.sealed_token is not None:
            token = self._sealer.open(row.sealed_token, _token_context(row.id)).decode()
        return Instance(
            id=row.id,
            organization_id=row.organization_id,
            element=row.element,
            name=row.name,
            configuration=orjson.loads(plain),
            created_at=row.created_at,
            tags=tuple(row.tags),
            disabled=row.disabled,
            token=token,
            version=row.version,
        )


async def reseal(connection: AsyncConnection, sealer: Sealer) -> int:
    """Reseal, with the first master key, the configurations and tokens that another key has sealed.

    Returns the number of their instances. Raises SealBroken or KeyMissing if one cannot be opened.
    """
    return await reseal_rows(
        connection,
        sealer,
        {
            instances.c.sealed_configuration: _context,
            instances.c.sealed_token: _token_context,
        },
    )


async def _add_organization(
    connection: AsyncConnection, secret: str, user_email: str, user_secret: str
) -> None:
    made = await connection.execute(
        insert(organizations).values(secret_fingerprint=fingerprint(secret))
    )
    assert made.inserted_primary_key is not None
    await connection.execute(
        insert(users).values(
            organization_id=made.inserted_primary_key.id,
            email=user_email,
            secret_fingerprint=fingerprint(user_secret),
        )
    )


async def _set_secrets(
    connection: AsyncConnection, owners: Table, further: Table, secrets: Sequence[str]
) -> bool:
    """Set all secrets of the first owner; return whether an earlier one has ended."""
    first, *others = dict.fromkeys(fingerprint(secret) for secret in secrets)
    owner = (await connection.execute(select(owners).order_by(owners.c.id).limit(1))).one()
    of_owner = further.c.owner_id == owner.id
    kept = await connection.scalars(select(further.c.fingerprint).where(of_owner))
    before = {owner.secret_fingerprint, *kept}
    await connection.execute(delete(further).where(of_owner))
    await connection.execute(
        update(owners).where(owners.c.id == owner.id).values(secret_fingerprint=first)
    )
    if others:
        rows = [{"fingerprint": one, "owner_id": owner.id} for one in others]
        await connection.execute(insert(further), rows)
    return not before <= {first, *others}


def _merge_changes(now: Instance, before: Instance, after: Instance) -> Instance:
    """The current instance, with the differences between two readings applied."""
    changes: dict[str, Any] = {
        name: getattr(after, name)
        for name in ("name", "tags", "disabled")
        if getattr(after, name) != getattr(before, name)
    }
    changes["configuration"] = _merge_entries(
        now.configuration, before.configuration, after.configuration
    )
    return replace(now, **changes, version=now.version + 1)


def _merge_entries(
    now: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]
) -> Mapping[str, str]:
    """The current configuration, with the differences between two readings applied."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    kept = {name: value for name, value in now.items() if name in after or name not in before}
    return {**kept, **changed}


def _context(instance_id: int) -> str:
    return f"configuration of instance {instance_id}"


def _token_context(instance_id: int) -> str:
    return f"token of instance {instance_id}"
