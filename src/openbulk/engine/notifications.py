"""Notifies callers of finished jobs. Each notification is durable work of its own."""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

import aiohttp
import structlog

from openbulk.domain.job import Job
from openbulk.engine import metrics
from openbulk.engine.queue.dbos_queue import LaneQueue, NextAttempt
from openbulk.engine.queue.periodic import do_each
from openbulk.notify.callbacks import (
    HOSTS,
    Attempt,
    Notification,
    deliver,
    host_of,
    receiver_of,
    sends_secrets,
    wait_before_next,
)
from openbulk.storage.accounts import Accounts
from openbulk.storage.deliveries import Deliveries, Delivery, OpenDelivery
from openbulk.storage.retry import retry_until_written, retry_while_unavailable

log = structlog.get_logger()


class Notifications:
    """Remembers notifications and has each delivered at least once."""

    def __init__(
        self,
        deliveries: Deliveries,
        accounts: Accounts,
        queue: LaneQueue,
        http: aiohttp.ClientSession,
        present: Callable[[Job], bytes],
        now: Callable[[], datetime],
        draining: asyncio.Event,
    ) -> None:
        self._deliveries = deliveries
        self._accounts = accounts
        self._queue = queue
        self._http = http
        self._present = present
        self._now = now
        self._draining = draining

    async def announce(self, job: Job) -> None:
        """Have the caller of a finished job notified at the callback URL that the job has."""
        url = job.work.callback_url
        assert url is not None
        add = partial(self._deliveries.add, job, url, self._present(job), self._now())
        delivery = await retry_while_unavailable(add, self._draining)
        due = NextAttempt(delivery.id, delivery.attempts + 1, receiver_of(url))
        await self._queue.enqueue_attempt(due)

    async def announce_again(self, delivery: Delivery) -> None:
        """Make another attempt at a notification that is delivered or given up."""
        await self._deliveries.reopen(delivery, self._now())
        due = NextAttempt(delivery.id, delivery.attempts + 1, receiver_of(delivery.url))
        await self._queue.enqueue_attempt(due)

    async def sweep(self) -> None:
        """Resume the notifications that a dead process has dropped."""
        jobs = await self._deliveries.jobs_to_notify()
        await do_each(jobs, self.announce, lambda job: f"notification of job {job.id}")
        deliveries = await self._deliveries.open()
        await do_each(deliveries, self._resume, lambda one: f"notification {one.id}")

    async def _resume(self, delivery: OpenDelivery) -> None:
        delay = max(0.0, (delivery.due_at - self._now()).total_seconds())
        due = NextAttempt(delivery.id, delivery.attempts + 1, receiver_of(delivery.url), delay)
        await self._queue.enqueue_attempt(due)

    async def deliver(self, delivery_id: int, number: int) -> NextAttempt | None:
        """Make an attempt; return the next one if it has to be repeated."""
        find = partial(self._deliveries.get, delivery_id)
        delivery = await retry_while_unavailable(find, self._draining)
        if delivery is None or delivery.finished_at is not None or delivery.attempts >= number:
            return None
        attempt = await self._attempt(delivery)
        wait = wait_before_next(attempt, number, chance=random.random())  # noqa: S311
        metrics.NOTIFICATIONS.labels(_result_for_metrics(attempt, wait)).inc()
        log.info(
            "notification sent",
            job=delivery.job_id,
            attempt=number,
            result=attempt.result,
            next_in=wait,
        )
        now = self._now()
        end = partial(self._deliveries.end_attempt, delivery.id, number, attempt.result)
        if wait is None:
            end = partial(end, due_at=now, finished_at=now)
            await retry_until_written(end, self._draining)
            return None
        end = partial(end, due_at=now + timedelta(seconds=wait), finished_at=None)
        await retry_until_written(end, self._draining)
        return NextAttempt(delivery.id, number + 1, receiver_of(delivery.url), wait)

    async def _attempt(self, delivery: Delivery) -> Attempt:
        find = partial(self._accounts.instance, delivery.instance_id)
        instance = await retry_while_unavailable(find, self._draining)
        notification = Notification(delivery.id, delivery.url, delivery.body)
        # An instance may be deleted while its notifications are repeated: they are then sent
        # without the headers and signatures that it had configured.
        configuration = instance.configuration if instance else {}
        if sends_secrets(configuration) and not configuration.get(HOSTS):
            # The first host that is called is the one that they are for.
            configuration = await self._remember_host(delivery)
        return await deliver(self._http, notification, configuration, self._now())

    async def _remember_host(self, delivery: Delivery) -> Mapping[str, str]:
        """Bind the secrets of an instance to a callback's host; return the configuration."""
        bind = partial(
            self._accounts.set_missing_entry, delivery.instance_id, HOSTS, host_of(delivery.url)
        )
        return await retry_while_unavailable(bind, self._draining)


def _result_for_metrics(attempt: Attempt, wait: float | None) -> str:
    if attempt.is_delivered:
        return "delivered"
    if wait is None:
        return "given up"
    return "to repeat"
