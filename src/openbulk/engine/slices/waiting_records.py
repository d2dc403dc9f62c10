"""The records that wait for others of their file, such as people for the person they report to.

A service says of a record that it comes too early (`Outcome.is_early`). Such a record gets no
outcome, and the slice goes on. Behind the end of the file the waiting records are read and sent
again, in passes, until a pass in which none of them is taken. Nothing of them is held in memory but
the state of their rows, so that they may be as many, and as far from what they need, as they like.
"""

from collections.abc import Sequence

import orjson

from openbulk.domain.records import Outcome
from openbulk.engine.slices.row_states import RowState, RowStates
from openbulk.storage.files import FileStore

MAX_KEPT_REFUSALS = 10_000
"""Refusals that a pass keeps. If none of its records is taken, they are recorded as they are; any
further record is sent once more for its own."""


class WaitingRecords:
    """The waiting records of a job, in one of its slices."""

    def __init__(self, states: RowStates) -> None:
        self._states = states
        self._is_used = False
        """Whether any record has waited."""
        self._count_before: int | None = None
        """How many records waited when the pass began; None before a pass."""
        self._is_last_pass = False
        """Whether each refusal counts: the pass before has helped no record."""
        self._refusals: dict[int, Outcome] = {}

    def __bool__(self) -> bool:
        """Whether any record waits."""
        return self._is_used and self._count() > 0

    def set_aside(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Let the records wait that come too early; return the outcomes of the others."""
        if self._is_last_pass:
            return list(outcomes)
        for outcome in outcomes:
            if outcome.is_early:
                self._add(outcome)
        return [outcome for outcome in outcomes if not outcome.is_early]

    def keeps(self, row: int) -> bool:
        """Whether a waiting record may get its outcome without being sent again."""
        return row in self._refusals

    def _add(self, outcome: Outcome) -> None:
        self._is_used = True
        if self._states[outcome.row] == RowState.UNSENT:
            self._states[outcome.row] = RowState.WAITING
            # If a pass had begun, in an earlier slice, it was without this record.
            self._count_before = None
            return
        self._states[outcome.row] = RowState.TRIED
        if len(self._refusals) < MAX_KEPT_REFUSALS:
            self._refusals[outcome.row] = outcome

    def begin_pass(self) -> None:
        """Begin a pass through the waiting records, or continue that of an earlier slice."""
        if self._count_before is None:
            self._states.replace(RowState.TRIED, RowState.WAITING)
            self._count_before = self._count()

    def end_pass(self) -> list[Outcome]:
        """End a pass; return the outcomes of the records that wait in vain."""
        has_helped = self._count() != self._count_before
        refusals = [] if has_helped else list(self._refusals.values())
        self._is_last_pass = not has_helped
        self._count_before = None
        self._refusals = {}
        return refusals

    def _count(self) -> int:
        return self._states.count(RowState.WAITING) + self._states.count(RowState.TRIED)

    async def save(self, files: FileStore, file: str) -> None:
        """Keep beside a job's file which of its records wait: the next slice sends others first."""
        state = {
            "waiting": list(self._states.rows(RowState.WAITING)),
            "tried": list(self._states.rows(RowState.TRIED)),
            "countBefore": self._count_before,
            "isLastPass": self._is_last_pass,
        }
        await files.put(_path(file), orjson.dumps(state))

    async def load(self, files: FileStore, file: str) -> None:
        """Take up what the last slice that was not killed has kept.

        A record that waited then waits still, unless it has an outcome by now.
        """
        try:
            state = orjson.loads(await files.get(_path(file)))
        except FileNotFoundError:
            return
        self._is_used = True
        self._states.set_all(state["waiting"], RowState.WAITING)
        self._states.set_all(state["tried"], RowState.TRIED)
        self._count_before = state["countBefore"]
        self._is_last_pass = state["isLastPass"]


def _path(file: str) -> str:
    return f"{file}/waiting"
