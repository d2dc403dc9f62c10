"""Rows of one file that mean one record: none of them silently takes the place of another."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.fields import FieldError
from openbulk.connectors.repeated_rows import Meaning, RepeatedRows
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.sandbox import eloqua
from openbulk.testing.connectors import send
from support import Serve, forget
from support.job_records import JobFile

CREATED, UPDATED, UNCHANGED, FAILED = (
    OutcomeKind.CREATED,
    OutcomeKind.UPDATED,
    OutcomeKind.UNCHANGED,
    OutcomeKind.FAILED,
)
Values = Mapping[str, Any]


def job(rows: Mapping[int, Values], object: str, action: Action, **more: Any) -> Target:
    return Target(object, action, run="job", records=100, job_records=JobFile(rows), **more)


async def upload(
    connector: Connector, object: str, action: Action, *rows: Values, **more: Any
) -> Sequence[Outcome]:
    """The outcomes of a file, one row at a time."""
    numbered = dict(enumerate(rows, 1))
    to = job(numbered, object, action, **more)
    return [
        (await connector.write(to, [Record(number, values, key=f"file:{number}")]))[0]
        for number, values in numbered.items()
    ]


def kinds(outcomes: Sequence[Outcome]) -> list[OutcomeKind]:
    return [outcome.kind for outcome in outcomes]


def problem(outcome: Outcome) -> str:
    assert outcome.problem is not None
    return outcome.problem.message


# --- the rows of a job ---

ROWS: Mapping[int, Values] = {
    1: {"id": "a", "x": 1},
    2: {"id": "b", "x": 1},
    4: {"id": "a", "y": 1},
    5: {"id": "a", "x": 2, "y": 2},
    6: {"id": "b", "x": 1},
    9: {"id": "a", "x": 1, "y": 2},
}


def meaning_of(record: Record) -> Meaning | None:
    fields = {name: value for name, value in record.values.items() if name != "id"}
    return Meaning("id", f"id {record.values['id']}", record.values["id"], fields)


@pytest.mark.parametrize(
    ("batches", "reads"),
    [
        ([[1, 2], [4, 5, 6], [9]], [2, 6]),
        ([[4, 5], [1, 2], [6, 9]], [0, 5]),
        ([[9], [6], [5], [4], [2], [1]], [0]),
        ([[5, 9]], [0]),
    ],
)
async def test_the_file_says_which_row_is_the_first_whatever_is_sent_first(
    batches: Sequence[Sequence[int]], reads: Sequence[int]
) -> None:
    """Row 5 differs from row 1 in x and from row 4 in y; row 9 from row 4 alone."""
    to = job(ROWS, "things", Action.UPDATE)
    repeated = RepeatedRows()
    found: dict[int, FieldError] = {}
    for batch in batches:
        records = [Record(number, ROWS[number]) for number in batch]
        found.update(await repeated.problems(to, records, meaning_of))
    sent = {number for batch in batches for number in batch}
    differs = {
        5: "row 1 has the id a, too, and differs in x and y; keep one of them",
        9: "row 4 has the id a, too, and differs in y; keep one of them",
    }
    assert {row: error.message for row, error in found.items()} == {
        row: message for row, message in differs.items() if row in sent
    }
    assert isinstance(to.job_records, JobFile)
    assert to.job_records.reads == reads


# --- Google ---

BOB = {"type": "user", "value": "bob@example.com"}
SAME_ROWS: Mapping[str, tuple[Values, Values, Values, str]] = {
    "access-control-list": (
        {"scope": BOB, "role": "reader"},
        {"scope": BOB, "role": "writer"},
        {"scope": BOB, "role": "reader"},
        "row 1 has the id user:bob@example.com, too, and differs in role; keep one of them",
    ),
    "calendar-list": (
        {"id": "class@example.com", "colorId": "3"},
        {"id": "class@example.com", "colorId": "4"},
        {"id": "class@example.com", "summaryOverride": "7a"},
        "row 1 has the id class@example.com, too, and differs in colorId; keep one of them",
    ),
}


@pytest.mark.parametrize("object", SAME_ROWS)
@pytest.mark.parametrize("action", [Action.CREATE, Action.UPSERT])
async def test_two_rows_for_one_record_of_google_are_an_error(
    connector: Connector, object: str, action: Action
) -> None:
    """Rows that say the same, or other fields, are one record."""
    first, other, more, message = SAME_ROWS[object]
    if object == "calendar-list":
        calendar = {"summary": "Class"}
        (made,) = await upload(connector, "calendars", Action.CREATE, calendar)
        first, other, more = ({**row, "id": made.id} for row in (first, other, more))
        message = message.replace("class@example.com", str(made.id))
    outcomes = await upload(connector, object, action, first, other, more)
    assert [outcome.problem is None for outcome in outcomes] == [True, False, True]
    assert problem(outcomes[1]) == message


async def test_two_rows_for_one_calendar_are_an_error(connector: Connector) -> None:
    """By its id, or by its summary if that identifies it. New calendars may look alike."""
    one, two = {"summary": "7a", "location": "Room 1"}, {"summary": "7a", "location": "Room 2"}
    outcomes = await upload(
        connector, "calendars", Action.UPSERT, one, two, identifier_field="summary"
    )
    assert kinds(outcomes) == [CREATED, FAILED]
    assert problem(outcomes[1]) == (
        "row 1 has the summary 7a, too, and differs in location; keep one of them"
    )
    named = {"id": outcomes[0].id}
    again = await upload(connector, "calendars", Action.UPDATE, {**one, **named}, {**two, **named})
    assert kinds(again) == [UNCHANGED, FAILED]
    assert kinds(await upload(connector, "calendars", Action.CREATE, one, two)) == [CREATED] * 2


# --- Eloqua ---


@pytest.fixture
async def marketing(serve: Serve, http: aiohttp.ClientSession) -> Connector:
    """A connector to Eloqua's sandbox."""
    url = await serve(eloqua.make_app(eloqua.Options()))
    signed_in = {"base.url": url, "username": "Acme\\ann", "password": "secret"}
    return EloquaProvider().connect(ConnectionContext(signed_in, http, forget))


