"""What is packed into blocks comes out of them, whatever it is."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from openbulk.domain.records import Outcome, OutcomeKind
from openbulk.storage.outcome_blocks import (
    AlreadyRecorded,
    RecordedOutcome,
    add_outcomes,
    outcomes_in,
    recorded_outcomes,
    recorded_ranges,
    rows_without_outcome,
)
from openbulk.storage.tables import metadata, outcome_blocks, problems

LAST = 40
OUTCOMES = st.builds(
    RecordedOutcome,
    st.integers(1, LAST),
    st.none() | st.integers(1, 2**40),
    st.sampled_from(OutcomeKind),
    st.none() | st.text(st.characters(exclude_categories=()), max_size=9),
)
CALLS = st.lists(st.lists(OUTCOMES, max_size=LAST), max_size=5)


@settings(deadline=None, max_examples=60)
@given(CALLS, st.integers(1, LAST), st.integers(1, LAST))
async def test_outcomes_are_found_as_they_were_recorded(
    calls: Sequence[Sequence[RecordedOutcome]], first: int, last: int
) -> None:
    """In any order, with any gaps, with and without lines and ids, and none of them twice."""
    engine = create_async_engine("sqlite+aiosqlite://")
    known: dict[int, RecordedOutcome] = {}
    async with engine.begin() as connection:
        tables = [outcome_blocks, problems]
        await connection.run_sync(lambda sync: metadata.create_all(sync, tables))
        for call in calls:
            new = {one.row: one for one in call}
            results = [Outcome(one.row, one.kind, one.id) for one in new.values()]
            lines = {one.row: one.line for one in new.values()}
            if new.keys() & known.keys():
                with pytest.raises(AlreadyRecorded, match=f"row {min(new.keys() & known.keys())} "):
                    await add_outcomes(connection, 1, results, lines)
                continue
            await add_outcomes(connection, 1, results, lines)
            known |= new
        found = [
            outcome
            for block in await connection.execute(select(outcome_blocks))
            for outcome in outcomes_in(block)
        ]
        assert sorted(found, key=lambda one: one.row) == [known[row] for row in sorted(known)]
        some = {one.row: one for one in await recorded_outcomes(connection, 1, first, last)}
        assert some == {row: one for row, one in known.items() if first <= row <= last}
        ranges = await recorded_ranges(connection, 1, first, last)
        assert [row for begin, end in ranges for row in range(begin, end + 1)] == sorted(some)
        assert all(end + 1 < begin for (_, end), (begin, _) in pairwise(ranges))
        rows = range(first, last + 1)
        assert await rows_without_outcome(connection, 1, rows) == set(rows) - known.keys()
    await engine.dispose()
