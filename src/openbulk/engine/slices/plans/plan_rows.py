"""The rows of a plan as they are kept: a line of JSON for each, in parts, sealed like all files."""

import hashlib
import heapq
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openbulk.domain.plan import CalendarEntry, Change, Completeness, Planned, PlannedKind
from openbulk.domain.records import Problem
from openbulk.exact_json import encode_json
from openbulk.storage.files import FileStore
from openbulk.storage.plans import PlanPart, PlanSummary, ranges_of

_MODULUS = 2**256
_COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What a row would do, with the line of the file on which it begins."""

    planned: Planned
    line: int | None = None
    is_repeated: bool = False
    """Whether an earlier row of the file means the same record."""

    def as_json(self) -> dict[str, Any]:
        """What is kept of it; `of_json` reads it. What is empty is left out."""
        planned, problem = self.planned, self.planned.problem
        kept = {
            "row": planned.row,
            "kind": planned.kind.value,
            "line": self.line,
            "id": planned.id,
            "changes": {name: [one.before, one.after] for name, one in planned.changes.items()},
            "problem": problem and [problem.message, problem.field, problem.provider_message],
            "matches": planned.matches,
            "version": planned.version,
            "changedAt": planned.changed_at,
            "calls": planned.calls,
            "mails": planned.mails,
            "mailsOutside": planned.mails_outside,
            "remark": planned.remark,
            "entry": planned.entry and _pack_entry(planned.entry),
            "key": planned.key,
            "repeated": self.is_repeated,
        }
        return {name: value for name, value in kept.items() if value}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "PlanRow":
        """What `as_json` has written."""
        problem, entry = kept.get("problem"), kept.get("entry")
        planned = Planned(
            kept["row"],
            PlannedKind(kept["kind"]),
            kept.get("id"),
            {name: Change(*pair) for name, pair in kept.get("changes", {}).items()},
            problem=Problem(*problem) if problem else None,
            matches=kept.get("matches", 0),
            version=kept.get("version"),
            changed_at=kept.get("changedAt"),
            calls=kept.get("calls", 0),
            mails=kept.get("mails", 0),
            mails_outside=kept.get("mailsOutside", 0),
            remark=kept.get("remark", ""),
            entry=CalendarEntry(*entry) if entry else None,
            key=kept.get("key"),
        )
        return cls(planned, kept.get("line"), kept.get("repeated", False))


def make_part(
    rows: Iterable[PlanRow], fence: int, completeness: Completeness
) -> tuple[PlanPart, bytes]:
    """A part of a plan, and its content for the file store."""
    ordered = sorted(rows, key=lambda row: row.planned.row)
    kept = [row.as_json() for row in ordered]
    planned = [row.planned for row in ordered]
    summary = PlanSummary(
        Counter(one.kind for one in planned),
        sum(map(_digest, kept)) % _MODULUS,
        sum(one.calls for one in planned),
        sum(one.mails for one in planned),
        sum(one.mails_outside for one in planned),
        sum(row.is_repeated for row in ordered),
        completeness,
        sum(one.lookups for one in planned),
        _calls_by_place(planned),
    )
    part = PlanPart(ranges_of([one.row for one in planned]), fence, summary)
    content = b"\n".join(encode_json(row) for row in kept)
    return part, zlib.compress(content, _COMPRESSION)


def _calls_by_place(planned: Iterable[Planned]) -> Mapping[str, int]:
    calls: Counter[str] = Counter()
    for one in planned:
        if one.place is not None:
            calls[one.place] += one.calls
    return calls


def _digest(kept: Mapping[str, Any]) -> int:
    """The digest of a row: of what it does, and not of how many rows share a call, or how it looks.

    The service's own words may name what is new each time.
    """
    said = {name: value for name, value in kept.items() if name not in ("calls", "entry")}
    if "problem" in said:
        said["problem"] = said["problem"][:2]
    return int.from_bytes(hashlib.sha256(encode_json(said)).digest(), "big")


def _pack_entry(entry: CalendarEntry) -> list[Any]:
    return [entry.title, entry.start, entry.end, entry.repeats]


async def rows_of_plan(
    files: FileStore,
    file: str,
    parts: AsyncIterable[PlanPart],
    *,
    after: int = 0,
    kind: PlannedKind | None = None,
) -> AsyncIterator[PlanRow]:
    """The rows of some parts behind a row, in the order of the file; `kind` leaves out all others.

    Parts are in the order of their first rows. No more of them are held than overlap. Raises
    FileNotFoundError if they are deleted.
    """
    pending: list[tuple[int, Mapping[str, Any]]] = []
    async for part in parts:
        while pending and pending[0][0] < part.first_row:
            yield PlanRow.of_json(heapq.heappop(pending)[1])
        for kept in _lines_of(await files.get(part.path(file))):
            if kept["row"] > after and kind in (None, kept["kind"]):
                heapq.heappush(pending, (kept["row"], kept))
    while pending:
        yield PlanRow.of_json(heapq.heappop(pending)[1])


def planned_in_part(content: bytes) -> Mapping[int, Planned]:
    """The plans in the content of a part, by their rows."""
    planned = (PlanRow.of_json(kept).planned for kept in _lines_of(content))
    return {one.row: one for one in planned}


def _lines_of(content: bytes) -> Iterable[Mapping[str, Any]]:
    return map(json.loads, zlib.decompress(content).splitlines())
