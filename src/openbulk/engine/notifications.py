"""Telling callers that their jobs are finished, as durable work of its own."""

from collections.abc import Callable
from datetime import datetime

import aiohttp
import structlog

from openbulk.domain.job import Job
from openbulk.engine.lanes import Lanes, NextAttempt
from openbulk.storage.accounts import Accounts
from openbulk.storage.ledger import Delivery, Ledger

log = structlog.get_logger()


class Notifications:
    """Writes notifications down and has them delivered, at least once each."""

    def __init__(
        self,
        ledger: Ledger,
        accounts: Accounts,
        lanes: Lanes,
        http: aiohttp.ClientSession,
        present: Callable[[Job], bytes],
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._lanes = lanes
        self._http = http
        self._present = present
        self._now = now

    async def announce(self, job: Job) -> None:
        """A job is finished: tell its caller, where that was asked for."""
        if job.upload.callback_url is None:
            return
        delivery = await self._ledger.add_delivery(job, job.upload.callback_url, self._present(job), self._now())
        await self._lanes.attempt(NextAttempt(delivery.id, delivery.attempts + 1))

    async def sweep(self) -> None:
        """Take up the notifications that a process which died dropped."""
        for job in await self._ledger.jobs_to_notify():
            await self.announce(job)
        for delivery in await self._ledger.open_deliveries():
            await self._lanes.attempt(self._next(delivery))

    async def deliver(self, delivery_id: int, number: int) -> NextAttempt | None:
        """Make an attempt; the one that follows where it has to be repeated."""
        raise AssertionError

    def _next(self, delivery: Delivery) -> NextAttempt:
        delay = max(0.0, (delivery.due_at - self._now()).total_seconds())
        return NextAttempt(delivery.id, delivery.attempts + 1, delay)
