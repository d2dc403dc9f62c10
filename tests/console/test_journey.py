"""A secretary loads a list of events: looks at it, mends it, carries it out, and takes it back."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Route

from console.conftest import Person
from support.harness import Process, Server

LIST = """Schuljahresplan 2026/27;;;;
Titel;Datum;Beginn;Ende;Ort
Elternabend;07.09.2026;19:30;21:00;Aula
Sportfest;30.02.2026;8:15;12:00;Platz
Chor;14.09.2026;16:00;17:30;Musikraum
"""


def test_a_list_is_loaded_mended_verified_and_taken_back(
    person: Person, shared_server: Server, shared_google: Process
) -> None:
    server = shared_server.google(shared_google)
    page = person.page
    person.open("/load")
    page.set_input_files(
        "#file", {"name": "plan.csv", "mimeType": "text/csv", "buffer": LIST.encode()}
    )
    page.click("main form button")
    assert page.inner_text("h1") == "plan.csv"
    assert "Elternabend" in page.inner_text("table")
    page.click("text=Where to?")
    page.select_option("select[name=instance]", str(server.instance_id))
    page.click("text=Show what it has")
    page.select_option("#object", "events")
    page.click("main button:has-text('Columns')")
    assert page.input_value("[name='first:1']") == "Titel"
    page.click("text=Show what would happen")
    page.wait_for_selector("text=Carry it out")
    assert "2 created" in page.inner_text("#state")
    assert "1 refused" in page.inner_text("#state")
    page.click("text=1 refused")
    assert "February 2026 has 28 days" in page.inner_text("table")
    page.go_back()
    page.click("text=Carry it out")
    page.wait_for_selector("#state >> text=finished")
    page.click("text=Mend row 2")
    page.fill("[name='cell:Datum']", "28.02.2027")
    page.click("main form button")
    page.click("text=Send the rows again that were not written")
    page.wait_for_selector("#state >> text=1 created")
    assert {event["summary"] for event in events(server)} == {"Elternabend", "Sportfest", "Chor"}
    page.click("text=Check the service")
    page.wait_for_selector("#state >> text=1 confirmed")
    page.go_back()
    page.click("text=Take it back")
    page.wait_for_selector("#state >> text=1 taken back")
    page.click("text=/Take job \\d+ back/")
    page.wait_for_selector("#state >> text=finished")
    assert "1 taken back" in page.inner_text("#state")
    assert {event["summary"] for event in events(server)} == {"Elternabend", "Chor"}
    assert (person.errors, person.strangers) == ([], [])


def events(server: Server) -> list[dict[str, object]]:
    found: list[dict[str, object]] = server.call("GET", "/events?pageSize=50").json
    return found


def test_a_page_stays_live_after_an_answer_that_failed(
    person: Person, shared_memory: Server
) -> None:
    file = b"name\n" + b"Ann\n" * 50_000
    job_id = shared_memory.upload("records", file).json["id"]
    assert shared_memory.call("PUT", f"/bulk/{job_id}/pause").status == 200
    failures = iter([503, 404])

    def answer(route: Route) -> None:
        status = next(failures, None)
        if status is None:
            route.continue_()
        else:
            route.fulfill(status=status, body="<p>this is no state of a job</p>")

    person.page.route("**/live", answer)
    person.open(f"/jobs/{job_id}")
    person.page.wait_for_selector("#state >> text=Go on")
    assert shared_memory.call("PUT", f"/bulk/{job_id}/resume").status == 200
    person.page.wait_for_selector("#state >> text=50,000 created")
    assert next(failures, None) is None


def test_a_page_works_without_javascript(
    person_of: Callable[..., Person], shared_memory: Server
) -> None:
    """But for what changes by itself."""
    person = person_of(shared_memory.process.url, java_script_enabled=False)
    person.sign_in()
    page = person.page
    person.open("/load")
    page.set_input_files(
        "#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"name\nAnn\n"}
    )
    page.click("main form button")
    page.click("text=Where to?")
    page.select_option("select[name=instance]", str(shared_memory.instance_id))
    page.click("text=Show what it has")
    page.select_option("#object", "records")
    page.click("main button:has-text('Columns')")
    page.click("text=Show what would happen")
    job = page.url.rpartition("/")[2]
    shared_memory.finished(job)
    page.reload()
    page.click("text=Carry it out")
    shared_memory.finished(job)
    page.reload()
    assert "1 created" in page.inner_text("#state")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_can_be_used_by_everybody(
    person_of: Callable[..., Person], shared_memory: Server, scheme: str, language: str
) -> None:
    """Axe finds nothing, at the width of a phone; nothing is wider than the page."""
    failed = shared_memory.upload("records", b"name,fail\nAnn,\n<b>Bob</b>,no room\n").json["id"]
    shared_memory.finished(failed)
    sent = {"Content-Type": "text/csv"}
    file = shared_memory.call("POST", "/files?name=a.csv", body=b"name\nAnn\n", headers=sent).json[
        "id"
    ]
    meta = {"metaData": {"fileId": file, "action": "create"}}
    plan = shared_memory.call("POST", "/bulk/records?plan=true", json_body=meta).json["id"]
    shared_memory.finished(plan)
    query = {"q": "select * from records"}
    download = shared_memory.call("POST", "/bulk/query", json_body=query).json["id"]
    shared_memory.finished(download)
    noon = {"uri": "/bulk/query", "query": query, "trigger": {"cron": "0 0 12 ? * *"}}
    schedule = shared_memory.call("POST", "/jobs", json_body=noon).json["id"]
    group = shared_memory.call("GET", f"/bulk/{failed}/errors/groups").json[0]["id"]
    instance = shared_memory.instance_id
    columns = f"/load/{file}/columns?instance={instance}&object=records&action=create"
    person = person_of(
        shared_memory.process.url,
        color_scheme=scheme,
        locale=language,
        viewport={"width": 375, "height": 800},
    )
    for path in ("/sign-in", "/sign-in/secrets", "/invitation?code=none"):
        person.open(path)
        assert person.problems_of_page() == [], path
    person.sign_in()
    pages = ["/", "/jobs", f"/jobs/{failed}", f"/jobs/{failed}/rows", f"/jobs/{failed}/rows/2"]
    pages += [f"/jobs/{plan}", f"/jobs/{plan}/rows", "/services", f"/services/{instance}"]
    pages += ["/services/connect", "/services/connect/googlecalendar", "/load", f"/load/{file}"]
    pages += [f"/load/{file}/where?instance={instance}", columns, "/mappings", "/audit?check=1"]
    pages += ["/account", "/account/keys", "/organization", "/people", "/people/1"]
    pages += ["/get", f"/get?instance={instance}&object=records", f"/jobs/{download}"]
    pages += ["/jobs?state=failed", f"/jobs/{failed}/rows?group={group}", f"/jobs/{failed}/rows/1"]
    pages += ["/schedules", f"/schedules/{schedule}", f"/jobs/{failed}/rows?search=nothing"]
    for path in pages:
        person.open(path)
        assert person.page.locator("html").get_attribute("lang") == language, path
        assert person.problems_of_page() == [], path
        assert person.page.evaluate("document.documentElement.scrollWidth") <= 375, path
    person.open("/no/such/page")
    assert person.problems_of_page() == []
    person.errors = [error for error in person.errors if "404" not in error]
    assert (person.errors, person.strangers) == ([], [])


def test_a_first_page_is_small(person: Person) -> None:
    """150 kB and 8 requests at most."""
    sizes: list[int] = []
    person.page.on("response", lambda answer: sizes.append(len(answer.body())))
    person.open("/")
    person.page.wait_for_load_state("networkidle")
    assert 0 < sum(sizes) < 150_000
    assert len(sizes) <= 8


def test_what_a_file_says_is_text(person: Person, shared_memory: Server) -> None:
    """Names of columns, cells, errors and names of services cannot run anything."""
    attack = "\"><script>window.hit=1</script><img src=x onerror='window.hit=1'>"
    quoted = attack.replace('"', '""')
    table = f'name,"{quoted}",fail\nAnn,x,"{quoted}"\n'
    job = shared_memory.upload("records", table.encode()).json["id"]
    shared_memory.finished(job)
    named = shared_memory.call(
        "PATCH", f"/instances/{shared_memory.instance_id}", json_body={"name": attack}
    )
    assert named.status == 200, json.dumps(named.json)
    sent = {"Content-Type": "text/csv"}
    file = shared_memory.call("POST", "/files", body=table.encode(), headers=sent).json["id"]
    columns = f"/load/{file}/columns?instance={shared_memory.instance_id}&object=records"
    shown = 0
    for path in (
        f"/jobs/{job}",
        f"/jobs/{job}/rows",
        f"/jobs/{job}/rows/1",
        "/services",
        "/",
        f"/load/{file}",
        columns,
    ):
        person.open(path)
        person.page.wait_for_load_state("networkidle")
        shown += (
            "<script>window.hit" in person.page.inner_text("main")
            or "script" in person.page.content()
        )
        assert person.page.evaluate("window.hit") is None, path
    assert shown >= 5
    assert person.errors == []
