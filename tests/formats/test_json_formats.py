"""JSON arrays and JSON Lines."""

import json
import re
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

BROKEN = {
    '{"a": NaN}': "a is NaN, which JSON does not have; write null, or leave it out",
    '{"a": {"b": [-Infinity]}}': "a.b[0] is -Infinity, which JSON does not have",
    '{"a": 1, "b": 2, "a": 3}': "a is written 2 times in one JSON object; keep one of them",
    '{"b": [{"a": 1, "a": 1}]}': "b[0].a is written 2 times in one JSON object",
    '{"a": "cut off \\ud83d"}': "a has half of a surrogate pair in it",
    '{"a": "\\ude00\\ud83d"}': "a has half of a surrogate pair in it",
    '{"a": "\\x"}': "a backslash is before a character that takes none",
    '{"a": "\\u12"}': "four hexadecimal digits are missing",
    '{"a": 2,}': "a name in double quotes is missing, at '}",
    '{"a": [1, 2,]}': "a value is missing, at ']",
    "{'a': 2}": "a name in double quotes is missing",
    '{"a": tru}': "a value is missing, at 'tru}",
    '{"a": 01}': "a comma or a closing bracket is missing, at '1}",
    '{"a": "x\ty"}': "a text has a line break or tab in it",
    '{"a": "x"y"}': "a comma or a closing bracket is missing, at 'y",
    '{"a" 2}': "a colon is missing",
    '{"a": }': "a value is missing",
    "7": "a number is not an object",
    '{"a": %s}' % ("[" * 201 + "]" * 201): "more than 200 levels",
    '{"a": %s}' % ("[" * 100_000 + "]" * 100_000): "it is nested too deep",
}
"""Elements that break their row alone, and why."""


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

    @pytest.mark.parametrize(("broken", "reason"), BROKEN.items())
    def test_an_element_that_is_not_json_breaks_its_row_alone(
        self, broken: str, reason: str
    ) -> None:
        """In one line and in many."""
        for separator in (", ", ",\n  "):
            elements = ['{"a": 1, "b": "x"}', broken, '{"a": 3, "b": "}{"}', '{"a": 4}']
            rows = self.read(f"[{separator.join(elements)}]".encode())
            values = [{"a": 1, "b": "x"}, None, {"a": 3, "b": "}{"}, {"a": 4}]
            assert [row.values for row in rows] == values
            assert rows[1].problem is not None
            assert reason in rows[1].problem.message

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ('[{"a": 1}] trailing', "text after the closing bracket ('trailing')"),
            ("[] trailing", "text after the closing bracket ('trailing')"),
            ('[{"a": 1}][{"a": 2}]', "text after the closing bracket"),
            ('[{"a": 1},]', "a value is missing, at ']'"),
            ('[{"a": 1}', "the file may be cut off"),
            ('[{"a": 1}, {"a": ', "nothing after it was read"),
            ('[{"a": 1}, {"a": "x', "a text is not closed"),
        ],
    )
    def test_what_is_behind_the_last_element_is_a_broken_row(
        self, content: str, reason: str
    ) -> None:
        """The elements before it are read."""
        *rows, last = self.read(content.encode())
        assert [row.values for row in rows] == [{"a": 1}] * content.count('"a": 1')
        assert last.problem is not None
        assert reason in last.problem.message

    def test_elements_without_a_comma_between_them_are_not_read(self) -> None:
        """The one behind the gap is a broken row."""
        rows = self.read(b'[{"a": 1} {"a": 2}, {"a": 3} x, {"a": 4}]')
        assert [row.values for row in rows] == [{"a": 1}, None, {"a": 3}, None, {"a": 4}]

    def test_a_file_of_broken_elements_is_read_to_its_end(self) -> None:
        """Each is a row, and none is read many times over."""
        count = 20_000
        rows = self.read(b"[" + b",".join([b'{"a": "x}'] * count) + b',{"a": 1}]')
        assert rows[-1].values == {"a": 1}
        assert [row.values for row in rows[:-1]] == [None] * (len(rows) - 1)

    def test_a_broken_element_larger_than_a_piece_of_the_file(self) -> None:
        """Its end is looked for in the pieces behind it."""
        text = "x" * 600_000
        content = f'[{{"a": 1}}, {{"a": "{text}", b: 1}}, {{"a": 3}}]'
        assert [row.values for row in self.read(content.encode())] == [{"a": 1}, None, {"a": 3}]

    def test_numbers_are_numbers(self) -> None:
        (row,) = self.read(b'[{"a": 1, "b": 1.5, "c": 1e3, "d": null, "e": true}]')
        assert row.values == {"a": 1, "b": 1.5, "c": 1000, "d": None, "e": True}

    def test_an_array_in_one_long_line_is_read_to_its_end(self) -> None:
        objects = [{"name": "x" * 1_000_000, "number": n} for n in range(20)]
        assert [row.values for row in self.read(self.encode(objects))] == objects

    def test_a_number_with_thousands_of_digits_breaks_its_row_alone(self) -> None:
        for digits in ("1" * 5_000, "1e999999999"):
            rows = self.read(b'[{"a": 1}, {"a": {"b": %s}}, {"a": 3}]' % digits.encode())
            assert [row.values for row in rows] == [{"a": 1}, None, {"a": 3}]
            assert rows[1].problem is not None
            assert rows[1].problem.field == "a.b"

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

    def test_a_byte_that_cannot_be_read_breaks_its_row_and_names_its_place(self) -> None:
        rows = self.read('{"a": "é"}\n'.encode() + b'{"a": "\xff"}\n{"a": 3}\n')
        assert [row.values for row in rows] == [{"a": "é"}, None, {"a": 3}]
        assert rows[1].problem is not None
        assert rows[1].problem.message.startswith(
            "byte 0xFF at position 8 of the line is not UTF-8"
        )
        assert rows[1].problem.field == "a"

    @pytest.mark.parametrize(("broken", "reason"), BROKEN.items())
    def test_a_line_that_is_not_json_breaks_its_row_alone(self, broken: str, reason: str) -> None:
        rows = self.read(f'{{"a": 1}}\n{broken}\n{{"a": 3}}\n'.encode())
        assert [row.values for row in rows] == [{"a": 1}, None, {"a": 3}]
        assert rows[1].problem is not None
        assert reason in rows[1].problem.message

    @pytest.mark.parametrize(
        ("content", "where"),
        [
            ('{\n "results": [\n  {"id": 1},\n  {"id": 2}\n ]\n}', "'results'"),
            ('{"results": [\n{"id": 1}\n]}\n', "'results'"),
            ('{\n "d": {"next": null, "items": [{"id": 1}]},\n "n": 1\n}', "'d.items'"),
            ('{"count": 2, "results": [{"id": 1}, {"id": 2}]}', "'results'"),
            ('{"d": {"results": [{"id": 1}, {"id": 2}]}}', "'d.results'"),
            ('{\n "results": [\n  {"id": 1,\n   "ok": tru},\n  {"id": 2}\n ]', "'results'"),
            ('{\n "id": 1\n}\n{\n "id": 2\n}\n', "write it in one line"),
        ],
    )
    def test_an_object_around_a_list_is_refused_with_the_place_of_the_list(
        self, content: str, where: str
    ) -> None:
        """No record is made of a line in its middle."""
        with pytest.raises(BadInput, match=re.escape(where)):
            self.read(content.encode())

    @pytest.mark.parametrize(
        "content",
        [
            '{"summary": "Lesson", "attendees": [{"email": "ann@example.com"}]}',
            '{"results": [{"id": 1}]}\n{"results": [{"id": 2}]}',
            '{"name": \n{"name": "x"}\n{"name": "y"}\n',
        ],
    )
    def test_an_object_in_a_line_is_a_record(self, content: str) -> None:
        """Also if it has lists, or the line before it is cut off."""
        assert len(self.read(content.encode())) == len(content.splitlines())
        assert len(self.read(b'{"results": [{"id": 1}]}', format="jsonl")) == 1
