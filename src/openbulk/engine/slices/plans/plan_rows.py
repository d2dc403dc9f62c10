"""The rows of a plan as they are kept: a line of JSON for each, in parts, sealed like all files."""

import hashlib
import heapq
import json
import re
import zlib
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openbulk.domain.plan import CalendarEntry, Change, Completeness, Planned, PlannedKind
from openbulk.domain.records import Problem
from openbulk.exact_json import encode_json
from openbulk.storage.files import FileStore
from openbulk.storage.plans import PlanPart, PlanSummary, ranges_of

_MODULUS = 2**256
_COMPRESSION = 1
_LINE = rb'\n(\{"row":(\d+),"kind":"%b".*)'
"""The end of a line, and the next one, as `PlanRow.as_json` makes it; by the pattern of its kind.

What begins with fixed bytes is searched four times as fast as the beginning of any line.
"""


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What a row would do, with the line of the file on which it begins."""

    planned: Planned
    line: int | None = None
    is_repeated: bool = False
    """Whether an earlier row of the file means the same record."""

    def as_json(self) -> dict[str, Any]:
        """What is kept of it, `row` and `kind` first, without what is empty; for `of_json`."""
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
    pending: list[tuple[int, bytes]] = []
    async for part in parts:
        while pending and pending[0][0] < part.first_row:
            yield _row_of(heapq.heappop(pending)[1])
        pending += _chosen_lines(await files.get(part.path(file)), after, kind)
        heapq.heapify(pending)
    while pending:
        yield _row_of(heapq.heappop(pending)[1])


def planned_in_part(content: bytes) -> Mapping[int, Planned]:
    """The plans in the content of a part, by their rows."""
    planned = (_row_of(line).planned for line in zlib.decompress(content).splitlines())
    return {one.row: one for one in planned}


def _chosen_lines(
    content: bytes, after: int, kind: PlannedKind | None
) -> Iterator[tuple[int, bytes]]:
    """The lines of a part that are behind a row, and of this kind, by their rows.

    A page shows few of the rows of its parts: the others are not parsed.
    """
    line = re.compile(_LINE % (kind.value.encode() if kind else rb"\w+"))
    for match in line.finditer(b"\n" + zlib.decompress(content)):
        row = int(match[2])
        if row > after:
            yield row, match[1]


def _row_of(line: bytes) -> PlanRow:
    return PlanRow.of_json(json.loads(line))
