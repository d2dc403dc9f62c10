"""One slice of a job that undoes an earlier one, or says what that would do.

Its rows are what the earlier job did. They are read, ordered and retried by the code that sends
records; in place of `write` the connector is asked to put them back.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from openbulk.connectors.base import UndoesWrites
from openbulk.connectors.targets import resolve_target
from openbulk.domain.job import Job
from openbulk.domain.plan import Completeness, Planned, kind_of
from openbulk.domain.records import Outcome, OutcomeKind, Problem, Record
from openbulk.domain.undo import Deed, Reversal
from openbulk.engine.slices.plans.plan_slice import PlanSlice
from openbulk.engine.slices.undo.chains import Chains
from openbulk.engine.slices.upload import UploadSlice
from openbulk.storage.undo import UndoPart, Undos


class _Undoing(UploadSlice):
    """What both kinds of slices share."""

    _is_trial = False

    async def _prepare(self) -> str | None:
        """Resolve the target. The rows are no records of the service, and have no columns."""
        objects = await self._connector.objects()
        self._target = replace(
            resolve_target(self._target, objects), identifier_field=None, mapping=None
        )
        features = objects.get(self._target.object)
        if features is None or not features.undoes or not isinstance(self._connector, UndoesWrites):
            return f"{self._target.object!r} has no undo any more"
        self._features = replace(
            features, native=False, idempotent_writes=True, plan=Completeness.COMPLETE
        )
        # Rows of one record one after the other.
        self._ordering = lambda record: (str(record.values.get("id", "")),)
        self._chains = Chains()
        if self._undo is not None:
            await self._learn_restored(self._undo.undos)
        return None

    async def _undo_batch(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Undo rows; each record at most once in a call of the connector."""
        outcomes: list[Outcome] = []
        while batch:
            now: dict[str, Record] = {}
            later: list[Record] = []
            for record in batch:
                name = str(record.values.get("id", f"row {record.row}"))
                if name in now:
                    later.append(record)
                else:
                    now[name] = record
            outcomes += await self._undo_once(list(now.values()))
            batch = later
        return outcomes

    async def _undo_once(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        outcomes = [_irreversible(record) for record in batch if record.values.get("why")]
        rest = {one.row: one for one in batch if not one.values.get("why")}
        if self._is_trial:
            # Nothing was written: the record is as the last of its rows has left it.
            outcomes += [
                _as_reversed(one) for one in rest.values() if self._chains.has_own(_id_of(one))
            ]
            rest = {row: one for row, one in rest.items() if not self._chains.has_own(_id_of(one))}
        reversals = [self._chains.follow(_reversal_of(record)) for record in rest.values()]
        undone = await self._call_undo(reversals) if reversals else []
        self._note_restored(rest, undone)
        return [*outcomes, *undone]

    async def _call_undo(self, reversals: Sequence[Reversal]) -> Sequence[Outcome]:
        connector, undo = self._connector, self._job.undo
        assert isinstance(connector, UndoesWrites)
        assert undo is not None
        return await connector.undo(
            self._target, reversals, overwrites=undo.overwrites, is_trial=self._is_trial
        )

    def _note_restored(self, records: Mapping[int, Record], undone: Sequence[Outcome]) -> None:
        """Note which records are back at which state, for rows that have written them before."""
        rows = [
            (records[one.row], one)
            for one in undone
            if one.kind is OutcomeKind.REVERSED and records[one.row].values["deed"] != Deed.CREATED
        ]
        if self._is_trial:
            self._chains.add_own(_id_of(record) for record, _ in rows)
            return
        states = [(record, one, record.values.get("was")) for record, one in rows]
        self._chains.add((_id_of(record), was, one.version) for record, one, was in states)
        self._restored |= {one.row: was for _, one, was in states if was is not None}

    async def _learn_restored(self, undos: Undos) -> None:
        """Learn what this undo and others have put back since the job that is undone."""
        assert self._job.undo is not None
        for job in await undos.later_undos(self._job, self._job.undo.of):
            for part in await undos.parts_between(job.id, 1, job.records or 0):
                with suppress(FileNotFoundError):  # it is old, and is just being forgotten
                    await self._learn_part(undos, job, part)

    async def _learn_part(self, undos: Undos, job: Job, part: UndoPart) -> None:
        traces = await undos.traces(part, job.upload.file)
        ids = await self._ledger.ids_of(job.id, part.first_row, part.last_row)
        self._chains.add(
            (ids[row], trace.restored, trace.version) for row, trace in traces.items() if row in ids
        )


class UndoSlice(_Undoing):
    """Runs one slice of a job that undoes another one."""

    async def _call(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        return await self._undo_batch(batch)


class UndoPlanSlice(PlanSlice, _Undoing):
    """Runs one slice of a job that says what an undo would do."""

    _is_trial = True

    async def _plan(self, batch: Sequence[Record]) -> Sequence[Planned]:
        outcomes = await self._undo_batch(batch)
        return [
            Planned(one.row, kind_of(one), one.id, problem=one.problem, remark=one.remark)
            for one in outcomes
        ]


def _id_of(record: Record) -> str:
    return str(record.values["id"])


def _reversal_of(record: Record) -> Reversal:
    values = record.values
    deed = Deed(values["deed"])
    before = values.get("before", {})
    return Reversal(record.row, str(values["id"]), deed, before, values.get("version"))


def _irreversible(record: Record) -> Outcome:
    problem = Problem(str(record.values["why"]))
    return Outcome(record.row, OutcomeKind.NOT_REVERSIBLE, record.values.get("id"), problem)


def _as_reversed(record: Record) -> Outcome:
    return _reversal_of(record).as_reversed()
