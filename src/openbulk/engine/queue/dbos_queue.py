"""The queue of slices and notifications, on DBOS. Only `json_serializer` uses it, too.

DBOS decides which work runs when, and recovers work that was running when a process died. The
ledger knows how far a job is: a slice that runs twice finds nothing left to do.

    slice     a slice of a job: in its instance's lane, one at a time in a lane, lanes side by side;
              outside the lanes if it only cuts the job's file into parts
    callback  an attempt to deliver a notification, outside the lanes; a few at a time to a receiver
"""

import asyncio
import logging
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from dbos import (
    DBOS,
    DBOSClient,
    DBOSConfig,
    Queue,
    SetEnqueueOptions,
    SetWorkflowID,
    WorkflowStatus,
)
from dbos._core import WorkflowHandleAsyncTask
from dbos._queue import queue_worker_thread
from sqlalchemy import Connection, Engine, ExceptionContext, event, text

from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.domain.job import NextSlice
from openbulk.engine.queue.alarm import Alarm
from openbulk.engine.queue.json_serializer import JsonSerializer, refuse_code_in_pickles
from openbulk.engine.queue.lanes import (
    LANES,
    Beginning,
    Entry,
    beginning,
    begun_in_lane,
    enter,
    entering,
)
from openbulk.engine.queue.polling import Pace, Polling
from openbulk.storage.database import DATABASE_UNAVAILABLE, wait_while_unavailable
from openbulk.storage.notices import WORK, notify
from openbulk.storage.outlook import Outlook, Row
from openbulk.storage.workers import Living

APPLICATION_VERSION = "1"
"""Raise it by hand when a workflow's own steps change: each version runs its own work only."""

# Databases store these names: do not change them.
_NAME = "openbulk"
_OUTSIDE_LANES = "beside"
_CALLBACKS = "callbacks"
_SCHEMA = "openbulk_lanes"
"""The PostgreSQL schema with DBOS's tables, next to the ledger's."""

# While this process is awake (`polling.py`). DBOS's default of a second is too slow for a lane that
# becomes free.
_LANES_POLL_SECONDS = 0.15
_OUTSIDE_POLL_SECONDS = 1.0
_OUTSIDE_AT_ONCE = 16
_BEGUN_IN_LANES_AT_ONCE = 8
"""Slices that begin here without the queue. Others wait in it for any process that has time."""
_LANE_IS_BUSY_SECONDS = 1.0
"""For so long after a lane was found busy, its slices go to the queue without another look."""
_CALLBACKS_AT_ONCE = 64
_CALLBACKS_TO_ONE_RECEIVER = 8
"""Attempts of the queue at the same time; as many again may begin without it, as soon as a job is
finished. A receiver that does not answer holds each of its own for 20 s, and none of others."""
_STALLED_AFTER_SECONDS = 5.0
_DELAYED_BY_OTHERS_SECONDS = (0.2, 1.0)
"""Who delayed work enqueues it when it is due. The others do so this much later, if it has died."""
_JOIN_SECONDS = 10.0
_LOST_AFTER_SECONDS = 1.0
_LANE_IS_FREE_SECONDS = 0.02
"""DBOS has recorded by then that a slice has ended."""
_FORGET_AT_ONCE = 1_000
_UNFINISHED = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
_LOGGED_BY_US = (
    DATABASE_UNAVAILABLE,
    "(psycopg.OperationalError)",
    "(psycopg.errors.AdminShutdown)",
)


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The next attempt to deliver a notification."""

    delivery_id: int
    number: int
    receiver: str
    """The host and the port that it calls."""
    delay: float = 0.0

    @property
    def id(self) -> str:
        """Its id in DBOS, which runs each id once."""
        return f"callback:{self.delivery_id}:{self.number}"


def slice_id(due: NextSlice) -> str:
    """The id of a slice in DBOS, which runs each id once."""
    return f"slice:{due.job_id}:{due.number}"


# Work of a busy lane is left out: who works in that lane polls it. DBOS's indexes are those of
# unfinished work alone, and SQLite uses them if the statement says so, too.
_WAITING = """
SELECT DISTINCT 'queue', w.queue_name, CAST(NULL AS bigint)
FROM {table} w WHERE w.status = 'ENQUEUED' AND w.status IN ('ENQUEUED', 'PENDING')
AND NOT (w.queue_name = '{lanes}' AND EXISTS (
    SELECT 1 FROM {table} p WHERE p.queue_name = w.queue_name AND p.status = 'PENDING'
    AND p.status IN ('ENQUEUED', 'PENDING') AND p.queue_partition_key IS NOT NULL
    AND p.queue_partition_key = w.queue_partition_key))
