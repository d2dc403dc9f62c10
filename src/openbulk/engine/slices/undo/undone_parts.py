"""The parts of a job that undoes an earlier one: what that one did, the last row first.

So rows of one record are undone in reverse order.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.domain.job import Job, Undo
from openbulk.domain.records import OutcomeKind, Row
from openbulk.domain.undo import Deed, Trace
from openbulk.reading.packing import RECORDS_PER_PART, Packed, PartLines, Summary, pack_row
from openbulk.storage.ledger import Ledger
from openbulk.storage.outcome_blocks import RecordedOutcome
from openbulk.storage.undo import UndoPart, Undos

_DEEDS = {
    OutcomeKind.CREATED: Deed.CREATED,
    OutcomeKind.UPDATED: Deed.UPDATED,
    OutcomeKind.UPSERTED: Deed.UPDATED,
    OutcomeKind.DELETED: Deed.DELETED,
}
_UNKNOWN = "nobody knows whether the service took the row, as its answer was lost; look there"
_NOTHING_KEPT = (
    "nothing is kept of what the row overwrote: the service did not show it, or openbulk was "
    "stopped before it could be kept"
)
_NO_ID = "the service did not say which record the row wrote"
_PARTS_HELD = 8


class UndoneParts:
    """What an earlier job did, row by row, in parts."""

    def __init__(self, ledger: Ledger, undos: Undos, earlier: Job, undo: Undo) -> None:
        self._ledger = ledger
        self._undos = undos
        self._earlier = earlier
        self._rows = None if undo.rows is None else frozenset(undo.rows)
        self._last = earlier.records or 0
        """The rows up to here are not read yet."""
        self._unpacked: list[Mapping[str, Any]] = []
        """What rows did that were read, and are in no part yet. The last one is next."""
        self._written = 0
        self._lines = PartLines()
        self._held: dict[int, Mapping[int, Trace]] = {}
        """The traces of the parts that were read last, by their first rows."""

    async def next_part(self) -> Packed | None:
        """The next part; None after the last one. Raises BadInput if nothing is kept any more."""
        while self._unpacked or self._last > 0:
            if not self._unpacked:
                self._unpacked = list(await self._read())
            while self._unpacked:
                self._written += 1
                _, line = pack_row(Row(self._written, self._unpacked.pop()))
                if (part := self._lines.add(line)) is not None:
                    return part
        return self._lines.take()

    def summary(self) -> Summary:
        """There is nothing to be said of the rows."""
        return Summary()

    async def _read(self) -> Sequence[Mapping[str, Any]]:
        """What the last rows that are not read yet did."""
        first, last = max(1, self._last + 1 - RECORDS_PER_PART), self._last
        self._last = first - 1
        outcomes = await self._ledger.outcomes_between(self._earlier.id, first, last)
        traces: dict[int, Trace] = {}
        for part in await self._undos.parts_between(self._earlier.id, first, last):
            traces |= await self._traces(part)
        ordered = sorted(outcomes, key=lambda outcome: outcome.row)
        return list(self._deeds(ordered, traces))

    async def _traces(self, part: UndoPart) -> Mapping[int, Trace]:
        if part.first_row not in self._held:
            if len(self._held) == _PARTS_HELD:
                self._held.pop(next(iter(self._held)))
            self._held[part.first_row] = await self._read_traces(part)
        return self._held[part.first_row]

    async def _read_traces(self, part: UndoPart) -> Mapping[int, Trace]:
        try:
            return await self._undos.traces(part, self._earlier.upload.file)
        except FileNotFoundError as error:
            raise BadInput(
                f"what job {self._earlier.id} has overwritten is no longer kept "
                "(OPENBULK_KEEP_UNDO_DAYS)"
            ) from error

    def _deeds(
        self, outcomes: Sequence[RecordedOutcome], traces: Mapping[int, Trace]
    ) -> Iterator[Mapping[str, Any]]:
        for outcome in outcomes:
            if self._rows is None or outcome.row in self._rows:
                deed = _row_of_undo(outcome, traces.get(outcome.row))
                if deed is not None:
                    yield deed


def _row_of_undo(outcome: RecordedOutcome, trace: Trace | None) -> Mapping[str, Any] | None:
    """What a row did, as the undo's own row has it; None if it did nothing."""
    deed, why = _deed_and_problem(outcome, trace)
    if deed is None:
        return None
    trace = trace or Trace(outcome.row)
    before = trace.before
    values = {
        "row": outcome.row,
        "id": outcome.id,
        "deed": deed.value,
        "before": before and dict(before.values),
        "was": before and before.version,
        "version": trace.version,
        "why": why,
    }
    return {name: value for name, value in values.items() if value not in (None, "")}


def _deed_and_problem(outcome: RecordedOutcome, trace: Trace | None) -> tuple[Deed | None, str]:
    """What a row did, and why it cannot be undone; "" if it can."""
    if outcome.kind is OutcomeKind.UNKNOWN:
        return Deed.UPDATED, _UNKNOWN
    if trace is None:
        return _DEEDS.get(outcome.kind), _NOTHING_KEPT
    deed = Deed.UPDATED
    if trace.version is None:
        deed = Deed.DELETED
    elif trace.before is None:
        deed = Deed.CREATED
    if outcome.id is None:
        return deed, trace.irreversible or _NO_ID
    return deed, trace.irreversible
