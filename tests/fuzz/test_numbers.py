"""Numbers that were made to hold a server: of a text, of a document, of a database."""

from decimal import Decimal
from typing import Any

import pytest

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.numbers import NumberLimits
from openbulk.connectors.sql.values import Column, Conversion, Kind, to_database, to_json
from openbulk.domain.comparison import compare
from openbulk.exact_json import decode_stored_json, encode_json
from support.bounds import chances, run_within_bounds

HUGE = ("1e99999999", "-1e99999999", "1e9999", "1" * 5_000, "0." + "1" * 5_000, "1e-99999999")
COLUMNS = (
    Column("c", Kind.NUMBER),
    Column("c", Kind.NUMBER, numbers=NumberLimits(precision=10, scale=2)),
    Column("c", Kind.NUMBER, numbers=NumberLimits(float_digits=17)),
    Column("c", Kind.INTEGER, numbers=NumberLimits(-(2**63), 2**63 - 1)),
    Column("c", Kind.LIST, numbers=NumberLimits(precision=10, scale=2)),
    Column("c", Kind.OTHER, numbers=NumberLimits(precision=19, scale=2)),
)


def convert(column: Column, value: Any, *, is_sqlite: bool) -> str:
    """What a value becomes, or the sentence with which it is refused."""
    try:
        return f"takes {to_database(column, value, Conversion(is_sqlite=is_sqlite))!r}"
    except FieldError as error:
        return error.message


@pytest.mark.parametrize("is_sqlite", [True, False])
@pytest.mark.parametrize("text", HUGE)
def test_a_number_beyond_bounds_is_refused_for_its_column(text: str, is_sqlite: bool) -> None:
    sentences = run_within_bounds(
        lambda: [convert(column, text, is_sqlite=is_sqlite) for column in COLUMNS[:4]]
    )
    for said in sentences:
        assert said.startswith("c is ")
        assert len(said) < 500


@pytest.mark.parametrize(
    "value",
    [*HUGE, Decimal("1e99999999"), Decimal("NaN"), float("inf"), float("nan"), 2**63, -(2**200)],
)
@pytest.mark.parametrize("is_sqlite", [True, False])
def test_any_number_is_taken_or_refused_for_its_row(value: Any, is_sqlite: bool) -> None:
    values = (value, [value], {"a": value})
    run_within_bounds(
        lambda: [convert(column, one, is_sqlite=is_sqlite) for column in COLUMNS for one in values]
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000 + "]" * 5_000,
        "[" * 500 + "]" * 500,
        "9" * 5_000,
        "1e131000",
        '{"a":' * 300 + "1" + "}" * 300,
    ],
)
def test_a_stored_document_beyond_bounds_stays_a_text(text: str) -> None:
    assert run_within_bounds(lambda: decode_stored_json(text)) == text


def test_a_stored_document_within_bounds_is_a_value() -> None:
    assert decode_stored_json(b'{"a": [1, 1.50]}') == {"a": [1, Decimal("1.50")]}


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1e131071"),
        Decimal("9" * 131_072),
        Decimal("NaN"),
        Decimal("-Infinity"),
        float("inf"),
        float("nan"),
        2**63,
        {"a": float("inf"), "b": [Decimal("NaN")]},
    ],
)
def test_any_number_of_a_table_can_be_shown(value: Any) -> None:
    assert run_within_bounds(lambda: encode_json(to_json(value)))


@pytest.mark.parametrize("text", [*HUGE, "Infinity", "NaN", "9" * 100_000])
def test_any_text_can_be_compared(text: str) -> None:
    run_within_bounds(lambda: (compare("<", text, 1), compare("=", text, text)))


# --- what nobody has thought of ---

_PIECES = (
    "1",
    "9" * 20,
    "0",
    ".",
    "e",
    "E",
    "-",
    "+",
    "_",
    " ",
    "inf",
    "nan",
    "99999999",
    "²",
    "x",
    ",",
)


def test_any_text_is_a_number_or_refused() -> None:
    for chance in chances():
        text = "".join(chance.choices(_PIECES, k=chance.randrange(1, 9)))
        for column in COLUMNS:
            convert(column, text, is_sqlite=chance.random() < 0.5)
            convert(column, f"[{text}]", is_sqlite=False)
        compare("<", text, chance.choice([1, "2", 1.5, None, "x"]))
