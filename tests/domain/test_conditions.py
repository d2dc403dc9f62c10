"""Conditions: which records are wanted."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.domain.comparison import sort_key
from openbulk.domain.conditions import (
    All,
    Comparison,
    Condition,
    Either,
    Not,
    condition_of,
    fields_of,
    holds,
)

RECORD: dict[str, Any] = {
    "summary": "Maths",
    "sequence": 9,
    "locked": True,
    "number": "10",
    "start": {"dateTime": "2026-05-30T10:00:00+02:00"},
    "nothing": None,
}


@pytest.mark.parametrize(
    ("field", "operator", "values", "expected"),
    [
        ("summary", "=", ("Maths",), True),
        ("summary", "=", ("maths",), False),
        ("summary", "like", ("Ma%",), True),
        ("summary", "like", ("M_t_s",), True),
        ("summary", "like", ("%a.%",), False),
        ("sequence", "<", (10,), True),
        ("sequence", "<", ("10",), True),
        ("number", ">", (9,), True),
        ("number", "in", (9, 10), True),
        ("locked", "=", (True,), True),
        ("locked", "=", ("true",), True),
        ("start.dateTime", "=", ("2026-05-30T08:00:00Z",), True),
        ("start.dateTime", ">", ("2026-05-30",), True),
        ("start.dateTime", "<", ("2026-05-30T09:00:00+02:00",), False),
        ("nothing", "is null", (), True),
        ("nowhere.at.all", "is null", (), True),
        ("summary", "is null", (), False),
        ("nothing", "=", ("x",), False),
        ("nothing", "!=", ("x",), False),
    ],
)
def test_values_are_compared_as_what_they_are(
    field: str, operator: str, values: tuple[Any, ...], expected: bool
) -> None:
    """Numbers as numbers, timestamps as timestamps, even if a file has only text."""
    assert holds(Comparison(field, operator, values), RECORD) is expected


@given(st.text("ab%_", max_size=8), st.text("ab", max_size=10))
def test_like_is_what_the_naive_reading_of_it_says(like: str, text: str) -> None:
    naive = "".join({"%": ".*", "_": "."}.get(character, character) for character in like)
    assert holds(Comparison("text", "like", (like,)), {"text": text}) == bool(
        re.fullmatch(naive, text)
    )


def test_a_pattern_with_many_wildcards_is_no_trap() -> None:
    """It would take a regular expression longer than anybody waits."""
    assert not holds(Comparison("text", "like", ("%a" * 40 + "%b",)), {"text": "a" * 100_000})


def test_what_is_compared_with_nothing_is_neither_true_nor_false() -> None:
    """As in SQL: its contrary is not wanted either."""
    absent, present = Comparison("nothing", "=", ("x",)), Comparison("sequence", "=", (9,))
    assert not holds(Not(absent), RECORD)
    assert holds(Either((absent, present)), RECORD)
    assert not holds(All((absent, present)), RECORD)
    assert holds(Not(All((absent, Not(present)))), RECORD)


def test_a_condition_is_kept_and_read_back() -> None:
    """And says which fields it speaks of."""
    condition: Condition = Not(
        Either(
            (
                All((Comparison("a", "=", (1,)), Comparison("b.c", "in", ("x", 2.5)))),
                Comparison("d", "is null"),
            )
        )
    )
    assert condition_of(condition.as_json()) == condition
    assert list(fields_of(condition)) == ["a", "b.c", "d"]


def test_values_of_all_kinds_have_a_place_in_an_order() -> None:
    """Numbers, timestamps, text, missing values last; text that looks like a number is one."""
    values = ["b", None, "2026-05-30T10:00:00+02:00", 10, "9", "2026-05-30T09:00:00Z", "a", True]
    assert sorted(values, key=sort_key) == [
        "9",
        10,
        "2026-05-30T10:00:00+02:00",
        "2026-05-30T09:00:00Z",
        "a",
        "b",
        True,
        None,
    ]
