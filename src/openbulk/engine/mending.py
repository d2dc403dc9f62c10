"""Mends rows of a job that were not written: one by one, or many that failed for one cause."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from openbulk.domain.errors import BadInput, Conflict, NotFound
from openbulk.domain.job import Job
from openbulk.domain.mending import Mend
from openbulk.domain.records import Row, value_at
from openbulk.domain.row_kinds import RETRIED, RowChoice, RowKinds
from openbulk.engine.mended_columns import column_of_table, field_of_record, require_apart
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
    left_out: int = 0
    """Rows that another job retries."""
    examples: list[Example] = field(default_factory=list)

    def add(self, example: Example) -> None:
        """Count a mended cell, and keep the first few."""
        self.changed += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


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
        await self._require_mendable(job, kinds, [number])
        found = await self._row(job, kinds, number)
        mend = mend_of(job, own_names(job, found.result.row, values))
        whole = mend if found.mend is None else found.mend.then(mend)
        if found.result.row.problem is not None:
            _require_mended(job, found.result.row, whole)
        await self._mends.add(job.id, job.upload, {number: mend})
        return MendedRow(found.result, whole)

    async def mend_rows(
        self,
        job: Job,
        chosen: RowChoice | Sequence[int],
        column: str,
        change: Change,
        *,
        is_trial: bool,
    ) -> MendedRows:
        """Change the values of a column in rows, and say how many were changed.

        Chosen rows that another job retries are left out. Numbers of rows have to be rows that can
        be mended. A trial keeps nothing. Raises BadInput, Conflict and TooLarge.
        """
        if job.columns:
            column = column_of_table(job, column)
        kinds = await kinds_of_rows(self._ledger, job)
        if not isinstance(chosen, RowChoice):
            chosen = await self._choice_of(job, kinds, chosen)
        wanted = chosen.both(await mendable_rows(self._ledger, job, kinds))
        results = await results_of(self._ledger, self._files, job, kinds, wanted)
        done, mended = MendedRows(left_out=len(chosen) - len(wanted)), dict[int, Mend]()
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
            if row.values is None:
                done.unreadable += 1
                continue
            name = column if job.columns else field_of_record(row.values, column)
            before = value_at(row.values, name)
            after = _cell(job, change(before))
            if after != before:
                mended[row.number] = mend_of(job, {name: after})
                done.add(Example(row.number, before, after))
        return mended

    async def _choice_of(self, job: Job, kinds: RowKinds, numbers: Sequence[int]) -> RowChoice:
        for number in numbers:
            if not kinds.has(number):
                raise BadInput(f"job {job.id} has no row {number}")
        await self._require_mendable(job, kinds, numbers)
        chosen = RowChoice(kinds.records)
        chosen.add(numbers)
        return chosen

    async def _require_mendable(self, job: Job, kinds: RowKinds, numbers: Iterable[int]) -> None:
        retried = await self._ledger.retried_rows(job.id)
        for number in numbers:
            kind = kinds.of(number)
            if kind not in RETRIED:
                raise Conflict(
                    f"row {number} of job {job.id} was written; there is nothing to mend"
                )
            if kind is None and not job.is_finished:
                raise Conflict(
                    f"job {job.id} is {job.status.value} and has not come to row {number}; mend it "
                    "once the job is finished"
                )
            for other, rows in retried.items():
                if number in rows:
                    raise Conflict(
                        f"job {other} retries row {number} of job {job.id}; mend it there"
                    )


def _cell(job: Job, value: Any) -> Any:
    """A value as its job keeps it: in a table, an empty text is an empty cell."""
    return None if job.columns and value == "" else value


def own_names(job: Job, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    """Mended values by the columns of a job's row. Raises BadInput for a name that is none."""
    own: dict[str, Any] = {}
    for given, value in values.items():
        _require_field(job, row, given)
        name = (
            column_of_table(job, given) if job.columns else field_of_record(row.values or {}, given)
        )
        if name in own:
            raise BadInput(f"{name[:80]!r} is mended twice; send one value for it")
        own[name] = value
    if not job.columns:
        require_apart(own)
    return own


async def mendable_rows(ledger: Ledger, job: Job, kinds: RowKinds) -> RowChoice:
    """The rows of a job that can be mended and retried, and that no other job retries yet."""
    kinds_to_mend = [kind for kind in RETRIED if job.is_finished or kind is not None]
    rows = kinds.choose(kinds_to_mend)
    for others in (await ledger.retried_rows(job.id)).values():
        rows = rows.without(others)
    return rows


def mend_of(job: Job, values: Mapping[str, Any]) -> Mend:
    """Mended values by column. In a table, no value and an empty text are an empty cell."""
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


def _require_mended(job: Job, row: Row, mend: Mend) -> None:
    """Raise BadInput if a row that could not be read is still no record."""
    if mend.apply(row, job.columns).problem is None:
        return
    names = f": {', '.join(job.columns)}" if job.columns else ""
    raise BadInput(
        f"row {row.number} could not be read; send a value for each of its columns, null for "
        f"an empty one{names}"
    )


def _require_field(job: Job, row: Row, name: str) -> None:
    """Raise BadInput for a column of Google's file: a mended row has fields already."""
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
