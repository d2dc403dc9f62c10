"""The fields of records, from the rows of a table one by one and together."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.connectors.base import Features
from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.fields import FieldError
from openbulk.domain.records import Action, RowBatch, Target
from openbulk.domain.transformation import MappedField, Transformation
from openbulk.engine.record_fields import RecordFields

TEXT = {"type": "string"}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "Born": {**TEXT, "format": "date", "title": "Date of birth"},
        "made": {**TEXT, "readOnly": True},
        "start": {"type": "object", "properties": {"date": {**TEXT, "format": "date"}}},
    },
}
HEADERS = (
    ("name", "Born"),
    ("NAME", "Date of birth"),
    ("name", "made"),
    ("name", "Name"),
    ("name", "start.date"),
    ("name", "nobody"),
)
RENAMED = Transformation("people", "things", (MappedField(("who",), ("name",)),))
CELLS = st.sampled_from(["", None, "Ann", "2026-05-30", "30/05/2026", "31/02/2026"])


def fields_of(schema: Mapping[str, Any], transformation: Transformation | None) -> RecordFields:
    target = Target("things", Action.CREATE, transformation=transformation)
    features = Features(frozenset(Action), skips_read_only=True)
    columns = Columns(target, features, schema, names_are_paths=True)
    dates = DateFields(schema)
    return RecordFields(columns, schema, dates, {}, {"dateOrder": "DMY"}, is_table=True)


@given(
    st.sampled_from(HEADERS),
    st.lists(st.tuples(CELLS, CELLS).filter(any), min_size=1, max_size=3),
    st.sampled_from([None, RENAMED]),
    st.sampled_from([SCHEMA, {**SCHEMA, "additionalProperties": {}}]),
)
def test_rows_have_the_same_fields_together_and_one_by_one(
    header: tuple[str, str],
    cells: list[tuple[str | None, str | None]],
    transformation: Transformation | None,
    schema: Mapping[str, Any],
) -> None:
    """Also what is left out, and whether one of them has none."""
    batch = RowBatch(1, header, cells, 2)
    together, alone = fields_of(schema, transformation), fields_of(schema, transformation)
    try:
        expected = [alone.of(row.values or {}) for row in batch.rows()]
    except FieldError:
        with pytest.raises(FieldError):
            together.of_batch(batch)
        return
    assert [list(one.items()) for one in together.of_batch(batch)] == [
        list(one.items()) for one in expected
    ]
    assert together.left_out == alone.left_out
