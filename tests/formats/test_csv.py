"""CSV as spreadsheets and other programs write it."""

import csv
import io
import random
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row, RowBatch, flatten
from openbulk.engine.slices.parts import each_row
from openbulk.formats import FORMATS
from openbulk.formats.csv import Csv, writing
from openbulk.formats.csv import rows as rows_module
from openbulk.formats.encoding_detection import EncodingUnknown
from openbulk.formats.encodings import find_codec
from openbulk.testing.formats import RECORDS, FormatTests

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
ENCODINGS = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8-sig",
    "utf-16": "utf-16",
    "windows-1252": "cp1252",
}


def quoted_csv(rows: Sequence[Sequence[str]], delimiter: str = ",", line_end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(
        rows
    )
    return text.getvalue()


class TestCsv(FormatTests):
    format = FORMATS["csv"]

    def encode(self, records: Sequence[Mapping[str, Any]]) -> bytes:
        return quoted_csv(
            [list(records[0]), *([str(v) for v in r.values()] for r in records)]
        ).encode()

    def broken_file(self) -> bytes:
        lines = self.encode(RECORDS).split(b"\n")
        lines[1 + self.broken_index] = b'"Name, with a quote that is not closed,x'
        return b"\n".join(lines)

    def problems(self, content: bytes, **options: Any) -> list[tuple[int, int | None, str]]:
        return [
            (r.number, r.line, r.problem.message)
            for r in self.read(content, **options)
            if r.problem
        ]

    @pytest.mark.parametrize(("null_value", "cell"), [("#N/A", "#N/A"), (0, "0"), (False, "false")])
    def test_a_null_value_of_any_type_clears_a_field(self, null_value: object, cell: str) -> None:
        rows = self.read(f"a,b\n1,{cell}\n".encode(), nullValue=null_value)
        assert [row.values for row in rows] == [{"a": "1", "b": None}]

    def test_a_text_that_begins_with_a_blank_and_a_quote_is_a_text(self) -> None:
        rows = self.read(b'a,b\n1," ""x"\n')
        assert [row.values for row in rows] == [{"a": "1", "b": ' "x'}]

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8),
        st.sampled_from(",;\t|"),
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from(list(ENCODINGS)),
    )
    def test_any_table_is_read_as_it_was(
        self, table: list[tuple[str, str, str]], delimiter: str, line_end: str, encoding: str
    ) -> None:
        text = quoted_csv([("a", "b", "c"), *table], delimiter, line_end)
        try:
            content = text.encode(ENCODINGS[encoding])
        except UnicodeEncodeError:
            return
        name = encoding.removesuffix("-sig")
        rows = self.read(content, encoding=name, delimiter=delimiter)
        expected = [dict(zip("abc", cells, strict=True)) for cells in table if any(cells)]
        assert [row.values for row in rows] == expected, [row.problem for row in rows]

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=300))
    def test_any_bytes_are_survived(self, content: bytes) -> None:
        self.check_survives(content)
        self.check_survives(b"a,b\n" + content)

    @settings(max_examples=200, deadline=None)
    @given(st.text('ab,"\n\r ;', max_size=60))
    def test_any_tangle_of_quotes_is_survived(self, text: str) -> None:
        self.check_survives(b"a,b\n" + text.encode())

    @given(st.integers(0, 39), st.sampled_from([b"x", b"x,y,z", b"x,\xff", b'x,"y', b'"x"y,z']))
    def test_a_row_that_breaks_leaves_the_others_as_they_are(
        self, place: int, damage: bytes
    ) -> None:
        lines = [b"name %d,%d" % (n, n) for n in range(1_200)]
        lines[place] = damage
        rows = self.read(b"name,age\n" + b"\n".join(lines) + b"\n")
        assert [row.number for row in rows if row.values is None] == [place + 1]
        assert [row.line for row in rows if row.values is None] == [place + 2]
        good = [row.values for row in rows if row.values is not None]
        assert good == [{"name": f"name {n}", "age": str(n)} for n in range(1_200) if n != place]

    @pytest.mark.parametrize(
        ("content", "values"),
        [
            (b"a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
            (b"a,b\r1,2\r3,4\r", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
            (
                b"a,b\n1,2\r\n3,4\n5,6\r\r\n",
                [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6"}],
            ),
            (b"a;b\n1,5;2\n", [{"a": "1,5", "b": "2"}]),
            (b"a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
            (b"sep=;\r\na;b\r\n1;2\r\n", [{"a": "1", "b": "2"}]),
            (b'a,b\n"x\ny","say ""hi"""\n', [{"a": "x\ny", "b": 'say "hi"'}]),
            (b" a , b \n1,2\n", [{"a": "1", "b": "2"}]),
            (b"a,b,,\n1,2,,\n\n,,,\n", [{"a": "1", "b": "2"}]),
            (b"\n\na,b\n1,\n", [{"a": "1"}]),
            (b"\n\na;b\n1;2\n", [{"a": "1", "b": "2"}]),
            (b"a,b\n  \n1,2\n \t\n", [{"a": "1", "b": "2"}]),
            (b"a\nonly\n", [{"a": "only"}]),
            (
                b"s.d,s.z,l[0].e,l[1].e\n1,2,3,4\n",
                [{"s.d": "1", "s.z": "2", "l[0].e": "3", "l[1].e": "4"}],
            ),
            ("name\nZoë\n".encode("cp1252"), [{"name": "Zoë"}]),
            ("name;town\nZoë;Köln\n".encode("utf-16"), [{"name": "Zoë", "town": "Köln"}]),
            ("name;town\nZoë;Köln\n".encode("utf-16-le"), [{"name": "Zoë", "town": "Köln"}]),
            ("name;town\nZoë;Köln\n".encode("utf-16-be"), [{"name": "Zoë", "town": "Köln"}]),
        ],
    )
    def test_common_files_are_read(self, content: bytes, values: list[dict[str, Any]]) -> None:
        assert [row.values for row in self.read(content)] == values

    def test_a_problem_message_what_is_wrong_and_what_would_be_right(self) -> None:
        content = b'a,b\n1\n1,2,3\n"x"y,2\n"x,2\nz,3\n'
        assert self.problems(content) == [
            (
                1,
                2,
                "the row has 1 cell, the header has 2: the first missing is 'b'; "
                "an empty cell needs its comma",
            ),
            (
                2,
                3,
                "the row has 3 cells, the header has 2; "
                "a text with a comma in it belongs in double quotes",
            ),
            (
                3,
                4,
                "there is text after a closing quote, or a quote is not closed; "
                'double a quote that belongs to the text ("")',
            ),
            (
                4,
                5,
                "a quote is opened and not closed; "
                'close it, or double a quote that belongs to the text ("")',
            ),
        ]

    def test_a_record_of_several_lines_that_is_too_short_is_one_broken_row(self) -> None:
        rows = self.read(b'a,b\n"x\ny\nz"\n1,2\n')
        assert [(row.number, row.line, row.values) for row in rows] == [
            (1, 2, None),
            (2, 5, {"a": "1", "b": "2"}),
        ]

    def test_a_quote_that_is_not_closed_costs_its_own_row_wherever_the_next_quote_is(self) -> None:
        for closing in (b'y,"3"', b'"y",3', b'y,""'):
            rows = self.read(b'a,b\n"x,1\nz,2\n' + closing + b"\nw,4\n")
            assert [row.number for row in rows if row.problem] == [1], closing
            assert (rows[1].values, rows[3].values) == ({"a": "z", "b": "2"}, {"a": "w", "b": "4"})

    def test_a_quote_that_takes_in_whole_rows_gives_them_back(self) -> None:
        rows = self.read(b'a,b\n"x,1\ny,2\n"\nw,4\n')
        assert [(row.line, row.values) for row in rows] == [
            (2, None),
            (3, {"a": "y", "b": "2"}),
            (4, None),
            (5, {"a": "w", "b": "4"}),
        ]

    def test_the_rest_of_a_text_with_wrong_quotes_is_not_a_row(self) -> None:
        rows = self.read(b'a,b\n1,"first line\nsecond" line,2\n3,4\n')
        assert [(row.line, row.values) for row in rows] == [
            (2, None),
            (3, None),
            (4, {"a": "3", "b": "4"}),
        ]

    def test_a_row_that_is_too_long_is_broken_however_many_cells_it_has(self) -> None:
        rows = self.read(b"a,b\n" + b'1,"\n' + b'","\n' * 300_000 + b'"\n')
        assert rows[0].problem is not None
        assert "a quote is opened and not closed" in rows[0].problem.message

    @pytest.mark.parametrize(
        ("content", "values"),
        [
            (b"sep=\t\na\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
            (b"sep=\\t\na\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
            (b'"sep=|"\r\na|b\r\n1|2\r\n', [{"a": "1", "b": "2"}]),
            (b"Members\n\na,b\n1,2\n", [{"a": "1", "b": "2"}]),
            (b"Members 2026,,\na,b,c\n1,2,3\n", [{"a": "1", "b": "2", "c": "3"}]),
            (b"Members; printed on May 30\n\na;b;c\n1;2;3\n", [{"a": "1", "b": "2", "c": "3"}]),
            (b'sep=;\n"Members, 2026";;\n\na;b;c\n1;2;3\n', [{"a": "1", "b": "2", "c": "3"}]),
            (b"a,b\n1,2, \n3,4,\t, \n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
            (
                b'id, name, city\n1, "Ana", Bern\n2, "Li, Bo", Genf\n',
                [
                    {"id": "1", "name": "Ana", "city": "Bern"},
                    {"id": "2", "name": "Li, Bo", "city": "Genf"},
                ],
            ),
            (b'a,b\n1, ""\n2, "x"\n', [{"a": "1", "b": ""}, {"a": "2", "b": "x"}]),
            (b'a,b,c\n"",,"x"\n', [{"a": "", "c": "x"}]),
            (b'a,b\n"x","say ""hi"", """\n', [{"a": "x", "b": 'say "hi", "'}]),
            (b'a,b,c\n5"",,"x"\n', [{"a": '5""', "c": "x"}]),
            (b'a,b,c\n"1\n2","","y"\n', [{"a": "1\n2", "b": "", "c": "y"}]),
            (b'a,b\n"",""\n"",x\n', [{"a": "", "b": "x"}]),
            (
                b'id,zip\n1,"00742"\n2,04109\n',
                [{"id": "1", "zip": "00742"}, {"id": "2", "zip": "04109"}],
            ),
        ],
    )
    def test_files_from_the_wild_are_read(
        self, content: bytes, values: list[dict[str, Any]]
    ) -> None:
        """Lines above the header, blanks before quotes, empty texts, blank cells beyond."""
        assert [row.values for row in self.read(content)] == values

    def test_a_text_that_metadata_names_clears_a_field(self) -> None:
        """Absent: leave it. Empty text: make it empty. None: clear it."""
        content = b'a,b,c,d\n#N/A,,"",x\n"#N/A",,,#n/a\n'
        rows = self.read(content, nullValue="#N/A")
        assert [row.values for row in rows] == [
            {"a": None, "c": "", "d": "x"},
            {"a": None, "d": "#n/a"},
        ]
        assert self.read(content)[0].values == {"a": "#N/A", "c": "", "d": "x"}
        assert self.read(content, nullValue="")[0].values == {"a": "#N/A", "c": "", "d": "x"}

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (b"2,B\x00o", "a zero byte (NUL) is at position 4 of the line; take it out"),
            (b'2,"say \\"hi\\""', 'a backslash before a quote (\\") is not an escape in CSV'),
            (b'2,"a \\", b"', "the row has 3 cells, the header has 2; a backslash before a quote"),
            (b"2,first\rsecond", "a carriage return (CR) is inside a cell that has no quotes"),
            (b'2,board 8" wide"', None),
            (b'2,"board 8" wide"', "there is text after a closing quote"),
        ],
    )
    def test_one_damaged_row_says_what_is_wrong(self, row: bytes, message: str | None) -> None:
        """And costs no other row."""
        before = b"".join(b"%d,x\n" % n for n in range(40))
        rows = self.read(b"id,name\n" + before + row + b'\n3,"y"\n')
        assert [one.number for one in rows if one.problem] == ([] if message is None else [41])
        problem = rows[40].problem
        assert (problem is None) if message is None else (problem and message in problem.message)
        assert rows[41].values == {"id": "3", "name": "y"}

    def test_a_blank_before_a_quote_further_down_is_refused(self) -> None:
        """The first rows show no such blanks, so they belong to the cells: RFC 4180, section 2."""
        rows = self.read(b"a,b\n" + b"1,x\n" * 40 + b'2, "Ana"\n3, "Li, Bo"\n4,y\n')
        assert [row.problem and row.problem.message for row in rows[40:]] == [
            "there is a blank before an opening quote; take the blank out",
            "there is a blank before an opening quote; take the blank out",
            None,
        ]

    def test_a_lone_carriage_return_ends_no_line_unless_all_do(self) -> None:
        """The first line end of the file says which it is."""
        assert [row.values for row in self.read(b'a,b\r\n1,"x\ry"\r\n2,z\r\n')] == [
            {"a": "1", "b": "x\ry"},
            {"a": "2", "b": "z"},
        ]
        assert [row.line for row in self.read(b"a,b\r1,2\r3,4")] == [2, 3]

    @given(st.lists(st.decimals(allow_nan=False, allow_infinity=False) | st.integers(), min_size=1))
    def test_any_number_is_read_as_it_was(self, numbers: list[Any]) -> None:
        texts = list(map(str, numbers))
        content = "\n".join(["n,x", *(f"{text},x" for text in texts)]).encode()
        assert [(row.values or {})["n"] for row in self.read(content)] == texts
        written = b"".join(self.format.write([{"n": text, "x": "x"} for text in texts])).decode()
        assert written.encode() == content + b"\n"

    def test_numbers_keep_every_digit(self) -> None:
        """A CSV holds texts."""
        texts = ["00742", "1e5", "0.10", "98765432109876543.21", "-0", "1" * 400, "1,5", "007.00"]
        content = quoted_csv([("n", "x"), *((text, "x") for text in texts)]).encode()
        assert [(row.values or {})["n"] for row in self.read(content)] == texts

    def test_a_byte_that_windows_1252_lacks_speaks_against_it(self) -> None:
        with pytest.raises(EncodingUnknown, match="line 2 is neither in UTF-8 nor clearly in Win"):
            self.read(b"a\nZo\xeb\n\x81\n")

    @pytest.mark.parametrize(
        ("encoding", "words"),
        [
            ("cp1250", ["Paweł", "Łódź", "Jiří", "Győr", "Iaşi", "Bălan", "žáků", "měsíc"]),
            ("cp1251", ["Оля", "Ян", "я", "дом 5"]),
            ("cp1253", ["Άννα", "Γη"]),
            ("cp1254", ["Şen", "İzmir", "Doğan"]),
            ("cp1255", ["שלום", "דן"]),
            ("cp1256", ["علي"]),
            ("cp932", ["カナ", "東京"]),
            ("gb18030", ["中文", "王"]),
            ("cp850", ["Köln"]),
            ("mac_roman", ["Frühstück", "Müller", "Café", "Aktivität"]),
        ],
    )
    def test_a_word_in_another_encoding_is_never_guessed(
        self, encoding: str, words: list[str]
    ) -> None:
        """The question has it among its choices; its name in metaData reads it."""
        name = {"cp932": "shift_jis", "mac_roman": "macintosh"}.get(encoding, encoding)
        for word in words:
            content = f"a,b\n1,{word}\n".encode(encoding)
            with pytest.raises(EncodingUnknown, match=r"set metaData\.encoding to") as refused:
                self.read(content)
            if encoding != "cp850":  # which the web does not name
                codec = find_codec(name)
                choices = refused.value.question.choices
                shown = {find_codec(one.value): one.shown for one in choices}
                assert shown.get(codec) == f"1,{word}", (word, choices)
                assert self.read(content, encoding=name)[0].values == {"a": "1", "b": word}

    def test_western_words_are_read_in_windows_1252(self) -> None:
        words = (
            "Zoë,Köln,créée,naïve,Ångström,nações,São,irmã,põe,Þórður,Größe,Œuvre,€5,„Zitat“,”Ord”,"
            "it\u2019s,50 m²,20°C,½,¿Qué?,Ærø,À,où,É. Müller,Peña,ÖBB,«oui»,\u203aja\u2039,"
            "3\u00d74,n° 5,Nm³,Ísafjörður,"
            "Škoda,15 µm,©2026,R&D™,1º,2ª,£50"
        )
        for word in words.split(","):
            rows = self.read(f"a;b\n1;{word}\n".encode("cp1252"), delimiter=";")
            assert rows[0].values == {"a": "1", "b": word}

    @pytest.mark.parametrize(
        ("content", "encoding", "message"),
        [
            (b"a,b\n1,\xc3\xa9\xff\n", None, "byte 0xFF at position 4 of the line is not UTF-8"),
            (b"a,b\n1,\x81\n", None, "byte 0x81 at position 3 of the line is not UTF-8"),
            (
                b"a,b\n1,\x81\n",
                "windows-1252",
                "byte 0x81 at position 3 of the line is not Windows-1252",
            ),
            (
                "\ufeffa,b\n1,\ud83d\n".encode("utf-16-le", "surrogatepass"),
                None,
                "half a character is at position 3",
            ),
        ],
    )
    def test_a_byte_that_cannot_be_read_breaks_its_row_and_names_its_place(
        self, content: bytes, encoding: str | None, message: str
    ) -> None:
        tail = "2,é\n".encode(
            encoding or ("utf-16-le" if content.startswith(b"\xff\xfe") else "utf-8")
        )
        first, second = self.read(content + tail, encoding=encoding)
        assert first.problem is not None
        assert (first.line, first.problem.field) == (2, "b")
        assert first.problem.message.startswith(message)
        assert second.values == {"a": "2", "b": "é"}

    @pytest.mark.parametrize(("lines", "broken"), [(998, 0), (999, 1)])
    def test_one_bad_line_in_a_thousand_is_damage_and_more_are_another_encoding(
        self, lines: int, broken: int
    ) -> None:
        rows = self.read(b"a\n" + b"Zo\xeb\n" + b"x\n" * (lines - 1))
        assert sum(row.problem is not None for row in rows) == broken
        assert broken or rows[0].values == {"a": "Zoë"}

    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    @pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
    def test_utf16_may_be_stated_without_its_byte_order(self, order: str, mark: str) -> None:
        content = f"{mark}name;town\nZoë;Köln\n".encode(order)
        assert [row.values for row in self.read(content, encoding="UTF-16")] == [
            {"name": "Zoë", "town": "Köln"}
        ]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"a,b,a\n1,2,3\n", "column 1 and column 3 are both called 'a'"),
            (b"a,,b\n1,2,3\n", "column 2 has no name"),
            (b'"a"b,c\n1,2\n', "the header cannot be read"),
            (b"a,\xff\n1,2\n" + b"1,2\n" * 1_100, "the header cannot be read"),
        ],
    )
    def test_a_header_that_cannot_be_used_is_refused(self, content: bytes, message: str) -> None:
        with pytest.raises(BadInput, match=message):
            self.read(content)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"encoding": "klingon"}, "metaData.encoding 'klingon' is not known"),
            ({"delimiter": "::"}, "metaData.delimiter '::' is not one character"),
            ({"delimiter": '"'}, "is not one character"),
        ],
    )
    def test_options_that_cannot_be_used_are_refused(
        self, options: dict[str, str], message: str
    ) -> None:
        with pytest.raises(BadInput, match=message):
            self.read(b"a,b\n1,2\n", **options)

    def test_rows_across_chunks_are_read_as_they_were(self) -> None:
        chance = random.Random(7)
        table = [
            (f"Zoë {n}", "x\r\ny" * chance.randrange(40), "é" * chance.randrange(60))
            for n in range(8_000)
        ]
        for encoding in ("utf-8", "utf-16"):
            content = quoted_csv([("a", "b", "c"), *table], line_end="\r\n").encode(encoding)
            assert len(content) > 3 * 256 * 1024
            expected = [dict(zip("abc", cells, strict=True)) for cells in table]
            assert [row.values for row in self.read(content)] == expected

    @pytest.mark.parametrize("header", ["a" * length for length in range(1, 8)])
    def test_line_ends_across_chunks_count_once(self, header: str) -> None:
        rows = self.read(f"{header}\r\n".encode() + b"abcde\r\n" * 40_000)
        assert [row.line for row in rows] == list(range(2, 40_002))

    @pytest.mark.parametrize(
        "content",
        [
            b"a,b\n" + b'"x,1\n' * 20_000,
            b"a,b\n" + b'x,"' + b"y" * 5_000_000 + b'"\n1,2\n',
            b"a,b\n" + b"x" * 40_000_000 + b"\n1,2\n",
            b"a,b\n" + b'"' + b"\n" * 300_000,
            b"a,b\n" + b'x,"y\n' * 2 + b"1,2\n" * 200_000,
            b"a,b\n" + b'5","x\n' * 40_000,
            b"a,b\n" + b'5","x\n1,2\n' * 20_000 + b'5"\n',
        ],
        ids=[
            "quotes",
            "long cell",
            "long line",
            "open quote over blank lines",
            "two open quotes",
            "lost quotes",
            "lost quotes among rows",
        ],
    )
    def test_hostile_files_take_seconds_and_not_minutes(self, content: bytes) -> None:
        began = time.process_time()
        self.check_survives(content)
        assert time.process_time() - began < 20


