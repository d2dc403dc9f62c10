"""The records that undos have put back, for rows before that have written them, too.

A row expects its record in the state that it had left. If a later row, or a later job, has changed
it, and that was undone, then the record is in that state, and has a version of the undo's own.

They are kept in a temporary SQLite database, which goes to disk as it grows
(https://sqlite.org/inmemorydb.html).
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from openbulk.domain.undo import Deed, Reversal
from openbulk.exact_json import pack_line, unpack_line

_SCHEMA = """
CREATE TABLE restored (id TEXT, state BLOB, version BLOB, PRIMARY KEY (id, state)) WITHOUT ROWID;
CREATE TABLE own (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_FIND = "SELECT version FROM restored WHERE id = ? AND state = ?"
MAX_STEPS = 100
"""Undos of one record that are followed."""
Restored = tuple[str, Any, Any]
"""The id of a record, the state that it is back at, and its version."""


class Chains:
    """The records that were put back, as far as one undo has to know of them."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def add(self, restored: Iterable[Restored]) -> None:
        """Note records that were put back. Those without a version cannot be followed."""
        values = [
            (one, pack_line(state), pack_line(version))
            for one, state, version in restored
            if state is not None and state != version
        ]
        self._database.executemany("INSERT OR REPLACE INTO restored VALUES (?, ?, ?)", values)

    def follow(self, reversal: Reversal) -> Reversal:
        """A reversal that expects the version which the last undo has left."""
        if reversal.deed is Deed.DELETED:
            return reversal
        version = reversal.version
        for _ in range(MAX_STEPS):
            key = (reversal.id, pack_line(version))
            found = self._database.execute(_FIND, key).fetchone()
            if found is None:
                break
            version = unpack_line(found[0])
        return reversal._replace(version=version)

    def add_own(self, ids: Iterable[str]) -> None:
        """Note records that a trial would put back."""
        values = [(one,) for one in ids]
        self._database.executemany("INSERT OR IGNORE INTO own VALUES (?)", values)

    def has_own(self, record_id: str) -> bool:
        """Whether the trial would put a record back."""
        find = "SELECT 1 FROM own WHERE id = ?"
        return self._database.execute(find, (record_id,)).fetchone() is not None
