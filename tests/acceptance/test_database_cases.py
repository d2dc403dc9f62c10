"""Tables and files with which people had trouble, uploaded to real databases over HTTP.

`tests/cases/records` has a file and the SQL of its table for each; each test says what must come
out of it.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.harness import Server
from support.postgres import PASSWORD, Postgres

CASES = Path(__file__).parents[1] / "cases" / "records"


@dataclass
class Case:
    """A case in a database of its own."""

    name: str
    postgres: Postgres
    database: str
    server: Server
    job_id: str = ""

    @property
    def file(self) -> bytes:
        """The file that the person had."""
        (path,) = (one for one in CASES.glob(f"{self.name}.*") if one.suffix != ".sql")
        return path.read_bytes()

    def upload(self, object: str, file: bytes | None = None, **metadata: str) -> tuple[int, int]:
        """Upload a file, by default the case's own; return how many rows it has, and failed."""
        reply = self.server.upload(object, file or self.file, metadata)
        assert reply.status == 200, reply.body
        self.job_id = reply.json["id"]
        status = self.server.finished(self.job_id)
        assert status["status"] == "COMPLETE", status
        return status["recordsCount"], status["recordsFailedCount"]

    @property
    def errors(self) -> dict[int, str]:
        """What is wrong with each refused row."""
        return {
            error["rowNum"]: json.dumps(error, ensure_ascii=False)
            for error in self.server.errors(self.job_id)
        }

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        with self.postgres.connect(self.database) as connection:
            return connection.execute(sql.encode()).fetchall()

    def run(self, sql: str) -> None:
        """Execute statements in the database."""
        with self.postgres.connect(self.database) as connection:
            connection.execute(sql.encode())


class Start:
    """Makes the database of a case."""

    def __init__(self, postgres: Postgres, server: Server) -> None:
        self._postgres = postgres
        self._server = server

    def __call__(self, name: str, sql: str | None = None, **configuration: str) -> Case:
        statements = sql or (CASES / f"{name}.sql").read_text()
        database = self._postgres.new_database(statements)
        if "password" in configuration:
            role, password = configuration["username"], configuration["password"]
            with self._postgres.connect() as connection:
                connection.execute(f"ALTER ROLE {role} PASSWORD '{password}'".encode())
        server = self._server.instance(
            "postgresql", self._postgres.configuration(database, **configuration)
        )
        return Case(name, self._postgres, database, server)


@pytest.fixture
def start(postgres: Postgres, shared_server: Server) -> Start:
    return Start(postgres, shared_server)


# --- keys, and what is equal ---


def test_a_key_that_comes_twice_ends_with_its_later_row(start: Start) -> None:
    case = start("same-key-twice")
    assert case.upload("stock", action="upsert") == (3, 0)
    assert case.query("select * from stock order by 1") == [("A-1", 9), ("B-2", 1)]


def test_a_citext_key_is_found_in_any_case(start: Start) -> None:
    case = start("citext-key")
    upsert = {"action": "upsert", "identifierFieldName": "email"}
    assert case.upload("lead", None, **upsert) == (2, 0)
    assert case.query("select email, city from lead order by id") == [
        ("Mia@X.example", "Bern"),
        ("noa@x.example", "Genf"),
    ]
    twice = b"email,city\nNEW@x.example,A\nnew@X.example,B\n"
    assert case.upload("lead", twice, **upsert) == (2, 0)
    assert case.query("select email, city from lead order by id")[2:] == [("NEW@x.example", "B")]


def test_a_blank_padded_key_is_found_without_its_blanks(start: Start) -> None:
    case = start("char-key")
    assert case.upload("country", action="upsert") == (2, 0)
    assert case.query("select code, label from country order by 1") == [
        ("CH  ", "Schweiz"),
        ("DE  ", "Deutschland"),
    ]


def test_two_columns_for_one_field_are_refused_with_their_names(start: Start) -> None:
    case = start("names-differ-by-case")
    reply = case.server.upload("login", case.file)
    if reply.status == 200:  # the row, and not the file as a whole
        case.job_id = reply.json["id"]
        assert case.server.finished(case.job_id)["recordsFailedCount"] == 1
        message = case.errors[1]
    else:
        message = reply.body.decode()
    assert "userId" in message
    assert "userid" in message
    assert case.query("select * from login") == []


def test_a_header_in_capitals_and_with_blanks_names_its_columns(start: Start) -> None:
    case = start("header-case")
    assert case.upload("person") == (1, 0)
    assert case.query('select "LastName", email from person') == [("Ortiz", "o@x.example")]


def test_odd_names_of_columns_are_names(start: Start) -> None:
    case = start("odd-column-names")
    assert case.upload("Chart Data") == (1, 0)
    assert case.query('table "Chart Data"') == [(Decimal(5), Decimal("1.5"), "x", "y")]


