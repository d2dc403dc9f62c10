"""CSV, JSON and packed files that were made to hold a server."""

import gzip
import io
import zipfile

import pytest

from openbulk.exact_json import MAX_VALUES
from openbulk.formats.csv import Csv
from openbulk.formats.csv.lines import LineReader
from support.bounds import Reading, chances, read_file, read_within_bounds

LINES = 20_000


@pytest.mark.parametrize(
    "line",
    [
        b'x","y\n',
        b'x,"y\n',
        b'"\n',
        b'"""\n',
        b'1,"x" y\n',
        b'"x\ny",z"\n',
        b',"a\n",b\n',
        b'1,2,"3\n1,"4",5\n"\n',
        b'1, ""x""\n',
        b'1,"\\"\n',
        b"1,2\r3\n",
        b"\x00,\x00\n",
    ],
)
def test_no_line_of_a_csv_is_read_many_times(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    take = LineReader.__next__

    def count(lines: LineReader) -> str:
        nonlocal taken
        taken += 1
        return take(lines)

    monkeypatch.setattr(LineReader, "__next__", count)
    content = b"a,b\n" + line * LINES
    for _ in Csv().read(io.BytesIO(content), {}):
        pass
    assert taken <= 4 * content.count(b"\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'a,b\n1,"' + b"x" * 3_000_000 + b"\n1,2\n", "longer than 1,048,576 characters"),
        (b"a," * 3_000_000 + b"\n1,2\n", "are both called 'a'"),
        (b'"' * 5_000_000, "holds no record"),
        (b"sep=" + b" " * 3_000_000 + b"\na,b\n1,2\n", "the file is empty"),
        (b"\r" * 5_000_000, "the file is empty"),
        (b"a,b\n" + b"\x00" * 5_000_000, "zero bytes"),
    ],
)
def test_a_huge_line_is_refused_or_a_problem_of_its_row(content: bytes, said: str) -> None:
    assert said in read_within_bounds(content).said


@pytest.mark.parametrize(
    "word",
    [
        b"\xf8" + b"a" * 1_000_000,
        b"\xf8a" * 300_000,
        (b"\xec" + b"a" * 60) * 10_000,
        (b"\xf9" + b"b" * 60) * 10_000,
        b"a" + b"\xa2" * 500_000,
        b"\xc0a" * 300_000,
    ],
)
def test_the_encoding_of_a_long_word_is_found_in_one_pass(word: bytes) -> None:
    assert read_within_bounds(b"a,b\n1," + word + b"\n").rows == 1


def zipped(content: bytes) -> bytes:
    """A zip archive of one file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", content)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zipped])
def test_a_file_that_unpacks_to_much_is_refused(pack: object) -> None:
    assert callable(pack)
    read = read_within_bounds(pack(b"a,b\n" + b"1,2\n" * 20_000_000))
    assert "when it is unpacked" in read.refusal


def test_a_file_that_is_packed_twice_is_refused() -> None:
    assert "packed twice" in read_file(gzip.compress(gzip.compress(b"a\n1\n" * 50))).refusal


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"[" * 500_000,
        b"[" + b'{"a":' * 300_000,
        b'[{"a":"' + b"x" * 20_000_000,
        b"[" + b'{"a":"b\\' * 100_000,
        b"[" + b"x," * 100_000 + b"{}]",
        b"[" + b'{"a":1 "b"},' * 20_000 + b"{}]",
        b"[" + b"{} " * 200_000 + b"]",
        b'[{"a":' + b"9" * 3_000_000 + b"}]",
        b'{"a":' + b"[" * 300_000 + b"]" * 300_000 + b"}\n",
        b'{"a":"' + b"x" * 40_000_000 + b'"}\n{"a":1}\n',
    ],
)
def test_broken_json_is_read_or_refused(content: bytes) -> None:
    assert read_within_bounds(content).said


def test_rows_behind_a_long_element_cost_no_more_than_others() -> None:
    """An error of Python's decoder counts the lines up to its place, in all that is held."""
    content = b'[{"a":"' + b"y" * 8_000_000 + b'"},' + b"x," * 100_000 + b"{}]"
    assert read_within_bounds(content).rows == 100_002


@pytest.mark.parametrize("value", [b"{}", b"1", b'"\xc3\xa4"', b"[]"])
def test_a_record_has_so_many_values(value: bytes) -> None:
    values = b",".join([value] * (MAX_VALUES + 10))
    for content in (b'[{"a":[' + values + b"]}]", b'{"a":[' + values + b']}\n{"a":1}\n'):
        assert "it has more than 200,000 values" in read_within_bounds(content).said


def test_a_wrong_text_deep_in_a_wide_record_is_found() -> None:
    name = b'{"' + b"a" * 50 + b'":'
    content = (
        b"["
        + name * 150
        + b'["\\ud83d\\ude00"'
        + b",1" * 150_000
        + b',"\\ud800"]'
        + b"}" * 150
        + b"]"
    )
    assert "half of a surrogate pair" in read_within_bounds(content).said


@pytest.mark.parametrize(
    "number", ["1e99999999", "-1e-99999999", "1E+99999999999999999999", "9" * 5_000]
)
def test_a_number_without_bounds_is_a_problem_of_its_row(number: str) -> None:
    read = read_within_bounds(f'[{{"a":{number}}},{{"a":1}}]'.encode())
    assert read.rows == 2
    assert "has more than 1,000 digits" in read.said


def test_nan_and_infinity_are_a_problem_of_their_row() -> None:
    read = read_file(b'[{"a":NaN},{"a":Infinity},{"a":-Infinity},{"a":1}]')
    assert (read.rows, len(read.problems)) == (4, 3)


def test_google_csv_is_read_within_bounds() -> None:
    header = b"Subject,Start Date,Start Time\n"
    rows = [
        b"x," + b"1/" * 100_000 + b",1\n",
        b"x,1/1/" + b"9" * 5_000 + b",1\n",
        b'x","y\n' * 9_000,
    ]
    assert read_within_bounds(header + b"".join(rows), "googlecsv").rows == 9_002


# --- what nobody has thought of ---

_CSV = (
    "x",
    '"',
    ",",
    "\n",
    " ",
    '""',
    '","',
    "\\",
    ";",
    "\t",
    "\r",
    "\x00",
    "ä",
    "\ufeff",
    "sep=;\n",
)
_JSON = (
    *("{", "}", "[", "]", ",", ":", '"', '"a"', "1", "-", "1e400", "\\", "\\u", "\\ud800", "null"),
    *("NaN", "\n", " ", "x", "9" * 30, '{"a":1}', '{"a":', "ä", "\x00"),
)


def test_any_csv_is_read_or_refused() -> None:
    for chance in chances():
        text = "a,b\n" + "".join(chance.choices(_CSV, k=chance.randrange(1, 40)))
        encoding = chance.choice(["utf-8", "cp1252", "utf-16"])
        repeated = text[4:] * chance.choice([1, 1, 500])
        read_file((text + repeated).encode(encoding, "replace"), "csv")


def test_any_json_is_read_or_refused() -> None:
    for chance in chances():
        text = "".join(chance.choices(_JSON, k=chance.randrange(1, 40)))
        repeated = text * chance.choice([1, 1, 300])
        read_file(f"[{repeated}".encode(), "json")
        read_file(f"{{{repeated}".encode(), "jsonl")


def test_a_good_file_is_read_within_the_same_bounds() -> None:
    assert read_within_bounds(b"a,b\n" + b"1,2\n" * 200_000) == Reading(rows=200_000)
