"""The records of a job, with the outcomes that its earlier slices have recorded."""

from collections.abc import AsyncIterator, Awaitable, Callable

from openbulk.domain.records import Outcome, Record, Row
from openbulk.engine.slices.memory import Admit
from openbulk.engine.slices.parts import each_row, rows_of_part
from openbulk.storage.files import FileStore
from openbulk.storage.slice_ledger import SliceLedger


class FileRecords:
    """The records of a job's file, as `JobRecords`. One slice reads them."""

    def __init__(
        self,
        ledger: SliceLedger,
        files: FileStore,
        record_of: Callable[[Row], Awaitable[Record | Outcome]],
        last: int,
        admit: Admit,
    ) -> None:
        """`last` is the last row that has an outcome."""
        self.fence = ledger.fence
        self.cursor = ledger.job.cursor
        self.last = last
        self._ledger = ledger
        self._files = files
        self._record_of = record_of
        self._admit = admit

    async def each(self, after: int = 0) -> AsyncIterator[tuple[Record, str | None]]:
        """The records behind a row, each with the id of what it has written or found."""
        for part in await self._ledger.parts_after(after):
            found = rows_of_part(self._files, self._ledger.job, part, admit=self._admit)
            rows = [row async for one in found for row in each_row(one) if row.number > after]
            if not rows:
                continue
            ids = await self._ledger.ids_written(rows[0].number, rows[-1].number)
            for row in rows:
                record = await self._record_of(row)
                if isinstance(record, Record):
                    yield record, ids.get(row.number)
