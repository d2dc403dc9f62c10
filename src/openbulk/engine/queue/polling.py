"""When the queues are polled: often while there is work, and not at all while there is none."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REST_AFTER_SECONDS = 3.0
"""A process polls on for this long after its last work, or after the last sign of any."""
QUIET_SECONDS = 1.0
"""Interval of the polls of one that works, and has heard for as long of nothing in a queue."""


class Polling:
    """Decides when the threads that poll the queues do so.

    A process is awake while it works, and for some seconds after each sign of work. While it is
    awake, each queue is polled at DBOS's interval, and at once when work is added to it. While only
    work runs that has begun without a queue, it is polled every second at most. Otherwise the
    process rests, and its threads sleep until they are woken.

    The gate is for processes that share their queues: none takes work while its gate is closed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_stopped = False
        self._is_gate_open = True
        self._awake_until = time.monotonic()
        self._awake_since = 0.0
        self._expects_until = self._awake_until
        """Until when work is expected in the queues."""
        self._works = 0
        """Number of works that run in this process, or are about to begin here."""
        self._polling: set[str] = set()
        """The queues that are polled at this moment."""
        self._wanted: set[str] = set()
        """The queues to poll at once."""
        self._on_wake: Callable[[], None] = lambda: None

    def on_wake(self, call: Callable[[], None]) -> None:
        """Make a call, in any thread, whenever there is a sign of work."""
        self._on_wake = call

    # --- signs of work ---

    def wake(self, *queues: str) -> None:
        """Poll these queues at once, if any, and all of them often for some seconds."""
        with self._changed:
            self._wanted.update(queues)
            self._expects_until = time.monotonic() + REST_AFTER_SECONDS
            self._stay_awake()
        self._on_wake()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Stay awake while the code inside runs, and for some seconds after it."""
        with self._changed:
            self._works += 1
            self._stay_awake()
        self._on_wake()
        try:
            yield
        finally:
            with self._changed:
                self._works -= 1
                self._stay_awake()

    def _stay_awake(self) -> None:
        if not self._is_awake():
            self._awake_since = time.monotonic()
        self._awake_until = time.monotonic() + REST_AFTER_SECONDS
        self._changed.notify_all()

    def _is_awake(self) -> bool:
        return self._works > 0 or time.monotonic() < self._awake_until

    @property
    def awake_since(self) -> float | None:
        """The time of `time.monotonic` since which this process is awake; None while it rests."""
        with self._changed:
            return self._awake_since if self._is_awake() else None

    # --- the gate ---

    def open_gate(self) -> None:
        """Allow the queues to be polled."""
        with self._changed:
            self._is_gate_open = True
            self._changed.notify_all()

    def close_gate(self) -> bool:
        """Close the gate if this process rests; return whether it is closed.

        No poll is under way then, and none begins before the gate is open again.
        """
        with self._changed:
            if not self._is_awake() and not self._polling:
                self._is_gate_open = False
            return not self._is_gate_open

    # --- the threads that poll ---

    def stop(self) -> None:
        """End the threads, after the polls that are under way."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether the threads are to end."""
        return self._is_stopped

    def wait_for_poll(self, queue: str, seconds: float) -> bool:
        """Wait until a queue is due to be polled; return False once the threads are to end.

        `seconds` is the interval of its polls while work may be in it.
        """
        with self._changed:
            self._polling.discard(queue)
            since = time.monotonic()
            while not self._is_stopped and not self._is_due(queue, since, seconds):
                is_counting = self._is_gate_open and self._is_awake()
                left = since + self._interval(seconds) - time.monotonic()
                self._changed.wait(max(0.0, left) if is_counting else None)
            self._wanted.discard(queue)
            self._polling.add(queue)
            return not self._is_stopped

    def _is_due(self, queue: str, since: float, seconds: float) -> bool:
        is_time = self._is_awake() and time.monotonic() >= since + self._interval(seconds)
        return self._is_gate_open and (queue in self._wanted or is_time)

    def _interval(self, seconds: float) -> float:
        is_expecting = time.monotonic() < self._expects_until
        return seconds if is_expecting else max(seconds, QUIET_SECONDS)


class Pace(threading.Event):
    """The pace of one queue's polls, in place of the event that tells DBOS's thread to stop.

    That thread waits for its event between two polls, with a timeout (dbos 3.4,
    `_queue.queue_worker_thread`).
    """

    def __init__(self, polling: Polling, queue: str) -> None:
        super().__init__()
        self._decides = polling
        self._queue = queue

    def is_set(self) -> bool:
        """Whether the thread is to end."""
        return self._decides.is_stopped

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the queue is due to be polled; return True if the thread is to end."""
        assert timeout is not None
        return not self._decides.wait_for_poll(self._queue, timeout)
