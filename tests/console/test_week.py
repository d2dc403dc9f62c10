"""The calendar week of a plan: what will be there, and what of it is new, changed or deleted."""

import datetime
from collections.abc import Callable

import pytest

from console.conftest import Person
from openbulk.console.calendar_week import STAYS, monday_of, week_of
from support.harness import Process, Server

MONDAY = datetime.date(2026, 9, 7)
FILE = b"""[
{"id": "choir2026", "summary": "Choir", "start": {"dateTime": "2026-09-08T16:00:00+02:00"},
 "end": {"dateTime": "2026-09-08T17:30:00+02:00"}},
{"id": "sp0rts2026", "summary": "Sports day", "start": {"date": "2026-09-10"},
 "end": {"date": "2026-09-12"}}
]"""


def plan_of(server: Server, file: bytes, action: str) -> str:
    reply = server.upload("events", file, {"action": action}, query="?plan=true")
    assert reply.status == 200, reply.body
    server.finished(reply.json["id"])
    return str(reply.json["id"])


def days_of(person: Person) -> list[str]:
    return person.page.locator(".week > li").all_inner_texts()


def test_a_week_shows_what_is_new_what_changes_what_goes_and_what_stays(
    person_of: Callable[..., Person], shared_server: Server, shared_google: Process
) -> None:
    """Without JavaScript."""
    server = shared_server.google(shared_google)
    stays = {
        "summary": "Staff meeting",
        "start": {"dateTime": "2026-09-08T08:00:00+02:00"},
        "end": {"dateTime": "2026-09-08T09:00:00+02:00"},
    }
    assert server.call("POST", "/events", json_body=stays).status == 200
    person = person_of(server.process.url, java_script_enabled=False)
    person.sign_in()
    page = person.page

    person.open(f"/jobs/{plan_of(server, FILE, 'create')}")
    page.click("text=See it as a calendar week")
    assert "7 Sept 2026" in page.inner_text("h1")
    days = days_of(person)
    assert len(days) == 7
    assert "Staff meeting" in days[1]
    assert days[1].index("new") < days[1].index("16:00") < days[1].index("Choir")
    assert days[1].index("Staff meeting") < days[1].index("Choir"), "in the order of the day"
    assert ["Sports day" in day for day in days] == [False, False, False, True, True, False, False]
    assert "all day" in days[3]

    server.done("events", FILE, {"action": "create"})
    moved = FILE.replace(b"09-08T16:00", b"09-09T15:00").replace(b"09-08T17:30", b"09-09T16:00")
    person.open(f"/jobs/{plan_of(server, moved, 'upsert')}/week?of=2026-09-10")
    days = days_of(person)
    assert "Choir" not in days[1]
    assert "changed" in days[2]
    assert "now: 2026-09-08 16:00" in days[2]
    gone = b"id\nchoir2026\n"
    person.open(f"/jobs/{plan_of(server, gone, 'delete')}/week")
    days = days_of(person)
    assert "deleted" in days[1]
    assert "Choir" in days[1]
    assert "Sports day" in days[3], "what stays is shown, too"
    page.click("a[rel=next]")
    assert "14 Sept 2026" in page.inner_text("h1")
    assert "Choir" not in "".join(days_of(person))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_a_week_can_be_used_by_everybody(
    person_of: Callable[..., Person],
    shared_server: Server,
    shared_google: Process,
    scheme: str,
    width: int,
) -> None:
    server = shared_server.google(shared_google)
    viewport = {"width": width, "height": 800}
    person = person_of(server.process.url, color_scheme=scheme, viewport=viewport)
    person.sign_in()
    server.done("events", FILE, {"action": "create"})
    moved = FILE.replace(b"09-08T16:00", b"09-08T15:00")
    for file, action in ((moved, "upsert"), (b"id\nchoir2026\n", "delete")):
        person.open(f"/jobs/{plan_of(server, file, action)}/week?of=2026-09-08")
        assert "Choir" in person.page.inner_text(".week")
        assert person.problems_of_page() == []
        assert person.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_plan_of_something_else_has_no_week(person: Person, shared_memory: Server) -> None:
    reply = shared_memory.upload("records", b"name\nAnn\n", query="?plan=true")
    shared_memory.finished(reply.json["id"])
    person.open(f"/jobs/{reply.json['id']}")
    assert person.page.locator("text=calendar week").count() == 0


def test_an_event_over_several_days_is_on_each_of_them() -> None:
    entry = {"title": "Trip", "start": "2026-09-06T22:00:00Z", "end": "2026-09-08T06:00:00Z"}
    row = {"kind": "created", "rowNum": 1, "entry": entry}
    days = week_of(MONDAY, [row], [])
    shown = [(day.date.day, one.time, one.until) for day in days for one in day.events]
    assert shown == [(7, "", ""), (8, "", "06:00")]


def test_what_the_plan_touches_is_shown_once() -> None:
    entry = {"title": "Choir", "start": "2026-09-08", "end": "2026-09-09"}
    row = {"kind": "updated", "rowNum": 1, "id": "a", "entry": entry}
    there = [
        {"id": "a", "summary": "Old", "start": {"date": "2026-09-08"}},
        {"id": "a_1", "recurringEventId": "a", "start": {"date": "2026-09-09"}},
        {"id": "b", "start": {"date": "2026-09-08"}, "end": {"date": "2026-09-09"}},
        {"id": "c", "status": "cancelled", "start": {"date": "2026-09-08"}},
    ]
    events = [one for day in week_of(MONDAY, [row], there) for one in day.events]
    assert [(one.title, one.kind) for one in events] == [("", STAYS), ("Choir", "updated")]


@pytest.mark.parametrize("text", ["", "soon", "0001-01-01", "9999-12-31", "2026-13-01"])
def test_what_is_no_date_names_no_week(text: str) -> None:
    assert monday_of(text) is None
