"""What the writes of jobs have overwritten, and left: kept for whoever undoes them.

It is in the file store, in parts, sealed as all files are; the ledger has which parts there are. A
part has the rows whose outcomes were recorded together, and is written before they are.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import delete, exists, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.errors import Conflict
from openbulk.domain.job import Job, Status, Undo
from openbulk.domain.records import Before
from openbulk.domain.undo import Trace
from openbulk.exact_json import pack_line, unpack_line
from openbulk.security import Sealer
from openbulk.storage.database import for_reading
from openbulk.storage.files import FileStore
from openbulk.storage.job_rows import HAS_UNFINISHED_UNDO, job_of
from openbulk.storage.outcome_blocks import ranges_of
from openbulk.storage.tables import before_images, jobs, undo_parts

_SECOND = itemgetter(1)
_WRITES = or_(jobs.c.planned_file.is_(None), jobs.c.apply.is_not(None))
"""Jobs that do more than to plan."""
MAX_RUNS = 50
_FOLDER = "-undo"
_AT_ONCE = 500


def undo_folder(file: str) -> str:
    """Where the file store keeps what a job has overwritten: it outlives the job's file."""
    return f"{file}{_FOLDER}"


def jobs_files_of(folders: Collection[str]) -> Mapping[str, str]:
    """The names that `undo_folder` has made, each with the file of its job."""
    return {name: name.removesuffix(_FOLDER) for name in folders if name.endswith(_FOLDER)}


Run = tuple[str | int, int, int]
"""A version, and the first and the last of the rows with it that follow one another."""


@dataclass(frozen=True, slots=True)
class UndoPart:
    """Rows whose traces are kept together."""

    first_row: int
    last_row: int
    fence: int
    """The fence of the slice that wrote it."""
    runs: Sequence[Run] | None = None
    """If all of its rows made new records: their versions. None if a part in the file store has
    them."""

    def path(self, file: str) -> str:
        """Its path in the file store."""
        return f"{undo_folder(file)}/{self.first_row:012d}-{self.fence}"


def runs_of(rows: Sequence[int], versions: Sequence[Any]) -> Sequence[Run] | None:
    """The versions of new records, by runs of rows; None if values stand for versions, or if there
    are too many runs."""
    runs: list[Run] = []
    for version, group in groupby(zip(rows, versions, strict=True), _SECOND):
        if not isinstance(version, str | int):
            return None
        runs += [(version, *one) for one in ranges_of([row for row, _ in group])]
        if len(runs) > MAX_RUNS:
            return None
    return runs


def pack_versions(rows: Sequence[int], versions: Sequence[Any]) -> bytes:
    """The content of a part that has new records alone."""
    return pack_line(list(zip(rows, versions, strict=True)))


def pack_traces(traces: Sequence[Trace]) -> bytes:
    """The content of a part."""
    return pack_line([_pack(trace) for trace in traces])


def _pack(trace: Trace) -> list[Any]:
    row, before, version, irreversible, restored = trace
    if before is None and not irreversible and restored is None:
        return [row, version]
    return [row, version, before and list(before), irreversible, restored]


def unpack_traces(content: bytes) -> Sequence[Trace]:
    """The traces in a part, in the order of their rows."""
    return [_trace_of(*one) for one in unpack_line(content)]


def _trace_of(
    row: int,
    version: Any,
    before: Sequence[Any] | None = None,
    irreversible: str = "",
    restored: Any = None,
) -> Trace:
    return Trace(row, Before(*before) if before else None, version, irreversible, restored)


async def add_undo_part(connection: AsyncConnection, job_id: int, part: UndoPart) -> None:
    """Record that a part is in the file store."""
    values = {
        "job_id": job_id,
        "first_row": part.first_row,
        "last_row": part.last_row,
        "fence": part.fence,
        "runs": part.runs,
    }
    await connection.execute(insert(undo_parts).values(values))


