"""Data comes out: chosen fields and records, as a file, once and by a schedule."""

from collections.abc import Callable

import pytest

from console.conftest import Person
from openbulk.console.query_form import query_of
from openbulk.console.repetition import cron_of
from support.harness import Server

PEOPLE = b"name,age\nAnn,41\nBob,7\nO'Neil,50\n"


def choose(person: Person, server: Server) -> None:
    """The records of an instance of Memory."""
    person.open(f"/get?instance={server.instance_id}&object=records")


def test_chosen_records_come_out_as_a_file(person: Person, shared_memory: Server) -> None:
    shared_memory.done("records", PEOPLE)
    page = person.page
    person.open("/get")
    page.select_option("[name=instance]", str(shared_memory.instance_id))
    page.click("main form button")
    page.select_option("[name=object]", "records")
    page.click("main form button")
    page.check("[name=select][value=id]")
    page.click("summary:has-text('Write the condition as text')")
    page.fill("#where", "name = 'Bob' or name like 'O%'")
    page.select_option("[name=format]", "csv")
    page.click("text=Get them")
    page.wait_for_selector("h2:has-text('The records')")
    assert page.locator(".data tbody tr").count() == 2
    with page.expect_download() as download:
        page.click("main a:has-text('CSV')")
    assert len(download.value.path().read_text().splitlines()) == 3
    assert (person.errors, person.strangers) == ([], [])


def test_a_condition_that_cannot_be_is_explained_and_nothing_is_lost(
    person: Person, shared_memory: Server
) -> None:
    page = person.page
    choose(person, shared_memory)
    page.check("[name=select][value=id]")
    page.click("summary:has-text('Write the condition as text')")
    page.fill("#where", "name =")
    page.click("text=Get them")
    assert "not understood" in page.inner_text("[role=alert]")
    assert page.input_value("#where") == "name ="
    assert page.is_checked("[name=select][value=id]")
    person.errors = [error for error in person.errors if "400" not in error]
    assert person.errors == []


def test_a_schedule_is_made_paused_resumed_and_deleted(
    person_of: Callable[..., Person], shared_memory: Server
) -> None:
    """Without JavaScript."""
    person = person_of(shared_memory.process.url, java_script_enabled=False)
    person.sign_in()
    page = person.page
    choose(person, shared_memory)
    page.click("summary:has-text('Again and again')")
    page.select_option("[name=every]", "weekday")
    page.fill("[name=at]", "06:30")
    page.fill("[name=name]", "Morning list")
    page.click("text=Get them")
    assert page.inner_text("h1") == "Morning list"
    assert "0 30 6 ? * MON-FRI" in page.inner_text("main")
    assert "select * from records" in page.inner_text("main")
    page.click("text=Pause")
    assert "paused" in page.inner_text(".state")
    page.click("text=Go on")
    assert "on" in page.inner_text(".state")
    person.open("/schedules")
    page.click("text=Morning list")
    page.click("button:has-text('Delete')")
    assert "Morning list" not in page.inner_text("main")


@pytest.mark.parametrize(
    ("form", "query"),
    [
        ({}, "select * from records"),
        (
            {"field:1": "name", "operator:1": "contains", "value:1": "O'N\\"},
            "select * from records where name like '%O\\'N\\\\%'",
        ),
        (
            {"field:1": "age", "operator:1": "more", "value:1": "7", "limit": "3"},
            "select * from records where age > 7 limit 3",
        ),
        (
            {"field:1": "age", "value:1": "7 or 1", "field:2": "odd name", "operator:2": "empty"},
            "select * from records where age = '7 or 1' and `odd name` is null",
        ),
        (
            {"field:1": "a", "operator:1": "empty", "field:3": "b", "value:3": "", "join": "or"},
            "select * from records where a is null or b = ''",
        ),
    ],
)
def test_what_is_typed_is_a_value_and_no_part_of_the_query(
    form: dict[str, str], query: str
) -> None:
    assert query_of({"object": "records", **form}, (), {"age": "integer"}) == query


def test_values_in_quotes_find_their_records(person: Person, shared_memory: Server) -> None:
    shared_memory.done("records", PEOPLE)
    query = query_of({"object": "records", "field:1": "name", "value:1": "O'Neil"}, ["name"], {})
    made = shared_memory.call("POST", "/bulk/query", body=query.encode(), headers={})
    assert shared_memory.finished(made.json["id"])["recordsCount"] == 1


@pytest.mark.parametrize(
    ("form", "cron"),
    [
        ({"every": "hour", "at": "06:05"}, "0 5 * ? * *"),
        ({"every": "month", "at": "23:59"}, "0 59 23 1 * ?"),
        ({"every": "day", "at": "soon"}, "0 0 0 ? * *"),
        ({"every": "own", "cron": " 0 0 12 ? * * "}, "0 0 12 ? * *"),
    ],
)
def test_a_choice_of_times_is_a_cron_expression(form: dict[str, str], cron: str) -> None:
    assert cron_of(form) == cron
