"""People at browsers sign in with the provider of their organization."""

import json
import uuid
from collections.abc import Callable, Iterator

import pytest

from console.conftest import Person
from console.test_doors import post
from console.test_people import fill, make_old
from support.harness import Processes, Server, request
from support.signing_in import PASSWORD, member

ORGANIZATION = "Organization 1"
STYLE_OF_PROVIDER = "https://cdn.jsdelivr.net/"
"""The pages of this provider get their style there. No test does."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose first organization signs in with a provider, or not."""
    with Processes(tmp_path_factory.mktemp("server")) as processes:
        yield processes.server()


def at_browser(person_of: Callable[..., Person], server: Server) -> Person:
    """Somebody at a browser that does not load from elsewhere."""
    person = person_of(server.process.url)
    person.context.route(f"{STYLE_OF_PROVIDER}**", lambda route: route.abort())
    return person


def set_provider(server: Server, issuer: str, **more: object) -> None:
    body = {"issuer": issuer, "clientId": "openbulk", "clientSecret": "secret", **more}
    reply = server.call("PUT", "/organizations/1/sign-in", json_body=body)
    assert reply.status == 200, reply.body


def account(issuer: str, subject: str = "", **claims: object) -> str:
    """Somebody at the provider."""
    subject = subject or uuid.uuid4().hex
    told = {"email": f"{subject}@example.com", "email_verified": True, **claims}
    assert request("PUT", f"{issuer}/users/{subject}", json_body=told).status < 300
    return subject


def go_to_provider(person: Person, back: str = "") -> None:
    """From the page of the sign-in to that of the provider."""
    person.open(f"/sign-in{back}")
    person.page.click("text=Sign in with your organization")
    fill(person, organization=ORGANIZATION.lower())


def agree(person: Person, issuer: str, subject: str) -> None:
    """What a person does at the provider."""
    person.page.wait_for_url(f"{issuer}/**")
    person.page.fill("input[name=sub]", subject)
    person.page.click("button:has-text('Authorize')")


def assert_stays_here(person: Person, issuer: str) -> None:
    """Of other servers, the browser has seen the provider alone, and nothing went wrong."""
    known = (issuer, STYLE_OF_PROVIDER)
    assert [one for one in person.strangers if not one.startswith(known)] == []
    assert [one for one in person.errors if "Failed to load resource" not in one] == []


def test_a_person_signs_in_with_the_organization_and_out(
    person_of: Callable[..., Person], server: Server, issuer: str
) -> None:
    """And is where they were. Their role is the one that the claim gives, at each sign-in."""
    set_provider(server, issuer, roleClaim="groups", roles={"staff": "operator", "all": "viewer"})
    subject = account(issuer, groups=["staff"], given_name="Dora")
    person = at_browser(person_of, server)
    person.open("/sign-in/oidc?organization=Organization+1")
    assert person.page.input_value("#organization") == ORGANIZATION
    assert person.problems_of_page() == []
    go_to_provider(person, "?back=/jobs%3Fstate%3Drunning")
    agree(person, issuer, subject)
    person.page.wait_for_url(f"{server.process.url}/jobs?state=running")
    person.open("/account")
    assert "Operator" in person.page.inner_text("dl.facts")
    assert f"You sign in at {issuer}" in person.page.inner_text("main")
    assert person.problems_of_page() == []
    person.page.click("text=Sign out")
    person.page.wait_for_selector("#password")
    account(issuer, subject, groups=["all"])
    person.page.click("text=Sign in with your organization")
    assert person.page.input_value("#organization") == ORGANIZATION.lower(), "as the last time"
    person.page.click("main form.card button")
    agree(person, issuer, subject)
    person.page.wait_for_selector(".who")
    person.open("/account")
    assert "Viewer" in person.page.inner_text("dl.facts")
    assert_stays_here(person, issuer)


def test_who_is_not_let_in_hears_why(
    person_of: Callable[..., Person], server: Server, issuer: str
) -> None:
    set_provider(server, issuer)
    person = at_browser(person_of, server)
    go_to_provider(person)
    agree(person, issuer, account(issuer))
    person.page.wait_for_selector("h1:has-text('You are not signed in')")
    assert "nobody has invited" in person.page.inner_text("[role=alert]")
    assert person.problems_of_page() == []
    person.page.click("text=Try again")
    fill(person, organization="No such school")
    assert "No organization of this name" in person.page.inner_text("[role=alert]")
    assert_stays_here(person, issuer)


