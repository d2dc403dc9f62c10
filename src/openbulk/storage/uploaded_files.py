"""The files of `POST /files`. Their bytes, rows and profiles are in the file store."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.errors import Conflict, IdempotencyKeyTaken, NotFound
from openbulk.domain.job import IdempotencyKey
from openbulk.domain.uploaded_file import NewFile, UploadedFile
from openbulk.storage.database import for_reading
from openbulk.storage.job_rows import ACTIVE
from openbulk.storage.readable_rows import read_each
from openbulk.storage.tables import files, jobs

CLAIM = timedelta(seconds=60)
"""A process that reads a file renews its claim more often. Another one reads it after that time."""
MAX_ATTEMPTS = 3
"""How often a file is read to its end that costs the life of who reads it."""
_ORGANIZATION = 0
"""The instance of a file that belongs to the whole organization."""
_IN_USE = exists().where(jobs.c.uploaded_file == files.c.file, jobs.c.status.in_(ACTIVE))
_IS_UNREAD = and_(files.c.records.is_(None), files.c.problem.is_(None))


class UploadedFiles:
    """Remembers the files that were sent to be looked at."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def add(
        self,
        new: NewFile,
        *,
        organization_id: int,
        instance_id: int | None,
        takes_events: bool,
        now: datetime,
        idempotency_key: IdempotencyKey | None,
    ) -> UploadedFile:
        """Remember a file. Raises IdempotencyKeyTaken."""
        key = idempotency_key
        row = insert(files).values(
            **asdict(new),
            organization_id=organization_id,
            instance_id=instance_id or _ORGANIZATION,
            takes_events=takes_events,
            created_at=now,
            used_at=now,
            key=key and key.key,
            key_digest=key and key.digest,
        )
        try:
            async with self._engine.begin() as connection:
                return _file_of((await connection.execute(row.returning(files))).one())
        except IntegrityError as error:
            raise IdempotencyKeyTaken from error

    async def with_key(
        self, organization_id: int, instance_id: int | None, key: str
    ) -> tuple[UploadedFile, str] | None:
        """The file of an idempotency key, and the digest of the request that sent it."""
        chosen = select(files).where(
            files.c.organization_id == organization_id,
            files.c.instance_id == (instance_id or _ORGANIZATION),
            files.c.key == key,
        )
        row = await self._first(chosen)
        return None if row is None else (_file_of(row), row.key_digest)

    async def file(self, file_id: int) -> UploadedFile | None:
        """A file by its id."""
        row = await self._first(select(files).where(files.c.id == file_id))
        return None if row is None else _file_of(row)

    async def _first(self, chosen: Any) -> Row[Any] | None:
        async with self._reading.connect() as connection:
            return (await connection.execute(chosen)).first()

    async def list(
        self, organization_id: int, instance_id: int | None, *, before: int | None, limit: int
    ) -> Sequence[UploadedFile]:
        """Files of an organization, newest first: all, or those that an instance may use."""
        chosen = select(files).where(files.c.organization_id == organization_id)
        if instance_id is not None:
            chosen = chosen.where(files.c.instance_id.in_([_ORGANIZATION, instance_id]))
        if before is not None:
            chosen = chosen.where(files.c.id < before)
        async with self._reading.connect() as connection:
            rows = await connection.execute(chosen.order_by(files.c.id.desc()).limit(limit))
            return read_each(rows, _file_of, "file")

    # --- reading them to their end ---

    async def claim(self, now: datetime) -> UploadedFile | None:
        """A file that nobody reads, and that was not read to its end: the caller reads it."""
        is_free = or_(files.c.claimed_until.is_(None), files.c.claimed_until < now)
        next_one = select(files.c.id).where(_IS_UNREAD, is_free).order_by(files.c.id).limit(1)
        claimed = (
            update(files)
            .where(files.c.id == next_one.scalar_subquery(), _IS_UNREAD, is_free)
            .values(claimed_until=now + CLAIM, attempts=files.c.attempts + 1)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(claimed.returning(files))).first()
        return None if row is None else _file_of(row)

    async def renew_claim(self, file: UploadedFile, now: datetime) -> bool:
        """Keep reading a file.

        False if it was deleted, if another process reads it, or if it is read in another way now.
        """
        renewed = update(files).where(_is_reading(file), files.c.claimed_until >= now)
        async with self._engine.begin() as connection:
            result = await connection.execute(renewed.values(claimed_until=now + CLAIM))
        return result.rowcount == 1

    async def give_claim_back(self, file: UploadedFile) -> None:
        """Let another process read a file, or this one later; it spends no attempt."""
        given = update(files).where(_is_reading(file))
        values = {"claimed_until": None, "attempts": files.c.attempts - 1}
        async with self._engine.begin() as connection:
            await connection.execute(given.values(values))

    async def give_all_claims_back(self) -> None:
        """Let this process read all files, because no other one is alive."""
        async with self._engine.begin() as connection:
            await connection.execute(update(files).where(_IS_UNREAD).values(claimed_until=None))

    async def finish(
        self, file: UploadedFile, *, file_format: str, records: int | None, problem: str | None
    ) -> None:
        """Remember that a file was read to its end, or why it cannot be.

        Nothing if it is read in another way now.
        """
        read = update(files).where(_is_reading(file))
        values = {"records": records, "problem": problem, "file_format": file_format}
        async with self._engine.begin() as connection:
            await connection.execute(read.values(**values, claimed_until=None))

    async def read_again(self, file: UploadedFile, new: NewFile, reading: str) -> UploadedFile:
        """Remember that a file is read in another way, and what its beginning shows.

        Raises Conflict if it was changed or deleted meanwhile.
        """
        changed = (
            update(files)
            .where(_is_reading(file))
            .values(
                options=new.options,
                file_format=new.file_format,
                records=new.records,
                problem=new.problem,
                reading=reading,
                claimed_until=None,
                attempts=0,
            )
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(changed.returning(files))).first()
        if row is None:
            raise Conflict(
                f"file {file.id} was changed or deleted by another request; fetch it, and change "
                "it again"
            )
        return _file_of(row)

    async def attempts(self, file_id: int) -> int:
        """How often processes have begun to read a file to its end."""
        row = await self._first(select(files.c.attempts).where(files.c.id == file_id))
        return 0 if row is None else int(row.attempts)

    # --- their end ---

    async def names(self) -> frozenset[str]:
        """Their names in the file store."""
        async with self._reading.connect() as connection:
            return frozenset((await connection.scalars(select(files.c.file))).all())

    async def delete(self, file: UploadedFile) -> None:
        """Forget a file. Raises Conflict while a job uses it."""
        async with self._engine.begin() as connection:
            if not await _forget(connection, files.c.id == file.id):
                raise Conflict(
                    f"an unfinished job uses file {file.id}; wait for its end, or cancel it, and "
                    "delete the file then"
                )

    async def delete_old(self, used_before: datetime, limit: int) -> Sequence[str]:
        """Forget files that nobody has used since a time; return their names in the store."""
        old = select(files.c.id).where(files.c.used_at < used_before, ~_IN_USE).limit(limit)
        async with self._engine.begin() as connection:
            ids = (await connection.scalars(old)).all()
            if not ids:
                return ()
            is_old = and_(files.c.id.in_(ids), files.c.used_at < used_before)
            return await _forget(connection, is_old)


