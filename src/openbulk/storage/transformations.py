"""Callers' own objects: their definitions, and their transformations for each instance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import Conflict
from openbulk.domain.transformation import DefinedField, Transformation, transformation_of
from openbulk.storage.database import for_reading
from openbulk.storage.tables import definitions, transformations

OF_ORGANIZATION = 0
"""Stands for the instance in a definition of a whole organization."""
MAX_DEFINITIONS = 200
"""Of an organization, and of an instance."""
MAX_TRANSFORMATIONS = 200
"""Of an instance."""


@dataclass(frozen=True, slots=True)
class StoredTransformation:
    """A transformation, and when it was last changed."""

    transformation: Transformation
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose definitions: those of an organization, or of one of its instances."""

    organization_id: int
    instance_id: int = OF_ORGANIZATION


class Transformations:
    """Remembers definitions and transformations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    # --- definitions ---

    async def definitions_of(self, owner: Owner) -> Mapping[str, Sequence[DefinedField]]:
        """All definitions of an owner, by their names."""
        chosen = select(definitions).where(_of(owner)).order_by(definitions.c.name)
        async with self._reading.connect() as connection:
            rows = await connection.execute(chosen)
            return {row.name: _fields_in(row) for row in rows}

    async def definition(self, owner: Owner, name: str) -> Sequence[DefinedField] | None:
        """The fields of a definition; None if there is none."""
        chosen = select(definitions).where(_of(owner), definitions.c.name == name)
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else _fields_in(row)

    async def add_definitions(
        self, owner: Owner, given: Mapping[str, Sequence[DefinedField]]
    ) -> None:
        """Add definitions, all or none. Raises Conflict if one is there, or for too many."""
        rows = [
            {**asdict(owner), "name": name, "fields": [asdict(field) for field in fields]}
            for name, fields in given.items()
        ]
        await self._add(definitions, _of(owner), MAX_DEFINITIONS, rows)

    async def replace_definition(
        self, owner: Owner, name: str, fields: Sequence[DefinedField]
    ) -> bool:
        """Replace a definition; return whether there is one."""
        change = update(definitions).where(_of(owner), definitions.c.name == name)
        async with self._engine.begin() as connection:
            done = await connection.execute(
                change.values(fields=[asdict(field) for field in fields])
            )
        return done.rowcount > 0

    async def delete_definition(self, owner: Owner, name: str) -> bool:
        """Delete a definition; return whether there was one."""
        async with self._engine.begin() as connection:
            done = await connection.execute(
                delete(definitions).where(_of(owner), definitions.c.name == name)
            )
        return done.rowcount > 0

    # --- transformations ---

    async def transformations_of(self, instance_id: int) -> Sequence[StoredTransformation]:
        """All transformations of an instance, by name."""
        of_instance = transformations.c.instance_id == instance_id
        chosen = select(transformations).where(of_instance).order_by(transformations.c.name)
        async with self._reading.connect() as connection:
            return [_transformation_in(row) for row in await connection.execute(chosen)]

    async def transformation(self, instance_id: int, name: str) -> StoredTransformation | None:
        """An instance's transformation of that name; None if it has none."""
        chosen = select(transformations).where(_is(instance_id, name))
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else _transformation_in(row)

    async def names_of(self, instance_id: int, name: str) -> Transformation | None:
        """The caller's names of an object; None if they are the service's."""
        stored = await self.transformation(instance_id, name)
        return None if stored is None else stored.transformation

    async def add_transformation(
        self, instance_id: int, transformation: Transformation, now: datetime
    ) -> None:
        """Add a transformation. Raises Conflict if there is one, or if there are too many."""
        await self._add(
            transformations,
            transformations.c.instance_id == instance_id,
            MAX_TRANSFORMATIONS,
            [
                {
                    "instance_id": instance_id,
                    "name": transformation.name,
                    "transformation": transformation.as_json(),
                    "changed_at": now,
                }
            ],
        )

    async def replace_transformation(
        self, instance_id: int, transformation: Transformation, now: datetime
    ) -> bool:
        """Replace a transformation; return whether there is one."""
        change = update(transformations).where(_is(instance_id, transformation.name))
        async with self._engine.begin() as connection:
            done = await connection.execute(
                change.values(transformation=transformation.as_json(), changed_at=now)
            )
        return done.rowcount > 0

    async def delete_transformation(self, instance_id: int, name: str) -> bool:
        """Delete a transformation; return whether there was one."""
        async with self._engine.begin() as connection:
            done = await connection.execute(delete(transformations).where(_is(instance_id, name)))
        return done.rowcount > 0

    async def delete_transformations_of(self, instance_id: int) -> None:
        """Delete all transformations of an instance."""
        of_instance = transformations.c.instance_id == instance_id
        async with self._engine.begin() as connection:
            await connection.execute(delete(transformations).where(of_instance))

    async def _add(
        self,
        table: Table,
        of_owner: ColumnElement[bool],
        limit: int,
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        names = [row["name"] for row in rows]
        count = select(func.count()).select_from(table).where(of_owner)
        taken = select(table.c.name).where(of_owner, table.c.name.in_(names)).limit(1)
        try:
            async with self._engine.begin() as connection:
                name = await connection.scalar(taken)
                if name is not None:
                    raise _conflict(table, name)
                if (await connection.execute(count)).scalar_one() + len(rows) > limit:
                    raise Conflict(f"there can be at most {limit} {table.name}; delete some")
                await connection.execute(insert(table), [dict(row) for row in rows])
        except IntegrityError as error:
            # Another request has added one of them at the same time.
            raise _conflict(table, names[0]) from error


def _conflict(table: Table, name: str) -> Conflict:
    word = table.name.removesuffix("s")
    return Conflict(f"there is a {word} {name!r}; PUT replaces it, DELETE deletes it")


def _of(owner: Owner) -> ColumnElement[bool]:
    of_organization = definitions.c.organization_id == owner.organization_id
    return of_organization & (definitions.c.instance_id == owner.instance_id)


def _is(instance_id: int, name: str) -> ColumnElement[bool]:
    return (transformations.c.instance_id == instance_id) & (transformations.c.name == name)


def _fields_in(row: Row[Any]) -> Sequence[DefinedField]:
    return [DefinedField(**field) for field in row.fields]


def _transformation_in(row: Row[Any]) -> StoredTransformation:
    return StoredTransformation(transformation_of(row.transformation), row.changed_at)
