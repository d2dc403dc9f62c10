"""How far each row of a job's file is: one byte for each row."""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum


class RowState(IntEnum):
    """How far a row is."""

    UNSENT = 0
    """It has not been sent, or nobody recorded what became of it."""
    DONE = 1
    """It has an outcome."""
    WAITING = 2
    """It was sent, and needs another row that the service does not have yet."""
    TRIED = 3
    """It waits, and was sent again since the pass through the waiting rows began."""


_NOT_DONE = re.compile(rb"[^\x01]")


class RowStates:
    """The state of each row, numbered from 1."""

    def __init__(self, records: int, cursor: int = 0) -> None:
        """All rows up to the cursor have an outcome."""
        # One more at each end: rows begin with 1, and the last one is followed by an unsent one.
        done, others = cursor + 1, records + 1 - cursor
        self._states = bytearray(bytes([RowState.DONE]) * done + bytes(others))

    def __getitem__(self, row: int) -> int:
        return self._states[row]

    def __setitem__(self, row: int, state: RowState) -> None:
        self._states[row] = state

    def set_range(self, first: int, last: int, state: RowState) -> None:
        """Set the state of the rows from `first` to `last`."""
        self._states[first : last + 1] = bytes([state]) * (last - first + 1)

    def set_done(self, rows: Sequence[int]) -> None:
        """Rows have an outcome now."""
        if rows and rows == list(range(rows[0], rows[0] + len(rows))):
            self.set_range(rows[0], rows[-1], RowState.DONE)
            return
        for row in rows:
            self._states[row] = RowState.DONE

    def set_all(self, rows: Iterable[int], state: RowState) -> None:
        """Set the state of rows that have no outcome."""
        for row in rows:
            if self._states[row] != RowState.DONE:
                self._states[row] = state

    def has_any(self, state: RowState, first: int, end: int | None) -> bool:
        """Whether a row from `first` on, and before `end`, has this state."""
        return self._states.find(state, first, self._end if end is None else end) >= 0

    def has_only(self, state: RowState, first: int, last: int) -> bool:
        """Whether all rows from `first` to `last` have this state."""
        return self._states.count(state, first, last + 1) == last + 1 - first

    def last_done(self, row: int) -> int:
        """The last row up to which all rows behind this one have an outcome."""
        found = _NOT_DONE.search(self._states, row + 1)
        assert found is not None, "the row behind the last one is unsent"
        return found.start() - 1

    def count(self, state: RowState) -> int:
        """How many rows have this state."""
        return self._states.count(state, 1, self._end)

    def rows(self, state: RowState) -> Iterator[int]:
        """The rows with this state, in the order of the file."""
        row = self._states.find(state, 1, self._end)
        while row >= 0:
            yield row
            row = self._states.find(state, row + 1, self._end)

    def replace(self, old: RowState, new: RowState) -> None:
        """Give all rows of one state another one."""
        self._states = self._states.replace(bytes([old]), bytes([new]))

    @property
    def _end(self) -> int:
        """The number behind the last row."""
        return len(self._states) - 1
