"""The rows of a plan are kept in parts, and depend on earlier rows of their file."""

import os
from collections.abc import AsyncIterator, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import LocalStore

from openbulk.domain.plan import Change, Completeness, Planned, PlannedKind
from openbulk.domain.records import Problem, Record
from openbulk.engine.slices.plans.earlier_rows import EarlierRows
from openbulk.engine.slices.plans.plan_rows import PlanRow, make_part, rows_of_plan
from openbulk.security import Sealer
from openbulk.storage.files import FileStore
from openbulk.storage.plans import PlanPart, PlanSummary

KINDS = [PlannedKind.CREATED, PlannedKind.UPDATED]


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(LocalStore(tmp_path), Sealer([os.urandom(32)]))


def plan_row(row: int) -> PlanRow:
    changes = {"name": Change(None, f"Name {row}")} if row % 2 else {}
    return PlanRow(Planned(row, KINDS[row % 2], changes=changes, mails=1), line=row + 1)


async def each(parts: Sequence[PlanPart]) -> AsyncIterator[PlanPart]:
    for part in parts:
        yield part


async def keep(files: FileStore, *parts: Sequence[int]) -> list[PlanPart]:
    kept = []
    for rows in parts:
        part, content = make_part(map(plan_row, rows), 7, Completeness.COMPLETE)
        await files.put(part.path("f00d"), content)
        kept.append(part)
    return kept


async def test_rows_come_in_the_order_of_the_file_from_parts_that_overlap(files: FileStore) -> None:
    """Each as it was kept, from any row on, and of one kind where that is asked for."""
    parts = await keep(files, [1, 2, 5, 9], [3, 4, 6], [7, 8])
    rows = [row async for row in rows_of_plan(files, "f00d", each(parts))]
    assert rows == [plan_row(row) for row in range(1, 10)]
    later = [row async for row in rows_of_plan(files, "f00d", each(parts), after=5)]
    assert later == rows[5:]
    updated = [
        row.planned.row
        async for row in rows_of_plan(files, "f00d", each(parts), kind=PlannedKind.UPDATED)
    ]
    assert updated == [1, 3, 5, 7, 9]


async def test_a_value_that_looks_like_a_row_is_none(files: FileStore) -> None:
    like = {"row": 7, "kind": "updated"}
    change = Change(like, '\n{"row":8,"kind":"updated"}')
    row = PlanRow(Planned(1, PlannedKind.UPDATED, changes={"note": change}))
    part, content = make_part([row], 7, Completeness.COMPLETE)
    await files.put(part.path("f00d"), content)
    for kind in (None, PlannedKind.UPDATED):
        assert [one async for one in rows_of_plan(files, "f00d", each([part]), kind=kind)] == [row]


async def test_a_plan_has_one_summary_however_it_is_cut(files: FileStore) -> None:
    cut = PlanSummary.of_parts(await keep(files, [1, 3], [2, 4]))
    whole = PlanSummary.of_parts(await keep(files, [1, 2, 3, 4]))
    assert cut == whole == PlanSummary.of_json(whole.as_json())
    assert (whole.kinds[PlannedKind.UPDATED], whole.mails) == (2, 4)
    other = PlanSummary.of_parts(await keep(files, [1, 2, 3, 5]))
    assert other.row_digest != whole.row_digest


def test_what_the_service_says_of_an_error_does_not_change_the_digest() -> None:
    """PostgreSQL names the next number of a sequence there."""
    digests = set()
    for said in ("(1, -1)", "(2, -1)"):
        refused = Planned(1, PlannedKind.REFUSED, problem=Problem("age", "age", said))
        digests.add(make_part([PlanRow(refused)], 1, Completeness.COMPLETE)[0].summary.row_digest)
    assert len(digests) == 1


def names_of(record: Record) -> Iterable[Hashable]:
    return [record.values["name"]] if "name" in record.values else []


def record(row: int, name: str, age: int = 0) -> Record:
    return Record(row, {"name": name, "age": age}, f"key {row}")


def test_a_batch_comes_with_the_earlier_rows_that_share_a_key_with_it() -> None:
    """Whole, in their order, and without those of the batch itself."""
    rows = EarlierRows()
    first = [record(1, "Ann", 41), record(2, "Bob"), Record(3, {"age": 5})]
    assert rows.before(first, names_of) == []
    second = [record(4, "Ann"), record(5, "Cara"), record(6, "Ann")]
    assert rows.before(second, names_of) == [first[0]]
    third = [record(7, "Bob"), record(8, "Ann")]
    assert rows.before(third, names_of) == [first[0], first[1], second[0], second[2]]


def test_a_row_is_repeated_if_an_earlier_one_means_its_record() -> None:
    rows = EarlierRows()
    names = ["Ann", "Bob", None, "Ann", None]
    said = [rows.is_repeated(row, name) for row, name in enumerate(names, 1)]
    assert said == [False, False, False, True, False]
    assert not rows.is_repeated(1, "Ann"), "the first one, when it is planned once more"


class Slice:
    """The records of a job, as one slice of it reads them."""

    def __init__(self, fence: int, last: int) -> None:
        self.fence, self.cursor, self.last = fence, last, last

    def each(self, after: int = 0) -> None:
        raise AssertionError


def test_rows_that_another_process_has_planned_are_missing() -> None:
    """Not those of this process, slice after slice."""
    rows = EarlierRows()
    assert not rows.has_gap(Slice(1, 0))  # type: ignore[arg-type]
    rows.fence = 1
    assert not rows.has_gap(Slice(2, 40))  # type: ignore[arg-type]
    assert rows.has_gap(Slice(3, 80))  # type: ignore[arg-type]
    assert EarlierRows().has_gap(Slice(1, 40))  # type: ignore[arg-type]


def test_a_plan_starts_over_if_a_slice_could_not_record_what_it_had_planned() -> None:
    """Else the rows that are planned once more would find their own changes."""
    rows = EarlierRows()
    rows.begin_slice(Slice(1, 0))  # type: ignore[arg-type]
    rows.fence = 1
    assert rows.before([record(1, "Ann"), record(2, "Bob")], names_of) == []
    rows.note_planned([1, 2])
    rows.note_recorded([1])
    rows.begin_slice(Slice(1, 0))  # type: ignore[arg-type]
    assert rows.run_of("run") == "run", "the slice goes on"
    next_slice = Slice(2, 1)
    rows.begin_slice(next_slice)  # type: ignore[arg-type]
    assert rows.run_of("run") == "run/1"
    assert rows.has_gap(next_slice)  # type: ignore[arg-type]
    assert rows.before([record(3, "Ann")], names_of) == []
    rows.fence = 2
    rows.note_planned([2, 3])
    rows.note_recorded([3, 2])
    rows.begin_slice(Slice(3, 3))  # type: ignore[arg-type]
    assert rows.run_of("run") == "run/1"


def test_a_summary_is_as_complete_as_its_last_part() -> None:
    part, _ = make_part([plan_row(1)], 1, Completeness.COMPLETE)
    later = replace(part, summary=replace(part.summary, completeness=Completeness.BY_KEY))
    assert PlanSummary.of_parts([part, later]).completeness is Completeness.BY_KEY
