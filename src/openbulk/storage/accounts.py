"""The instances that organizations have signed in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.errors import NotFound
from openbulk.domain.instance import Instance
from openbulk.security import Sealer, fingerprint
from openbulk.storage.custom_elements import lock_custom_element
from openbulk.storage.database import for_reading
from openbulk.storage.readable_rows import read_each
from openbulk.storage.resealing import reseal_rows
from openbulk.storage.tables import bookmarks, definitions, instances, transformations


def _by_id(instance_id: int) -> Select[*tuple[Any, ...]]:
    return select(instances).where(instances.c.id == instance_id)


class Accounts:
    """Remembers instances. It keeps tokens as fingerprints, and seals configurations."""

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