# --- writing ---


def text_of(records: Sequence[Mapping[str, Any]], fields: Sequence[str] = ()) -> str:
    return b"".join(FORMATS["csv"].write(records, fields)).decode()


def test_nested_fields_are_dotted_columns_side_by_side() -> None:
    """In order of appearance. Lists are JSON in a cell, and objects with dots in their names."""
    records: list[Mapping[str, Any]] = [
        {"id": "a", "start": {"date": "2026-05-30"}, "summary": "Lesson, long"},
        {
            "id": "b",
            "start": {"dateTime": "2026-05-30T10:00:00Z"},
            "recurrence": ["RRULE:FREQ=DAILY"],
            "locked": True,
        },
        {"id": "c", "private": {"a.b": 'say "x"'}, "empty": {}, "none": None, "count": 3},
    ]
    assert text_of(records) == (
        "id,start.date,start.dateTime,summary,recurrence,locked,private,empty,none,count\n"
        'a,2026-05-30,,"Lesson, long",,,,,,\n'
        'b,,2026-05-30T10:00:00Z,,"[""RRULE:FREQ=DAILY""]",true,,,,\n'
        'c,,,,,,"{""a.b"":""say \\""x\\""""}",{},,3\n'
    )


def test_given_fields_are_the_columns() -> None:
    """In their order. An object in one column is JSON."""
    records: list[Mapping[str, Any]] = [
        {"id": "a", "start": {"date": "2026-05-30"}, "summary": "x"},
        {"id": "b"},
    ]
    assert text_of(records, ["start.date", "id"]) == "start.date,id\n2026-05-30,a\n,b\n"
    assert text_of(records, ["start"]) == 'start\n"{""date"":""2026-05-30""}"\n""\n'


