"""One slice of a job that verifies an earlier one: its rows are compared with the service.

Rows are read, ordered and retried by the code that sends them, and kept as those of a plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.connectors.base import PlansWrites
from openbulk.connectors.verification import Verifier, Written
from openbulk.domain.plan import Completeness, Planned, PlannedKind
from openbulk.domain.records import Outcome, OutcomeKind, Record, Row
from openbulk.domain.row_kinds import RowChoice
from openbulk.engine.slices.parts import each_row, rows_of_part, with_last_rows
from openbulk.engine.slices.plans.earlier_rows import EarlierRows
from openbulk.engine.slices.plans.later_rows import LaterRows, WrittenId
from openbulk.engine.slices.plans.plan_rows import PlanRow
from openbulk.engine.slices.plans.plan_slice import PlanSlice
from openbulk.storage.outcome_blocks import RecordedOutcome
from openbulk.storage.verifications import VerificationLedger

OUTCOMES_AT_ONCE = 10_000
"""Rows whose outcomes are read together."""
_IS_GONE = frozenset({OutcomeKind.DELETED, OutcomeKind.NOT_FOUND})
_NOT_WRITTEN: Mapping[OutcomeKind | None, str] = {
    OutcomeKind.FAILED: "the row failed in job {id}, so nothing was written",
    OutcomeKind.UNKNOWN: "job {id} does not know whether the row was written",
    OutcomeKind.DRIFTED: "the record had drifted, so job {id} left it as it was",
    None: "job {id} did not reach the row",
}
"""Why a row is not compared, by what became of it."""
_CANNOT_COMPARE = "openbulk cannot compare records of {object!r} with what this service has"


class VerifySlice(PlanSlice):
    """Runs one slice of a job that verifies an earlier one."""

    def __init__(self, ledger: VerificationLedger, *, later: LaterRows, **parts: Any) -> None:
        """`parts` are those of an upload."""
        # No row is planned behind another one.
        super().__init__(ledger, earlier=EarlierRows(), **parts)
        self._verification_ledger = ledger
        self._later = later
        self._schema: Mapping[str, Any] | None = None
        """The schema of the object; None if its records cannot be compared."""
        self._verifier: Verifier | None = None
        self._outcomes: dict[int, Mapping[int, RecordedOutcome]] = {}
        """Outcomes of the earlier job by the number of their piece: the pieces read last."""

    async def _prepare(self) -> str | None:
        refusal = await super()._prepare()
        if refusal is None and self._completeness is not Completeness.NONE:
            self._schema = await self._connector.metadata(self._target.object)
        return refusal

    async def _plan(self, batch: Sequence[Record]) -> Sequence[Planned]:
        await self._find_later_rows()
        planned: list[Planned] = []
        written: list[Written] = []
        for record in batch:
            outcome = await self._outcome_of(record.row)
            reason = self._reason_not_to_compare(outcome)
            if outcome is None or reason is not None:
                planned.append(Planned(record.row, PlannedKind.NOT_COMPARED, remark=reason or ""))
            else:
                written.append(self._with_later_rows(record, outcome))
        if written:
            planned += await self._verifier_of_slice().verify(written)
        return planned

    def _reason_not_to_compare(self, outcome: RecordedOutcome | None) -> str | None:
        reason = _NOT_WRITTEN.get(None if outcome is None else outcome.kind)
        if reason is not None:
            return reason.format(id=self._verification_ledger.verified_id)
        if self._schema is None:
            return _CANNOT_COMPARE.format(object=self._target.object)
        return None

    def _verifier_of_slice(self) -> Verifier:
        if self._verifier is None:
            connector, schema = self._connector, self._schema
            assert isinstance(connector, PlansWrites)
            assert schema is not None
            self._verifier = Verifier(connector, self._features, schema, self._target)
        return self._verifier

    def _with_later_rows(self, record: Record, outcome: RecordedOutcome) -> Written:
        is_gone = outcome.kind in _IS_GONE
        later = self._later.of(record.row)
        if later is None:
            return Written(record, outcome.id, is_gone)
        return Written(record, outcome.id, later.is_gone, later.fields)

    async def _outcome_of(self, row: int) -> RecordedOutcome | None:
        """What became of a row in the earlier job; None if that job has not reached it."""
        piece = row // OUTCOMES_AT_ONCE
        if piece not in self._outcomes:
            first = piece * OUTCOMES_AT_ONCE
            found = await self._verification_ledger.outcomes_between(
                first, first + OUTCOMES_AT_ONCE - 1
            )
            if len(self._outcomes) > 1:  # calls in flight may still be in the piece before
                self._outcomes.pop(next(iter(self._outcomes)))
            self._outcomes[piece] = found
        return self._outcomes[piece].get(row)

    def _row_of(self, outcome: Outcome, line: int | None) -> PlanRow:
        """How a row compares. A row that is no record has failed, and has nothing to compare."""
        row = super()._row_of(outcome, line)
        if row.planned.kind is not PlannedKind.REFUSED:
            return row
        return replace(row, planned=replace(row.planned, kind=PlannedKind.NOT_COMPARED))

    # --- rows that write the same record ---

    async def _find_later_rows(self) -> None:
        # Rows are compared concurrently: the first one finds them, and the others wait for it.
        async with self._later.finding:
            if self._later.is_complete or self._schema is None:
                return
            self._later.begin()
            assert self._job.records is not None
            for first in range(0, self._job.records + 1, OUTCOMES_AT_ONCE):
                last = first + OUTCOMES_AT_ONCE - 1
                outcomes = await self._verification_ledger.outcomes_between(first, last)
                await self._later.add(
                    WrittenId(one.row, one.id, one.kind in _IS_GONE)
                    for one in outcomes.values()
                    if one.id is not None and one.kind not in _NOT_WRITTEN
                )
            repeated = await self._later.repeated_rows(self._job.records)
            if len(repeated):
                await self._add_fields(repeated)
            await self._later.finish()

    async def _add_fields(self, repeated: RowChoice) -> None:
        assert self._job.records is not None
        parts = await self._ledger.parts_after(0)
        for part, last in with_last_rows(parts, self._job.records):
            if repeated.has_any(part.first_row, last):
                found = rows_of_part(self._files, self._job, part, repeated.__contains__)
                rows = [
                    row async for one in found for row in each_row(one) if row.number in repeated
                ]
                await self._later.add_fields([(row.number, self._fields_of(row)) for row in rows])

    def _fields_of(self, row: Row) -> Iterable[str]:
        """The fields that a row has written."""
        assert self._fields is not None
        assert row.values is not None
        return self._fields.of(row.values)
