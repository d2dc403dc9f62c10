"""Problems have one cause if their sentences differ in values only."""

import pytest

from openbulk.domain.causes import cause_id, cause_text
from openbulk.domain.records import OutcomeKind, Problem


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            "start.date is '2026-02-30'; dates look like 2026-02-28",
            "start.date is …; dates look like …",
        ),
        ("2026-02-30T10:00:00+02:00 is not a date", "… is not a date"),
        ("the row has 3 cells, the header has 5: 'x'", "the row has … cells, the header has …: …"),
        ("age is 'it isn''t', and b is \"it isn't\"", "age is …, and b is …"),
        ("Google's limit of Ann's calendar", "Google's limit of Ann's calendar"),
        ("write to ann@example.com.", "write to …."),
        ("row 7 has the id ab1, too", "row … has the id …, too"),
        (
            'violates constraint "contacts_email": Key (email)=(Ann) already exists.',
            'violates constraint "contacts_email": Key (email)=… already exists.',
        ),
        ("Duplicate entry 'Ann' for key 'email'", "Duplicate entry … for key 'email'"),
        ('invalid input for integer: "a"', "invalid input for integer: …"),
        ("it can be 1, 2, 'three' or four", "it can be … or four"),
        ("no title", "no title"),
    ],
)
def test_values_are_left_out_of_a_message(message: str, text: str) -> None:
    assert cause_text(message) == text


def test_a_cause_is_a_kind_a_field_and_a_sentence() -> None:
    problem = Problem("'a' is not a date", "attendees[0].email", "in the service's words")
    same = Problem("'b' is not a date", "attendees[1].email")
    failed, unknown = OutcomeKind.FAILED, OutcomeKind.UNKNOWN
    assert cause_id(failed, problem) == cause_id(failed, same)
    others = [
        cause_id(failed, Problem("'a' is not a date", "start")),
        cause_id(failed, Problem("'a' is not a time", "attendees[0].email")),
        cause_id(unknown, problem),
    ]
    assert len({cause_id(failed, problem), *others}) == 4


def test_half_a_quote_does_not_take_the_rest() -> None:
    assert cause_text("the text 'abc is open; " + "x " * 900) != cause_text("the text 'abc is; ")
