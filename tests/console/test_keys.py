"""A person makes keys for programs, and an administrator sets the rules of the organization."""

import uuid
from collections.abc import Callable

from playwright.sync_api import expect

from console.conftest import Person
from console.test_people import assert_nothing_is_wrong, sign_in
from support.harness import BASE_PATH, Server, request
from support.signing_in import member

PHONE = {"width": 375, "height": 800}


def somebody(person_of: Callable[..., Person], server: Server, role: str) -> Person:
    """A person with this role, signed in at a phone."""
    made = member(server, f"{uuid.uuid4().hex}@example.com", role)
    person = person_of(server.process.url, viewport=PHONE)
    sign_in(person, made.email)
    person.page.wait_for_selector(".who")
    return person


def caller_of(server: Server, key: str, path: str) -> int:
    headers = {"Authorization": f"User {key}"}
    return request("GET", f"{server.process.url}{BASE_PATH}{path}", headers=headers).status


def test_a_key_is_made_used_replaced_and_ended(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    someone = somebody(person_of, shared_server, "operator")
    page = someone.page
    someone.open("/account")
    page.click("text=Your keys")
    page.fill("#name", "Nightly load")
    page.uncheck("[name=scope][value=load]")
    page.click("text=Make the key")
    first = page.input_value("#key")
    assert f"openbulk login {shared_server.process.url}" in page.inner_text("main")
    assert someone.problems_of_page() == []
    assert caller_of(shared_server, first, "/jobs") == 200
    assert caller_of(shared_server, first, "/organizations/users") == 403

    page.click("text=I have kept it")
    row = page.locator("tbody tr", has_text="Nightly load")
    assert "see jobs and download records, send files and plan" in row.inner_text()
    assert someone.problems_of_page() == []
    page.click("[aria-label='Replace Nightly load']")
    second = page.input_value("#key")
    assert second != first
    for key in (first, second):  # the earlier one goes on to hold for a day
        assert caller_of(shared_server, key, "/jobs") == 200
    page.click("text=I have kept it")
    while page.locator("[aria-label='End Nightly load']").count():
        page.locator("[aria-label='End Nightly load']").first.click()
        expect(page.locator("h1")).to_have_text("Your keys")
    assert "You have none." in page.inner_text("main")
    for key in (first, second):
        assert caller_of(shared_server, key, "/jobs") == 401
    assert_nothing_is_wrong(someone)


def test_a_key_for_nothing_is_refused_and_the_form_stays_filled(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    someone = somebody(person_of, shared_server, "operator")
    page = someone.page
    someone.open("/account/keys")
    page.fill("#name", "Nothing")
    for scope in ("read", "plan", "load"):
        page.uncheck(f"[name=scope][value={scope}]")
    page.click("text=Make the key")
    assert "body.scopes" in page.inner_text("[role=alert]")
    assert page.input_value("#name") == "Nothing"


def test_an_administrator_says_whose_plans_are_approved(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    """In an organization of its own: the rule holds for all of its people."""
    name = uuid.uuid4().hex
    new = {"name": name, "email": f"ann@{name}.example"}
    made = shared_server.call("POST", "/organizations", json_body=new).json
    ann = person_of(shared_server.process.url, viewport=PHONE)
    ann.open("/sign-in/secrets")
    ann.page.fill("#user", made["userSecret"])
    ann.page.fill("#organization", made["organizationSecret"])
    ann.page.click("main button")
    ann.page.wait_for_selector(".who")
    ann.open("/people")
    ann.page.click("text=Name, approvals and limits")
    assert ann.page.is_checked("[name=approvals][value=agents]")
    assert "0 of 10,000" in ann.page.inner_text("dl.facts")
    assert ann.problems_of_page() == []
    ann.page.fill("#name", f"School {name}")
    ann.page.check("[name=approvals][value=everyone]")
    ann.page.click("main form button")
    assert "Saved." in ann.page.inner_text("[role=status]")
    assert ann.page.input_value("#name") == f"School {name}"
    assert ann.page.is_checked("[name=approvals][value=everyone]")
    ann.page.fill("#name", " ")
    ann.page.click("main form button")
    assert "body.name" in ann.page.inner_text("[role=alert]")
    assert_nothing_is_wrong(ann)


def test_who_is_no_administrator_is_told_so(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    someone = somebody(person_of, shared_server, "viewer")
    someone.open("/organization")
    assert "administer" in someone.page.inner_text("main")