def test_columns_with_dots_quotes_and_brackets_come_back(start: Start) -> None:
    columns = ('"a.b" text', '"say ""hi""" text', '"list[0]" text', '"100 %" text', '":x" text')
    case = start("odd", f"create table odd(id int primary key, {', '.join(columns)})")
    file = b'id,a.b,"say ""hi""",list[0],100 %,:x\n1,A,B,C,D,E\n'
    assert case.upload("odd", file) == (1, 0)
    assert case.query("table odd") == [(1, "A", "B", "C", "D", "E")]
    assert case.upload("odd", download(case, "odd"), action="upsert") == (1, 0)
    assert case.query("table odd") == [(1, "A", "B", "C", "D", "E")]


def test_activities_of_a_crm_are_rows_of_their_table(start: Start) -> None:
    case = start("crm-activities")
    assert case.upload("activity") == (1, 0)
    ((subject, begin, _, status, related),) = case.query("table activity")
    assert (subject, str(begin), status, related) == ("Call back", "2026-05-30", "Planned", "A-17")


# --- one bad row ---


def test_one_bad_date_is_refused_with_its_line_and_field(start: Start) -> None:
    case = start("one-bad-date")
    assert case.upload("member") == (3, 1)
    assert case.query("select id from member order by 1") == [(1,), (3,)]
    error = json.loads(case.errors[2])
    assert (error["rowNum"], error["lineNum"]) == (2, 3)
    assert "born" in case.errors[2]


def test_rows_that_refer_to_one_another_are_written_beside_a_bad_row(start: Start) -> None:
    case = start("tree-with-one-bad-row")
    assert case.upload("staff") == (5, 1)
    assert case.query("select id from staff order by 1") == [(1,), (2,), (3,), (5,)]
    assert "floor" in case.errors[4]
    assert "70000" in case.errors[4]


def test_rows_refer_to_rows_that_come_thousands_of_rows_later(start: Start) -> None:
    case = start("chain", "create table chain(id int primary key, next int references chain)")
    rows = [f"{n},{n + 1}" for n in range(1, 3_000)]
    file = "\n".join(["id,next", *rows, "3000,", "4000,9999"])
    assert case.upload("chain", file.encode()) == (3_001, 1)
    assert list(case.errors) == [3_001]
    assert case.query("select count(*) from chain") == [(3_000,)]


def test_rows_refer_to_rows_of_another_batch(start: Start) -> None:
    case = start("far", "create table far(id int primary key, boss int references far)")
    rows = ["1,7000", "2,9999", *(f"{n}," for n in range(3, 7_000)), "7000,1"]
    assert case.upload("far", "\n".join(["id,boss", *rows]).encode()) == (7_000, 1)
    assert list(case.errors) == [2]
    assert case.query("select count(*) from far") == [(6_999,)]


def test_a_number_beyond_its_column_is_refused_with_column_and_value(start: Start) -> None:
    case = start("out-of-range")
    assert case.upload("meter") == (2, 1)
    assert case.query("select id from meter") == [(1,)]
    error = case.errors[2]
    assert "b is '2709475657'; it takes whole numbers from -2147483648 to 2147483647" in error


def test_a_trigger_with_an_error_code_of_its_own_refuses_its_row(start: Start) -> None:
    case = start("own-error-code")
    assert case.upload("booking") == (3, 1)
    assert case.query("select id from booking order by 1") == [(1,), (3,)]
    assert "no credit" in case.errors[2]


def test_a_policy_of_row_security_refuses_its_row(start: Start) -> None:
    case = start("row-security", username="loader", password=PASSWORD)
    assert case.upload("task") == (3, 1)
    assert case.query("select id from task order by 1") == [(1,), (3,)]
    assert "row-level security policy" in case.errors[2]


def test_a_trigger_that_stores_rows_elsewhere_stores_them_once(start: Start) -> None:
    case = start("trigger-returns-null")
    assert case.upload("reading") == (2, 0)
    assert case.query("select day::text, amount from reading order by 1") == [
        ("2026-01-05", 4),
        ("2026-01-06", 5),
    ]


def test_half_an_emoji_is_refused_with_its_field(start: Start) -> None:
    case = start("half-emoji")
    assert case.upload("bio") == (2, 1)
    assert case.query("table bio") == [(1, "fine")]
    assert "bio" in case.errors[2]


def test_one_nul_is_one_row(start: Start) -> None:
    case = start("one-nul")
    assert case.upload("person") == (3, 1)
    assert case.query("select id from person order by 1") == [(1,), (3,)]
    assert list(case.errors) == [2]


