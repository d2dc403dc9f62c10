"""Values of records, and messages about them."""

from datetime import date
from typing import Any

import pytest

from openbulk.connectors.fields import (
    FieldError,
    did_you_mean,
    not_a_choice,
    parse_boolean,
    parse_date,
    short_repr,
)
from openbulk.domain.records import OutcomeKind


@pytest.mark.parametrize(
    ("value", "expected"), [("yes", True), (" TRUE ", True), (1, True), ("No", False), (0, False)]
)
def test_a_boolean_is_read_as_files_write_it(value: Any, expected: bool) -> None:
    assert parse_boolean("active", value) is expected


def test_a_date_is_read_without_the_blanks_around_it() -> None:
    assert parse_date("born", " 2026-02-28 ") == date(2026, 2, 28)


def test_an_error_says_which_field_and_what_would_be_right() -> None:
    with pytest.raises(FieldError, match="active is 'maybe'; it must be true or false") as boolean:
        parse_boolean("active", "maybe")
    with pytest.raises(FieldError, match=r'"30\.2\." is not a date; dates look like 2026-02-28'):
        parse_date("born", "30.2.")
    with pytest.raises(FieldError, match='born "2026-09-31" is not a date: September has 30'):
        parse_date("born", "2026-09-31")
    outcome = boolean.value.outcome(7)
    assert (outcome.row, outcome.kind) == (7, OutcomeKind.FAILED)
    assert outcome.problem is not None
    assert (outcome.problem.field, outcome.problem.message) == (
        "active",
        "active is 'maybe'; it must be true or false",
    )
    choices = not_a_choice("status", "friend", ("lead", "customer"))
    assert choices.message == "status is 'friend'; it can be lead, customer"


def test_a_long_value_is_cut_off_in_a_message() -> None:
    assert short_repr("x" * 40) == repr("x" * 40)
    assert short_repr("x" * 41) == repr("x" * 37 + "...")


def test_an_unknown_name_gets_the_closest_known_one_suggested() -> None:
    known = ("email", "name")
    assert did_you_mean("emial", known, "see the docs") == "did you mean 'email'?"
    assert did_you_mean("shoe size", known, "see the docs") == "see the docs"
