"""Which format a file is in: as told, else by looking; and what cannot be a file of records."""

import io
from typing import Any

import pytest

from openbulk.domain.errors import BadInput
from openbulk.formats.recognition import inspect


def name_of(content: bytes, told: Any = None, **options: Any) -> str:
    return inspect(io.BytesIO(content), told, options).name


@pytest.mark.parametrize(
    ("content", "told", "name"),
    [
        (b"a,b\n1,2\n", None, "csv"),
        (b' \n [{"a": 1}]', None, "json"),
        (b'{"a": 1}\n{"a": 2}\n', None, "jsonl"),
        (b'\xef\xbb\xbf[{"a": 1}]', None, "json"),
        ('[{"a": 1}]'.encode("utf-16"), None, "json"),
        ("a;b\n1;2\n".encode("utf-16"), None, "csv"),
        (b'{"a": 1}\n', "json", "jsonl"),
        (b'[{"a": 1}]', "JSON", "json"),
        (b"a,b\n1,2\n", "text/csv", "csv"),
        (b'{"a": 1}\n', "application/jsonl", "jsonl"),
        (b'{"a": 1}\n', "ndjson", "jsonl"),
        (b"{a},b\n1,2\n", "csv", "csv"),
        (b"a,b\n1,2\n", "", "csv"),
        (b"a,b\n1,2\n", "txt/csv", "csv"),
        (b'\n\n{"a": 1}\n', None, "jsonl"),
    ],
)
def test_a_format_is_told_or_seen(content: bytes, told: str | None, name: str) -> None:
    assert name_of(content, told) == name


@pytest.mark.parametrize(
    ("content", "told", "says"),
    [
        (b"", None, "the file is empty"),
        (b" \r\n\t ", None, "the file is empty"),
        (b"\xef\xbb\xbf", None, "holds no record|is empty"),
        (b"a,b\n", None, "the file holds no record; a CSV has field names in its first line"),
        (b"a,b\n\n,\n", None, "holds no record"),
        (b"[ ]", None, "the file holds no record; a JSON file is an array"),
        (b"PK\x03\x04...", None, "save it as CSV"),
        (b"\xd0\xcf\x11\xe0...", None, "an old Excel workbook"),
        (b"%PDF-1.7", None, "a PDF"),
        (b"\x1f\x8b\x08...", None, "gzip"),
        (b"\x00\x01\x02\x03" * 20, None, "not text"),
        (b"a,b\n1,2\n" * 100 + b"3,\x00\n", None, "zero bytes"),
        (b"a,b\n1,2\n", "xml", "metaData.format 'xml' is not known; it can be xlsx, ics, json, jsonl, googlecsv, csv"),
        (b"a,b\n1,2\n", 7, "metaData.format 7 is not known"),
        (b"a,b\n1,2\n", "json", "is not a JSON array"),
    ],
)
def test_what_cannot_be_a_file_of_records_is_refused_with_a_sentence(content: bytes, told: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        name_of(content, told)


def test_a_told_encoding_is_heeded_when_the_format_is_looked_for() -> None:
    content = "имя;город\nЮля;Москва\n".encode("utf-16-le")
    assert name_of(content, encoding="utf-16") == "csv"
    with pytest.raises(BadInput, match="zero bytes"):
        name_of(content)


def test_only_the_beginning_of_a_file_is_looked_at() -> None:
    file = io.BytesIO(b"a,b\n" + b"1,2\n" * 3_000_000)
    inspect(file, None, {})
    assert file.tell() == 0
