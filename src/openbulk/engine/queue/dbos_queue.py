"""The lanes that jobs move in, kept by DBOS: the only module that knows it.

DBOS decides who works when, and finds work again that was under way when a process died. Where a job stands is
in the ledger: a slice that is run twice finds there that it has nothing left to do.

    slice     a turn of a job: in its instance's lane, one at a time in a lane, lanes side by side; or beside the
              lanes, where it only reads the job's file
    callback  an attempt to deliver a notification
"""

import asyncio
import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, SetEnqueueOptions, SetWorkflowID, WorkflowStatus
from sqlalchemy import Connection, Engine, ExceptionContext, event

from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.storage.database import AWAY, wait_while_away

APPLICATION_VERSION = "1"
"""Raised by hand when a workflow's own steps change: work begun under another version is left to that version."""

_NAME = "openbulk"
_LANES = "lanes"
_BESIDE = "beside"
_LANE_POLL_SECONDS = 0.15
_BESIDE_POLL_SECONDS = 1.0
_BESIDE_AT_ONCE = 16
_SCHEMA = "openbulk_lanes"
"""Where PostgreSQL keeps DBOS's tables, beside the ledger's."""
_STALLED_AFTER_SECONDS = 5.0
_LOST_AFTER_SECONDS = 1.0
_FORGOTTEN_AT_ONCE = 1_000
_SAID_ELSEWHERE = (AWAY, "(psycopg.OperationalError)", "(psycopg.errors.AdminShutdown)")
_GOING_ON = frozenset({"PENDING", "ENQUEUED", "DELAYED"})