def test_inch_marks_refuse_their_row_alone(start: Start) -> None:
    case = start("inch-mark")
    assert case.upload("part") == (3, 1)
    assert case.query("table part") == [(2, "plain, quoted"), (3, 'rail 6"')]
    assert "double" in case.errors[1]


def test_a_lone_carriage_return_ends_no_row(start: Start) -> None:
    case = start("bare-cr")
    count, failed = case.upload("memo")
    assert count == 3
    rows = case.query("table memo")
    whole = (2, "first\rsecond")
    assert rows == [(1, "fine"), *[whole] * (1 - failed), (3, "fine too")]


def test_a_blank_before_a_quote_is_no_part_of_a_cell(start: Start) -> None:
    case = start("space-before-quote")
    reply = case.server.upload("person", case.file)
    if reply.status != 200:
        assert "blank" in reply.json["message"]
        return
    case.server.finished(reply.json["id"])
    rows = case.query("select trim(name), trim(city) from person order by id")
    assert rows in ([("Ana", "Bern"), ("Li, Bo", "Genf")], [])


# --- types ---


def test_leading_zeros_stay(start: Start) -> None:
    case = start("leading-zero")
    assert case.upload("place") == (2, 0)
    assert case.query("table place") == [(1, "00742"), (2, "04109")]


def test_every_digit_of_an_integer_stays(start: Start) -> None:
    case = start("big-integers")
    assert case.upload("event") == (2, 0)
    assert case.query("table event") == [
        (9007199254740993, 9223372036854775807),
        (9007199254740995, 9007199254740997),
    ]


def test_every_digit_of_a_decimal_stays_in_columns_and_documents(start: Start) -> None:
    case = start("json-decimals")
    assert case.upload("ledger") == (2, 0)
    assert case.query("select id, amount, doc::text from ledger order by 1") == [
        (1, Decimal("98765432109876543.21"), '{"rate": 0.1000000000000000055}'),
        (2, Decimal("98765432109876543.21"), '{"n": 123456789012345678901}'),
    ]


def test_a_json_null_is_null(start: Start) -> None:
    case = start("json-null-jsonb")
    assert case.upload("profile") == (2, 0)
    assert case.query("select id, extra is null, extra::text from profile order by 1") == [
        (1, True, None),
        (2, False, '{"a": null}'),
    ]


def test_an_array_is_read_as_postgresql_writes_it(start: Start) -> None:
    case = start("array-braces")
    assert case.upload("post") == (2, 0)
    assert case.query("table post") == [(1, ["red", "light blue"]), (2, ["red"])]


def test_hstore_is_read_in_both_of_its_forms(start: Start) -> None:
    case = start("hstore")
    assert case.upload("shirt") == (3, 0)
    assert case.query("select id, attrs -> 'size' from shirt order by 1") == [
        (1, "L"),
        (2, "M"),
        (3, None),
    ]
    assert case.upload("shirt", b"id,attrs\n4,no\n5,a=>1\n") == (2, 1)
    assert "attrs" in case.errors[1]


def test_an_identity_that_the_database_makes_is_no_value(start: Start) -> None:
    case = start("identity-always")
    assert case.upload("client", action="upsert") == (3, 1)
    assert case.query("select name from client order by id") == [("Ana",), ("Cy",)]
    assert "id = 7" in case.errors[2]


def test_an_integer_beyond_64_bits_is_refused_by_sqlite_too(
    shared_server: Server, sqlite_folder: Path
) -> None:
    with sqlite3.connect(sqlite_folder / "big.db") as connection:
        connection.executescript((CASES / "sqlite-big-integer.sql").read_text())
    case = Case(
        "sqlite-big-integer",
        Postgres(0),
        "",
        shared_server.instance("sqlite", {"db.file": "big.db"}),
    )
    assert case.upload("addr") == (3, 1)
    assert "n is '18446744071601132592'" in case.errors[2]
    with sqlite3.connect(sqlite_folder / "big.db") as connection:
        assert connection.execute("select * from addr").fetchall() == [(1, 5), (3, 6)]


# --- several steps ---


def test_a_named_text_empties_a_field(start: Start) -> None:
    case = start("clear-a-field")
    assert case.upload("person", action="update", nullValue="#N/A") == (2, 0)
    assert case.query("select phone, note from person order by id") == [
        (None, "old"),
        ("055", "kept"),
    ]


def test_an_empty_text_in_quotes_is_an_empty_text(start: Start) -> None:
    case = start("clear-a-field")
    assert case.upload("person", b'id,phone,note\n1,"",\n', action="update") == (1, 0)
    assert case.query("select phone, note from person where id = 1") == [("", "old")]


def test_what_openbulk_keeps_in_a_database_is_made_again_after_a_restore(start: Start) -> None:
    case = start("after-a-restore")
    assert case.upload("person") == (1, 0)
    case.run("drop schema public cascade; create schema public")
    case.run((CASES / "after-a-restore.sql").read_text())
    assert case.upload("person") == (1, 0)
    assert case.query("table person") == [(1, "Ana")]