UNION ALL
SELECT 'delayed', CAST(NULL AS text), min(delay_until_epoch_ms)
FROM {table} WHERE status = 'DELAYED'
"""
_WAITING_HERE = _WAITING.format(table="workflow_status", lanes=LANES)
WAITING = _WAITING.format(table=f"{_SCHEMA}.workflow_status", lanes=LANES)
"""The SQL of what waits in the queues, on PostgreSQL: rows of an `Outlook`."""
_makes_work: ContextVar[bool] = ContextVar("openbulk_makes_work", default=False)
"""Whether the commits of this code are to wake other processes."""

RunSlice = Callable[[int, int], Awaitable[NextSlice | None]]
Deliver = Callable[[int, int], Awaitable[NextAttempt | None]]
Workflow = Callable[[int, int], Coroutine[Any, Any, None]]


class LaneQueue:
    """Runs the engine's work durably: it survives the process. A process has one queue."""

    def __init__(self, database: Engine, executor_id: str = "embedded") -> None:
        refuse_code_in_pickles()
        config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": database.url.render_as_string(hide_password=False),
            "system_database_engine": database,
            "application_version": APPLICATION_VERSION,
            "executor_id": executor_id,
            "log_level": "WARNING",
            "dbos_system_schema": _SCHEMA,
            "serializer": JsonSerializer(),
            "use_listen_notify": False,  # openbulk waits for none of DBOS's notifications
        }
        self._database = database
        self._executor_id = executor_id
        self._dbos = DBOS(config=config)
        self._running: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        """Number of attempts that began without the queue, by receiver."""
        self.has_lost_work = False
        """Whether DBOS failed to record something on a full disk: `requeue_lost` is due."""
        self._is_open = False
        self._polled_at = time.monotonic()
        self.polling = Polling()
        self._pollers: list[threading.Thread] = []
        self._delays = Alarm(time.time)
        self._may_work = asyncio.Event()
        self._may_work.set()
        self._begun_in_lanes: dict[int, float] = {}
        """The lanes with a slice that has begun here without the queue, and since when."""
        self._heard_of_work_at = 0.0
        self._found_busy_at: dict[int, float] = {}
        """When a lane was last found busy, by `time.monotonic`."""
        self._beginnings: set[asyncio.Task[Any]] = set()
        self._is_shared = database.dialect.name == "postgresql"
        table = f"{_SCHEMA}.workflow_status" if self._is_shared else "workflow_status"
        event.listen(database, "commit", partial(enter, table=table))
        event.listen(database, "commit", self._note_poll)
        if self._is_shared:
            event.listen(database, "commit", self._wake_others)
        event.listen(database, "handle_error", self._note_loss)
        wait_while_unavailable(database, lambda: self._is_open)
        logging.getLogger("dbos").addFilter(_is_news)

    async def start(self, *, run_slice: RunSlice, deliver: Deliver) -> None:
        """Start to work in the current event loop, and resume the work of a dead process.

        Raises Unavailable.
        """

        # With a limit, DBOS would drop a workflow for good. The ledger counts attempts itself.
        @DBOS.workflow(name="slice", max_recovery_attempts=None)
        async def slice_workflow(job_id: int, number: int) -> None:
            lane = begun_in_lane()
            try:
                with self._track():
                    if (following := await run_slice(job_id, number)) is not None:
                        await self.enqueue_slice(following)
            finally:
                self._note_free(lane)

        @DBOS.workflow(name="callback", max_recovery_attempts=None)
        async def callback_workflow(delivery_id: int, number: int) -> None:
            with self._track():
                if (following := await deliver(delivery_id, number)) is not None:
                    await self.enqueue_attempt(following)

        self._slice_workflow, self._callback_workflow = slice_workflow, callback_workflow
        queues = await asyncio.to_thread(self._make_queues)
        DBOS.listen_queues([])
        DBOS.launch()
        self._stop_polls_of_dbos()
        queues.append(self._dbos._registry.get_internal_queue())
        self._is_open = True
        self._pollers = [self._start_poller(queue) for queue in queues]
        self.polling.wake(*(queue.name for queue in queues))

    def _stop_polls_of_dbos(self) -> None:
        """Stop the threads with which DBOS polls, forever, whether there is work or not.

        They are those of its queues, schedules and delays. What they do is done here when it is
        due (docs/decisions/0044-what-wakes-what.md).
        """
        for stop in self._dbos.background_thread_stop_events:
            stop.set()
        self._dbos._background_jobs_stop_event.set()

    def _start_poller(self, queue: Queue) -> threading.Thread:
        # Otherwise DBOS reads before each poll how the queue is configured.
        queue.database_backed_queue = False
        poller = threading.Thread(
            target=queue_worker_thread,
            args=(Pace(self.polling, queue.name), self._dbos, queue),
            name=f"queue-worker-{queue.name}",
            daemon=True,
        )
        poller.start()
        return poller

    def _make_queues(self) -> list[Queue]:
        """Create the queues."""
        client = DBOSClient(
            system_database_engine=self._database,
            dbos_system_schema=_SCHEMA,
            application_name=_NAME,
            lazy=True,
            retry_connection_errors=False,
        )
        # `DBOS.migrate` opens an engine of its own, whose errors would not be translated to ours.
        client._sys_db.run_migrations()
        queues = [
            client.register_queue(
                LANES, partition_concurrency=1, polling_interval_sec=_LANES_POLL_SECONDS
            ),
            client.register_queue(
                _OUTSIDE_LANES,
                worker_concurrency=_OUTSIDE_AT_ONCE,
                polling_interval_sec=_OUTSIDE_POLL_SECONDS,
            ),
            client.register_queue(
                _CALLBACKS,
                worker_concurrency=_CALLBACKS_AT_ONCE,
                partition_worker_concurrency=_CALLBACKS_TO_ONE_RECEIVER,
                polling_interval_sec=_OUTSIDE_POLL_SECONDS,
            ),
        ]
        client.destroy()
        return queues

    @contextmanager
    def _track(self) -> Iterator[None]:
        """Remember that the current workflow runs in this process."""
        workflow_id = DBOS.workflow_id
        assert workflow_id is not None
        self._running[workflow_id] += 1
        try:
            with self.polling.work():
                yield
        finally:
            self._running -= Counter([workflow_id])

    def _note_free(self, lane: int | None) -> None:
        """Begin the next slice of a lane soon, and not with the next poll.

        `lane` is None for a slice that came from the queue. One that did not is mostly alone.
        """
        if lane is not None:
            began_at = self._begun_in_lanes.pop(lane, 0.0)
            heard_at = max(self._heard_of_work_at, self._found_busy_at.get(lane, 0.0))
            if heard_at < began_at:
                return
        wake = partial(self.polling.wake, LANES)
        asyncio.get_running_loop().call_later(_LANE_IS_FREE_SECONDS, wake)

    # --- rest ---

    def close_to_rest(self) -> bool:
        """Begin no more work if there is no sign of any; return whether none can begin.

        Work may be on its way still, if `has_work` says so. A queue that starts or drains does not
        rest.
        """
        if not self._is_open or not self.polling.close_gate():
            return False
        self._may_work.clear()
        return True

    def reopen(self) -> None:
        """Begin work again."""
        self._may_work.set()
        self.polling.open_gate()

    async def has_work(self) -> bool:
        """Whether DBOS lists work as running in this process."""
        pending = await DBOS.list_workflows_async(
            status="PENDING",
            executor_id=self._executor_id,
            limit=1,
            load_input=False,
            load_output=False,
        )
        return bool(pending)

    # --- what wakes it ---

    def see(self, outlook: Outlook) -> None:
        """Begin what may begin now, and remember when delayed work is due."""
        if outlook.queues:
            self.polling.wake(*outlook.queues)
        if outlook.delayed_until is not None:
            later = random.uniform(*_DELAYED_BY_OTHERS_SECONDS)  # noqa: S311
            self._delays.set_by(outlook.delayed_until + later)

    def hear_of_work(self) -> bool:
        """Take notice of work that another process has added; return whether to look at it."""
        self._heard_of_work_at = time.monotonic()
        if self.polling.awake_since is None:
            return True
        # The queues are polled as it is, for some seconds more from now on.
        self.polling.wake()
        return False

    async def read_what_waits(self) -> Sequence[Row]:
        """What waits in the queues of a SQLite file, as rows of an `Outlook`."""
        return await asyncio.to_thread(self._read_what_waits)

    def _read_what_waits(self) -> Sequence[Row]:
        with self._database.connect() as connection:
            rows = connection.execute(text(_WAITING_HERE))
            return [(kind, queue, number) for kind, queue, number in rows]

    async def until_delay_ends(self) -> None:
        """Wait until delayed work is due."""
        await self._delays.wait()

    async def enqueue_delayed(self) -> None:
        """Enqueue the delayed work that is due. DBOS's own thread would look every second."""
        if self._is_open:
            with _waking_others(), entering(Entry(None)):
                await asyncio.to_thread(self._dbos._sys_db.transition_delayed_workflows)
            self.polling.wake(LANES, _OUTSIDE_LANES, _CALLBACKS)

    def _wake_others(self, connection: Connection) -> None:
        # In the same transaction: whoever hears of the work finds it.
        if _makes_work.get():
            connection.execute(notify(WORK, self._executor_id))

    # --- its state ---

    @property
    def is_idle(self) -> bool:
        """Whether no slice runs in this process."""
        return not any(workflow_id.startswith("slice:") for workflow_id in self._running)

    @property
    def is_polling(self) -> bool:
        """Whether the lanes were polled within the last seconds, if there is any sign of work."""
        awake_since = self.polling.awake_since
        if awake_since is None:
            return True
        return time.monotonic() - max(self._polled_at, awake_since) < _STALLED_AFTER_SECONDS

    def _note_poll(self, _connection: Connection) -> None:
        # DBOS names the thread that polls a queue like this, and ends each poll with a commit.
        if threading.current_thread().name == f"queue-worker-{LANES}":
            self._polled_at = time.monotonic()

    def _note_loss(self, context: ExceptionContext) -> None:
        # An earlier listener may have translated the error; without one there is no such attribute.
        if isinstance(getattr(context, "chained_exception", None), DiskFull):
            self.has_lost_work = True

    def drain(self) -> None:
        """Begin no more slices. Running ones continue; other processes run those that follow."""
        self._is_open = False
        self.polling.stop()

    def stop(self) -> None:
        """Stop, after the running work has drained."""
        for poller in self._pollers:
            poller.join(_JOIN_SECONDS)
        DBOS.destroy(destroy_registry=True)
        self._database.dispose()

    # --- work that comes in ---

    async def enqueue_slice(self, due: NextSlice) -> None:
        """Begin a slice at once if nobody has to wait for that, else enqueue it.

        No-op if it is queued or has run.
        """
        if self._begins_now(due.delay) and await self._begin_slice(due):
            return
        queue = _OUTSIDE_LANES if due.lane is None else LANES
        lane = None if due.lane is None else str(due.lane)
        numbers = (due.job_id, due.number)
        entry = None if due.lane is None or due.delay else Entry(due.lane)
        with SetWorkflowID(slice_id(due)), entering(entry):
            await self._enqueue(queue, lane, due.delay, self._slice_workflow, numbers)

    async def _begin_slice(self, due: NextSlice) -> bool:
        """Begin a slice outside the lanes, or one whose lane is free; return whether it has."""
        if due.lane is None:
            with SetWorkflowID(slice_id(due)):
                await self._begin(due)
            return True
        if not self._may_begin_in(due.lane):
            return False
        self._begun_in_lanes[due.lane] = time.monotonic()
        attempt = Beginning()
        try:
            with SetWorkflowID(slice_id(due)), beginning(due.lane, slice_id(due)) as attempt:
                await self._begin(due)
        finally:
            if not attempt.has_begun:
                self._begun_in_lanes.pop(due.lane, None)
        if not attempt.has_begun:
            self._note_busy(due.lane)
        return attempt.has_begun

    async def _begin(self, due: NextSlice) -> None:
        async with self._beginning():
            start = DBOS.start_workflow_async(self._slice_workflow, due.job_id, due.number)
            beginning = asyncio.create_task(start)
            self._beginnings.add(beginning)
            beginning.add_done_callback(self._beginnings.discard)
            # A caller who waits no longer must not leave a slice that is recorded and never runs.
            await asyncio.shield(beginning)

    def _may_begin_in(self, lane: int) -> bool:
        """Whether to look if a lane is free."""
        if lane in self._begun_in_lanes:
            self._note_busy(lane)
        # The slice that enqueues the next one of its job has not left the lane yet.
        is_in_slice = DBOS.workflow_id is not None
        found_at = self._found_busy_at.get(lane)
        is_busy = found_at is not None and time.monotonic() - found_at < _LANE_IS_BUSY_SECONDS
        has_room = len(self._begun_in_lanes) < _BEGUN_IN_LANES_AT_ONCE
        return has_room and not is_busy and not is_in_slice

    def _note_busy(self, lane: int) -> None:
        now = time.monotonic()
        self._found_busy_at = {
            one: found_at
            for one, found_at in self._found_busy_at.items()
            # What waits for a slice that runs here is begun at its end.
            if now - found_at < _LANE_IS_BUSY_SECONDS or one in self._begun_in_lanes
        }
        self._found_busy_at[lane] = now

    async def enqueue_attempt(self, due: NextAttempt) -> None:
        """Enqueue an attempt. No-op if it is running or was made."""
        with SetWorkflowID(due.id):
            if self._begins_now(due.delay) and self._has_room_for(due.receiver):
                async with self._beginning():
                    await self._begin_attempt(due)
                return
            numbers = (due.delivery_id, due.number)
            await self._enqueue(
                _CALLBACKS, due.receiver, due.delay, self._callback_workflow, numbers
            )

    async def _enqueue(
        self,
        queue: str,
        partition: str | None,
        delay: float,
        workflow: Workflow,
        numbers: tuple[int, int],
    ) -> None:
        with SetEnqueueOptions(queue_partition_key=partition, delay_seconds=delay or None):
            if delay:
                await DBOS.enqueue_workflow_async(queue, workflow, *numbers)
                self._delays.set(time.time() + delay)
            else:
                with _waking_others():
                    await DBOS.enqueue_workflow_async(queue, workflow, *numbers)
                self._wake_for(queue)

    def _wake_for(self, queue: str) -> None:
        """Poll a queue that got work: at once, unless others may have nothing to do."""
        if self._is_shared and self._running:
            self.polling.wake()
        else:
            self.polling.wake(queue)

    @asynccontextmanager
    async def _beginning(self) -> AsyncIterator[None]:
        """Begin work without the queue, once others know that this process works."""
        with self.polling.work():
            await self._may_work.wait()
            yield

    def _begins_now(self, delay: float) -> bool:
        """Whether work outside the lanes begins here, without the queue."""
        return self._is_open and not delay

    def _has_room_for(self, receiver: str) -> bool:
        is_free = self._begun[receiver] < _CALLBACKS_TO_ONE_RECEIVER
        return is_free and self._begun.total() < _CALLBACKS_AT_ONCE

    async def _begin_attempt(self, due: NextAttempt) -> None:
        self._begun[due.receiver] += 1
        has_begun = False
        try:
            handle = await DBOS.start_workflow_async(
                self._callback_workflow, due.delivery_id, due.number
            )
            # Any other handle is of an attempt that runs already, or was made.
            if isinstance(handle, WorkflowHandleAsyncTask):
                handle.task.add_done_callback(lambda _: self._note_end(due.receiver))
                has_begun = True
        finally:
            if not has_begun:
                self._note_end(due.receiver)

    def _note_end(self, receiver: str) -> None:
        self._begun -= Counter([receiver])

    # --- work that was dropped ---

    async def take_over(self, living: Living) -> int:
        """Requeue the work that was running in dead processes; return the count.

        That includes processes that are not registered any more: each call looks at all work.
        Does nothing while this queue is closed.
        """
        if not self._is_open:
            return 0
        # A process that only seems dead does no harm: the fence of its slices is raised when they
        # begin again, so that it writes nothing, and its lease keeps it from calling services.
        pending = await DBOS.list_workflows_async(
            status="PENDING", load_input=False, load_output=False
        )
        if not pending:
            return 0
        # Read after their work: a process registers before it takes any.
        names = await living()
        return await self._requeue(work for work in pending if work.executor_id not in names)

    async def requeue_lost(self) -> int:
        """Requeue work that DBOS lists as running here but is not; return the count.

        Such work ended while the disk was full, so that DBOS could not record its end.
        """
        if not self._is_open:
            return 0
        self.has_lost_work = False
        missing = await self._missing()
        if not missing:
            return 0
        # Work that begins or ends at this moment looks like lost work, but not for long.
        await asyncio.sleep(_LOST_AFTER_SECONDS)
        still_missing = await self._missing()
        return await self._requeue(
            still_missing[id_] for id_ in still_missing.keys() & missing.keys()
        )

    async def _missing(self) -> Mapping[str, WorkflowStatus]:
        pending = await DBOS.list_workflows_async(
            status="PENDING", executor_id=self._executor_id, load_input=False, load_output=False
        )
        return {work.workflow_id: work for work in pending if work.workflow_id not in self._running}

    async def _requeue(self, works: Iterable[WorkflowStatus]) -> int:
        ids_by_queue: dict[str | None, list[str]] = defaultdict(list)
        for work in works:
            ids_by_queue[work.queue_name].append(work.workflow_id)
        for queue_name, ids in ids_by_queue.items():
            with _waking_others():
                await DBOS.resume_workflows_async(ids, queue_name=queue_name)
            self.polling.wake(queue_name or self._dbos._registry.get_internal_queue().name)
        return sum(len(ids) for ids in ids_by_queue.values())

    async def is_unfinished_by_id(self, ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether slices and attempts are unfinished, by id. Unknown ids are absent."""
        if not ids:
            return {}
        known = await DBOS.list_workflows_async(
            workflow_ids=list(ids), load_input=False, load_output=False
        )
        return {work.workflow_id: work.status in _UNFINISHED for work in known}

    async def forget(self, *, finished_before: str) -> int:
        """Forget work that finished before a time (ISO 8601); return the count.

        DBOS itself keeps it forever.
        """
        forgotten = 0
        while ids := await self._ids_finished_before(finished_before):
            await DBOS.delete_workflows_async(ids)
            forgotten += len(ids)
            if len(ids) < _FORGET_AT_ONCE:
                break
        return forgotten

    async def _ids_finished_before(self, before: str) -> list[str]:
        completed = await DBOS.list_workflows_async(
            completed_before=before, limit=_FORGET_AT_ONCE, load_input=False, load_output=False
        )
        return [work.workflow_id for work in completed if work.status not in _UNFINISHED]


@contextmanager
def _waking_others() -> Iterator[None]:
    """Let the other processes hear of the work that the code inside commits."""
    token = _makes_work.set(True)
    try:
        yield
    finally:
        _makes_work.reset(token)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether to keep a log record of DBOS. `Outage` already logs an unavailable database."""
    if record.exc_info is not None and isinstance(record.exc_info[1], Unavailable):
        return False
    return not any(known in record.getMessage() for known in _LOGGED_BY_US)
