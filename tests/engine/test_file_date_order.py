"""What the columns of a file show of its dates, and records with dates in ISO 8601."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from obstore.store import LocalStore

from openbulk.connectors.base import Features
from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.eloqua.fields import Field, Fields
from openbulk.connectors.empty_texts import EmptyTexts
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.domain import date_signs
from openbulk.domain.date_order import DateOrderUnknown
from openbulk.domain.date_signs import LOOKED_AT, MAX_COLUMNS, DateColumns
from openbulk.domain.dates import DateOrder
from openbulk.domain.records import Action, Row, RowBatch, Target
from openbulk.engine.file_date_order import order_of, signs_of
from openbulk.engine.slices.parts import RowsInThread, cut
from openbulk.security import Sealer
from openbulk.storage.files import FileStore

TEXT = {"type": "string"}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "Born": {**TEXT, "format": "date", "title": "Date of birth"},
        "made": {**TEXT, "format": "date-time", "readOnly": True},
        "start": {
            "type": "object",
            "properties": {
                "date": {**TEXT, "format": "date"},
                "dateTime": {**TEXT, "format": "date-time"},
            },
        },
        "at": {**TEXT, "format": "time"},
    },
}


def columns_of(*records: Mapping[str, Any]) -> DateColumns:
    columns = DateColumns()
    for number, values in enumerate(records, 1):
        columns.add(Row(number, values))
    return columns


CELLS = st.sampled_from(["", "", None, "31/05/2026", "05/31/2026", "x", "2026-05-30", "7 pm", "7"])


@given(
    st.lists(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4), max_size=4)
)
@example([[["", "31/05/2026", ""], ["31/05/2026", "", ""]]])
def test_rows_in_batches_show_what_they_show_one_by_one(tables: list[list[list[str]]]) -> None:
    together, alone, number = DateColumns(), DateColumns(), 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(date_signs, "LOOKED_AT", 3)
        for cells in tables:
            batch = RowBatch(number, ("a", "b", "c"), cells, number + 1)
            together.add_batch(batch)
            for row in batch.rows():
                alone.add(row)
            number += len(cells)
    assert list(together.signs().items()) == list(alone.signs().items())


Values = Mapping[str, Any]


def reader_of(*records: Values, **options: Any) -> Callable[[Values], Values]:
    target = Target("things", Action.CREATE)
    columns = Columns(target, Features(frozenset(Action)), SCHEMA, names_are_paths=True)
    dates = DateFields(SCHEMA)
    order = order_of(columns_of(*records).signs(), columns, dates, options)
    return partial(dates.with_iso_dates, order=order)


def test_columns_of_any_spelling_show_the_order() -> None:
    """By name in any case, by title, with dots or nested."""
    for shown in (
        {"BORN": "30/05/2026"},
        {"date of birth": "30/05/2026"},
        {"Start.Date": "30/05/2026"},
        {"start": {"dateTime": "30/05/2026 8:15"}},
    ):
        read = reader_of({"name": "a", "born": "05/06/2026"}, shown)
        assert read({"Born": "05/06/2026"}) == {"Born": "2026-06-05"}


def test_columns_that_are_not_dates_show_nothing_and_are_left_alone() -> None:
    """A text may look like a date. AM and PM count wherever they are."""
    with pytest.raises(DateOrderUnknown):
        reader_of({"born": "05/06/2026", "name": "30/05/2026"}, {"made": "30/05/2026"})
    assert reader_of({"name": "05/06/2026"})({"name": "05/06/2026"}) == {"name": "05/06/2026"}
    read = reader_of({"born": "05/06/2026", "name": "7:30 PM"})
    assert read({"Born": "05/06/2026"}) == {"Born": "2026-05-06"}


def test_values_of_each_kind_come_out_in_iso_8601() -> None:
    """What is none is left to the connector, and so is what already is."""
    record = {
        "name": "x",
        "Born": "2026-05-30 00:00:00",
        "start": {"dateTime": "30. Mai 2026 8.15", "date": "infinity"},
        "at": "7:30 p. m.",
    }
    assert reader_of()(record) == {
        "name": "x",
        "Born": "2026-05-30",
        "start": {"dateTime": "2026-05-30T08:15:00", "date": "infinity"},
        "at": "19:30:00",
    }
    plain = {"Born": "2026-05-30", "start": {"dateTime": "2026-05-30T08:15:00Z"}, "at": "24:00"}
    assert reader_of()(plain) == plain
    assert reader_of()({"Born": None, "at": 8}) == {"Born": None, "at": 8}


@pytest.mark.parametrize("kind", ["date", "date-time", "time"])
def test_columns_of_plain_iso_8601_are_those_that_stay_as_they_are(kind: str) -> None:
    fields = DateFields({"properties": {"when": {"format": kind}, "note": {}}})
    names = ("note", "when")
    days = [
        "2026-05-30",
        "2026-02-30",
        "20260530",
        "30.5.2026",
        "2026-5-30",
        "12026-01-01",
        "٢٠٢٦-05-30",
    ]
    moments = [
        f"2026-05-30{end}" for end in ("T10:00", "T10:00:00+02:00", "T24:00:00", " 00:00", "Z")
    ]
    others = [
        "10:00",
        "10:00:30",
        "24:00",
        "9:00",
        "never",
        "2026-05-30\n",
        "2026-05-30\n2026-05-31",
    ]
    texts = [*days, *moments, *others]
    plain = [text for text in texts if fields.are_iso(names, [("x", text), ("", ""), (None, None)])]
    assert plain, "the usual ones"
    for text in plain:
        assert fields.with_iso_dates({"when": text}, DateOrder()) == {"when": text}
    assert not any("\n" in text for text in plain)
    assert not fields.are_iso(names, [("x", plain[0]), ("x", "30.5.2026")])
    assert fields.are_iso(("note",), [("never",)])


def test_a_day_that_does_not_exist_names_its_field() -> None:
    """With the whole path."""
    with pytest.raises(FieldError, match=r'start\.date "31\.09\.2026" is not a date') as error:
        reader_of()({"start": {"date": "31.09.2026"}})
    assert error.value.field == "start.date"


def test_a_column_that_begins_late_shows_it_too() -> None:
    """Behind thousands of rows without it, or with other texts in other columns."""
    rows: list[Mapping[str, Any]] = [{"name": f"{n} x"} for n in range(LOOKED_AT + 1)]
    read = reader_of({"born": "05/06/2026"}, *rows, {"born": "30/05/2026"})
    assert read({"Born": "05/06/2026"}) == {"Born": "2026-06-05"}
    read = reader_of(*rows, {"born": "05/06/2026"}, {"start.date": "30/05/2026"})
    assert read({"Born": "05/06/2026"}) == {"Born": "2026-06-05"}


def test_hostile_records_take_bounded_memory() -> None:
    """Each has names of its own."""
    columns = columns_of(*({f"a{n}": "30/05/2026"} for n in range(MAX_COLUMNS + 100)))
    columns.add(Row(1, {"nested": {f"b{n}": "30/05/2026" for n in range(MAX_COLUMNS + 100)}}))
    assert len(columns.signs()) <= MAX_COLUMNS


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(LocalStore(tmp_path), Sealer([os.urandom(32)]))


async def never() -> bool:
    return False


async def test_every_slice_decides_by_what_the_whole_file_shows(files: FileStore) -> None:
    """The signs are kept beside the parts, and deleted with them. A restart keeps the same."""
    rows = [Row(n, {"born": "05/06/2026"}) for n in range(1, 2_000)]
    rows += [Row(2_000, {"born": "30/05/2026"})]
    await cut(files, "f00d", RowsInThread(iter(rows)), never)
    first = await signs_of(files, "f00d")
    assert {name: one.seen.keys() for name, one in first.items()} == {"born": {"/?", "/DMY"}}
    await cut(files, "f00d", RowsInThread(iter(rows)), never)
    assert await signs_of(files, "f00d") == first
    await files.delete("f00d")
    assert await signs_of(files, "f00d") == {}


async def test_a_file_that_shows_nothing_keeps_nothing(files: FileStore, tmp_path: Path) -> None:
    """Small files are many."""
    rows = [Row(1, {"born": "2026-05-30", "n": "8.15"})]
    await cut(files, "f00d", RowsInThread(iter(rows)), never)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{1:012d}"]


def test_empty_texts_are_left_out_unless_their_field_holds_texts() -> None:
    """Programs that quote every cell write them for each value that is not there."""
    target = Target("things", Action.CREATE)
    columns = Columns(target, Features(frozenset(Action)), SCHEMA, names_are_paths=True)
    empty_texts = EmptyTexts(columns, SCHEMA)
    row = {"NAME": "", "date of birth": "", "start.date": "", "unknown": "", "at": "8.15"}
    assert empty_texts.leave_out(row) == {"NAME": "", "at": "8.15"}
    assert empty_texts.leave_out({"name": "x"}) == {"name": "x"}


def test_the_schemas_of_services_say_which_fields_are_dates() -> None:
    """Those that a service fills itself do not count."""
    events = DateFields(event_schema())
    assert events.has_date(("start", "dateTime"))
    assert events.has_date(("originalStartTime", "date"))
    assert not events.has_date(("start", "timeZone"))
    assert not events.has_date(("updated",))
    birthday = Field("C_Birthday", "Birthday", "{{x}}", "date", False, False)
    made = Field("C_DateCreated", "Date Created", "{{y}}", "date", True, False)
    contacts = DateFields(Fields("contact", [birthday, made]).schema("C_EmailAddress"))
    assert contacts.has_date(("C_Birthday",))
    assert not contacts.has_date(("C_DateCreated",))
    order = DateOrder("DMY")
    assert contacts.with_iso_dates({"C_Birthday": "05/06/1990"}, order) == {
        "C_Birthday": "1990-06-05"
    }