def test_an_administrator_sets_a_provider_tries_it_and_removes_it(
    person_of: Callable[..., Person], processes: Processes, issuer: str
) -> None:
    server = processes.server()
    url = server.process.url
    person = at_browser(person_of, server)
    person.sign_in()
    person.open("/people")
    person.page.click("text=Sign in with your organization's provider")
    assert person.page.input_value("#callback") == f"{url}/sign-in/oidc/callback"
    assert person.problems_of_page() == []
    for name, value in (("issuer", issuer), ("clientId", "openbulk"), ("roleClaim", "groups")):
        person.page.fill(f"#{name}", value)
    person.page.click("button:has-text('Save')")
    assert "roles is missing" in person.page.inner_text("[role=alert]")
    assert person.page.input_value("#clientId") == "openbulk", "nothing is lost"
    person.page.fill("#clientSecret", "secret of the client")
    person.page.fill("input[name=roleValue] >> nth=0", "staff")
    person.page.select_option("select[name=role] >> nth=0", "operator")
    person.page.fill("input[name=roleValue] >> nth=1", "heads")
    person.page.select_option("select[name=role] >> nth=1", "administrator")
    person.page.click("button:has-text('Save')")
    person.page.wait_for_selector("text=Saved. Try it now.")
    assert "secret of the client" not in person.page.content()
    shown = server.call("GET", "/organizations/1/sign-in").json
    assert shown["roles"] == {"staff": "operator", "heads": "administrator"}
    assert shown["hasClientSecret"] is True
    person.page.click("button:has-text('Try it')")
    person.page.wait_for_selector("text=The provider answers, and knows openbulk.")
    assert person.problems_of_page() == []
    person.page.fill("#issuer", f"{issuer}/none")
    person.page.fill("#clientSecret", "secret of the client")
    person.page.click("button:has-text('Save')")
    person.page.wait_for_selector("text=Saved. Try it now.")
    person.page.click("button:has-text('Try it')")
    person.page.wait_for_selector("[role=alert]")
    assert "answers 404" in person.page.inner_text("[role=alert]")
    person.page.click("text=Remove the provider")
    person.page.wait_for_selector("text=The provider is removed.")
    assert server.call("GET", "/organizations/1/sign-in").status == 404
    assert_stays_here(person, issuer)


def test_a_form_with_many_roles_survives_a_confirmation(
    person_of: Callable[..., Person], processes: Processes, issuer: str
) -> None:
    server = processes.server()
    someone = member(server, f"{uuid.uuid4().hex}@example.com", "administrator")
    set_provider(server, issuer, roleClaim="groups", roles={"a": "viewer", "b": "operator"})
    person = at_browser(person_of, server)
    person.open("/sign-in")
    fill(person, email=someone.email, password=PASSWORD)
    person.page.wait_for_selector(".who")
    make_old(server, someone.email)
    person.open("/people/sign-in")
    person.page.select_option("#defaultRole", "viewer")
    person.page.click("button:has-text('Save')")
    fill(person, confirm_password=PASSWORD)
    person.page.wait_for_selector("text=Saved. Try it now.")
    shown = server.call("GET", "/organizations/1/sign-in").json
    assert (shown["roles"], shown["defaultRole"]) == ({"a": "viewer", "b": "operator"}, "viewer")


def test_a_person_with_a_password_connects_the_account(
    person_of: Callable[..., Person], server: Server, issuer: str
) -> None:
    set_provider(server, issuer)
    subject = account(issuer)
    someone = member(server, f"{subject}@example.com")
    person, elsewhere = (at_browser(person_of, server) for _ in range(2))
    person.open("/sign-in")
    fill(person, email=someone.email, password=PASSWORD)
    person.page.wait_for_selector(".who")
    person.open("/account")
    person.page.click("text=Connect my account")
    agree(person, issuer, subject)
    person.page.wait_for_selector("text=From now on you can sign in with your organization.")
    assert person.problems_of_page() == []
    go_to_provider(elsewhere)
    agree(elsewhere, issuer, subject)
    elsewhere.page.wait_for_selector(".who")
    assert someone.email in elsewhere.page.inner_text(".who")
    person.page.click("button:has-text('Disconnect')")
    person.page.wait_for_selector("text=You sign in with your password alone again.")
    assert_stays_here(person, issuer)