async def forget_images(connection: AsyncConnection, job_id: int, rows: Sequence[int]) -> None:
    """Delete the images of rows that have an outcome now."""
    of_job = before_images.c.job_id == job_id
    await connection.execute(delete(before_images).where(of_job, before_images.c.row.in_(rows)))


async def require_undo_possible(connection: AsyncConnection, job: Job, undo: Undo) -> None:
    """Raise Conflict unless a job may undo an earlier one now.

    Until the transaction ends, no other one begins to, and no plan of that job is carried out.
    """
    # Two requests come here one after the other.
    found = await connection.execute(select(jobs).where(jobs.c.id == undo.of).with_for_update())
    row = found.first()
    if row is None:
        raise Conflict(f"job {undo.of} is deleted; nothing is kept of what it has overwritten")
    earlier = job_of(row)
    if not earlier.is_finished:
        raise Conflict(
            f"job {earlier.id} is {earlier.status.value}; cancel it with "
            f"PUT /bulk/{earlier.id}/cancel or wait for its end, then undo it"
        )
    for other in reversed(await _undos_of(connection, earlier.id)):
        if other.id == job.id:
            continue
        _require_ended(other)
        if not undo.overwrites and await _has_undone(connection, other, earlier, undo):
            raise Conflict(_why_not_again(other, earlier))


async def require_no_undo(connection: AsyncConnection, job: Job) -> None:
    """Raise Conflict if another job undoes this one now.

    Until the transaction ends, no other one begins to.
    """
    await connection.execute(select(jobs.c.id).where(jobs.c.id == job.id).with_for_update())
    for undo in await _undos_of(connection, job.id):
        _require_ended(undo)


def _require_ended(undo: Job) -> None:
    if not undo.is_finished:
        assert undo.undo is not None
        raise Conflict(f"job {undo.id} undoes job {undo.undo.of} now; wait for its end")


async def _undos_of(connection: AsyncConnection, job_id: int) -> Sequence[Job]:
    """The jobs that undo a job, and write, the first one first."""
    of_job = (jobs.c.undo_of == job_id, _WRITES)
    found = await connection.execute(select(jobs).where(*of_job).order_by(jobs.c.id))
    return [job_of(row) for row in found]


async def _has_undone(connection: AsyncConnection, other: Job, earlier: Job, undo: Undo) -> bool:
    """Whether another undo of a job has done all that this one is to do.

    It has not if it was undone itself, or if the job has carried out more of its plan since.
    """
    if other.status is not Status.COMPLETE or other.upload.retry is not None:
        return False
    assert other.undo is not None and earlier.finished_at is not None
    if other.undo.rows is not None and not set(undo.rows or (0,)) <= set(other.undo.rows):
        return False
    return earlier.finished_at <= other.created_at and not await _is_undone(connection, other.id)


async def _is_undone(connection: AsyncConnection, job_id: int) -> bool:
    """Whether a job was undone, and stayed so."""
    return any(
        [
            undo.status is Status.COMPLETE and not await _is_undone(connection, undo.id)
            for undo in await _undos_of(connection, job_id)
        ]
    )


def _why_not_again(other: Job, earlier: Job) -> str:
    """What was done already, and what can be done now."""
    sentence = (
        f"job {other.id} has undone job {earlier.id}; POST /bulk/{other.id}/undo takes that back"
    )
    if other.counts.failed:
        sentence += f", POST /bulk/{other.id}/retry tries rows again that failed"
    if other.counts.kept:
        sentence += (
            ', and {"kept": "overwrite"} also puts back what it kept because others have changed it'
        )
    return sentence


