"""What processes on one PostgreSQL tell each other at once, with NOTIFY.

A notice saves waiting and carries no promise: one that is lost costs the seconds until the next
look (`storage/outlook.py`). It is heard when the transaction that sends it is committed.
"""

from sqlalchemy import Select, func, select

CHANNEL = "openbulk"
WORK = "work"
"""Work was added to a queue, or a lane became free."""
REGISTERED = "registered"
"""A process has begun to work: if it dies, its work has to be taken over."""
LOOKED = "looked"
"""A process has looked for dead ones."""


def notify(kind: str, sender: str) -> Select[None]:
    """The statement that sends a notice. `sender` is the name of this process."""
    return select(func.pg_notify(CHANNEL, f"{kind} {sender}"))
