"""Tracks which rows of a job have an outcome."""

from collections.abc import Iterable, Sequence

from openbulk.domain.records import Outcome
from openbulk.engine.slices.row_states import RowStates


class Progress:
    """The progress of a slice through its job's rows."""

    def __init__(self, cursor: int, records: int) -> None:
        self.cursor = cursor
        """All rows up to here have an outcome."""
        self.states = RowStates(records, cursor)
        self.results: list[Outcome] = []
        """Outcomes that are not recorded yet."""
        self.lines: dict[int, int | None] = {}
        """Line numbers of the rows without a recorded outcome: a problem is shown with its line."""
        self.has_outcomes = False
        """Whether any row got an outcome in this slice."""

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Add outcomes, and move the cursor to the last row up to which every row has one."""
        self.has_outcomes = self.has_outcomes or bool(outcomes)
        self.results += outcomes
        self.states.set_done([outcome.row for outcome in outcomes])
        self.cursor = self.states.last_done(self.cursor)

    def drop_lines(self, rows: Iterable[int]) -> None:
        """Forget the lines of rows that get no outcome yet: they are read again."""
        for row in rows:
            self.lines.pop(row, None)

    def take(self) -> tuple[list[Outcome], dict[int, int | None]]:
        """Remove the outcomes to record; return them, and the lines of their rows."""
        results, self.results = self.results, []
        return results, {one.row: self.lines.pop(one.row, None) for one in results}
