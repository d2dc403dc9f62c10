"""The custom connectors of organizations: the exports that describe them.

Exports are sealed: their authors may have written a secret into any part of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.bounded_json import load_json, store_json
from openbulk.domain.errors import Conflict, NotFound
from openbulk.security import Sealer
from openbulk.storage.database import for_reading
from openbulk.storage.readable_rows import read_each
from openbulk.storage.resealing import reseal_rows
from openbulk.storage.tables import custom_elements, instances

Export = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CustomElement:
    """The export of one custom connector."""

    id: int
    organization_id: int
    key: str
    export: Export
    version: int
    """Raised by each change."""


class CustomElements:
    """Remembers custom connectors. None belongs to more than one organization."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._sealer = sealer

    async def versions_of(self, organization_id: int) -> Mapping[int, int]:
        """The versions of an organization's custom connectors by their ids, oldest first."""
        chosen = select(custom_elements.c.id, custom_elements.c.version)
        chosen = chosen.where(custom_elements.c.organization_id == organization_id)
        async with self._reading.connect() as connection:
            rows = await connection.execute(chosen.order_by(custom_elements.c.id))
            return {row.id: row.version for row in rows}

    async def version_of(self, organization_id: int, key: str) -> tuple[int, int] | None:
        """The id and the version of the custom connector with a key; None if there is none."""
        chosen = select(custom_elements.c.id, custom_elements.c.version)
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen.where(_is(organization_id, key)))).first()
        return None if row is None else (row.id, row.version)

    async def each(self, ids: Sequence[int]) -> Sequence[CustomElement]:
        """Custom connectors by their ids; those that are gone are left out."""
        if not ids:
            return []
        async with self._reading.connect() as connection:
            rows = await connection.execute(
                select(custom_elements).where(custom_elements.c.id.in_(ids))
            )
            return read_each(rows, self._element, "custom connector")

    async def add(
        self, organization_id: int, key: str, export: Export, now: datetime, limit: int
    ) -> CustomElement:
        """Remember a custom connector.

        Raises Conflict if the organization has one with this key, or as many as `limit`.
        """
        count = select(func.count()).where(custom_elements.c.organization_id == organization_id)
        values = {
            "organization_id": organization_id,
            "key": key,
            "created_at": now,
        }
        try:
            async with self._engine.begin() as connection:
                if (await connection.execute(count)).scalar_one() >= limit:
                    raise Conflict(
                        f"the organization has {limit:,} custom connectors, which is the limit; "
                        "delete one with DELETE /elements/{key}"
                    )
                # An export is sealed for its row, whose id is not known before the insert.
                made = await connection.execute(
                    insert(custom_elements).values(**values, sealed_export=b"")
                )
                assert made.inserted_primary_key is not None
                id_ = int(made.inserted_primary_key.id)
                await connection.execute(
                    update(custom_elements)
                    .where(custom_elements.c.id == id_)
                    .values(sealed_export=self._seal(id_, export))
                )
        except IntegrityError as error:
            raise Conflict(
                f"there is an element {key!r} already; change it with PUT /elements/{key}"
            ) from error
        return CustomElement(id_, organization_id, key, export, 0)

    async def replace(
        self, element: CustomElement, export: Export, *, problem: str | None = None
    ) -> CustomElement:
        """Put another export in place of one; its instances connect again.

        `problem` says why the new one is not for instances of the earlier. Raises Conflict if there
        are some, or if somebody else has replaced it meanwhile, and NotFound if it is gone.
        """
        async with self._engine.begin() as connection:
            if not await lock_custom_element(connection, element.organization_id, element.key):
                raise NotFound(f"the element {element.key!r} was deleted at the same time")
            if problem is not None and await _count_instances(connection, element):
                raise Conflict(f"{element.key} has instances, and {problem}; delete them first")
            version: int | None = await connection.scalar(
                update(custom_elements)
                .where(
                    custom_elements.c.id == element.id,
                    custom_elements.c.version == element.version,
                )
                .values(
                    sealed_export=self._seal(element.id, export),
                    version=custom_elements.c.version + 1,
                )
                .returning(custom_elements.c.version)
            )
            if version is None:
                raise Conflict(
                    f"the element {element.key!r} was changed at the same time; send it again"
                )
            await connection.execute(
                update(instances).where(*_of(element)).values(version=instances.c.version + 1)
            )
        return CustomElement(element.id, element.organization_id, element.key, export, version)

    async def delete(self, element: CustomElement) -> None:
        """Forget a custom connector. Raises Conflict while it has instances."""
        async with self._engine.begin() as connection:
            await lock_custom_element(connection, element.organization_id, element.key)
            count = await _count_instances(connection, element)
            if count:
                which, them = (
                    ("an instance", "it") if count == 1 else (f"{count:,} instances", "them")
                )
                raise Conflict(
                    f"the element {element.key!r} has {which}; delete {them} first, "
                    "with DELETE /instances/{id}"
                )
            await connection.execute(
                delete(custom_elements).where(custom_elements.c.id == element.id)
            )

    def _seal(self, element_id: int, export: Export) -> bytes:
        return self._sealer.seal(store_json(export).encode(), _context(element_id))

    def _element(self, row: Row[Any]) -> CustomElement:
        plain = self._sealer.open(row.sealed_export, _context(row.id))
        return CustomElement(row.id, row.organization_id, row.key, load_json(plain), row.version)


def _of(element: CustomElement) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Chooses the instances of a custom connector."""
    return (
        instances.c.organization_id == element.organization_id,
        instances.c.element == element.key,
    )


async def _count_instances(connection: AsyncConnection, element: CustomElement) -> int:
    chosen = select(func.count()).select_from(instances).where(*_of(element))
    return (await connection.execute(chosen)).scalar_one()


async def lock_custom_element(connection: AsyncConnection, organization_id: int, key: str) -> bool:
    """Keep others from deleting a custom connector until the transaction ends; False if it is gone.

    An instance may be made while somebody deletes its connector.
    """
    chosen = select(custom_elements.c.id).where(_is(organization_id, key)).with_for_update()
    return (await connection.execute(chosen)).first() is not None


def _is(organization_id: int, key: str) -> ColumnElement[bool]:
    return and_(custom_elements.c.organization_id == organization_id, custom_elements.c.key == key)


async def reseal_exports(connection: AsyncConnection, sealer: Sealer) -> int:
    """Reseal, with the first master key, the exports that another key has sealed.

    Returns their number. Raises SealBroken or KeyMissing if one cannot be opened.
    """
    return await reseal_rows(connection, sealer, {custom_elements.c.sealed_export: _context})


def _context(element_id: int) -> str:
    return f"export of custom connector {element_id}"
