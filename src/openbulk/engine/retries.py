"""Makes the work of jobs that retry rows of earlier ones, as they were mended."""

import hashlib
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import replace

from openbulk.domain.errors import BadInput, Conflict
from openbulk.domain.job import Job, Retry, Upload
from openbulk.domain.row_kinds import RowChoice, RowKind
from openbulk.engine.mending import mendable_rows
from openbulk.engine.results import kinds_of_rows, results_of
from openbulk.engine.returned_results import SHOWN_ROWS, WHAT_IS_RETRIED, ReturnedResults
from openbulk.engine.slices.pauses import Pauses
from openbulk.engine.slices.retried_parts import rows_in
from openbulk.reading.readers import FileParts
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.mends import Mends
from openbulk.storage.retries import RetriedRows


class Retries:
    """Chooses the rows of retries."""

    def __init__(self, ledger: Ledger, files: FileStore, mends: Mends) -> None:
        self._ledger = ledger
        self._files = files
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
        return f"job {job.id} has no such rows to retry: only {WHAT_IS_RETRIED} can be"

    async def read(self, job: Job, parts: FileParts) -> RetriedRows:
        """The rows of a file of results that a person has mended, with their values.

        Raises BadInput for a row or a column that is not of this job, or cannot be retried.
        """
        _require_finished(job)
        kinds = await kinds_of_rows(self._ledger, job)
        file = ReturnedResults(job, kinds, await self._ledger.retried_rows(job.id))
        pauses, first = Pauses(), 1
        while (part := await parts.next_part()) is not None:
            for row in rows_in(part.content, first):
                await pauses.take_if_due()
                file.add(row)
            first += part.records
        file.set_columns(parts.summary().columns)
        choice = RowChoice(kinds.records)
        choice.add(file.numbers)
        await self._require_no_mends(job, file.numbers)
        sealed: dict[int, bytes] = {}
        found = await results_of(self._ledger, self._files, job, kinds, choice)
        async with aclosing(found.parts()) as parts_of_job:
            async for results in parts_of_job:
                for result in results:
                    await pauses.take_if_due()
                    mend = file.mend_of(result.row)
                    sealed[result.row.number] = self._mends.seal(
                        job.upload, result.row.number, mend
                    )
        file.require_whole()
        return RetriedRows(choice, sealed)

    async def _require_no_mends(self, job: Job, rows: Collection[int]) -> None:
        """Raise Conflict if values of these rows were mended here: the file has the old ones."""
        if not rows:
            return
        known = await self._mends.between(job.id, job.upload, min(rows), max(rows))
        mended = [row for row in known if row in rows]
        if mended:
            shown = ", ".join(map(str, sorted(mended)[:SHOWN_ROWS]))
            raise Conflict(
                f"rows of job {job.id} have mended values, which this file would change back "
                f"({shown}{' and others' * (len(mended) > SHOWN_ROWS)}); retry these rows "
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
