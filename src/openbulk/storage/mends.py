"""Values that people have mended in rows of jobs. They are sealed, as files are."""

from collections.abc import Iterable, Mapping

from sqlalchemy import BigInteger, delete, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.errors import NotFound, TooLarge
from openbulk.domain.job import Upload
from openbulk.domain.mending import Mend
from openbulk.exact_json import pack_line, unpack_line
from openbulk.security import Sealer
from openbulk.storage.database import for_reading
from openbulk.storage.tables import jobs, mends

MAX_ROWS = 100_000
MAX_BYTES = 64 * 1024 * 1024
"""Of the mended rows of a job. They are held while they are written."""
_AT_ONCE = 500


class Mends:
    """The mended rows of jobs."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._sealer = sealer

    def seal(self, upload: Upload, row: int, mend: Mend) -> bytes:
        """A mend, sealed for a row: that of the first file, so that retries can take it over."""
        packed = pack_line([mend.values, mend.empty, mend.is_file])
        return self._sealer.seal(packed, _place(upload, row))

    def _open(self, upload: Upload, row: int, sealed: bytes) -> Mend:
        values, empty, is_file = unpack_line(self._sealer.open(sealed, _place(upload, row)))
        return Mend(values, tuple(empty), is_file)

    async def between(
        self, job_id: int, upload: Upload, first: int, last: int
    ) -> Mapping[int, Mend]:
        """The mended rows of a job from `first` to `last`. Raises SealBroken, KeyMissing."""
        chosen = select(mends).where(mends.c.job_id == job_id, mends.c.row.between(first, last))
        async with self._reading.connect() as connection:
            found = (await connection.execute(chosen)).all()
        return {one.row: self._open(upload, one.row, one.sealed) for one in found}

    async def add(self, job_id: int, upload: Upload, mended: Mapping[int, Mend]) -> None:
        """Keep mended rows of a job: what was mended in them before stays, unless it is mended now.

        Raises TooLarge, and keeps none of them, if that would be too many, and NotFound if the job
        is deleted.
        """
        async with self._engine.begin() as connection:
            # Others that mend rows of the job wait for the end of this transaction.
            locked = select(jobs.c.id).where(jobs.c.id == job_id).with_for_update()
            if await connection.scalar(locked) is None:
                raise NotFound(f"job {job_id} was deleted")
            rows = list(mended)
            for begin in range(0, len(rows), _AT_ONCE):
                some = rows[begin : begin + _AT_ONCE]
                of_some = (mends.c.job_id == job_id, mends.c.row.in_(some))
                found = (await connection.execute(select(mends).where(*of_some))).all()
                known = {one.row: self._open(upload, one.row, one.sealed) for one in found}
                await connection.execute(delete(mends).where(*of_some))
                merged = {row: known.get(row, Mend()).then(mended[row]) for row in some}
                sealed = ((row, self.seal(upload, row, one)) for row, one in merged.items())
                await insert_mends(connection, job_id, sealed)
            await _require_few(connection, job_id)

    async def forget(self, file: str) -> None:
        """Delete the mended rows of the job of a file that is deleted."""
        job_id = select(jobs.c.id).where(jobs.c.file == file).scalar_subquery()
        async with self._engine.begin() as connection:
            await connection.execute(delete(mends).where(mends.c.job_id == job_id))


async def insert_mends(
    connection: AsyncConnection, job_id: int, sealed: Iterable[tuple[int, bytes]]
) -> None:
    """Write sealed mends by their rows."""
    values = [{"job_id": job_id, "row": row, "sealed": one} for row, one in sealed]
    if values:
        await connection.execute(insert(mends), values)


async def copy_mends(connection: AsyncConnection, source_id: int, job_id: int) -> None:
    """Give a job the mends of another one."""
    chosen = select(literal(job_id, BigInteger), mends.c.row, mends.c.sealed)
    copied = insert(mends).from_select(
        ["job_id", "row", "sealed"], chosen.where(mends.c.job_id == source_id)
    )
    await connection.execute(copied)


def _place(upload: Upload, row: int) -> str:
    return f"{upload.first_file}/mends/{row}"


async def _require_few(connection: AsyncConnection, job_id: int) -> None:
    size = func.coalesce(func.sum(func.length(mends.c.sealed)), 0)
    counted = select(func.count(), size).where(mends.c.job_id == job_id)
    rows, size_of_all = (await connection.execute(counted)).one()
    if rows > MAX_ROWS or size_of_all > MAX_BYTES:
        raise TooLarge(
            f"a job keeps {MAX_ROWS:,} mended rows, with {MAX_BYTES // 2**20} MB together; retry "
            "those first that are mended, or mend the file of its results, in several pieces"
        )
