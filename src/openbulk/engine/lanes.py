"""The lanes that jobs move in, kept by DBOS: the only module that knows it.

DBOS decides who works when, and finds work again that was under way when a process died. Where a job stands is
in the ledger: a slice that is run twice finds there that it has nothing left to do.

    slice     a turn of a job: in its instance's lane, one at a time in a lane, lanes side by side; or beside the
              lanes, where it only reads the job's file
    callback  an attempt to deliver a notification
"""

import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from sqlalchemy import Connection, Engine, event

APPLICATION_VERSION = "1"
"""Raised by hand when a workflow's own steps change: work begun under another version is left to that version."""

_LANES = "lanes"
_CALLBACKS = "callbacks"
_LANE_POLL_SECONDS = 0.15
_CALLBACK_POLL_SECONDS = 1.0
_CALLBACKS_AT_ONCE = 16
_SCHEMA = "openbulk_lanes"
"""Where PostgreSQL keeps DBOS's tables, beside the ledger's."""
_STALLED_AFTER_SECONDS = 5.0
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


class Lanes:
    """Runs the engine's work so that it survives the process. One of these a process: DBOS has one of itself."""

    def __init__(self, database: Engine, executor_id: str = "embedded") -> None:
        config: DBOSConfig = {
            "name": "openbulk",
            "system_database_url": database.url.render_as_string(hide_password=False),
            "system_database_engine": database,
            "application_version": APPLICATION_VERSION,
            "executor_id": executor_id,
            "log_level": "WARNING",
            "dbos_system_schema": _SCHEMA,
            "use_listen_notify": False,  # nobody here waits for DBOS's notifications
        }
        self._database = database
        self._dbos = DBOS(config=config)
        self._turns = 0
        self._is_open = False
        self._polled_at = time.monotonic()
        event.listen(database, "commit", self._note_poll)

    async def start(self, *, run_slice: RunSlice, deliver: Deliver) -> None:
        """Begin to work, on the event loop that runs now; goes on with what a dead process left."""

        @DBOS.workflow(name="slice", max_recovery_attempts=None)
        async def turn(job_id: int, number: int) -> None:
            self._turns += 1
            try:
                if (following := await run_slice(job_id, number)) is not None:
                    await self.take_turn(following)
            finally:
                self._turns -= 1

        @DBOS.workflow(name="callback", max_recovery_attempts=None)
        async def callback(delivery_id: int, number: int) -> None:
            if (following := await deliver(delivery_id, number)) is not None:
                await self.attempt(following)

        self._turn, self._callback = turn, callback
        DBOS.launch()
        self._polled_at = time.monotonic()
        await DBOS.register_queue_async(
            _LANES,
            partition_concurrency=1,
            polling_interval_sec=_LANE_POLL_SECONDS,
            on_conflict="always_update",
        )
        await DBOS.register_queue_async(
            _CALLBACKS,
            worker_concurrency=_CALLBACKS_AT_ONCE,
            polling_interval_sec=_CALLBACK_POLL_SECONDS,
            on_conflict="always_update",
        )
        self._is_open = True

    def take_no_more(self) -> None:
        """Begin no turn any more; those under way go on, and what follows them is left to others."""
        self._is_open = False
        for stop in self._dbos.background_thread_stop_events:
            stop.set()

    @property
    def is_idle(self) -> bool:
        """Whether no turn is under way here."""
        return self._turns == 0

    @property
    def is_polling(self) -> bool:
        """Whether the lanes were looked at in the last seconds."""
        return time.monotonic() - self._polled_at < _STALLED_AFTER_SECONDS

    def _note_poll(self, _connection: Connection) -> None:
        if threading.current_thread().name == f"queue-worker-{_LANES}":
            self._polled_at = time.monotonic()

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
        left: dict[str | None, list[str]] = defaultdict(list)
        for workflow in await DBOS.list_workflows_async(status="PENDING", load_input=False, load_output=False):
            if workflow.executor_id not in living:
                left[workflow.queue_name].append(workflow.workflow_id)
        for queue, ids in left.items():
            await DBOS.resume_workflows_async(ids, queue_name=queue)
        return sum(len(ids) for ids in left.values())

    async def take_turn(self, turn: NextSlice) -> None:
        """Have a job take its next turn; nothing happens where it does already, or has."""
        with SetWorkflowID(turn.id):
            if turn.lane is None:
                await DBOS.start_workflow_async(self._turn, turn.job_id, turn.number)
                return
            with SetEnqueueOptions(queue_partition_key=str(turn.lane), delay_seconds=turn.delay or None):
                await DBOS.enqueue_workflow_async(_LANES, self._turn, turn.job_id, turn.number)

    async def attempt(self, attempt: NextAttempt) -> None:
        """Have a notification delivered; nothing happens where this attempt is under way, or was made."""
        with SetWorkflowID(attempt.id):
            if not attempt.delay:
                await DBOS.start_workflow_async(self._callback, attempt.delivery_id, attempt.number)
                return
            with SetEnqueueOptions(delay_seconds=attempt.delay):
                await DBOS.enqueue_workflow_async(_CALLBACKS, self._callback, attempt.delivery_id, attempt.number)

    async def whether_going_on(self, ids: Sequence[str]) -> Mapping[str, bool]:
        """Of the turns and attempts with these ids: whether they are still to end. One never begun is absent."""
        if not ids:
            return {}
        known = await DBOS.list_workflows_async(workflow_ids=list(ids), load_input=False, load_output=False)
        return {workflow.workflow_id: workflow.status in _GOING_ON for workflow in known}

    async def forget(self, *, finished_before: str) -> int:
        """Forget work that was finished before a moment (ISO 8601); how much. DBOS itself keeps it for ever."""
        done = await DBOS.list_workflows_async(
            completed_before=finished_before, limit=1_000, load_input=False, load_output=False
        )
        ids = [workflow.workflow_id for workflow in done if workflow.status not in _GOING_ON]
        if ids:
            await DBOS.delete_workflows_async(ids)
        return len(ids)
