"""The records of a job, with the outcomes that its earlier slices have recorded."""

from collections.abc import AsyncIterator, Callable, Collection

from openbulk.domain.records import Outcome, Record, Row
from openbulk.engine.slices.parts import rows_of
from openbulk.storage.files import FileStore
from openbulk.storage.slice_ledger import SliceLedger


class FileRecords:
    """The records of a job's file, as `JobRecords`. One slice reads them."""

    def __init__(
        self,
        ledger: SliceLedger,
        files: FileStore,
        record_of: Callable[[Row], Record | Outcome],
        rows_with_outcome: Collection[int],
    ) -> None:
        """`rows_with_outcome` are those behind the job's cursor."""
        self.fence = ledger.fence
        self.cursor = ledger.job.cursor
        self.last = max(rows_with_outcome, default=self.cursor)
        self._ledger = ledger
        self._files = files
        self._record_of = record_of

    async def each(self, after: int = 0) -> AsyncIterator[tuple[Record, str | None]]:
        """The records behind a row, each with the id of what it has written or found."""
        for part in await self._ledger.parts_after(after):
            rows = [
                row async for row in rows_of(self._files, self._ledger.job, [part], after=after)
            ]
            if not rows:
                continue
            ids = await self._ledger.ids_written(rows[0].number, rows[-1].number)
            for row in rows:
                record = self._record_of(row)
                if isinstance(record, Record):
                    yield record, ids.get(row.number)
