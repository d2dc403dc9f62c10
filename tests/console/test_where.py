"""Where a file goes: the service, the object, and which of the calendars."""

from console.conftest import Person
from support.harness import Process, Server

LIST = b"Titel;Datum;Beginn;Ende\nChor;07.09.2026;16:00;17:30\n"


def test_events_go_into_the_calendar_that_was_chosen(
    person: Person, shared_server: Server, shared_google: Process
) -> None:
    server = shared_server.google(shared_google)
    made = server.call("POST", "/calendars", json_body={"summary": "School <b>choir</b>"})
    assert made.status == 200, made.body
    calendar = made.json["id"]
    sent = {"Content-Type": "text/csv"}
    file = server.call("POST", "/files", body=LIST, headers=sent).json["id"]
    page = person.page
    person.open(f"/load/{file}/where?instance={server.instance_id}")
    assert "main calendar" in page.locator("#calendar option").first.inner_text()
    page.select_option("#calendar", label="School <b>choir</b>")
    page.select_option("#object", "events")
    page.click("main button:has-text('Columns')")
    page.click("main a:has-text('Back')")
    assert page.input_value("#calendar") == calendar, "going back loses nothing"
    page.click("main button:has-text('Columns')")
    page.click("text=Show what would happen")
    page.wait_for_selector("text=Carry it out")
    page.click("text=Change the columns")
    page.click("text=Show what would happen")
    page.wait_for_selector("text=Carry it out")
    page.click("text=Carry it out")
    page.wait_for_selector("#state >> text=finished")
    (event,) = server.call("GET", f"/events?calendarId={calendar}").json
    assert event["summary"] == "Chor"
    assert server.call("GET", "/events").json == []
    assert (person.errors, person.strangers) == ([], [])


def test_a_service_without_calendars_asks_for_none(person: Person, shared_memory: Server) -> None:
    sent = {"Content-Type": "text/csv"}
    file = shared_memory.call("POST", "/files", body=b"name\nAnn\n", headers=sent).json["id"]
    person.open(f"/load/{file}/where?instance={shared_memory.instance_id}")
    assert person.page.locator("#object").count() == 1
    assert person.page.locator("#calendar").count() == 0