def test_who_has_no_password_confirms_at_the_provider(
    person_of: Callable[..., Person], server: Server, issuer: str
) -> None:
    set_provider(server, issuer, roleClaim="groups", roles={"heads": "administrator"})
    subject = account(issuer, groups=["heads"])
    person = at_browser(person_of, server)
    go_to_provider(person)
    agree(person, issuer, subject)
    person.page.wait_for_selector(".who")
    make_old(server, f"{subject}@example.com")
    email = f"{uuid.uuid4().hex}@example.com"
    person.open("/people")
    fill(person, email=email)
    assert "Confirm that it is you" in person.page.inner_text("h1")
    assert person.problems_of_page() == []
    person.page.click("main form.card button")
    agree(person, issuer, subject)
    person.page.wait_for_url(f"{server.process.url}/people")
    fill(person, email=email)
    assert email in person.page.inner_text("h1")


# --- what must not happen ---


def begin(server: Server, cookie: str = "") -> tuple[str, str]:
    """The page that leads to the provider, and the cookie of the sign-in."""
    headers = {"Cookie": cookie} if cookie else {}
    reply = post(
        server, "/sign-in/oidc", {"organization": ORGANIZATION, "back": "/jobs"}, **headers
    )
    assert reply.status == 200, reply.body
    return reply.headers["refresh"].partition("url=")[2], reply.headers["set-cookie"]


def come_back(server: Server, address: str, subject: str, cookie: str) -> tuple[int, str, str]:
    """Where a browser with a cookie is sent that comes back from the provider."""
    body = f"sub={subject}".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    at_provider = request("POST", address, body=body, headers=kind)
    headers = {"Cookie": cookie} if cookie else {}
    reply = request("GET", at_provider.headers["location"], headers=headers)
    return reply.status, reply.headers.get("location", ""), reply.headers.get("set-cookie", "")


def test_the_answer_to_one_browser_opens_nothing_in_another(server: Server, issuer: str) -> None:
    """Else somebody could have a victim work in their account."""
    set_provider(server, issuer, defaultRole="viewer")
    address, cookie = begin(server)
    _, other = begin(server)
    assert come_back(server, address, account(issuer), "")[0] == 400
    assert come_back(server, address, account(issuer), other.partition(";")[0])[0] == 401
    status, where, _ = come_back(server, address, account(issuer), cookie.partition(";")[0])
    assert (status, where) == (303, "/jobs")


def test_the_cookie_of_a_sign_in_is_short_and_for_the_way_back_alone(
    server: Server, issuer: str
) -> None:
    set_provider(server, issuer)
    _, cookie = begin(server)
    for part in ("HttpOnly", "Max-Age=600", "Path=/sign-in/oidc/callback", "SameSite=lax"):
        assert part in cookie
    assert "secret" not in cookie


def test_a_session_that_somebody_planted_is_replaced(server: Server, issuer: str) -> None:
    set_provider(server, issuer, defaultRole="viewer")
    address, cookie = begin(server)
    planted = "openbulk-session=obs_planted"
    both = f"{cookie.partition(';')[0]}; {planted}"
    status, _, made = come_back(server, address, account(issuer), both)
    assert status == 303
    assert "obs_planted" not in made


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_a_sign_in_leads_back_to_this_server_alone(server: Server, issuer: str, back: str) -> None:
    set_provider(server, issuer, defaultRole="viewer")
    reply = post(server, "/sign-in/oidc", {"organization": ORGANIZATION, "back": back})
    address, cookie = reply.headers["refresh"].partition("url=")[2], reply.headers["set-cookie"]
    status, where, _ = come_back(server, address, account(issuer), cookie.partition(";")[0])
    assert (status, where) == (303, "/")


def test_a_page_of_others_begins_no_sign_in(server: Server, issuer: str) -> None:
    set_provider(server, issuer)
    fields = {"organization": ORGANIZATION}
    other_site = {"Sec-Fetch-Site": "cross-site"}
    assert post(server, "/sign-in/oidc", fields, **other_site).status == 403
    page = request("GET", f"{server.process.url}/sign-in/oidc?organization={ORGANIZATION[:5]}")
    assert page.status == 200
    assert "refresh" not in page.headers


def test_a_stranger_learns_no_organizations(server: Server, issuer: str) -> None:
    set_provider(server, issuer)
    for path in ("/sign-in", "/sign-in/oidc"):
        page = request("GET", server.process.url + path).body.decode()
        assert ORGANIZATION not in page and issuer not in page
    assert (
        json.dumps(issuer) not in request("GET", f"{server.process.url}/openapi.json").body.decode()
    )
