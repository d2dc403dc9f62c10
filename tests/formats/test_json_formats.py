"""JSON arrays and JSON Lines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbulk.domain.errors import BadInput
from openbulk.formats import FORMATS
from openbulk.testing.formats import RECORDS, FormatTests

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), min_size=1, max_size=6)


class TestJson(FormatTests):
    format = FORMATS["json"]

    def encode(self, records: Sequence[Mapping[str, Any]]) -> bytes:
        return json.dumps(list(records), ensure_ascii=False).encode()

    def broken_file(self) -> bytes:
        elements: list[Any] = list(RECORDS)
        elements[self.broken_index] = "not an object"
        return json.dumps(elements, ensure_ascii=False).encode()

    @settings(max_examples=200, deadline=None)
    @given(OBJECTS)
    def test_any_objects_are_read_as_they_were(self, objects: list[dict[str, Any]]) -> None:
        assert [row.values for row in self.read(self.encode(objects))] == objects
        assert [row.values for row in self.read(self.write(objects))] == objects

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_survived(self, content: bytes) -> None:
        self.check_survives(content)
        self.check_survives(b"[" + content)
        self.check_survives(b'[{"a": 1}, ' + content)

    def test_elements_before_an_error_of_syntax_are_read(self) -> None:
        rows = self.read(b'[{"a": 1}, {"a": 2}, {"a": }, {"a": 4}]')
        assert [row.values for row in rows] == [{"a": 1}, {"a": 2}, None]
        assert rows[-1].problem is not None
        assert "the JSON breaks after element 2" in rows[-1].problem.message

    def test_numbers_are_numbers(self) -> None:
        (row,) = self.read(b'[{"a": 1, "b": 1.5, "c": 1e3, "d": null, "e": true}]')
        assert row.values == {"a": 1, "b": 1.5, "c": 1000.0, "d": None, "e": True}

    def test_an_array_in_one_long_line_is_read_to_its_end(self) -> None:
        objects = [{"name": "x" * 1_000_000, "number": n} for n in range(20)]
        assert [row.values for row in self.read(self.encode(objects))] == objects

    def test_an_integer_beyond_64_bits_breaks_its_row_alone(self) -> None:
        for digits in ("18446744073709551616", "1" * 5_000):
            rows = self.read(
                b'[{"a": 1}, {"a": %s}, {"a": 18446744073709551615}]' % digits.encode()
            )
            assert [row.values for row in rows] == [{"a": 1}, None, {"a": 2**64 - 1}]

    def test_a_file_that_is_no_array_is_refused(self) -> None:
        with pytest.raises(BadInput, match="is not a JSON array"):
            self.read(b'{"a": 1}')


class TestJsonl(FormatTests):
    format = FORMATS["jsonl"]

    def encode(self, records: Sequence[Mapping[str, Any]]) -> bytes:
        return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in records)

    def broken_file(self) -> bytes:
        lines = self.encode(RECORDS).split(b"\n")
        lines[self.broken_index] = b'{"name": '
        return b"\n".join(lines)

    @settings(max_examples=200, deadline=None)
    @given(OBJECTS)
    def test_any_objects_are_read_as_they_were(self, objects: list[dict[str, Any]]) -> None:
        assert [row.values for row in self.read(self.encode(objects))] == objects
        assert [row.values for row in self.read(self.write(objects))] == objects

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_survived(self, content: bytes) -> None:
        self.check_survives(content)
        self.check_survives(b'{"a": 1}\n' + content)

    def test_blank_lines_are_no_rows_and_lines_are_counted(self) -> None:
        rows = self.read(b'\n{"a": 1}\r\n\n  \n[1]\n{"a": 2}')
        assert [(row.number, row.line, row.values) for row in rows] == [
            (1, 2, {"a": 1}),
            (2, 5, None),
            (3, 6, {"a": 2}),
        ]

    def test_a_line_that_is_too_long_breaks_its_row_alone(self) -> None:
        rows = self.read(b'{"a": 1}\n{"a": "' + b"x" * 17 * 1024 * 1024 + b'"}\r\n{"a": 3}\n')
        assert [(row.line, row.values) for row in rows] == [(1, {"a": 1}), (2, None), (3, {"a": 3})]
        assert rows[1].problem is not None
        assert "the line is longer than" in rows[1].problem.message

    def test_an_integer_beyond_64_bits_is_refused_and_not_rounded(self) -> None:
        rows = self.read(b'{"a": 18446744073709551615}\n{"a": 18446744073709551616}\n')
        assert [row.values for row in rows] == [{"a": 2**64 - 1}, None]

    def test_a_byte_that_cannot_be_read_breaks_its_row_and_names_its_place(self) -> None:
        rows = self.read('{"a": "é"}\n'.encode() + b'{"a": "\xff"}\n{"a": 3}\n')
        assert [row.values for row in rows] == [{"a": "é"}, None, {"a": 3}]
        assert rows[1].problem is not None
        assert rows[1].problem.message.startswith(
            "byte 0xFF at position 8 of the line is not UTF-8"
        )
