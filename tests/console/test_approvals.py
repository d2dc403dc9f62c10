"""A person approves at the browser what an agent has planned, or refuses it."""

import re
from collections.abc import Callable

import pytest

from acceptance import test_approvals
from acceptance.test_approvals import Organization, make_organization
from console.conftest import Person
from support.harness import Server


@pytest.fixture
def organization(shared_server: Server) -> Organization:
    return make_organization(shared_server)


def sign_in(person: Person, caller: test_approvals.Person) -> Person:
    """Sign in with the two secrets of a caller."""
    user, organization = re.findall(r"(?:User|Organization) ([^,]+)", caller.secrets)
    person.open("/sign-in/secrets")
    person.page.fill("#user", user)
    person.page.fill("#organization", organization)
    person.page.click("main button")
    person.page.wait_for_selector(".who")
    return person


def test_a_plan_is_refused_thought_over_and_approved(
    person_of: Callable[..., Person], organization: Organization
) -> None:
    """Each state can be used by everybody, on a phone."""
    plan = organization.agent.plan()
    options = {"viewport": {"width": 375, "height": 800}}
    url = organization.bea.server.process.url
    bea = sign_in(person_of(url, **options), organization.bea)
    page = bea.page
    bea.open("/")
    section = page.locator("section", has_text="Plans for you to approve")
    assert f"an agent of {organization.otto.email}" in section.inner_text()
    section.locator("a").click()
    assert "Another person has to approve this plan" in page.inner_text("#state")
    assert page.locator("button:has-text('Carry it out')").count() == 0
    problems = bea.problems_of_page()
    page.click("button:has-text('Refuse')")
    assert "body.note is missing" in page.inner_text("[role=alert]")
    page.fill("[name=note]", "Cara has left")
    page.click("button:has-text('Refuse')")
    assert f"{organization.bea.email} has refused this plan: Cara has left" in page.inner_text(
        "#state"
    )
    problems += bea.problems_of_page()
    page.click("text=Withdraw this decision")
    page.click("button:has-text('Approve')")
    assert f"{organization.bea.email} has approved this plan" in page.inner_text("#state")
    problems += bea.problems_of_page()
    assert problems == []
    otto = sign_in(person_of(url, **options), organization.otto)
    otto.open(f"/jobs/{plan['id']}")
    assert otto.page.locator("text=Withdraw this decision").count() == 0
    otto.page.click("button:has-text('Carry it out')")
    otto.page.wait_for_selector("#state >> text=3 created")
    assert (otto.errors, otto.strangers) == ([], [])


def test_who_has_planned_sees_who_has_to_approve(
    person_of: Callable[..., Person], organization: Organization
) -> None:
    """And a retry is planned first, where everything is approved."""
    otto, bea = organization.otto, organization.bea
    job = otto.upload(b"id,name,fail\n1,Ann,\n2,Bob,no room\n", query="").json["id"]
    otto.finished(job)
    organization.wants("everyone")
    person = sign_in(person_of(otto.server.process.url), otto)
    page = person.page
    person.open(f"/jobs/{job}")
    page.click("text=Send the rows again that were not written")
    page.wait_for_selector(f"#state >> text=These may: {organization.ann.email}, {bea.email}.")
    assert page.locator("button:has-text('Approve')").count() == 0
    person.open("/")
    assert "Plans for you to approve" not in page.inner_text("main")
    assert person.problems_of_page() == []
    assert (person.errors, person.strangers) == ([], [])
