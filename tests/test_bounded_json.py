"""JSON of callers is within bounds, and what is stored can be shown."""

import json

import orjson
import pytest

from openbulk.bounded_json import load_json, read_exact_json, read_json, store_json
from openbulk.domain.errors import BadInput, TooLarge


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1, {"b": "\\ud800"}]}', "metaData.a[1].b has half of a surrogate pair"),
        ('{"\\udfff": 1}', "a key of metaData has half of a surrogate pair"),
        ('{"a": "x\\u0000"}', "metaData.a has the character NUL"),
        ('{"a": NaN}', "metaData.a is not a number that can be kept"),
        ('{"a": -Infinity}', "metaData.a is not a number that can be kept"),
        ('{"a": 1e999}', "metaData.a is not a number that can be kept"),
        ('{"a": 18446744073709551616}', "metaData.a is not a number that can be kept"),
        ('{"a": ' + "9" * 5_000 + "}", "metaData cannot be read: the number 9999"),
        ("[" * 33 + "]" * 33, "metaData[0][0]"),
        ("[" * 100_000, "metaData is nested more than 32 levels deep"),
        ("{", "metaData is not JSON: error at character 2; it looks like {}"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_json(text, "metaData", example="{}")
    assert message in refusal.value.message
    assert len(refusal.value.message) < 300


def test_what_is_within_bounds_is_taken() -> None:
    deepest = "[" * 32 + "]" * 32
    assert read_json(deepest, "the body", example="[]") == json.loads(deepest)
    text = '{"a": "\\ud83d\\ude00", "b": 9223372036854775807, "c": 1.5, "d": null}'
    assert read_json(b"\xef\xbb\xbf" + text.encode(), "the body", example="{}") == json.loads(text)
    assert str(read_exact_json('{"a": 1.50}', "the body", example="{}")["a"]) == "1.50"


def test_more_bytes_than_allowed_are_refused() -> None:
    with pytest.raises(TooLarge, match="metaData is larger than 10 bytes"):
        read_json('"xxxxxxxxxx"', "metaData", example="{}", max_bytes=10)


@pytest.mark.parametrize("value", [{"a": "\ud800"}, [2**70], {"a": float("nan")}])
def test_what_is_stored_can_be_shown(value: object) -> None:
    assert orjson.dumps(load_json(store_json(value)))


@pytest.mark.parametrize("levels", [201, 260, 900])
def test_what_an_earlier_version_has_stored_can_be_shown(levels: int) -> None:
    assert orjson.dumps(load_json("[" * levels + '"\\ud800", Infinity' + "]" * levels))
    assert orjson.dumps(load_json(b'{"a":' * levels + b"1" + b"}" * levels))
