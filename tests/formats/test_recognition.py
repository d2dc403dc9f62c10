"""Which format a file has: as stated, else as detected; and files without records."""

import io
from typing import Any

import pytest

from openbulk.domain.errors import BadInput
from openbulk.formats.recognition import inspect


def name_of(content: bytes, stated: Any = None, **options: Any) -> str:
    return inspect(io.BytesIO(content), stated, options).name


@pytest.mark.parametrize(
    ("content", "stated", "name"),
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
def test_a_format_is_stated_or_detected(content: bytes, stated: str | None, name: str) -> None:
    assert name_of(content, stated) == name


@pytest.mark.parametrize(
    ("content", "stated", "message"),
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
        (
            b"a,b\n1,2\n",
            "xml",
            "metaData.format 'xml' is not known; it can be xlsx, ics, json, jsonl, googlecsv, csv",
        ),
        (b"a,b\n1,2\n", 7, "metaData.format 7 is not known"),
        (b"a,b\n1,2\n", "json", "is not a JSON array"),
    ],
)
def test_a_file_without_readable_records_is_refused_with_a_sentence(
    content: bytes, stated: Any, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        name_of(content, stated)


def test_a_stated_encoding_is_used_to_detect_the_format() -> None:
    content = "имя;город\nЮля;Москва\n".encode("utf-16-le")
    assert name_of(content, encoding="utf-16") == "csv"
    with pytest.raises(BadInput, match="zero bytes"):
        name_of(content)


def test_detection_leaves_the_file_at_its_beginning() -> None:
    file = io.BytesIO(b"a,b\n" + b"1,2\n" * 3_000_000)
    inspect(file, None, {})
    assert file.tell() == 0