def download(case: Case, table: str) -> bytes:
    """A table as CSV."""
    query = f"/bulk/query?q={quote(f'select * from {table}')}"
    job_id = case.server.call("POST", query).json["id"]
    assert case.server.finished(job_id)["status"] == "COMPLETE"
    return case.server.call("GET", f"/bulk/{job_id}/{table}", headers={"Accept": "text/csv"}).body


def test_a_table_that_is_downloaded_and_sent_back_stays_as_it_was(start: Start) -> None:
    case = start("download-and-back")
    assert case.upload("person") == (1, 0)
    assert download(case, "person") == b"id,name\n1,Ana\n"
    before = case.query("select xmin::text, * from person")
    assert case.upload("person", download(case, "person"), action="upsert") == (1, 0)
    assert case.query("select xmin::text, * from person") == before


EVERY_TYPE: Mapping[str, str] = {
    "smallint": "-32768",
    "bigint": "9223372036854775807",
    "numeric": "123456789012345678901234567890.123456789",
    "numeric(10, 2)": "12.50",
    "double precision": "0.1",
    "real": "0.1",
    "boolean": "true",
    "char(5)": "ab",
    "varchar(5)": "ab",
    "text": "a\nb",
    "bytea": "\\x00ff",
    "date": "infinity",
    "time": "24:00:00",
    "timetz": "10:00:00+02",
    "timestamp": "0044-03-15 10:00:00 BC",
    "timestamptz": "-infinity",
    "interval": "1 mon 3 days",
    "uuid": "0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a11",
    "json": '{"a":1.50}',
    "jsonb": '[0.1000000000000000055, true, 1, "1", null]',
    "text[]": '{a,NULL,"b c"}',
    "int[]": "{{1,2},{3,4}}",
    "numeric[]": "{0.1000000000000000055}",
    "inet": "10.0.0.1/24",
    "int4range": "[1,5)",
    "tstzrange": '["2026-01-01 00:00:00+00",infinity]',
    "datemultirange": "{[2026-01-01,2026-01-05)}",
    "bit(3)": "101",
    "money": "1.50",
    "hstore": '"a"=>NULL, "b"=>"x y"',
    "citext": "Ab",
    "point": "(1,2)",
    "xml": "<a/>",
}


def test_every_type_is_downloaded_and_sent_back_without_a_change(start: Start) -> None:
    columns = ", ".join(f"c{number} {name}" for number, name in enumerate(EVERY_TYPE))
    case = start(
        "all",
        "create extension hstore; create extension citext; "
        f"create table everything(id int primary key, {columns}, "
        "made int generated always as (id + 1) stored)",
    )
    values = ", ".join(f"'{value}'" for value in EVERY_TYPE.values())
    case.run(f"insert into everything values (1, {values}); insert into everything values (2)")
    before = case.query("select e.xmin::text, e::text from everything e order by id")
    file = download(case, "everything")
    assert case.upload("everything", file, action="upsert") == (2, 0), case.errors
    assert case.query("select e.xmin::text, e::text from everything e order by id") == before
    case.run("create table copy as select * from everything where false")
    assert case.upload("copy", file) == (2, 0), case.errors
    texts = [(text,) for _, text in before]
    assert case.query("select c::text from copy c order by id") == texts


def test_a_time_without_a_zone_is_told_and_one_with_an_offset_too_many_is_refused(
    start: Start,
) -> None:
    """A column with an offset gets that of UTC; one without refuses any other offset."""
    case = start(
        "times", "create table t(id int primary key, here timestamp, there timestamptz, m money)"
    )
    file = (
        b"id,here,there,m\n1,2026-05-30 08:15,2026-05-30 08:15,5.50\n"
        b'2,2026-05-30T08:15+02:00,,\n3,,,"5,50"\n'
    )
    assert case.upload("t", file) == (3, 2)
    info = case.server.status(case.job_id)["infoMessage"]
    assert "row 1 (line 2): the time in there has no offset, here and in rows behind: it" in info
    assert "here is '2026-05-30T08:15+02:00'; its type has no offset from UTC" in case.errors[2]
    assert "m is '5,50', which is not a number; write it like 12.50" in case.errors[3]
    assert case.query("select id, there = '2026-05-30T08:15Z' from t") == [(1, True)]
    assert case.upload("t", file, action="upsert", timeZone="Europe/Berlin") == (3, 1)
    assert case.query("select here::text from t order by id") == [("2026-05-30 08:15:00",)] * 2
    assert case.query("select there = '2026-05-30T06:15Z' from t where id = 1") == [(True,)]