async def use_file(connection: AsyncConnection, file: str, now: datetime) -> None:
    """Keep a file for the job that this transaction adds. Raises NotFound if it is gone."""
    used = update(files).where(files.c.file == file).values(used_at=now)
    if not (await connection.execute(used)).rowcount:
        raise NotFound("the file was deleted in the meantime; send it again")


async def _forget(connection: AsyncConnection, wanted: ColumnElement[bool]) -> Sequence[str]:
    """Delete files that no unfinished job uses; return their names in the file store."""
    # Locked first: a job that is being added has changed its file's row, and is seen afterwards.
    locked = select(files.c.id).where(wanted).with_for_update()
    ids = (await connection.scalars(locked)).all()
    gone = delete(files).where(files.c.id.in_(ids), wanted, ~_IN_USE)
    return (await connection.scalars(gone.returning(files.c.file))).all()


def _is_reading(file: UploadedFile) -> ColumnElement[bool]:
    """Whether a file is still read as it was when it was looked up."""
    return and_(files.c.id == file.id, files.c.reading == file.reading)


def _file_of(row: Row[Any]) -> UploadedFile:
    return UploadedFile(
        id=row.id,
        organization_id=row.organization_id,
        instance_id=row.instance_id or None,
        file=row.file,
        name=row.name,
        size=row.size,
        digest=row.digest,
        options=row.options,
        file_format=row.file_format,
        created_at=row.created_at,
        used_at=row.used_at,
        takes_events=row.takes_events,
        records=row.records,
        problem=row.problem,
        reading=row.reading,
    )
