"""The page of the audit log, for administrators."""

import json
from collections.abc import Callable

from console.conftest import Person
from support.harness import ORGANIZATION_SECRET, Server


def test_an_administrator_filters_checks_and_exports_the_log(
    person: Person, shared_memory: Server
) -> None:
    job = shared_memory.upload("records", b"name\nAnn\n").json["id"]
    page = person.page
    person.open("/")
    page.click("text=Audit log")
    assert "sign-in" in page.inner_text("table")
    page.fill("input[name=target]", f"job {job}")
    page.click("main form button")
    (row,) = page.query_selector_all("tbody tr")
    for text in ("job.load", f"job {job} of records", "admin@localhost", "done", "127.0.0.1"):
        assert text in row.inner_text()
    assert person.problems_of_page() == []
    with page.expect_download() as download:
        page.click("text=Export as JSON lines")
    (line,) = download.value.path().read_text().splitlines()
    assert json.loads(line)["target"] == f"job {job} of records"
    page.click("text=Check the log")
    assert "The log is whole" in page.inner_text(".notice")
    assert person.problems_of_page() == []
    assert (person.errors, person.strangers) == ([], [])


def test_a_viewer_has_no_audit_log(person_of: Callable[..., Person], shared_server: Server) -> None:
    new = {"email": "viewer-of-the-console@example.com", "role": "viewer"}
    user = shared_server.call("POST", "/organizations/users", json_body=new).json
    path = f"/organizations/users/{user['id']}/secrets"
    secret = shared_server.call("POST", path, json_body={"name": "x"}).json["secret"]
    person = person_of(shared_server.process.url)
    person.open("/sign-in/secrets")
    person.page.fill("#user", secret)
    person.page.fill("#organization", ORGANIZATION_SECRET)
    person.page.click("main button")
    person.page.wait_for_selector(".who")
    assert "Audit log" not in person.page.inner_text("nav")
    person.open("/audit")
    assert "this needs the permission 'administer'" in person.page.inner_text("main")
