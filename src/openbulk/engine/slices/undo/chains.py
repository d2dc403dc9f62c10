"""The records that an undo has put back, for the rows before that have written them, too.

A row expects its record in the state that it had left. If a later row of its job has changed it,
and the undo of that one has put it back, the record has a version of the undo's own.

They are kept in a temporary SQLite database, which goes to disk as it grows
(https://sqlite.org/inmemorydb.html).
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from openbulk.domain.undo import Deed, Reversal
from openbulk.exact_json import pack_line, unpack_line

_SCHEMA = "CREATE TABLE restored (id TEXT PRIMARY KEY, states BLOB) WITHOUT ROWID"


class Chains:
    """The records of one undo that were changed or deleted, and are put back."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute(_SCHEMA)

    def add(self, restored: Iterable[tuple[str, Any, Any]]) -> None:
        """Note records by their ids: the state that each is back at, and its version now."""
        values = [(one, pack_line([state, version])) for one, state, version in restored]
        self._database.executemany("INSERT OR REPLACE INTO restored VALUES (?, ?)", values)

    def follow(self, reversal: Reversal) -> Reversal:
        """A reversal that expects the version which the undo of a later row has left."""
        if reversal.deed is Deed.DELETED:
            return reversal
        state, version = self._states(reversal.id)
        is_next = state is not None and state == reversal.version
        return reversal._replace(version=version) if is_next else reversal

    def has(self, record_id: str) -> bool:
        """Whether a record was put back."""
        find = "SELECT 1 FROM restored WHERE id = ?"
        return self._database.execute(find, (record_id,)).fetchone() is not None

    def _states(self, record_id: str) -> tuple[Any, Any]:
        find = "SELECT states FROM restored WHERE id = ?"
        found = self._database.execute(find, (record_id,)).fetchone()
        return tuple(unpack_line(found[0])) if found else (None, None)

    def close(self) -> None:
        """Release the database."""
        self._database.close()