def test_an_iterator_of_records_is_refused() -> None:
    """Its second pass would write an empty file."""
    with pytest.raises(TypeError, match="read twice"):
        next(FORMATS["csv"].write(iter([{"a": 1}])))


LEAVES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["id", "text"]) | st.just("nested"),
            LEAVES,
            min_size=1,
        ).map(
            lambda flat: {
                **flat,
                **({"nested": {"a": flat["nested"], "b": "1"}} if "nested" in flat else {}),
            }
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_records_of_texts_are_read_as_they_were(records: list[dict[str, Any]]) -> None:
    """With quotes, delimiters, line ends and blanks."""
    content = text_of(records).encode()
    found = list(FORMATS["csv"].read(io.BytesIO(content), {"encoding": "utf-8", "delimiter": ","}))
    assert [row.values for row in found] == [
        flat
        for flat in map(flatten, records)
        if any(flat.values())  # else a blank line
    ], content


@given(
    st.lists(
        st.lists(
            st.sampled_from([None, "", "a", " a", "1,2", '"', "\r", "\n", "\r\n", "é"])
            | st.sampled_from([True, 1, 0.5, Decimal("1.50")])
        ),
        max_size=5,
    )
)
def test_a_line_without_quotes_is_what_the_csv_module_writes(rows: list[list[object]]) -> None:
    written = b"".join(writing.encode_rows(["a"], rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_plain_line", lambda cells, delimiter: None)
        assert b"".join(writing.encode_rows(["a"], rows)) == written


# --- lines that are read together ---

PIECES = (
    *(b"a", b"1", b",", b",", b"\n", b"\n", b"1,2,3\n", b"1,2,3\n", b",,\n", b"NULL", b"\xc3\xa9"),
    *(
        b'"',
        b'""',
        b' "',
        b'"x"',
        b'"x\ny"',
        b'1,"x\n2",3\n',
        b'\\"',
        b" ",
        b"\r",
        b"\r\n",
        b"\x00",
        b"\xff",
        b";",
    ),
    "\u2028".encode(),
)


def rows_one_by_one(content: bytes, options: Mapping[str, Any]) -> list[Row]:
    """The rows of a file of which no lines are read together."""
    reader = Csv().open(io.BytesIO(content), "utf-8", options)
    reader._next_batch = lambda: None  # type: ignore[method-assign]
    return list(reader.rows())


@given(
    st.lists(st.sampled_from(PIECES), max_size=50).map(b"".join),
    st.sampled_from([{}, {"nullValue": "NULL"}, {"delimiter": "semicolon"}]),
    st.sampled_from([b"", b'1, "x",3\n']),
)
def test_lines_that_are_read_together_are_the_rows_that_they_are_one_by_one(
    rest: bytes, options: Mapping[str, Any], above: bytes
) -> None:
    """Their values, problems, numbers and lines, whatever is in the lines beside them."""
    content = b"a,b,c\n" + above + b"1,2,3\n" * 29 + rest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "BATCH_ROWS", 2)
        together = list(Csv().open(io.BytesIO(content), "utf-8", options).rows())
    assert together == rows_one_by_one(content, options)


@pytest.mark.parametrize("line", [b"1,2\n", b"1,2\r\n", b'"1",2\n', b"1,\n", b'1,"x ""y"" z"\n'])
def test_lines_without_anything_unusual_are_read_together(line: bytes) -> None:
    content = b"a,b\n" + line * 1_000
    found = list(Csv().read_batches(io.BytesIO(content), {}))
    batches = [one for one in found if isinstance(one, RowBatch)]
    is_usual = b'""' not in line
    assert (sum(len(one.cells) for one in batches) > 900) == is_usual
    assert [one for found_one in found for one in each_row(found_one)] == rows_one_by_one(
        content, {}
    )


def test_a_wide_table_is_read_in_small_batches() -> None:
    """Whoever holds a batch holds a bounded number of cells."""
    wide = b",".join(b"c%d" % n for n in range(1_000)) + b"\n"
    found = list(Csv().read_batches(io.BytesIO(wide * 200), {}))
    assert {len(one.cells) for one in found if isinstance(one, RowBatch)} == {10}