@dataclass(frozen=True, slots=True)
class NextSlice:
    """The turn that a job takes next."""

    job_id: int
    number: int
    lane: int | None
    """The instance in whose lane it stands; None beside the lanes."""
    delay: float = 0.0
    """Seconds before it is due."""

    @property
    def id(self) -> str:
        """The name under which DBOS knows it: a turn is taken once."""
        return f"slice:{self.job_id}:{self.number}"


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The attempt that a notification needs next."""

    delivery_id: int
    number: int
    delay: float = 0.0

    @property
    def id(self) -> str:
        """The name under which DBOS knows it: an attempt is made once."""
        return f"callback:{self.delivery_id}:{self.number}"


RunSlice = Callable[[int, int], Awaitable[NextSlice | None]]
Deliver = Callable[[int, int], Awaitable[NextAttempt | None]]


class LaneQueue:
    """Runs the engine's work so that it survives the process. One of these a process: DBOS has one of itself."""

    def __init__(self, database: Engine, executor_id: str = "embedded") -> None:
        config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": database.url.render_as_string(hide_password=False),
            "system_database_engine": database,
            "application_version": APPLICATION_VERSION,
            "executor_id": executor_id,
            "log_level": "WARNING",
            "dbos_system_schema": _SCHEMA,
            "use_listen_notify": False,  # nobody here waits for DBOS's notifications
        }
        self._database = database
        self._executor_id = executor_id
        self._dbos = DBOS(config=config)
        self._under_way: Counter[str] = Counter()
        self.has_lost_work = False
        """Whether something could not be written down because the disk was full: it is to be taken up again."""
        self._is_open = False
        self._polled_at = time.monotonic()
        event.listen(database, "commit", self._note_poll)
        event.listen(database, "handle_error", self._note_loss)
        wait_while_away(database, lambda: self._is_open)
        logging.getLogger("dbos").addFilter(_is_news)

    async def start(self, *, run_slice: RunSlice, deliver: Deliver) -> None:
        """Begin to work, on the event loop that runs now; goes on with what a dead process left. Raises Unavailable."""

        @DBOS.workflow(name="slice", max_recovery_attempts=None)
        async def turn(job_id: int, number: int) -> None:
            with self._noted():
                if (following := await run_slice(job_id, number)) is not None:
                    await self.enqueue_slice(following)

        @DBOS.workflow(name="callback", max_recovery_attempts=None)
        async def callback(delivery_id: int, number: int) -> None:
            with self._noted():
                if (following := await deliver(delivery_id, number)) is not None:
                    await self.attempt(following)

        self._turn, self._callback = turn, callback
        await asyncio.to_thread(self._make_queues)
        DBOS.launch()
        self._polled_at = time.monotonic()
        self._is_open = True

    def _make_queues(self) -> None:
        """The queues are there before DBOS begins: it looks for new ones once a second."""
        client = DBOSClient(
            system_database_engine=self._database,
            dbos_system_schema=_SCHEMA,
            application_name=_NAME,
            lazy=True,
            retry_connection_errors=False,
        )
        client._sys_db.run_migrations()  # `DBOS.migrate` has an engine of its own, whose errors are not called as ours
        client.register_queue(
            _LANES, partition_concurrency=1, polling_interval_sec=_LANE_POLL_SECONDS
        )
        client.register_queue(
            _BESIDE, worker_concurrency=_BESIDE_AT_ONCE, polling_interval_sec=_BESIDE_POLL_SECONDS
        )
        client.destroy()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Note that the workflow which runs now is under way here."""
        work = DBOS.workflow_id
        assert work is not None
        self._under_way[work] += 1
        try:
            yield
        finally:
            self._under_way -= Counter([work])

    def take_no_more(self) -> None:
        """Begin no turn any more; those under way go on, and what follows them is left to others."""
        self._is_open = False
        for stop in self._dbos.background_thread_stop_events:
            stop.set()

    @property
    def is_idle(self) -> bool:
        """Whether no turn is under way here."""
        return not any(work.startswith("slice:") for work in self._under_way)

    @property
    def is_polling(self) -> bool:
        """Whether the lanes were looked at in the last seconds."""
        return time.monotonic() - self._polled_at < _STALLED_AFTER_SECONDS

    def _note_poll(self, _connection: Connection) -> None:
        if threading.current_thread().name == f"queue-worker-{_LANES}":
            self._polled_at = time.monotonic()

    def _note_loss(self, context: ExceptionContext) -> None:
        # What an earlier listener has made of the error; there is no such attribute where none has.
        if isinstance(getattr(context, "chained_exception", None), DiskFull):
            self.has_lost_work = True

    def stop(self) -> None:
        """Stop working; what is under way must have been drained before."""
        DBOS.destroy(destroy_registry=True)
        self._database.dispose()

    async def take_over(self, living: frozenset[str]) -> int:
        """Put back in its lane whatever was under way in processes that are not among the living; how much.

        Also what was left by one that nobody remembers: each look is at everything. Nothing while these lanes are not
        open.
        """
        if not self._is_open:
            return 0
        pending = await DBOS.list_workflows_async(
            status="PENDING", load_input=False, load_output=False
        )
        return await self._put_back(work for work in pending if work.executor_id not in living)

    async def take_back(self) -> int:
        """Put back in its lane what is said to be under way here, and is not: the disk was full when its end was to be
        written down. How much."""
        if not self._is_open:
            return 0
        self.has_lost_work = False
        seen = await self._missing()
        if not seen:
            return 0
        await asyncio.sleep(
            _LOST_AFTER_SECONDS
        )  # what begins or ends at this moment looks the same
        lost = await self._missing()
        return await self._put_back(lost[work] for work in lost.keys() & seen.keys())

    async def _missing(self) -> Mapping[str, WorkflowStatus]:
        here = await DBOS.list_workflows_async(
            status="PENDING", executor_id=self._executor_id, load_input=False, load_output=False
        )
        return {work.workflow_id: work for work in here if work.workflow_id not in self._under_way}

    async def _put_back(self, works: Iterable[WorkflowStatus]) -> int:
        left: dict[str | None, list[str]] = defaultdict(list)
        for work in works:
            left[work.queue_name].append(work.workflow_id)
        for queue, ids in left.items():
            await DBOS.resume_workflows_async(ids, queue_name=queue)
        return sum(len(ids) for ids in left.values())

    async def enqueue_slice(self, turn: NextSlice) -> None:
        """Have a job take its next turn; nothing happens where it does already, or has."""
        with SetWorkflowID(turn.id):
            if turn.lane is None:
                await self._do_beside(turn.delay, self._turn, turn.job_id, turn.number)
                return
            with SetEnqueueOptions(
                queue_partition_key=str(turn.lane), delay_seconds=turn.delay or None
            ):
                await DBOS.enqueue_workflow_async(_LANES, self._turn, turn.job_id, turn.number)

    async def attempt(self, attempt: NextAttempt) -> None:
        """Have a notification delivered; nothing happens where this attempt is under way, or was made."""
        with SetWorkflowID(attempt.id):
            await self._do_beside(
                attempt.delay, self._callback, attempt.delivery_id, attempt.number
            )

    async def _do_beside(
        self,
        delay: float,
        work: Callable[[int, int], Coroutine[Any, Any, None]],
        subject: int,
        number: int,
    ) -> None:
        """Do something beside the lanes: here and at once, or where it is due later, or this process takes no more, by
        whoever looks then."""
        if self._is_open and not delay:
            await DBOS.start_workflow_async(work, subject, number)
            return
        with SetEnqueueOptions(delay_seconds=delay or None):
            await DBOS.enqueue_workflow_async(_BESIDE, work, subject, number)

    async def unfinished_by_id(self, ids: Sequence[str]) -> Mapping[str, bool]:
        """Of the turns and attempts with these ids: whether they are still to end. One never begun is absent."""
        if not ids:
            return {}
        known = await DBOS.list_workflows_async(
            workflow_ids=list(ids), load_input=False, load_output=False
        )
        return {workflow.workflow_id: workflow.status in _GOING_ON for workflow in known}

    async def forget(self, *, finished_before: str) -> int:
        """Forget work that was finished before a moment (ISO 8601); how much. DBOS itself keeps it for ever."""
        forgotten = 0
        while ids := await self._finished(finished_before):
            await DBOS.delete_workflows_async(ids)
            forgotten += len(ids)
            if len(ids) < _FORGOTTEN_AT_ONCE:
                break
        return forgotten

    async def _finished(self, before: str) -> list[str]:
        done = await DBOS.list_workflows_async(
            completed_before=before, limit=_FORGOTTEN_AT_ONCE, load_input=False, load_output=False
        )
        return [workflow.workflow_id for workflow in done if workflow.status not in _GOING_ON]


def _is_news(record: logging.LogRecord) -> bool:
    """What DBOS says of a database that is away, with tracebacks, is said in a sentence by those who wait for it."""
    if record.exc_info is not None and isinstance(record.exc_info[1], Unavailable):
        return False
    return not any(away in record.getMessage() for away in _SAID_ELSEWHERE)
