"""The cursor never passes a row without an outcome, and every record has exactly one."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from openbulk.connectors.base import Features
from openbulk.domain.job import Job, Status, Upload
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.engine.slices.lost_answers import complete_outcomes
from openbulk.engine.slices.ordering import ordering_keys_of
from openbulk.engine.slices.progress import Progress
from openbulk.engine.slices.record_reader import keys_of
from openbulk.engine.slices.row_states import RowState


def job(
    action: Action = Action.CREATE, object: str = "events", identifier: str | None = None
) -> Job:
    upload = Upload(Target(object, action, identifier), file="f00d", file_size=1, file_format="csv")
    return Job(1, 1, 1, upload, Status.RUNNING, datetime.now(UTC))


@given(st.permutations(range(1, 30)), st.integers(1, 29))
def test_the_cursor_is_the_last_row_before_which_all_have_an_outcome(
    order: list[int], taken: int
) -> None:
    progress = Progress(0, 30)
    for row in order[:taken]:
        progress.add([Outcome(row, OutcomeKind.CREATED)])
    seen = set(order[:taken])
    expected = next(row for row in range(31) if row + 1 not in seen)
    assert progress.cursor == expected
    assert set(progress.states.rows(RowState.DONE)) == seen


def test_outcomes_are_taken_with_the_lines_of_their_rows() -> None:
    progress = Progress(0, 3)
    progress.lines = {1: 2, 2: 3, 3: 4}
    progress.add([Outcome(1, OutcomeKind.CREATED), Outcome.failure(2, "no")])
    results, lines = progress.take()
    assert [outcome.row for outcome in results] == [1, 2]
    assert lines == {1: 2, 2: 3}
    assert progress.lines == {3: 4}
    assert progress.take() == ([], {})


def test_an_outcome_that_a_connector_forgot_is_unknown() -> None:
    batch = [Record(1, {}), Record(2, {})]
    outcomes = complete_outcomes(batch, [Outcome(2, OutcomeKind.CREATED)])
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.UNKNOWN, OutcomeKind.CREATED]


def test_the_key_of_a_created_record_is_its_file_and_row_also_with_an_identifier() -> None:
    created = Target("events", Action.CREATE, "ref", run="f00d")
    upserted = replace(created, action=Action.UPSERT)
    assert list(keys_of(created, 7, [{"ref": "a"}, {}])) == ["f00d:7", "f00d:8"]
    assert list(keys_of(upserted, 7, [{"ref": "a"}, {}])) == ["ref=a", "f00d:8"]
    nested = replace(upserted, identifier_field="a.b")
    assert list(keys_of(nested, 9, [{"a": {"b": 1}}])) == ["a.b=1"]


def test_records_of_one_thing_share_an_ordering_key() -> None:
    """By the caller's identifier, by any of the object's own, and by those of another record."""
    features = Features(
        frozenset(Action), identifiers=("id", "iCalUID"), references={"recurringEventId": "id"}
    )

    def keys(identifier: str | None = None, **values: str) -> set[str]:
        keys_of = ordering_keys_of(Target("events", Action.UPDATE, identifier), features)
        found: Any = keys_of(Record(2, values, key="f:2"))
        return {f"{name}={value}" for name, value in found}

    assert keys(iCalUID="u1", ref="r") == {"iCalUID=u1"}
    assert keys("ref", iCalUID="u1", ref="r") == {"iCalUID=u1", "ref=r"}
    assert keys(id="one_20260601", recurringEventId="one") == {"id=one_20260601", "id=one"}
    assert keys(summary="s", id="") == set()
