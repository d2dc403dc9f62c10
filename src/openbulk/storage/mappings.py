"""Saved mappings of organizations: how the columns of files make fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import Conflict
from openbulk.domain.file_mapping import FileMapping, parse_mapping
from openbulk.storage.database import for_reading
from openbulk.storage.tables import mappings

MAX_MAPPINGS = 1_000
"""Versions of mappings of an organization."""


_IS_THERE = mappings.c.deleted_at.is_(None)


@dataclass(frozen=True, slots=True)
class NewMapping:
    """A mapping to save."""

    name: str
    element: str
    """The service that it is for."""
    object: str
    header: tuple[str, ...]
    """The columns of the files that it is for."""
    mapping: FileMapping


@dataclass(frozen=True, slots=True)
class SavedMapping:
    """A version of a saved mapping. It never changes."""

    id: int
    user_id: int
    """Who saved it."""
    version: int
    """From 1, for each name."""
    created_at: datetime
    saved: NewMapping


class Mappings:
    """Remembers mappings. None belongs to more than one organization."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def add(
        self, organization_id: int, user_id: int, new: NewMapping, now: datetime
    ) -> SavedMapping:
        """Save a mapping; under a name that is there, as its next version.

        The number of a deleted version is never given again.

        Raises Conflict if there are too many, or if the name is one of another object's mapping.
        """
        of_organization = mappings.c.organization_id == organization_id
        count = select(func.count()).select_from(mappings).where(of_organization, _IS_THERE)
        latest = select(mappings).where(of_organization, mappings.c.name == new.name)
        latest = latest.order_by(mappings.c.version.desc()).limit(1)
        values = {
            "organization_id": organization_id,
            "user_id": user_id,
            "name": new.name,
            "element": new.element,
            "object": new.object,
            "header": list(new.header),
            "mapping": new.mapping.as_json(),
            "created_at": now,
        }
        try:
            async with self._engine.begin() as connection:
                if (await connection.execute(count)).scalar_one() >= MAX_MAPPINGS:
                    raise Conflict(
                        f"the organization has {MAX_MAPPINGS:,} mappings, which is the limit; "
                        "delete some with DELETE /mappings/{id}"
                    )
                before = (await connection.execute(latest)).first()
                _require_same_object(before, new)
                version = 1 if before is None else before.version + 1
                made = await connection.execute(insert(mappings).values(**values, version=version))
                assert made.inserted_primary_key is not None
                id_ = int(made.inserted_primary_key.id)
        except IntegrityError as error:
            raise Conflict(
                f"the mapping {new.name!r} was saved by another request at the same time; "
                "send it again"
            ) from error
        return SavedMapping(id_, user_id, version, now, new)

    async def one(self, organization_id: int, id_: int) -> SavedMapping | None:
        """A version of a mapping by its number; None if there is none."""
        return await self._first(organization_id, mappings.c.id == id_)

    async def latest(
        self, organization_id: int, name: str, version: int | None = None
    ) -> SavedMapping | None:
        """The latest version of a mapping, or the stated one; None if there is none."""
        chosen = mappings.c.name == name
        if version is not None:
            chosen &= mappings.c.version == version
        return await self._first(organization_id, chosen)

    async def _first(
        self, organization_id: int, chosen: ColumnElement[bool]
    ) -> SavedMapping | None:
        of_organization = mappings.c.organization_id == organization_id
        query = select(mappings).where(of_organization, _IS_THERE, chosen)
        query = query.order_by(mappings.c.version.desc()).limit(1)
        async with self._reading.connect() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _saved_mapping(row)

    async def all_of(
        self, organization_id: int, *, element: str | None = None, object: str | None = None
    ) -> Sequence[SavedMapping]:
        """All versions, the newest first; those of an element and an object if they are given."""
        of_organization = mappings.c.organization_id == organization_id
        query = select(mappings).where(of_organization, _IS_THERE)
        if element is not None:
            query = query.where(mappings.c.element == element)
        if object is not None:
            query = query.where(mappings.c.object == object)
        async with self._reading.connect() as connection:
            rows = await connection.execute(query.order_by(mappings.c.id.desc()))
            return [_saved_mapping(row) for row in rows]

    async def names_of(self, organization_id: int) -> Sequence[str]:
        """The names of an organization's mappings."""
        of_organization = mappings.c.organization_id == organization_id
        query = select(mappings.c.name).where(of_organization, _IS_THERE)
        async with self._reading.connect() as connection:
            return list((await connection.execute(query.distinct())).scalars())

    async def delete(self, organization_id: int, id_: int, now: datetime) -> bool:
        """Delete a version of a mapping; return whether there was one."""
        of_organization = mappings.c.organization_id == organization_id
        change = update(mappings).where(of_organization, _IS_THERE, mappings.c.id == id_)
        async with self._engine.begin() as connection:
            done = await connection.execute(change.values(deleted_at=now, mapping={}, header=[]))
        return done.rowcount > 0


def _require_same_object(before: Row[Any] | None, new: NewMapping) -> None:
    if (
        before is not None
        and before.deleted_at is None
        and (before.element, before.object) != (new.element, new.object)
    ):
        raise Conflict(
            f"there is a mapping {new.name!r} for {before.object!r} of {before.element}; "
            "choose another name, or delete that one"
        )


def _saved_mapping(row: Row[Any]) -> SavedMapping:
    saved = NewMapping(
        row.name, row.element, row.object, tuple(row.header), parse_mapping(row.mapping)
    )
    return SavedMapping(row.id, row.user_id, row.version, row.created_at, saved)
