"""Reads the rows of a job's parts as records to send."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count, repeat
from operator import attrgetter
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.domain.job import Job
from openbulk.domain.records import (
    Action,
    Outcome,
    OutcomeKind,
    Record,
    Row,
    RowBatch,
    Target,
    value_at,
)
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


_SIZE = attrgetter("size")


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

    def fill(self, records: Sequence[Record], max_records: int) -> Sequence[Record]:
        """Take the first of some records, as long as there is room; return the others."""
        first = records[: max_records - len(self.records)]
        size = self.size + sum(map(_SIZE, first))
        if size <= MAX_BATCH_BYTES:
            self.records += first
            self.size = size
            return records[len(first) :]
        for place, record in enumerate(records):
            if not self.has_room(record, max_records):
                return records[place:]
            self.add(record)
        return ()


def keys_of(target: Target, first: int, fields: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The keys of records that follow one another, from row `first` on.

    A record's key is its identifier if the caller names that field, else file and row.
    """
    name = target.identifier_field
    # Two created records may have the same identifier, and are still two records.
    if not name or target.action is Action.CREATE:
        return (f"{target.run}:{row}" for row in range(first, first + len(fields)))
    identifiers = (value_at(values, name) for values in fields)
    return (
        f"{target.run}:{row}" if value is None else f"{name}={value}"
        for row, value in enumerate(identifiers, first)
    )


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
        async with aclosing(self._read(state)) as found:
            async for records in found:
                for record in records:
                    yield record

    async def _read(self, state: RowState) -> AsyncGenerator[Sequence[Record]]:
        """What `read` yields: the records of a line of a part at a time."""
        progress = self._progress
        rows = rows_of(self._files, self._job, self._parts, progress.states, state, self._admit)
        pauses = Pauses()
        async with aclosing(rows):
            async for found in rows:
                await pauses.take_if_due()
                if len(progress.results) >= MAX_UNRECORDED:
                    await self._record()
                yield await self._records_of(found)

    async def _records_of(self, found: Row | RowBatch) -> Sequence[Record]:
        """The records of rows. Those that are none get a failed outcome."""
        lines = self._progress.lines
        if isinstance(found, RowBatch):
            lines.update(enumerate(range(found.line, found.line + len(found.cells)), found.first))
            made = self._make_records(found)
        else:
            lines[found.number] = found.line
            made = [await self.record_of(found)]
        records = [one for one in made if isinstance(one, Record)]
        if len(records) != len(made):
            self._progress.add([one for one in made if isinstance(one, Outcome)])
        return records

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
        (key,) = keys_of(self._target, row.number, [values])
        return Record(row.number, values, key, row.size)

    def _make_records(self, batch: RowBatch) -> Sequence[Record | Outcome]:
        if self._fields is None:
            return [self._make_record(row) for row in batch.rows()]
        try:
            fields = self._fields.of_batch(batch)
        except FieldError:
            return [self._make_record(row) for row in batch.rows()]
        keys = keys_of(self._target, batch.first, fields)
        return list(map(Record, count(batch.first), fields, keys, repeat(batch.size)))

    async def batches(self, state: RowState, max_records: int) -> AsyncGenerator[Batch]:
        """The records of rows in this state, in batches."""
        batch = Batch()
        async with aclosing(self._read(state)) as found:
            async for records in found:
                rest = batch.fill(records, max_records)
                while rest or len(batch.records) == max_records:
                    yield batch
                    batch = Batch()
                    rest = batch.fill(rest, max_records)
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
