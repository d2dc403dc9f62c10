"""JSON keeps the digits of every number, in and out."""

import json
import tracemalloc
from decimal import Decimal
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.exact_json import (
    MAX_VALUES,
    decode_json,
    encode_json,
    has_few_values,
    pack_line,
    trim,
    unpack_line,
)
from openbulk.formats.json_values import encode_records

DIGITS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", fullmatch=True
)


def exact(number: float | Decimal) -> Decimal:
    """The number whose digits are written."""
    return Decimal(repr(number) if isinstance(number, float) else number)


@given(DIGITS)
def test_any_number_is_written_as_it_was_read(digits: str) -> None:
    """Not one digit is lost, in JSON and in what openbulk keeps."""
    number = decode_json(digits)
    assert exact(number) == Decimal(digits)
    assert exact(decode_json(encode_json(number))) == Decimal(digits)
    assert exact(unpack_line(pack_line({"n": [number]}))["n"][0]) == Decimal(digits)


@pytest.mark.parametrize(
    ("digits", "number"),
    [
        ("1.5", 1.5),
        ("1.50", Decimal("1.50")),
        ("98765432109876543.21", Decimal("98765432109876543.21")),
        ("0.1000000000000000055", Decimal("0.1000000000000000055")),
        ("1e400", Decimal("1e400")),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", Decimal(2**64)),
        ("-9223372036854775809", Decimal(-(2**63) - 1)),
    ],
)
def test_a_number_has_the_type_that_keeps_it(digits: str, number: object) -> None:
    """A float, an integer within 64 bits, or a Decimal."""
    read = decode_json(digits)
    assert (type(read), read, str(read)) == (type(number), number, str(number))
    assert unpack_line(pack_line(read)) == number


@pytest.mark.parametrize(
    "digits", ["1" * 5_000, "1e999999999", "1e99999999999999999999", "1e-2000"]
)
def test_a_number_that_costs_too_much_is_refused(digits: str) -> None:
    """Each digit of its exponent would make its conversion ten times as long."""
    with pytest.raises(ValueError, match="has more than 1,000 digits; write it in quotes"):
        decode_json(digits)


def test_a_value_that_is_no_json_is_refused() -> None:
    """Not a number that is none, either."""
    for value in (Decimal("NaN"), object()):
        with pytest.raises(TypeError):
            encode_json({"a": value})
    with pytest.raises(ValueError, match="NaN is not JSON"):
        decode_json("NaN")


def test_a_line_ends_in_a_blank_only_if_a_number_needs_care() -> None:
    """All other lines are plain JSON."""
    assert pack_line({"a": 1.5, "b": " "}) == b'{"a":1.5,"b":" "}'
    assert pack_line({"a": Decimal("1.50")}) == b'{"a":1.50} '
    assert json.loads(pack_line({"a": Decimal("1.50")})) == {"a": 1.5}
    assert pack_line({"a": Decimal("1.50"), "b": {1}}, default=str) == b'{"a":1.50,"b":"{1}"} '


MANY = MAX_VALUES + 10


@pytest.mark.parametrize(
    ("text", "is_few"),
    [
        ('{"a": "' + ",:[{" * MANY + '"}', True),
        ('{"a": "' + '\\",' * MANY, True),  # the beginning of a text
        ('{"a": [' + "[]," * (MAX_VALUES - 10) + "[]]}", True),
        ('{"a": [' + "[]," * MANY + "[]]}", False),
        ('{"a": [' + "1," * MANY + "1]}", False),
        ('{"a": ' + "[" * MANY, False),
        ("{" + '"a":1,' * (MANY // 2) + '"a":1}', False),
    ],
)
def test_the_values_of_a_record_are_counted_and_not_the_marks_in_its_texts(
    text: str, is_few: bool
) -> None:
    for form in (text, text.encode()):
        assert has_few_values(form) is is_few


def test_many_small_values_take_little_memory() -> None:
    """As orjson hands them out, each takes 4 KiB."""
    record = {"id": "1"}
    tracemalloc.start()
    try:
        kept = [trim(pack_line(record)) for _ in range(1_000)]
        piece = next(encode_records(repeat(record), b","))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept[0] == pack_line(record)
    assert peak < 200 * len(kept) + 20 * len(piece)
