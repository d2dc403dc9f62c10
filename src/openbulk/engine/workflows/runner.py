"""Workflows: a download from one instance, then an upload of its records into another.

The ledger has the names of a transfer's two files before their jobs exist, and a file has one job.
So there is one download and one upload, whichever process takes the next step, and however often.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import structlog

from openbulk.domain.errors import TooManyUnderWay
from openbulk.domain.job import Download, Job, Status, Upload
from openbulk.domain.workflow import Run, RunStatus, Transfer, TransferSpec
from openbulk.engine.queue.periodic import do_each
from openbulk.storage.ledger import Ledger
from openbulk.storage.runs import Runs

log = structlog.get_logger()

MAX_RUNS = 1_000
"""Unfinished runs of an organization, those of its schedules apart."""


class Submit(Protocol):
    """Accepts a job."""

    async def __call__(
        self,
        work: Upload | Download,
        *,
        organization_id: int,
        instance_id: int,
        request_id: str | None,
    ) -> Job:
        """Return the job of the work's file. Work with the same file is accepted once."""


class Workflows:
    """Carries out specs, one transfer after another."""

    def __init__(
        self,
        runs: Runs,
        ledger: Ledger,
        submit: Submit,
        has_room: Callable[[int], Awaitable[bool]],
        now: Callable[[], datetime],
    ) -> None:
        """`has_room` says whether an organization may have another job by its limits."""
        self._runs = runs
        self._ledger = ledger
        self._submit = submit
        self._has_room = has_room
        self._waiting: dict[int, dict[str, Run]] = {}
        """Runs that have waited in this process for their organizations' limits."""
        self._now = now

    async def begin(
        self,
        specs: Sequence[TransferSpec],
        *,
        organization_id: int,
        instance_id: int,
        request_id: str | None,
    ) -> Run:
        """Accept a run. Once this returns, it will be carried out, even if this process dies.

        Raises TooManyUnderWay.
        """
        run = Run(
            uuid.uuid4().hex, organization_id, instance_id, self._now(), request_id=request_id
        )
        if not await self._runs.add(run, specs, limit=MAX_RUNS):
            raise TooManyUnderWay(
                f"the organization has {MAX_RUNS:,} unfinished workflows, which is the limit; "
                "wait until some are finished: GET /bulkloader lists them"
            )
        log.info("workflow created", run=run.id, transfers=len(specs))
        await self.advance(run)
        return run

    async def job_finished(self, job: Job) -> None:
        """Take the next step of the run that a finished job belongs to, if any."""
        if (run := await self._runs.with_file(job.work.file)) is not None:
            await self.advance(run)
        for waiting in self._waiting.pop(job.organization_id, {}).values():
            await self.advance(waiting)

    async def sweep(self) -> None:
        """Continue the runs that a dead process has dropped."""
        runs = await self._runs.unfinished_runs()
        await do_each(runs, self.advance, lambda run: f"workflow {run.id}")

    async def advance(self, run: Run) -> None:
        """Take the steps of a run that are due. No-op while it waits for a job."""
        failed = False
        for transfer in await self._runs.transfers(run):
            status = transfer.status
            if status is RunStatus.RUNNING:
                status = await self._advance_transfer(transfer)
            if status is RunStatus.RUNNING:
                return
            failed |= status is RunStatus.ERROR
        ended = RunStatus.ERROR if failed else RunStatus.COMPLETED
        await self._runs.end(run.id, ended, self._now())
        log.info("workflow finished", run=run.id, status=ended)

    async def _advance_transfer(self, transfer: Transfer) -> RunStatus:
        """Take the next steps of a transfer; return its status after them."""
        spec = transfer.spec
        jobs = await self._ledger.jobs_with_files([transfer.read_file, transfer.sent_file])
        reading = jobs.get(transfer.read_file)
        if reading is None and not await self._has_room(transfer.run.organization_id):
            # What has been read is sent, limit or not: it is kept already.
            self._note_waiting(transfer.run)
            return RunStatus.RUNNING
        if reading is None:
            reading = await self._read(transfer)
        if not reading.is_finished:
            return RunStatus.RUNNING
        if reading.status is not Status.COMPLETE or spec.destination is None:
            return await self._end(transfer, reading)
        sending = jobs.get(transfer.sent_file) or await self._send(transfer, reading)
        if not sending.is_finished:
            return RunStatus.RUNNING
        return await self._end(transfer, sending)

    def _note_waiting(self, run: Run) -> None:
        """Try again at the end of a job of the organization. The sweep tries, too."""
        log.info("workflow waits: its organization is at a limit", run=run.id)
        self._waiting.setdefault(run.organization_id, {})[run.id] = run

    async def _read(self, transfer: Transfer) -> Job:
        spec = transfer.spec
        download = replace(spec.download.restrict_to(spec.changes), file=transfer.read_file)
        return await self._submit_for(transfer.run, download, transfer.run.instance_id)

    async def _send(self, transfer: Transfer, reading: Job) -> Job:
        destination = transfer.spec.destination
        assert destination is not None
        upload = Upload(
            destination.target,
            file=transfer.sent_file,
            file_size=0,
            file_format="json",
            callback_url=destination.callback_url,
            records_of=reading.id,
        )
        return await self._submit_for(transfer.run, upload, destination.instance_id)

    async def _submit_for(self, run: Run, work: Upload | Download, instance_id: int) -> Job:
        return await self._submit(
            work,
            organization_id=run.organization_id,
            instance_id=instance_id,
            request_id=run.request_id,
        )

    async def _end(self, transfer: Transfer, last: Job) -> RunStatus:
        """End a transfer as its last job ended; return its status."""
        if last.status is Status.COMPLETE:
            await self._runs.end_transfer(transfer.id, None, self._now())
            return RunStatus.COMPLETED
        step = "reading" if last.is_download else "sending"
        error = f"{step} ended as {last.status.value}: {last.error or 'it was cancelled'}"
        await self._runs.end_transfer(transfer.id, error, self._now())
        return RunStatus.ERROR
