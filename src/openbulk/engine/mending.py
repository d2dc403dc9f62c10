"""Mends rows of a job that were not written: one by one, or many that failed for one cause."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from openbulk.domain.errors import BadInput, Conflict, NotFound
from openbulk.domain.field_paths import MAX_STEPS
from openbulk.domain.job import Job
from openbulk.domain.mending import Mend
from openbulk.domain.records import Row, value_at
from openbulk.domain.row_kinds import RETRIED, RowChoice, RowKinds
from openbulk.domain.spelling import suggestion
from openbulk.engine.results import ResultRow, kinds_of_rows, results_of
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.mends import Mends

EXAMPLES = 3

Change = Callable[[Any], Any]
"""The new value of a cell, of its value; None stands for none, before and after."""


@dataclass(frozen=True, slots=True)
class MendedRow:
    """A row of a job with what became of it, and what has been mended in it since."""

    result: ResultRow
    mend: Mend | None


@dataclass(frozen=True, slots=True)
class Example:
    """A cell that was mended."""

    row: int
    before: Any
    after: Any


@dataclass(slots=True)
class MendedRows:
    """What mending many rows has done."""

    changed: int = 0
    unreadable: int = 0
    """Rows that could not be read as records: each is mended by itself."""
    examples: list[Example] = field(default_factory=list)


class Mending:
    """Keeps values that people mend in rows of finished jobs, until the rows are retried."""

    def __init__(self, ledger: Ledger, files: FileStore, mends: Mends) -> None:
        self._ledger = ledger
        self._files = files
        self._mends = mends

    async def row(self, job: Job, number: int) -> MendedRow:
        """A row of a job. Raises NotFound, and Conflict if it cannot be read."""
        kinds = await kinds_of_rows(self._ledger, job)
        _require_row(job, kinds, number)
        return await self._row(job, kinds, number)

    async def _row(self, job: Job, kinds: RowKinds, number: int) -> MendedRow:
        wanted = RowChoice(kinds.records)
        wanted.add([number])
        results = await results_of(self._ledger, self._files, job, kinds, wanted)
        async with aclosing(results.parts()) as parts:
            ((result,),) = [part async for part in parts]
        mended = await self._mends.between(job.id, job.upload, number, number)
        return MendedRow(result, mended.get(number))

    async def mend_row(self, job: Job, number: int, values: Mapping[str, Any]) -> MendedRow:
        """Keep mended values of a row, by column. Raises BadInput, NotFound and Conflict."""
        kinds = await kinds_of_rows(self._ledger, job)
        _require_row(job, kinds, number)
        await self._require_mendable(job, kinds, number)
        mend = mend_of(job, values)
        found = await self._row(job, kinds, number)
        _require_fields(job, found.result.row, values)
        whole = mend if found.mend is None else found.mend.then(mend)
        if (
            found.result.row.problem is not None
            and whole.apply(found.result.row, job.columns).problem
        ):
            names = f": {', '.join(job.columns)}" if job.columns else ""
            raise BadInput(
                f"row {number} could not be read; send a value for each of its columns, null for "
                f"an empty one{names}"
            )
        await self._mends.add(job.id, job.upload, {number: mend})
        return MendedRow(found.result, whole)

    async def mend_rows(
        self, job: Job, chosen: RowChoice, column: str, change: Change, *, is_trial: bool
    ) -> MendedRows:
        """Change the values of a column in rows, and say how many were changed.

        Rows that were written, or that another job retries, are left out. A trial keeps nothing.
        Raises BadInput for an unknown column, and TooLarge.
        """
        require_columns(job, [column])
        kinds = await kinds_of_rows(self._ledger, job)
        wanted = chosen.both(await mendable_rows(self._ledger, job, kinds))
        results = await results_of(self._ledger, self._files, job, kinds, wanted)
        done, mended = MendedRows(), dict[int, Mend]()
        async with aclosing(results.parts()) as parts:
            async for part in parts:
                mended |= await self._mend_part(job, part, column, change, done)
        if mended and not is_trial:
            await self._mends.add(job.id, job.upload, mended)
        return done

    async def _mend_part(
        self, job: Job, part: Sequence[ResultRow], column: str, change: Change, done: MendedRows
    ) -> Mapping[int, Mend]:
        first, last = part[0].row.number, part[-1].row.number
        known = await self._mends.between(job.id, job.upload, first, last)
        mended: dict[int, Mend] = {}
        for result in part:
            row = known.get(result.row.number, Mend()).apply(result.row, job.columns)
            if row.problem is not None:
                done.unreadable += 1
                continue
            before = value_at(row.values or {}, column)
            after = change(before)
            if job.columns and after == "":
                after = None
            if after != before:
                mended[row.number] = mend_of(job, {column: after})
                done.changed += 1
                if len(done.examples) < EXAMPLES:
                    done.examples.append(Example(row.number, before, after))
        return mended

    async def _require_mendable(self, job: Job, kinds: RowKinds, number: int) -> None:
        kind = kinds.of(number)
        if kind not in RETRIED:
            raise Conflict(f"row {number} of job {job.id} was written; there is nothing to mend")
        if kind is None and not job.is_finished:
            raise Conflict(
                f"job {job.id} is {job.status.value} and has not come to row {number}; mend it "
                "once the job is finished"
            )
        for other, rows in (await self._ledger.retried_rows(job.id)).items():
            if number in rows:
                raise Conflict(f"job {other} retries row {number} of job {job.id}; mend it there")


async def mendable_rows(ledger: Ledger, job: Job, kinds: RowKinds) -> RowChoice:
    """The rows of a job that can be mended and retried, and that no other job retries yet."""
    kinds_to_mend = RETRIED if job.is_finished else RETRIED[:2]
    rows = kinds.choose(kinds_to_mend)
    for others in (await ledger.retried_rows(job.id)).values():
        rows = rows.without(others)
    return rows


def mend_of(job: Job, values: Mapping[str, Any]) -> Mend:
    """Mended values by column. In a table, no value and an empty text are an empty cell.

    Raises BadInput for an unknown column.
    """
    require_columns(job, values)
    if not job.columns:
        return Mend(values)
    empty = tuple(name for name, value in values.items() if value in (None, ""))
    null = job.options.get("nullValue")
    return Mend(
        {
            name: None if null and value == null else value
            for name, value in values.items()
            if name not in empty
        },
        empty,
    )


def require_columns(job: Job, names: Iterable[str]) -> None:
    """Raise BadInput for a column that the table of a job does not have."""
    for name in names:
        if job.columns and name not in job.columns:
            raise BadInput(
                f"the file of job {job.id} has no column {name[:80]!r}; "
                f"{suggestion(name, job.columns)} (its columns: {', '.join(job.columns)})"
            )
        if not job.columns and name.count(".") >= MAX_STEPS:
            raise BadInput(
                f"the field {name[:80]!r} has more than {MAX_STEPS} steps, which no record can have"
            )


def _require_fields(job: Job, row: Row, names: Iterable[str]) -> None:
    """Raise BadInput for a column of Google's file: a mended row has fields already."""
    for name in names:
        if not job.columns and row.cells is not None and name in row.cells:
            raise BadInput(
                f"{name[:80]!r} is a column of the file, which {job.upload.file_format} turns into "
                f"fields: mend row {row.number} with the fields of the whole record, such as "
                '{"summary": "Choir", "start.date": "2026-06-04", "end.date": "2026-06-05"}'
            )


def _require_row(job: Job, kinds: RowKinds, number: int) -> None:
    if kinds.has(number):
        return
    if number > kinds.records:
        raise NotFound(f"job {job.id} has no row {number}; the last one is {kinds.records}")
    raise NotFound(f"row {number} is none of job {job.id}, which retries other rows")


def original(job: Job, row: Row) -> Mapping[str, Any]:
    """The values of a row as the file has them; None for an empty cell of a table."""
    values = with_null_text(job, row.values or row.cells or {})
    return {name: values.get(name) for name in job.columns} if job.columns else values


def with_null_text(job: Job, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values of a table with the text in the place of None by which its file clears a field."""
    null = job.options.get("nullValue")
    if not null or not job.columns or None not in values.values():
        return values
    return {name: null if one is None else one for name, one in values.items()}
