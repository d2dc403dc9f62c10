"""People at browsers: the first one, those who are invited, and those who leave."""

import re
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing

import pyotp

from console.conftest import Person
from support.harness import Processes, Server
from support.signing_in import PASSWORD, invite, member, signed_in

ME = "/organizations/users/me"


def fill(person: Person, **fields: str) -> None:
    """Fill a form, and send it."""
    for name, value in fields.items():
        person.page.fill(f"main #{name.replace('_', '-')}", value)
    person.page.click("main form.card button")


def sign_in(person: Person, email: str, password: str = PASSWORD) -> None:
    person.open("/sign-in")
    fill(person, email=email, password=password)


def assert_nothing_is_wrong(person: Person) -> None:
    """No error but the answers that the browser notes, and no request to others."""
    others = [error for error in person.errors if "Failed to load resource" not in error]
    assert (others, person.strangers) == ([], [])


def test_who_is_invited_joins_signs_in_and_signs_out_everywhere(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    """The administrator makes the link, and later deactivates them."""
    url, email = shared_server.process.url, f"{uuid.uuid4().hex}@example.com"
    administrator, invited, elsewhere = (person_of(url) for _ in range(3))
    administrator.sign_in()
    administrator.page.click("text=People")
    administrator.page.select_option("#role", "viewer")
    fill(administrator, email=email)
    assert administrator.problems_of_page() == []
    link = administrator.page.input_value("#link")
    assert link.startswith(f"{url}/invitation?code=")
    administrator.open("/people")
    assert email in administrator.page.inner_text("main")
    assert administrator.problems_of_page() == []

    invited.page.goto(link)
    assert f"You are invited as {email}" in invited.page.inner_text("main")
    assert invited.problems_of_page() == []
    fill(invited, firstName="Dora", password=PASSWORD, again="another horse battery")
    assert "not the same" in invited.page.inner_text("[role=alert]")
    fill(invited, password=PASSWORD, again=PASSWORD)
    invited.page.wait_for_selector(".who")
    assert invited.page.locator("nav >> text=People").count() == 0
    invited.page.goto(link)
    assert "This link does not hold" in invited.page.inner_text("h1")

    sign_in(elsewhere, email, "wrong horse battery")
    assert "email address or the password is wrong" in elsewhere.page.inner_text("[role=alert]")
    assert elsewhere.problems_of_page() == []
    fill(elsewhere, password=PASSWORD)
    elsewhere.page.wait_for_selector(".who")
    invited.open("/account")
    assert invited.problems_of_page() == []
    assert invited.page.locator("section tbody tr").count() == 2
    invited.page.click("text=Sign out everywhere")
    invited.page.wait_for_selector("#password")
    elsewhere.open("/jobs")
    assert elsewhere.page.url.startswith(f"{url}/sign-in?back=")
    fill(elsewhere, email=email, password=PASSWORD)
    elsewhere.page.wait_for_url(f"{url}/jobs")

    administrator.open("/people")
    administrator.page.click(f"text={email}")
    administrator.page.click("button:has-text('Deactivate')")
    administrator.page.wait_for_selector("text=This person is deactivated")
    assert administrator.problems_of_page() == []
    elsewhere.page.reload()
    assert "/sign-in" in elsewhere.page.url
    for person in (administrator, invited, elsewhere):
        assert_nothing_is_wrong(person)


def test_the_first_person_opens_the_link_that_the_server_prints(
    person_of: Callable[..., Person], processes: Processes
) -> None:
    """Once; a later start prints none. Others are then invited."""
    settings = {"OPENBULK_DATA_DIR": str(processes.folder / "data")}
    server = processes.run("serve", "--port", "0", env=settings)
    found = re.search(r"begin in a browser: (\S+/welcome\?code=\S+)", server.log())
    assert found is not None
    person = person_of(server.url)
    person.page.goto(found[1])
    assert person.problems_of_page() == []
    fill(
        person,
        email="ann@example.com",
        organization="Music school",
        firstName="Ann",
        lastName="Lee",
        password=PASSWORD,
        again=PASSWORD,
    )
    person.page.wait_for_selector(".who")
    person.open("/people")
    assert "Administrator of the installation" in person.page.inner_text("table")
    fill(person, email="bob@example.com")
    person.page.goto(person.page.input_value("#link"))
    assert "Join Music school" in person.page.inner_text("h1")
    person.page.goto(found[1])
    assert "This link does not hold" in person.page.inner_text("h1")
    assert_nothing_is_wrong(person)
    assert server.stop() == 0
    again = processes.run("serve", "--port", "0", env=settings)
    assert "/welcome" not in again.log()


def test_a_link_that_was_not_used_is_printed_again(processes: Processes) -> None:
    settings = {"OPENBULK_DATA_DIR": str(processes.folder / "data")}
    codes = []
    for _ in range(2):
        server = processes.run("serve", "--port", "0", env=settings)
        codes += re.findall(r"/welcome\?code=(\S+)", server.log())
        assert server.stop() == 0
    assert len(set(codes)) == 2
    given = processes.server(data_dir=processes.folder / "other")
    assert "/welcome" not in given.process.log(), "its secrets are set"


def test_an_authenticator_app_is_added_used_and_removed(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    someone = member(shared_server, f"{uuid.uuid4().hex}@example.com")
    person = person_of(shared_server.process.url)
    sign_in(person, someone.email)
    person.open("/account")
    person.page.click("text=Add an authenticator app")
    assert person.problems_of_page() == []
    key = person.page.inner_text("#key")
    fill(person, code="000000")
    assert "not the one that the app shows" in person.page.inner_text("[role=alert]")
    assert person.page.inner_text("#key") == key
    fill(person, code=pyotp.TOTP(key).now())
    person.page.wait_for_selector("#codes")
    assert person.problems_of_page() == []
    first, second, *_ = person.page.locator("#codes code").all_inner_texts()
    person.page.click("text=Sign out")
    sign_in(person, someone.email)
    assert person.problems_of_page() == []
    fill(person, code="123-456")
    assert "The code is wrong" in person.page.inner_text("[role=alert]")
    fill(person, code=first)
    person.page.wait_for_selector(".who")
    make_old(shared_server, someone.email)
    person.open("/account")
    person.page.click("text=Remove the app")
    assert "Confirm that it is you" in person.page.inner_text("h1")
    assert person.problems_of_page() == []
    fill(person, confirm_password="wrong horse battery", confirm_code=second)
    assert "That is not right" in person.page.inner_text("[role=alert]")
    fill(person, confirm_password=PASSWORD, confirm_code=second)
    person.page.wait_for_selector("text=Your authenticator app is removed")
    assert signed_in(shared_server, someone.email)
    assert_nothing_is_wrong(person)


def make_old(server: Server, email: str) -> None:
    """Have the confirmations of a user's sessions expire."""
    file = server.process.output.parent / "data" / "ledger.db"
    with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
        connection.execute(
            "UPDATE sessions SET confirmed_at = 1 WHERE user_id = "
            "(SELECT id FROM users WHERE email = ?)",
            (email,),
        )


def test_a_form_goes_on_where_it_was_once_a_person_has_confirmed(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    someone = member(shared_server, f"{uuid.uuid4().hex}@example.com", "administrator")
    person = person_of(shared_server.process.url)
    sign_in(person, someone.email)
    make_old(shared_server, someone.email)
    person.open("/people")
    email = f"{uuid.uuid4().hex}@example.com"
    fill(person, email=email)
    fill(person, confirm_password=PASSWORD)
    assert email in person.page.inner_text("h1")
    assert "/invitation?code=" in person.page.input_value("#link")


def test_who_has_forgotten_the_password_chooses_another_one(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    someone = member(shared_server, f"{uuid.uuid4().hex}@example.com")
    number = someone.call("GET", ME).json["id"]
    administrator, person = (person_of(shared_server.process.url) for _ in range(2))
    administrator.sign_in()
    administrator.open(f"/people/{number}")
    administrator.page.click("text=Make a link for another password")
    person.page.goto(administrator.page.input_value("#link"))
    assert person.problems_of_page() == []
    fill(person, password="another horse battery", again="another horse battery")
    person.page.wait_for_selector(".who")
    assert someone.call("GET", ME).status == 401
    person.open("/account")
    for name, value in (
        ("current", "another horse battery"),
        ("new", PASSWORD),
        ("again", PASSWORD),
    ):
        person.page.fill(f"#{name}", value)
    person.page.click("text=Change the password")
    person.page.wait_for_selector("text=Your password is changed")
    assert signed_in(shared_server, someone.email)


def test_a_page_of_people_is_for_administrators_alone(
    person_of: Callable[..., Person], shared_server: Server
) -> None:
    someone = member(shared_server, f"{uuid.uuid4().hex}@example.com", "approver")
    person = person_of(shared_server.process.url)
    sign_in(person, someone.email)
    person.open("/people")
    assert "needs the permission 'administer'" in person.page.inner_text("main")
    invite(shared_server, f"{uuid.uuid4().hex}@example.com")
