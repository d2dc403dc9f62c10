"""The limits of organizations, and what counts against them."""

from typing import Any

from sqlalchemy import Row, bindparam, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.limits import Limits
from openbulk.storage.database import for_reading
from openbulk.storage.job_rows import ACTIVE
from openbulk.storage.tables import api_calls, files, jobs, organizations

LIMIT_COLUMNS = (
    organizations.c.max_jobs,
    organizations.c.max_bytes,
    organizations.c.max_calls_per_minute,
)

_COUNT_JOBS = select(func.count()).where(
    jobs.c.status.in_(ACTIVE), jobs.c.organization_id == bindparam("organization")
)
"""Statements of each job are made once: making one takes longer than sending it."""


def limits_of_row(row: Row[Any]) -> Limits:
    """The limits in a row with `LIMIT_COLUMNS`."""
    return Limits(row.max_jobs, row.max_bytes, row.max_calls_per_minute)


class OrganizationLimits:
    """Remembers limits, counts what is used of them, and takes calls."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def limits(self, organization_id: int) -> Limits:
        """The limits of an organization's own."""
        chosen = select(organizations).where(organizations.c.id == organization_id)
        async with self._reading.connect() as connection:
            return limits_of_row((await connection.execute(chosen)).one())

    async def set_limits(self, organization_id: int, limits: Limits) -> None:
        """Give an organization limits of its own."""
        change = update(organizations).where(organizations.c.id == organization_id)
        values = {
            "max_jobs": limits.jobs,
            "max_bytes": limits.bytes,
            "max_calls_per_minute": limits.calls_per_minute,
        }
        async with self._engine.begin() as connection:
            await connection.execute(change.values(values))

    # --- what is used ---

    async def unfinished_jobs(self, organization_id: int) -> int:
        """The number of an organization's jobs that are not finished."""
        of_organization = {"organization": organization_id}
        async with self._reading.connect() as connection:
            return (await connection.execute(_COUNT_JOBS, of_organization)).scalar_one()

    async def kept_bytes(self, organization_id: int) -> int:
        """The bytes of an organization's files that are kept in the file store.

        Those are files of uploads and of `POST /files`, as they were sent, and the records of
        downloads. What openbulk makes of them does not count: parts, profiles, before-images.
        """
        of_jobs = select(func.coalesce(func.sum(jobs.c.kept_bytes), 0)).where(
            jobs.c.organization_id == organization_id, jobs.c.has_file
        )
        of_files = select(func.coalesce(func.sum(files.c.size), 0)).where(
            files.c.organization_id == organization_id
        )
        both = select(of_jobs.scalar_subquery(), of_files.scalar_subquery())
        async with self._reading.connect() as connection:
            in_jobs, in_files = (await connection.execute(both)).one()
        return int(in_jobs) + int(in_files)

    # --- calls ---

    async def take_calls(self, organization_id: int, minute: int, count: int) -> int:
        """Take calls of a minute since 1970; return how many all processes have taken of it.

        A minute that is over for another process counts as its newer one.
        """
        kind = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        is_over = api_calls.c.minute < minute
        take = kind.insert(api_calls).values(
            organization_id=organization_id, minute=minute, taken=count
        )
        take = take.on_conflict_do_update(
            index_elements=["organization_id"],
            set_={
                "minute": case((is_over, minute), else_=api_calls.c.minute),
                "taken": case((is_over, count), else_=api_calls.c.taken + count),
            },
        ).returning(api_calls.c.taken)
        async with self._engine.begin() as connection:
            return int((await connection.execute(take)).scalar_one())

    async def taken_calls(self, organization_id: int, minute: int) -> int:
        """The calls that all processes have taken of a minute."""
        taken = select(api_calls.c.taken).where(
            api_calls.c.organization_id == organization_id, api_calls.c.minute >= minute
        )
        async with self._reading.connect() as connection:
            return (await connection.execute(taken)).scalar_one_or_none() or 0
