"""Reads the rows of a job's parts as records to send."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from openbulk.connectors.fields import FieldError
from openbulk.domain.job import Job
from openbulk.domain.records import Outcome, OutcomeKind, Record, Row, Target
from openbulk.engine.record_fields import RecordFields
from openbulk.engine.slices.parts import rows_of
from openbulk.engine.slices.progress import Progress, key_of
from openbulk.engine.slices.row_states import RowState
from openbulk.storage.files import FileStore, Part

MAX_UNRECORDED = 4_000
"""Backpressure: with this many unrecorded outcomes, the slice records them before it reads more."""


class RecordReader:
    """Reads a job's records in the order of its file, again and again."""

    def __init__(
        self,
        files: FileStore,
        job: Job,
        parts: Sequence[Part],
        progress: Progress,
        *,
        target: Target,
        fields: RecordFields | None,
        record: Callable[[], Awaitable[None]],
    ) -> None:
        """`fields` is None if no record can be sent; `record` records the progress."""
        self._files = files
        self._job = job
        self._parts = parts
        self._progress = progress
        self._target = target
        self._fields = fields
        self._record = record

    async def read(self, state: RowState = RowState.UNSENT) -> AsyncIterator[Record]:
        """The records of rows in this state. Rows that are none get a failed outcome on the way."""
        progress = self._progress
        rows = rows_of(self._files, self._job, self._parts, progress.states, state)
        async for row in rows:
            if len(progress.results) >= MAX_UNRECORDED:
                await self._record()
            progress.lines[row.number] = row.line
            record = self.record_of(row)
            if isinstance(record, Record):
                yield record
            else:
                progress.add([record])

    def record_of(self, row: Row) -> Record | Outcome:
        """The record of a row, or the outcome of one that cannot be sent."""
        if row.values is None:
            return Outcome(row.number, OutcomeKind.FAILED, problem=row.problem)
        values = row.values
        try:
            if self._fields is not None:
                values = self._fields.of(values)
        except FieldError as error:
            return error.outcome(row.number)
        return Record(row.number, values, key_of(self._target, row.number, values))

    async def batches(self, state: RowState, size: int) -> AsyncIterator[list[Record]]:
        """The records of rows in this state, in batches."""
        batch: list[Record] = []
        async for record in self.read(state):
            batch.append(record)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    async def records_at(self, rows: frozenset[int]) -> list[Record]:
        """The records in these rows that have not been sent."""
        records: list[Record] = []
        last = max(rows)
        async for record in self.read():
            if record.row in rows:
                records.append(record)
            if record.row >= last:
                break
        return records
