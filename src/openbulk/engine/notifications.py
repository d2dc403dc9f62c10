"""Telling callers that their jobs are finished, as durable work of its own."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import aiohttp
import structlog

from openbulk.domain.job import Job
from openbulk.engine import metrics
from openbulk.engine.queue.dbos_queue import LaneQueue, NextAttempt
from openbulk.engine.slices.deadline import retry_while_disk_full
from openbulk.notify.callbacks import Notification, deliver, wait_before_next
from openbulk.storage.accounts import Accounts
from openbulk.storage.deliveries import Deliveries, Delivery

log = structlog.get_logger()


class Notifications:
    """Writes notifications down and has them delivered, at least once each."""

    def __init__(
        self,
        deliveries: Deliveries,
        accounts: Accounts,
        lanes: LaneQueue,
        http: aiohttp.ClientSession,
        present: Callable[[Job], bytes],
        now: Callable[[], datetime],
        draining: asyncio.Event,
    ) -> None:
        self._deliveries = deliveries
        self._accounts = accounts
        self._lanes = lanes
        self._http = http
        self._present = present
        self._now = now
        self._draining = draining

    async def announce(self, job: Job) -> None:
        """A job is finished: tell its caller, where that was asked for."""
        if job.work.callback_url is None:
            return
        delivery = await self._deliveries.add(
            job, job.work.callback_url, self._present(job), self._now()
        )
        await self._lanes.attempt(NextAttempt(delivery.id, delivery.attempts + 1))

    async def sweep(self) -> None:
        """Take up the notifications that a process which died dropped."""
        for job in await self._deliveries.jobs_to_notify():
            await self.announce(job)
        for delivery in await self._deliveries.open():
            await self._lanes.attempt(self._next(delivery))

    async def deliver(self, delivery_id: int, number: int) -> NextAttempt | None:
        """Make an attempt; the one that follows where it has to be repeated."""
        delivery = await self._deliveries.get(delivery_id)
        if delivery is None or delivery.finished_at is not None or delivery.attempts >= number:
            return None
        instance = await self._accounts.instance(delivery.instance_id)
        attempt = await deliver(
            self._http,
            Notification(delivery.id, delivery.url, delivery.body),
            instance.configuration if instance else {},
            self._now(),
        )
        wait = wait_before_next(attempt, number, chance=random.random())  # noqa: S311
        ended = "delivered" if attempt.is_delivered else "given up" if wait is None else "to repeat"
        metrics.NOTIFICATIONS.labels(ended).inc()
        log.info(
            "notification",
            job=delivery.job_id,
            attempt=number,
            result=attempt.result,
            again_in=wait,
        )
        now = self._now()
        await retry_while_disk_full(
            lambda: self._deliveries.end_attempt(
                delivery.id,
                number,
                attempt.result,
                due_at=now + timedelta(seconds=wait or 0.0),
                finished_at=now if wait is None else None,
            ),
            self._draining,
        )
        return None if wait is None else NextAttempt(delivery.id, number + 1, wait)

    def _next(self, delivery: Delivery) -> NextAttempt:
        delay = max(0.0, (delivery.due_at - self._now()).total_seconds())
        return NextAttempt(delivery.id, delivery.attempts + 1, delay)
