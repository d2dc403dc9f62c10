"""Which format a file has: as stated, else as detected; and files without records."""

import gzip
import io
import zipfile
from typing import Any

import pytest

from openbulk.domain.errors import BadInput
from openbulk.formats import FORMATS, archives
from openbulk.formats.packed import unpack
from openbulk.formats.recognition import inspect, inspect_rows, recognize


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
        (b"[id],[first name]\n1,2\n", None, "csv"),
        (b"[[1]]", None, "json"),
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
        (b"PK\x03\x04...", None, "the zip archive cannot be read"),
        (b"\xd0\xcf\x11\xe0...", None, "an old Excel workbook"),
        (b"%PDF-1.7", None, "a PDF"),
        (b"\x1f\x8b\x08...", None, "the gzip file cannot be read"),
        (b"<!DOCTYPE html>\n<table><tr><td>a</td></tr></table>", None, "a web page .HTML."),
        (b"\xef\xbb\xbf\n <TABLE border=1>", "csv", "a web page .HTML."),
        ("<html>".encode("utf-16"), None, "a web page .HTML."),
        (b'<?xml version="1.0"?><Workbook>', None, "the file is XML"),
        (b"<contacts><contact>", "json", "the file is XML"),
        (b"BEGIN:VCARD\r\nVERSION:3.0\r\n", None, "a vCard file"),
        (b"{\\rtf1 a}", None, "RTF"),
        (b"PAR1...", None, "a Parquet file"),
        (b'[{"a": 1}]', "csv", r"metaData\.format is csv, but the file is json"),
        (b'{"a": 1}\n', "text/csv", r"metaData\.format is csv, but the file is jsonl"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR\n", "csv", "but the file is ics"),
        (b"\x00\x01\x02\x03" * 20, None, "not text"),
        (
            b"a,b\n1,2\n",
            "xml",
            "it can be xlsx, googlexlsx, ics, json, jsonl, googlecsv, csv",
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


ACTIVITIES = b"Subject,Start Date,End Date,Status\nCall back,2026-05-30,2026-05-30,Planned\n"


def test_a_table_with_googles_columns_is_googles_only_if_it_is_sent_to_a_calendar() -> None:
    """Or if its sender says so: a CRM's activities have the same columns."""
    file = io.BytesIO(ACTIVITIES)
    assert inspect(file, None, {}, takes_events=True).name == "googlecsv"
    assert inspect(file, None, {}, takes_events=False).name == "csv"
    assert inspect(file, "googlecsv", {}, takes_events=False).name == "googlecsv"
    assert inspect(file, "csv", {}, takes_events=True).name == "csv"


def test_an_event_may_lack_its_calendar() -> None:
    content = b"BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260604T100000Z\r\nEND:VEVENT\r\n"
    found = inspect_rows(io.BytesIO(content), None, {}, 2)
    assert found.format.name == "ics"
    assert [row.problem for row in found.rows] == [None]


@pytest.mark.parametrize(
    "header",
    ["Subject,Start Date", "start date;SUBJECT;Private", "summary,Start Date,Start Time"],
)
def test_the_columns_that_google_requires_are_enough(header: str) -> None:
    content = f"{header}\na,b,c".encode()
    assert recognize(content, takes_events=True).name == "googlecsv"
    assert recognize(content, takes_events=False).name == "csv"


# --- packed files ---


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def workbook() -> bytes:
    return b"".join(FORMATS["xlsx"].write([{"a": "1"}]))


def unpacked(content: bytes) -> bytes:
    return unpack(io.BytesIO(content)).read()


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b'[{"a": 1}]', workbook()])
def test_a_file_that_packs_one_file_is_that_file(content: bytes) -> None:
    """Whatever it is called. What macOS adds does not count."""
    name = name_of(content)
    for packed in (
        gzip.compress(content),
        zipped(people=content),
        zipped(**{"a/": b"", "a/people.csv": content, "__MACOSX/._people.csv": b"x"}),
    ):
        assert name_of(packed) == name
        assert unpacked(packed) == content
        assert list(FORMATS[name].read(unpack(io.BytesIO(packed)), {})) == list(
            FORMATS[name].read(io.BytesIO(content), {})
        )


def test_a_packed_file_can_be_read_from_its_beginning_again() -> None:
    """Formats do, to detect an encoding, or the order of dates."""
    for packed in (gzip.compress(b"a,b\n1,2\n" * 50_000), zipped(a=b"a,b\n1,2\n" * 50_000)):
        file = unpack(io.BytesIO(packed))
        assert len(file.read()) == 400_000
        file.seek(0)
        assert (file.read(4), file.tell()) == (b"a,b\n", 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(a=b"x", b=b"y"), "the zip archive has to have one file; it has a, b"),
        (zipped(**{f"f{n}": b"" for n in range(30)}), "f8, f9 and 20 more"),
        (zipped(), "it has none"),
        (gzip.compress(gzip.compress(b"a")), "packed twice"),
        (zipped(a=zipped(a=b"x")), "packed twice"),
        (gzip.compress(b"a,b\n1,2\n" * 100_000)[:-9_00], "the gzip file cannot be read"),
        (zipped(a=b"a,b\n1,2\n" * 100)[:-30], "the zip archive cannot be read"),
        (zipped(**{"word/document.xml": b""}), "a Word document"),
        (zipped(**{"xl/workbook.bin": b""}), r"a binary Excel workbook \(xlsb\)"),
        (
            zipped(mimetype=b"application/vnd.oasis.opendocument.spreadsheet"),
            r"an OpenDocument file \(spreadsheet\); save it as xlsx or as CSV",
        ),
    ],
    ids=range(10),
)
def test_an_archive_that_is_not_one_file_is_refused_with_what_it_is(
    content: bytes, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        unpacked(content)


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A zip archive before, a gzip file while it is unpacked."""
    monkeypatch.setattr(archives, "SMALL_BYTES", 10_000)
    content = b"\0" * 10_000_000
    with pytest.raises(BadInput, match="10,000,000 bytes when it is unpacked"):
        unpack(io.BytesIO(zipped(a=content)))
    file = unpack(io.BytesIO(gzip.compress(content)))
    with pytest.raises(BadInput, match="when it is unpacked"):
        while file.read(64 * 1024):
            pass
    assert file.tell() < 3_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_of_an_unusual_method_is_refused(method: int) -> None:
    """Nobody makes workbooks so; what a damaged one raises differs from method to method."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("events.csv", "summary\nMaths\n")
    with pytest.raises(BadInput, match="packed in an unusual way"):
        unpack(io.BytesIO(packed.getvalue()))


def test_an_archive_with_a_password_is_refused() -> None:
    content = bytearray(zipped(a=b"x"))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadInput, match="the zip archive has a password"):
        unpack(io.BytesIO(content))


def test_an_archive_with_millions_of_files_is_not_opened() -> None:
    """Its list of files alone would fill the memory."""
    content = bytearray(zipped(a=b"x"))
    content[-10:-6] = (100_000_000).to_bytes(4, "little")
    with pytest.raises(BadInput, match="too many files"):
        unpack(io.BytesIO(content))
