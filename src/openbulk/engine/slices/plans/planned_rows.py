"""The rows of a plan, by their numbers, while it is carried out."""

from collections.abc import Collection, Mapping, Sequence

from openbulk.domain.errors import BadInput
from openbulk.domain.plan import Planned
from openbulk.engine.slices.plans.plan_rows import planned_in_part
from openbulk.storage.files import FileStore
from openbulk.storage.plans import ApplyLedger, PlanPart

MAX_PARTS = 8
"""Parts of a plan that are held: batches of rows are sent concurrently."""


class PlannedRows:
    """Reads the plan of a job part by part, about in the order of its file."""

    def __init__(self, ledger: ApplyLedger, files: FileStore) -> None:
        self._ledger = ledger
        self._files = files
        self._file = ledger.job.upload.file
        self._parts: Sequence[PlanPart] = ()
        self._read: dict[str, Mapping[int, Planned]] = {}
        """The parts that were read last, by their paths, the latest one at the end."""

    async def open(self) -> None:
        """Find the parts of the plan."""
        self._parts = await self._ledger.plan_parts()

    async def of(self, rows: Collection[int]) -> Mapping[int, Planned]:
        """The plans of these rows. Raises FileNotFoundError if they are deleted."""
        found = self._find(rows)
        if len(found) < len(rows):
            for part in self._parts_with(rows):
                found |= await self._read_part(part, rows)
        missing = next((row for row in rows if row not in found), None)
        if missing is not None:
            raise BadInput(f"the plan of job {self._ledger.job.id} has no row {missing}")
        return found

    def _find(self, rows: Collection[int]) -> dict[int, Planned]:
        """The plans of those of some rows that are in the parts read last."""
        return {row: part[row] for part in self._read.values() for row in rows if row in part}

    def _parts_with(self, rows: Collection[int]) -> Sequence[PlanPart]:
        first, last = min(rows), max(rows)
        return [part for part in self._parts if part.first_row <= last and part.last_row >= first]

    async def _read_part(self, part: PlanPart, rows: Collection[int]) -> dict[int, Planned]:
        path = part.path(self._file)
        planned = self._read.pop(path, None)
        if planned is None:
            planned = planned_in_part(await self._files.get(path))
        self._read[path] = planned
        if len(self._read) > MAX_PARTS:
            self._read.pop(next(iter(self._read)))
        return {row: planned[row] for row in rows if row in planned}
