"""Reads the rows of a job's parts as records to send."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.domain.job import Job
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Row, Target, value_at
from openbulk.engine.record_fields import RecordFields
from openbulk.engine.slices.memory import Admit
from openbulk.engine.slices.parts import rows_of
from openbulk.engine.slices.pauses import Pauses
from openbulk.engine.slices.progress import Progress
from openbulk.engine.slices.row_states import RowState
from openbulk.storage.files import FileStore, Part
from openbulk.threads import Threads

MAX_UNRECORDED = 4_000
"""Backpressure: with this many unrecorded outcomes, the slice records them before it reads more."""
LARGE_ROW_BYTES = 64 * 1024
"""The fields of a larger row are found in a thread: it may have thousands of them."""
_THREADS = Threads("fields", 2)
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Memory of the records in one batch. A larger record is sent alone. A native import keeps with
its ticket which rows a batch has, so this may change between two starts."""


@dataclass(slots=True)
class Batch:
    """Records that are sent together."""

    records: list[Record] = field(default_factory=list)
    size: int = 0
    """About how many bytes of memory they take."""

    def add(self, record: Record) -> None:
        """Take one more record."""
        self.records.append(record)
        self.size += record.size

    def has_room(self, record: Record, max_records: int) -> bool:
        """Whether one more record may be sent with the others."""
        if not self.records:
            return True
        return len(self.records) < max_records and self.size + record.size <= MAX_BATCH_BYTES


def key_of(target: Target, row: int, values: Mapping[str, Any]) -> str:
    """A record's key: its identifier if the caller names that field, else file and row.

    `values` are those of fields.
    """
    # Two created records may have the same identifier, and are still two records.
    if target.identifier_field and target.action is not Action.CREATE:
        value = value_at(values, target.identifier_field)
        if value is not None:
            return f"{target.identifier_field}={value}"
    return f"{target.key_run}:{row}"


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
        admit: Admit,
    ) -> None:
        """`fields` is None if no record can be sent; `record` records the progress.

        `admit` is awaited before a part is read.
        """
        self._files = files
        self._job = job
        self._parts = parts
        self._progress = progress
        self._target = target
        self._fields = fields
        self._record = record
        self._admit = admit

    async def read(self, state: RowState = RowState.UNSENT) -> AsyncGenerator[Record]:
        """The records of rows in this state. Rows that are none get a failed outcome on the way."""
        progress = self._progress
        rows = rows_of(self._files, self._job, self._parts, progress.states, state, self._admit)
        pauses = Pauses()
        async with aclosing(rows):
            async for row in rows:
                await pauses.take_if_due()
                if len(progress.results) >= MAX_UNRECORDED:
                    await self._record()
                progress.lines[row.number] = row.line
                record = await self.record_of(row)
                if isinstance(record, Record):
                    yield record
                else:
                    progress.add([record])

    async def record_of(self, row: Row) -> Record | Outcome:
        """The record of a row, or the outcome of one that cannot be sent."""
        if row.size <= LARGE_ROW_BYTES:
            return self._make_record(row)
        return await _THREADS.run(self._make_record, row)

    def _make_record(self, row: Row) -> Record | Outcome:
        if row.values is None:
            return Outcome(row.number, OutcomeKind.FAILED, problem=row.problem)
        values = row.values
        try:
            if self._fields is not None:
                values = self._fields.of(values)
        except FieldError as error:
            return error.outcome(row.number)
        return Record(row.number, values, key_of(self._target, row.number, values), row.size)

    async def batches(self, state: RowState, max_records: int) -> AsyncGenerator[Batch]:
        """The records of rows in this state, in batches."""
        batch = Batch()
        async with aclosing(self.read(state)) as records:
            async for record in records:
                if not batch.has_room(record, max_records):
                    yield batch
                    batch = Batch()
                batch.add(record)
                if len(batch.records) == max_records:
                    yield batch
                    batch = Batch()
        if batch.records:
            yield batch

    async def records_at(self, rows: frozenset[int]) -> list[Record]:
        """The records in these rows that have not been sent."""
        records: list[Record] = []
        last = max(rows)
        async with aclosing(self.read()) as found:
            async for record in found:
                if record.row in rows:
                    records.append(record)
                if record.row >= last:
                    break
        return records