@pytest.mark.parametrize("object", ["contact", "account"])
async def test_two_rows_for_one_record_of_an_import_are_an_error_however_far_apart(
    marketing: Connector, object: str
) -> None:
    """Eloqua itself refuses two of one import; here they are in different ones."""
    identifier, field = {
        "contact": ("C_EmailAddress", "C_FirstName"),
        "account": ("M_CompanyName", "M_City"),
    }[object]
    rows = {
        1: {identifier: "ann@example.com", field: "Ann"},
        2: {identifier: "Ann@example.com", field: "Anna"},
        3: {identifier: "ann@example.com", field: "Ann"},
    }
    to = job(rows, object, Action.UPSERT)
    outcomes = [
        (await send(lambda: marketing, to, [Record(number, values)]))[0]
        for number, values in rows.items()
    ]
    assert [outcome.problem is None for outcome in outcomes] == [True, False, True]
    assert problem(outcomes[1]) == (
        f"row 1 has the {identifier} Ann@example.com, too, and differs in {field}; keep one of them"
    )


@pytest.mark.parametrize("object", ["campaign", "list"])
async def test_two_rows_for_one_asset_are_an_error(marketing: Connector, object: str) -> None:
    (made,) = await upload(marketing, object, Action.CREATE, {"name": "Spring"})
    one, two = {"id": made.id, "name": "Summer"}, {"id": made.id, "name": "Autumn"}
    outcomes = await upload(marketing, object, Action.UPDATE, one, two, one)
    assert kinds(outcomes) == [UPDATED, FAILED, UPDATED]
    assert problem(outcomes[1]) == (
        f"row 1 has the id {made.id}, too, and differs in name; keep one of them"
    )
