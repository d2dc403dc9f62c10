"""One slice of a job that carries its plan out: an upload whose records are as the plan saw them.

What the plan refused is refused with the same words. Each other record is sent with what the plan
saw of it, and its connector leaves one that has changed since as it is.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from openbulk.connectors.base import Features
from openbulk.connectors.drift import write_checked
from openbulk.domain.apply import DriftPolicy, StopReason
from openbulk.domain.job import Status
from openbulk.domain.plan import Planned
from openbulk.domain.records import Expectation, Outcome, OutcomeKind, Record
from openbulk.engine.slices.ending import Fail, ending_of
from openbulk.engine.slices.plans.planned_rows import PlannedRows
from openbulk.engine.slices.progress import Progress
from openbulk.engine.slices.row_states import RowState
from openbulk.engine.slices.upload import UploadSlice
from openbulk.storage.files import Part
from openbulk.storage.outcome_blocks import Range
from openbulk.storage.plans import ApplyLedger

_COUNTED = {
    StopReason.FAILED: (OutcomeKind.FAILED, OutcomeKind.UNKNOWN),
    StopReason.DRIFTED: (OutcomeKind.DRIFTED,),
    StopReason.DELETES: (OutcomeKind.DELETED,),
}


class WatchedProgress(Progress):
    """Progress of which each step is told."""

    def __init__(
        self, cursor: int, records: int, notice: Callable[[Sequence[Outcome]], None]
    ) -> None:
        super().__init__(cursor, records)
        self._notice = notice

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Add outcomes."""
        super().add(outcomes)
        self._notice(outcomes)


class ApplySlice(UploadSlice):
    """Runs one slice of a job that carries its plan out."""

    def __init__(self, ledger: ApplyLedger, **parts: Any) -> None:
        """`parts` are those of an upload."""
        super().__init__(ledger, **parts)
        assert ledger.job.apply is not None
        self._apply = ledger.job.apply
        self._plan = PlannedRows(ledger, self._files)
        counts = ledger.job.counts
        self._counts = Counter({kind: getattr(counts, kind.value) for kind in OutcomeKind})

    def _make_progress(self, cursor: int, records: int) -> Progress:
        return WatchedProgress(cursor, records, self._note)

    async def _find_rows_to_send(self) -> tuple[Sequence[Part], Sequence[Range]]:
        """Rows behind those that are to be carried out now count as done."""
        parts, done = await super()._find_rows_to_send()
        await self._plan.open()
        states, until = self._progress.states, self._apply.until
        if until is not None:
            assert self._job.records is not None
            states.set_range(until + 1, self._job.records, RowState.DONE)
        self._progress.cursor = states.last_done(self._progress.cursor)
        return parts, done

    async def _send(self, batch: Sequence[Record], features: Features) -> None:
        if self._ending:
            return
        try:
            planned = await self._plan.of([record.row for record in batch])
        except Exception as error:
            self._end(ending_of(error))
            return
        refused = [one for one in planned.values() if one.is_refused]
        self._progress.add(list(map(_outcome_of_refused, refused)))
        rest = [
            record._replace(expected=self._expectation(planned[record.row]))
            for record in batch
            if not planned[record.row].is_refused
        ]
        if rest:
            await super()._send(rest, features)

    def _expectation(self, planned: Planned) -> Expectation | None:
        return None if self._apply.drifted is DriftPolicy.OVERWRITE else planned.expectation

    async def _call(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        if self._features.guards_writes or all(record.expected is None for record in batch):
            return await super()._call(batch)
        return await write_checked(self._connector, self._target, batch)

    # --- too much of something ---

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes, and end the job if there are too many of a kind."""
        self._counts.update(outcome.kind for outcome in outcomes)
        rows = self._job.own_records or 0
        for reason, threshold in self._apply.stop_above.items():
            count = sum(self._counts[kind] for kind in _COUNTED[reason])
            if threshold.is_exceeded_by(count, rows):
                self._end(
                    Fail(
                        Status.ABORTED,
                        f"{count} of {rows} rows are {reason.value}, and stopAbove.{reason.value} "
                        f"is {threshold}: the job ended before it went further",
                    )
                )


def _outcome_of_refused(planned: Planned) -> Outcome:
    return Outcome(planned.row, OutcomeKind.FAILED, problem=planned.problem, remark=planned.remark)
