"""One slice of a job that is planned: all of an upload, but the call that writes.

Rows are read, ordered and retried by the code that sends them. What they would do is kept in parts,
each written to the file store before the ledger knows it.
"""

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.connectors.base import PlansWrites
from openbulk.domain.plan import Change, Completeness, Planned, PlannedKind
from openbulk.domain.records import (
    Action,
    JobRecords,
    Outcome,
    OutcomeKind,
    Record,
    Target,
    value_at,
)
from openbulk.engine.slices.plans.earlier_rows import EarlierRows
from openbulk.engine.slices.plans.plan_rows import PlanRow, make_part, rows_of_plan
from openbulk.engine.slices.row_states import RowState
from openbulk.engine.slices.upload import UploadSlice
from openbulk.storage.plans import PlanLedger

REPLAYED_AT_ONCE = 1_000
"""Rows that another process has planned, and that are planned once more together."""


class PlanSlice(UploadSlice):
    """Runs one slice of a job that is planned."""

    def __init__(self, ledger: PlanLedger, *, earlier: EarlierRows, **parts: Any) -> None:
        """`parts` are those of an upload."""
        super().__init__(ledger, **parts)
        self._plan_ledger = ledger
        self._earlier = earlier
        self._planned: dict[int, Planned] = {}
        """Plans of rows, until they are recorded."""
        self._recording = asyncio.Lock()
        self._lost: Exception | None = None
        """Why rows could not be recorded: no later cursor may pass over them."""

    async def _prepare(self) -> str | None:
        refusal = await super()._prepare()
        connector = self._connector
        is_alone = isinstance(connector, PlansWrites) and not connector.remembers_plans
        self._features = replace(
            self._features,
            # Nothing is sent: no row needs an intent, and none goes through a service's own import.
            native=False,
            idempotent_writes=True,
            # A batch is planned behind the rows before it.
            concurrency=1 if is_alone else self._features.concurrency,
        )
        return refusal

    async def _begin_keeping(self) -> None:
        """Nothing is written, and so nothing is overwritten."""

    @property
    def _completeness(self) -> Completeness:
        return self._features.plan

    async def _call(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        planned = await self._plan(batch)
        rows = {record.row for record in batch}
        self._planned |= {one.row: one for one in planned if one.row in rows}
        self._earlier.note_planned(rows - {one.row for one in planned if one.is_early})
        return [_outcome_of(one) for one in planned]

    async def _plan(self, batch: Sequence[Record]) -> Sequence[Planned]:
        connector = self._connector
        if not isinstance(connector, PlansWrites):
            return [Planned(record.row, PlannedKind.NOT_COMPARED) for record in batch]
        await self._replay(connector)
        earlier: Sequence[Record] = ()
        if not connector.remembers_plans:
            earlier = self._earlier.before(batch, self._keys_of)
        return await connector.plan(self._target_of_plan, [*earlier, *batch])

    @property
    def _target_of_plan(self) -> Target:
        return replace(self._target, run=self._earlier.run_of(self._target.run))

    async def _replay(self, connector: PlansWrites) -> None:
        """Learn what rows would do that another process has planned."""
        records = self._target.job_records
        assert records is not None
        # Rows are planned concurrently: the first one learns, and the others wait for it.
        async with self._earlier.loading:
            self._earlier.begin_slice(records)
            if self._earlier.has_gap(records):
                await self._learn_all(connector, records)
            self._earlier.fence = records.fence

    async def _learn_all(self, connector: PlansWrites, records: JobRecords) -> None:
        parts = self._plan_ledger.plan_parts()
        async for row in rows_of_plan(self._files, self._job.upload.file, parts):
            self._earlier.is_repeated(row.planned.row, row.planned.key)
        batch: list[Record] = []
        async for record, _ in records.each():
            if record.row > records.last:
                break
            if self._progress.states[record.row] == RowState.DONE:
                batch.append(record)
            if len(batch) == REPLAYED_AT_ONCE:
                await self._learn(connector, batch)
                batch = []
        await self._learn(connector, batch)

    async def _learn(self, connector: PlansWrites, batch: Sequence[Record]) -> None:
        if connector.remembers_plans:
            await connector.plan(self._target_of_plan, batch)
        else:
            self._earlier.add(batch, self._keys_of)

    def _keys_of(self, record: Record) -> Iterable[Hashable]:
        """What a record may share with another one that it depends on."""
        assert self._ordering is not None
        yield from self._ordering(record) or ()
        if self._features.id is not None:
            value = value_at(record.values, self._features.id)
            if value not in (None, ""):
                yield self._features.id, str(value)
        if self._target.identifier_field and self._target.action is not Action.CREATE:
            yield record.key

    # --- what it records ---

    async def _record(self, *, ticket_done: bool = False, is_last: bool = False) -> None:
        async with self._recording:
            if self._lost is not None:
                raise self._lost
            try:
                await self._record_part()
            except Exception as error:
                self._lost = error
                raise
        self._recorded_at = asyncio.get_running_loop().time()

    async def _record_part(self) -> None:
        results, lines = self._progress.take()
        if not results:
            return
        cursor = self._progress.cursor
        rows = [self._row_of(outcome, lines.get(outcome.row)) for outcome in results]
        part, content = make_part(rows, self._plan_ledger.fence, self._completeness)
        # First the rows: a part that the ledger knows is in the file store.
        await self._files.put(part.path(self._job.upload.file), content)
        await self._plan_ledger.record_part(part, cursor=cursor)
        self._earlier.note_recorded(outcome.row for outcome in results)

    def _row_of(self, outcome: Outcome, line: int | None) -> PlanRow:
        """The plan of a row, in the caller's names."""
        planned = self._planned.pop(outcome.row, None)
        if planned is None:  # the row cannot be a record
            planned = Planned(outcome.row, PlannedKind.REFUSED)
        planned = replace(
            planned,
            problem=outcome.problem,
            remark=outcome.remark,
            changes=self._rename(planned.changes),
        )
        return PlanRow(planned, line, self._earlier.is_repeated(planned.row, planned.key))

    def _rename(self, changes: Mapping[str, Change]) -> Mapping[str, Change]:
        transformation = self._target.transformation
        if transformation is None:
            return changes
        return {transformation.name_of(name): change for name, change in changes.items()}


def _outcome_of(planned: Planned) -> Outcome:
    """The outcome of a row with this plan, for what a slice has to know of it."""
    return Outcome(
        planned.row,
        OutcomeKind.FAILED if planned.is_refused else OutcomeKind.UNCHANGED,
        problem=planned.problem,
        remark=planned.remark,
        is_early=planned.is_early,
    )
