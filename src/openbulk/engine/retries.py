"""Makes the work of jobs that retry rows of earlier ones, as they were mended."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.domain.errors import BadInput, Conflict, TooLarge
from openbulk.domain.job import Job, Retry, Upload
from openbulk.domain.mending import Mend
from openbulk.domain.records import Row
from openbulk.domain.row_kinds import RETRIED, RowChoice, RowKind, RowKinds
from openbulk.engine.mending import mendable_rows, require_columns
from openbulk.engine.results import kinds_of_rows
from openbulk.engine.results_file import ROW, columns_of_job
from openbulk.engine.slices.pauses import Pauses
from openbulk.engine.slices.retried_parts import rows_in
from openbulk.exact_json import pack_line, unpack_line
from openbulk.reading.readers import FileParts
from openbulk.storage.ledger import Ledger
from openbulk.storage.mends import MAX_BYTES, MAX_ROWS, Mends
from openbulk.storage.retries import RetriedRows

_WHOLE_NUMBER = re.compile(r"0*(\d{1,15})(?:\.0+)?")
_SHOWN_ROWS = 10
_WHAT_IS_RETRIED = "rows that failed, are unknown or were not reached"


class Retries:
    """Chooses the rows of retries."""

    def __init__(self, ledger: Ledger, mends: Mends) -> None:
        self._ledger = ledger
        self._mends = mends

    async def choose(
        self, job: Job, kinds: Sequence[RowKind], group: str | None = None
    ) -> RetriedRows:
        """The rows of a finished job that came to one of these ends, or failed for one cause.

        Raises Conflict if there are none, or if they cannot be read.
        """
        _require_finished(job)
        known = await kinds_of_rows(self._ledger, job)
        wanted = known.choose(kinds)
        if group is not None:
            wanted = await self._ledger.rows_of_cause(job.id, group, known.records)
            if not len(wanted):
                raise BadInput(
                    f"job {job.id} has no errors of the group {group[:40]!r}; "
                    f"/bulk/{job.id}/errors/groups lists the groups"
                )
        rows = wanted.both(await mendable_rows(self._ledger, job, known))
        if not len(rows):
            raise Conflict(await self._why_none(job, wanted))
        return RetriedRows(rows)

    async def _why_none(self, job: Job, wanted: RowChoice) -> str:
        for other, rows in (await self._ledger.retried_rows(job.id)).items():
            if len(wanted.both(rows)):
                return f"job {other} retries these rows of job {job.id}; retry that one"
        return f"job {job.id} has no such rows to retry: only {_WHAT_IS_RETRIED} can be"

    async def read(self, job: Job, parts: FileParts) -> RetriedRows:
        """The rows of a file of results that a person has mended, with their values.

        Raises BadInput for a row or a column that is not of this job, or cannot be retried.
        """
        _require_finished(job)
        kinds = await kinds_of_rows(self._ledger, job)
        retried = await self._ledger.retried_rows(job.id)
        file = _ResultsFile(job, kinds, retried)
        pauses, first = Pauses(), 1
        while (part := await parts.next_part()) is not None:
            for row in rows_in(part.content, first):
                await pauses.take_if_due()
                file.add(row)
            first += part.records
        file.require_columns(parts.summary().columns)
        sealed: dict[int, bytes] = {}
        for number, mend in file.mends():
            await pauses.take_if_due()
            sealed[number] = self._mends.seal(job.upload, number, mend)
        await self._require_no_mends(job, sealed)
        choice = RowChoice(kinds.records)
        choice.add(sealed)
        return RetriedRows(choice, sealed)

    async def _require_no_mends(self, job: Job, rows: Mapping[int, object]) -> None:
        """Raise Conflict if values of these rows were mended here: the file has the old ones."""
        if not rows:
            return
        known = await self._mends.between(job.id, job.upload, min(rows), max(rows))
        mended = [row for row in known if row in rows]
        if mended:
            shown = ", ".join(map(str, sorted(mended)[:_SHOWN_ROWS]))
            raise Conflict(
                f"rows of job {job.id} have mended values, which this file would change back "
                f"({shown}{' and others' * (len(mended) > _SHOWN_ROWS)}); retry these rows "
                "without a file, and leave them out of this one"
            )


def work_of_retry(
    job: Job, file: str, rows: RetriedRows, callback_url: str | None, *, is_plan: bool = False
) -> Upload:
    """The work of a job that retries rows of an earlier one. `file` is the name of its file.

    With `is_plan` it is planned before it writes.
    """
    upload = job.upload
    earlier = () if upload.retry is None else upload.retry.files
    retry = Retry(job.id, (*earlier, upload.file), len(rows.choice))
    return replace(
        upload,
        file=file,
        uploaded_file=None,
        callback_url=callback_url,
        retry=retry,
        planned_file=_digest_of(retry, rows) if is_plan else None,
    )


def _digest_of(retry: Retry, rows: RetriedRows) -> str:
    """Identifies the file of a retry: that of the first job, and the rows of it."""
    digest = hashlib.sha256(f"{retry.files[0]}\n{retry.of}\n".encode())
    digest.update(rows.choice.pack())
    return digest.hexdigest()


def _require_finished(job: Job) -> None:
    if not job.is_finished:
        raise Conflict(f"job {job.id} is {job.status.value}; retry its rows once it is finished")


class _ResultsFile:
    """A file of results, row by row. Raises BadInput for what cannot be retried."""

    def __init__(self, job: Job, kinds: RowKinds, retried: Mapping[int, RowChoice]) -> None:
        self._job = job
        self._kinds = kinds
        self._retried = retried
        self._packed: dict[int, bytes] = {}
        self._size = 0
        self._columns: Sequence[str] = ()

    def add(self, row: Row) -> None:
        """Take a row."""
        place = f"row {row.number}" if row.line is None else f"line {row.line}"
        if row.problem is not None or row.values is None:
            problem = "it cannot be read" if row.problem is None else row.problem.message
            raise BadInput(f"{place} of the file: {problem}")
        number = self._number(place, row.values.get(ROW))
        names = columns_of_job(self._job, row.values)
        require_columns(self._job, names.values())
        values = {own: row.values[name] for name, own in names.items()}
        self._packed[number] = pack_line(values)
        self._size += len(self._packed[number])
        if len(self._packed) > MAX_ROWS or self._size > MAX_BYTES:
            raise TooLarge(
                f"the file has more than {MAX_ROWS:,} rows, or {MAX_BYTES // 2**20} MB; send it in "
                "several pieces, each as a retry of its own"
            )

    def _number(self, place: str, value: Any) -> int:
        """The number of a row, which can be retried."""
        job = self._job
        found = _WHOLE_NUMBER.fullmatch(str(value))
        if found is None:
            shown = "is empty" if value is None else f"is {str(value)[:40]!r}"
            raise BadInput(
                f"{place} of the file: {ROW} {shown}; it is the number of a row of job {job.id}, "
                f"as in /bulk/{job.id}/results"
            )
        number = int(found[1])
        if not self._kinds.has(number):
            raise BadInput(f"{place} of the file: job {job.id} has no row {number}; leave it out")
        if number in self._packed:
            raise BadInput(f"{place} of the file: row {number} comes twice; leave one of them out")
        if self._kinds.of(number) not in RETRIED:
            raise BadInput(
                f"{place} of the file: row {number} of job {job.id} was written; leave it out: "
                f"only {_WHAT_IS_RETRIED} can be retried"
            )
        for other, rows in self._retried.items():
            if number in rows:
                raise BadInput(
                    f"{place} of the file: job {other} retries row {number} of job {job.id} "
                    "already; retry that one"
                )
        return number

    def require_columns(self, names: Iterable[str]) -> None:
        """Take the columns of a table: a cell that a row leaves empty is an empty one."""
        own = columns_of_job(self._job, names)
        require_columns(self._job, own.values())
        self._columns = tuple(own.values())

    def mends(self) -> Iterable[tuple[int, Mend]]:
        """The mended rows by their numbers."""
        for number, packed in self._packed.items():
            values = unpack_line(packed)
            yield (
                number,
                self._mend_of_cells(values) if self._job.columns else Mend(values, is_file=True),
            )

    def _mend_of_cells(self, values: Mapping[str, Any]) -> Mend:
        """JSON has null for an empty cell, and all formats have a text that clears a field."""
        null = self._job.options.get("nullValue")
        empty = {name for name in (*self._columns, *values) if values.get(name) is None}
        cells = {
            name: None if null and value == null else value
            for name, value in values.items()
            if name not in empty
        }
        return Mend(cells, tuple(empty), is_file=True)
