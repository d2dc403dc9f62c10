"""The parts of a job that retries rows of an earlier one: those of that job, as they were mended.

All rows stay where they are: a row keeps its number, and so its key. A connector to which one row
means another finds it, also if it is not sent again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from openbulk.domain.job import Job
from openbulk.domain.mending import Mend
from openbulk.domain.records import Row
from openbulk.domain.row_kinds import RowChoice
from openbulk.engine.file_date_order import signs_of
from openbulk.engine.slices.parts import PartReader, with_last_rows
from openbulk.reading.packing import Packed, Summary, is_batch, pack_row, unpack_batch, unpack_row
from openbulk.storage.files import FileStore, Part
from openbulk.storage.mends import Mends
from openbulk.threads import Threads

_THREADS = Threads("retried parts", 2)


class RetriedParts:
    """The parts of an earlier job's file, with the values that were mended for this one."""

    def __init__(
        self,
        files: FileStore,
        mends: Mends,
        job: Job,
        earlier: Job,
        parts: Sequence[Part],
        own: RowChoice,
    ) -> None:
        """`parts` are all parts of the earlier job, `own` the rows that this one retries."""
        assert earlier.records is not None
        self._files = files
        self._mends = mends
        self._job = job
        self._earlier = earlier
        self._parts = iter(with_last_rows(parts, earlier.records))
        self._own = own
        self._summary = Summary(columns=earlier.columns, delimiter=earlier.delimiter)

    async def next_part(self) -> Packed | None:
        """The next part; None after the last one. Raises FileNotFoundError if they are deleted."""
        found = next(self._parts, None)
        if found is None:
            signs = await signs_of(self._files, self._earlier.upload.file)
            self._summary = replace(self._summary, signs=signs)
            return None
        part, last = found
        content = await self._files.get(part.path(self._earlier.upload.file))
        if self._own.has_any(part.first_row, last):
            known = await self._mends.between(self._job.id, self._job.upload, part.first_row, last)
            mended = {row: mend for row, mend in known.items() if row in self._own}
            if mended:
                content = await _THREADS.run(self._mend, content, part.first_row, mended)
        return Packed(last + 1 - part.first_row, content)

    def summary(self) -> Summary:
        """What the job has to know of its rows: what was left out of them was said before."""
        return self._summary

    def _mend(self, content: bytes, first_row: int, mended: Mapping[int, Mend]) -> bytes:
        columns = self._earlier.columns
        rows = (
            mended[row.number].apply(row, columns) if row.number in mended else row
            for row in rows_in(content, first_row)
        )
        return b"\n".join(pack_row(row)[1] for row in rows)


def rows_in(content: bytes, first_row: int) -> Iterator[Row]:
    """The rows of a part, one by one."""
    lines = PartReader(content)
    number = first_row
    while (line := lines.next_line()) is not None:
        if is_batch(line):
            batch = unpack_batch(number, line)
            yield from batch.rows()
            number = batch.last + 1
        else:
            yield unpack_row(number, line)
            number += 1
