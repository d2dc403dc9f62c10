"""A process's right to work: while it is heard of, nobody takes its turns over; once it is not, it must not go on."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from openbulk.domain.errors import Fenced
from openbulk.engine.queue.clock import elapsed

_began_in: ContextVar[int | None] = ContextVar("openbulk_turn_began_in", default=None)
"""The life of the process in which the turn that runs now was begun; None beside the turns."""


class Lease:
    """Says whether a turn may go on. Held for ever unless `seconds` are given, as where there is no other process.

    A process that was frozen finds out here when it wakes, before it sends anything: its clock has run on.
    """

    def __init__(self, seconds: float = float("inf"), clock: Callable[[], float] = elapsed) -> None:
        self._seconds = seconds
        self._clock = clock
        self._life = 0
        self._renewed_at = clock()
        self._renewed = asyncio.Event()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """What is done within, in tasks that are made within, too, belongs to a turn that begins now."""
        token = _began_in.set(self._life)
        try:
            yield
        finally:
            _began_in.reset(token)

    async def hold(self) -> None:
        """Return as soon as it is certain that nobody has taken the turn over. Raises Fenced where somebody has."""
        life = _began_in.get()
        if life is None:
            return
        while life == self._life and not self.is_fresh():
            await self._renewed.wait()
        if life != self._life:
            raise Fenced

    def is_fresh(self) -> bool:
        """Whether the process has been heard of so lately that nobody can have taken it for dead."""
        return self._clock() - self._renewed_at < self._seconds

    def renew(self, asked_at: float) -> None:
        """The process was heard of, not before this moment of `clock`."""
        self._renewed_at = asked_at
        self._renewed.set()
        self._renewed = asyncio.Event()

    def lose(self) -> None:
        """The process was taken for dead: its turns are somebody else's now."""
        self._life += 1
