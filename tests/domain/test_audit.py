"""The chain of the audit log: what was changed is found."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openbulk.domain.audit import (
    NO_HASH,
    PRUNED,
    ChainCheck,
    ChainEnd,
    Deed,
    chain_deed,
    prune_detail,
    prune_target,
    shape_of,
)

NOON = datetime(2026, 5, 30, 12, tzinfo=UTC)


def chain(count: int, *deeds: Deed) -> list[dict[str, Any]]:
    """Entries of so many deeds, and of these."""
    end, shapes = ChainEnd(0, NO_HASH), []
    made = [
        Deed(1, NOON + timedelta(seconds=n), "job.load", f"job {n}", f"r{n}", 1, "änn@example.com")
        for n in range(count)
    ]
    for deed in (*made, *deeds):
        entry = chain_deed(deed, end.number + 1, end.hash)
        end = ChainEnd(entry.number, entry.hash)
        shapes.append(shape_of(entry))
    return shapes


def faults_of(shapes: list[dict[str, Any]], end: ChainEnd | None = None) -> list[str]:
    check = ChainCheck()
    for shape in shapes:
        check.add(shape)
    check.finish(end)
    return check.faults


def end_of(shapes: list[dict[str, Any]]) -> ChainEnd:
    return ChainEnd(shapes[-1]["number"], shapes[-1]["hash"])


def test_a_chain_is_whole() -> None:
    shapes = chain(5)
    assert faults_of(shapes, end_of(shapes)) == []
    assert faults_of([], ChainEnd(0, NO_HASH)) == []


def test_the_hash_is_that_of_canonical_json() -> None:
    """So an auditor can check an export with any other program."""
    shape = chain(2)[1]
    own = shape.pop("hash")
    text = json.dumps(shape, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == own
    assert shape["time"] == "2026-05-30T12:00:01.000Z"


@pytest.mark.parametrize("key", ["user", "time", "target", "outcome", "status", "address"])
def test_a_changed_entry_is_found(key: str) -> None:
    shapes = chain(3)
    shapes[1][key] = "x"
    assert faults_of(shapes) == ["entry 2 was changed: its hash is not that of its content"]


def test_a_changed_entry_with_a_new_hash_is_found_by_the_next_one() -> None:
    shapes = chain(3)
    other = Deed(1, NOON, "job.load", "job 9", "r")
    shapes[1] = shape_of(chain_deed(other, 2, shapes[0]["hash"]))
    assert faults_of(shapes) == ["entry 3 does not follow entry 2: one of the two was replaced"]


def test_missing_entries_are_found() -> None:
    shapes = chain(9)
    end = end_of(shapes)
    assert faults_of([*shapes[:3], *shapes[4:]]) == ["entry 4 is missing"]
    assert faults_of([*shapes[:3], *shapes[6:]]) == ["entries 4 to 6 are missing"]
    assert faults_of(shapes[:7], end) == ["entries 8 to 9 are missing at the end"]
    assert faults_of([], end) == ["entries 1 to 9 are missing at the end"]
    assert faults_of(shapes[2:], end) == [
        "entries 1 to 2 are missing, and no entry remembers that they were deleted by age"
    ]


def test_an_entry_that_was_added_at_the_end_is_found() -> None:
    shapes = chain(3)
    assert faults_of(shapes, end_of(shapes[:2])) == [
        "entry 3 is not the last one that openbulk has written"
    ]


def test_an_entry_that_is_there_twice_is_found() -> None:
    shapes = chain(3)
    assert faults_of([*shapes, shapes[1]])[0] == "entry 2 is behind entry 3"


def test_what_was_deleted_by_age_is_remembered() -> None:
    gone = end_of(chain(4))
    prune = Deed(1, NOON, PRUNED, prune_target(gone), "r", detail=prune_detail(gone))
    shapes = chain(6, prune)
    assert faults_of(shapes[4:], end_of(shapes)) == []
    assert "entries 1 to 5 are missing" in faults_of(shapes[5:], end_of(shapes))[0]


def test_a_noted_entry_shows_that_all_was_written_again() -> None:
    noted = end_of(chain(3))
    check = ChainCheck(noted)
    for shape in chain(0, *[Deed(1, NOON, "job.load", "job 9", "r")] * 5):
        check.add(shape)
    check.finish()
    assert check.faults == ["entry 3 has another hash than you noted: it was replaced"]
    check = ChainCheck(ChainEnd(9, noted.hash))
    for shape in chain(3):
        check.add(shape)
    check.finish()
    assert check.faults == ["entry 9, which you noted, is missing at the end"]


def test_many_faults_are_counted() -> None:
    shapes = chain(60)
    for shape in shapes:
        shape["user"] = "x"
    check = ChainCheck()
    for shape in shapes:
        check.add(shape)
    assert (len(check.faults), check.more_faults) == (20, 40)