class BeforeImageStore:
    """What rows without an outcome are about to overwrite, sealed."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def add(
        self, connection: AsyncConnection, job_id: int, images: Mapping[int, Before]
    ) -> None:
        """Keep images in place of those that their rows have."""
        await forget_images(connection, job_id, list(images))
        values = [
            {"job_id": job_id, "row": row, "sealed": self._seal(job_id, row, image)}
            for row, image in images.items()
        ]
        await connection.execute(insert(before_images), values)

    async def all(self, connection: AsyncConnection, job_id: int) -> dict[int, Before]:
        """The images of a job. Raises SealBroken, KeyMissing."""
        of_job = select(before_images).where(before_images.c.job_id == job_id)
        return {
            one.row: Before(*unpack_line(self._sealer.open(one.sealed, _place(job_id, one.row))))
            for one in await connection.execute(of_job)
        }

    def _seal(self, job_id: int, row: int, image: Before) -> bytes:
        return self._sealer.seal(pack_line(list(image)), _place(job_id, row))


def _place(job_id: int, row: int) -> str:
    return f"before/{job_id}/{row}"


class Undos:
    """Reads and forgets what jobs have overwritten."""

    def __init__(self, engine: AsyncEngine, files: FileStore) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._files = files

    async def parts_between(self, job_id: int, first: int, last: int) -> Sequence[UndoPart]:
        """The parts of a job that have rows from `first` to `last`, or may."""
        of_job = (undo_parts.c.job_id == job_id, undo_parts.c.first_row <= last)
        chosen = select(undo_parts).where(*of_job, undo_parts.c.last_row >= first)
        async with self._reading.connect() as connection:
            return [
                UndoPart(one.first_row, one.last_row, one.fence, one.runs)
                for one in await connection.execute(chosen.order_by(undo_parts.c.first_row))
            ]

    async def has_any(self, job_id: int) -> bool:
        """Whether anything is kept of a job."""
        question = select(undo_parts.c.job_id).where(undo_parts.c.job_id == job_id).limit(1)
        async with self._reading.connect() as connection:
            return await connection.scalar(question) is not None

    async def traces(self, part: UndoPart, file: str) -> Mapping[int, Trace]:
        """The traces in a part by their rows. Raises FileNotFoundError, SealBroken, KeyMissing."""
        if part.runs is not None:
            runs = ((range(first, last + 1), version) for version, first, last in part.runs)
            return {row: Trace(row, version=version) for rows, version in runs for row in rows}
        content = await self._files.get(part.path(file))
        return {trace.row: trace for trace in unpack_traces(content)}

    async def later_undos(self, job: Job, than: int) -> Sequence[Job]:
        """The undos into the object of a job that are later than another job, its own included."""
        chosen = select(jobs).where(
            jobs.c.instance_id == job.instance_id,
            jobs.c.object == job.object,
            jobs.c.id > than,
            jobs.c.undo_of.is_not(None),
            _WRITES,
        )
        async with self._reading.connect() as connection:
            return [job_of(row) for row in await connection.execute(chosen.order_by(jobs.c.id))]

    async def old_files(self, finished_before: datetime) -> Sequence[str]:
        """The files of jobs that finished before a time, and of which something is kept."""
        is_kept = exists().where(undo_parts.c.job_id == jobs.c.id)
        old = select(jobs.c.file).where(
            jobs.c.finished_at < finished_before, is_kept, ~HAS_UNFINISHED_UNDO
        )
        async with self._reading.connect() as connection:
            return (await connection.scalars(old)).all()

    async def forget(self, file: str) -> None:
        """Delete what the job of a file has overwritten."""
        await self._files.delete(undo_folder(file))
        job_id = select(jobs.c.id).where(jobs.c.file == file).scalar_subquery()
        async with self._engine.begin() as connection:
            await connection.execute(delete(undo_parts).where(undo_parts.c.job_id == job_id))

    async def orphans(self, names: Collection[str]) -> frozenset[str]:
        """Those of some names in the file store that were kept for a job that is gone."""
        files = jobs_files_of(names)
        known: set[str] = set()
        ordered = list(files.values())
        async with self._reading.connect() as connection:
            for begin in range(0, len(ordered), _AT_ONCE):
                some = jobs.c.file.in_(ordered[begin : begin + _AT_ONCE])
                known.update(await connection.scalars(select(jobs.c.file).where(some)))
        return frozenset(name for name, file in files.items() if file not in known)
