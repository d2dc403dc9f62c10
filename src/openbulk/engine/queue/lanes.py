"""Lets a slice begin in a lane without the queue: in the process that has its job, at once.

DBOS takes work from a queue in polls, of up to three transactions for a slice. A lane in which
nothing runs and nothing waits needs no queue. Its slice is recorded as DBOS records one that it has
taken: others see that the lane is busy, and take the slice over if this process dies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import Connection, text

LANES = "lanes"
"""The name of the queue. Databases store it: do not change it."""
_LOCKS = 0x6F62756C
"""The class of PostgreSQL's advisory locks of lanes: "obul"."""
_ALL_LANES = 0
"""Instances are numbered from 1."""
_LOCK_ALL = text("SELECT pg_advisory_xact_lock(:locks, :all)")
_LOCK_ONE = text(
    "SELECT pg_advisory_xact_lock_shared(:locks, :all), pg_advisory_xact_lock(:locks, :lane)"
)
_TAKE = """
UPDATE {table} SET queue_name = 'lanes', queue_partition_key = :lane
WHERE workflow_uuid = :id AND status = 'PENDING' AND queue_name IS NULL AND NOT EXISTS (
    SELECT 1 FROM {table} o WHERE o.queue_name = 'lanes' AND o.queue_partition_key = :lane
    AND o.status IN ('ENQUEUED', 'PENDING'))
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a transaction of DBOS puts into the lanes."""

    lane: int | None
    """None for work of any lane: that is delayed work that is due."""
    begins: str | None = None
    """The id of a slice that begins in the lane; None for one that waits in the queue."""


@dataclass(slots=True)
class Beginning:
    """An attempt to begin a slice in a lane."""

    has_begun: bool = False
    """False if a slice runs in the lane or waits for it, or if this one is known already."""


class _LaneIsBusy(Exception):
    """The transaction in which a slice was to begin is rolled back."""


_entry: ContextVar[Entry | None] = ContextVar("openbulk_entry_into_a_lane", default=None)


@contextmanager
def entering(entry: Entry | None) -> Iterator[None]:
    """Let what the code inside commits enter a lane."""
    token = _entry.set(entry)
    try:
        yield
    finally:
        _entry.reset(token)


@contextmanager
def beginning(lane: int, id: str) -> Iterator[Beginning]:
    """Let the slice that the code inside begins enter a lane, if the lane is free."""
    attempt = Beginning()
    with entering(Entry(lane, id)):
        try:
            yield attempt
        except _LaneIsBusy:
            return
    attempt.has_begun = True


def begun_in_lane() -> int | None:
    """The lane in which the current slice has begun without the queue, asked when it begins.

    The slice's own commits put nothing into its lane.
    """
    entry = _entry.get()
    _entry.set(None)
    return None if entry is None else entry.lane


def enter(connection: Connection, table: str) -> None:
    """Enter a lane within a transaction that is about to be committed.

    Ends the transaction, and `beginning`, if a slice was to begin and the lane is not free.
    """
    entry = _entry.get()
    if entry is None:
        return
    # Until it is committed, what others put into the lane is not committed either: a poll that
    # finds that sees this, too. So a lane never has two slices.
    if connection.dialect.name == "postgresql":
        _lock(connection, entry)
    if entry.begins is not None:
        taken = connection.execute(
            text(_TAKE.format(table=table)), {"lane": str(entry.lane), "id": entry.begins}
        )
        if not taken.rowcount:
            raise _LaneIsBusy


def _lock(connection: Connection, entry: Entry) -> None:
    locks = {"locks": _LOCKS, "all": _ALL_LANES}
    if entry.lane is None:
        connection.execute(_LOCK_ALL, locks)
    else:
        connection.execute(_LOCK_ONE, {**locks, "lane": entry.lane % 2**31})
