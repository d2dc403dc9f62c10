"""A slice's work with a service's own bulk import: one batch at a time, each with a ticket."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from openbulk.connectors.base import NativeBulk
from openbulk.domain.records import Outcome, Record, Target
from openbulk.engine.slices.lost_answers import complete_outcomes
from openbulk.engine.slices.memory import MemoryShare
from openbulk.engine.slices.progress import Progress
from openbulk.engine.slices.record_reader import Batch, RecordReader
from openbulk.storage.slice_ledger import SliceLedger, Ticket

FIRST_POLL_SECONDS = 0.05
MAX_POLL_SECONDS = 2.0


Screen = Callable[[list[Record]], Awaitable[list[Record]]]
"""Adds the outcomes of records that are not to be sent, and returns the others."""


class RecordOutcomes(Protocol):
    """Records the outcomes of the slice so far."""

    def __call__(self, *, ticket_done: bool = False) -> Awaitable[None]:
        """With `ticket_done`, the service is done with the batch of the ticket."""


class NativeImport:
    """Imports a job's records until the slice ends."""

    def __init__(
        self,
        native: NativeBulk,
        ledger: SliceLedger,
        target: Target,
        reader: RecordReader,
        progress: Progress,
        record: RecordOutcomes,
        must_stop: Callable[[], bool],
        memory: MemoryShare,
        screen: Screen,
    ) -> None:
        """`screen` takes out the records of a batch that are not to be sent."""
        self._native = native
        self._ledger = ledger
        self._target = target
        self._reader = reader
        self._progress = progress
        self._record = record
        self._must_stop = must_stop
        self._memory = memory
        self._screen = screen

    async def run(self, max_batch: int) -> None:
        """Import batches. Raises ServiceError."""
        while not self._must_stop() and self._progress.cursor != self._ledger.job.records:
            batch, until = await self._next_batch(max_batch)
            async with self._memory.hold(batch):
                outcomes = await self._import(batch, until)
            if outcomes is None:
                return
            self._progress.add(complete_outcomes(batch, outcomes, self._target))
            await self._record(ticket_done=True)

    async def _import(self, batch: Sequence[Record], until: int) -> Sequence[Outcome] | None:
        """Import a batch; None if the slice ended before the service was done with it."""
        if not batch:
            return ()
        ticket = self._ledger.ticket
        if ticket is None:
            # In the slice that collects, another row may be a record. The outcomes of those that
            # are none are recorded now, so that the batch stays what was submitted.
            await self._record()
            await self._ledger.lease.wait_until_held()
            ticket = Ticket(await self._native.submit(self._target, batch), until)
            await self._ledger.set_ticket(ticket)
        pause = FIRST_POLL_SECONDS
        while (outcomes := await self._native.collect(ticket.text, self._target, batch)) is None:
            if self._must_stop():
                return None
            await asyncio.sleep(pause)
            pause = min(MAX_POLL_SECONDS, pause * 1.5)
        return outcomes

    async def _next_batch(self, max_records: int) -> tuple[list[Record], int]:
        """The next batch, and the last row in it. A ticket alone says what its batch has."""
        batch = Batch()
        ticket = self._ledger.ticket
        # Closed at once: a part of the file would stay in memory until the service is done.
        async with aclosing(self._reader.read()) as records:
            async for record in records:
                if ticket is None:
                    is_in = batch.has_room(record, max_records)
                else:
                    is_in = record.row <= ticket.until
                if not is_in:
                    break
                batch.add(record)
        chosen = batch.records if ticket else await self._screen(batch.records)
        until = chosen[-1].row if chosen else self._progress.cursor
        return chosen, until
