"""What comes from files, services and addresses is text, and forms of others do nothing.

Each test counts what it has tried, so that a page that shows nothing any more is noticed.
"""

import json
import re
import urllib.parse

import pytest

from console.conftest import Person
from console.test_doors import cookie_of, post, token_of
from openbulk.console.app import make_console
from openbulk.domain.links import PAGES
from support.harness import Process, Server, request

ATTACKS = (
    "\"><script>window.hit=1</script><img src=x onerror='window.hit=1'>",
    "' onfocus='window.hit=1' autofocus x='",
    "</textarea></select></title><svg onload=window.hit=1>",
    "javascript:window.hit=1",
    "{{ 7 * 7 }}{% raw %}${window.hit=1}",
    "<a hx-get='/jobs' hx-trigger='load' hx-on:click='window.hit=1'>x</a>",
)
BACK = (
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/\tevil.example/..//evil.example",
    "\r\n//evil.example",
    "x",
)


def pages_with(server: Server, google: Server, attack: str) -> list[str]:
    """Pages that show a text which somebody else has chosen, in each of its places."""
    quoted = attack.replace('"', '""')
    table = f'name,"c {quoted}",fail\nAnn,"{quoted}","{quoted}"\nBob,"{quoted}",\n'.encode()
    job = server.done("records", table)["id"]
    sent = {"Content-Type": "text/csv"}
    name = urllib.parse.quote(attack)
    file = server.call("POST", f"/files?name={name}", body=table, headers=sent).json["id"]
    plan = server.upload("records", table, query="?plan=true").json["id"]
    server.finished(plan)
    query = {"q": "select * from records"}
    download = server.call("POST", "/bulk/query", json_body=query).json["id"]
    server.finished(download)
    noon = {"name": attack, "uri": "/bulk/query", "trigger": {"cron": "0 0 12 ? * *"}}
    schedule = server.call("POST", "/jobs", json_body={**noon, "query": query}).json["id"]
    mapping = {"name": attack, "object": "records", "mapping": {"name": attack}}
    server.call("POST", "/mappings", json_body=mapping)
    for one in (server, google):
        server.call("PATCH", f"/instances/{one.instance_id}", json_body={"name": attack})
    google.call("POST", "/calendars", json_body={"summary": attack})
    event = {
        "summary": attack,
        "location": attack,
        "start": {"date": "2026-09-08"},
        "end": {"date": "2026-09-09"},
    }
    week = google.upload("events", json.dumps([event]).encode(), query="?plan=true").json["id"]
    google.finished(week)
    of_records = f"instance={server.instance_id}&object=records"
    return [
        "/",
        "/jobs",
        f"/jobs/{job}",
        f"/jobs/{job}/rows",
        f"/jobs/{job}/rows?search={name}",
        f"/jobs/{job}/rows/1",
        f"/jobs/{job}/rows/2",
        f"/jobs/{plan}/rows",
        f"/jobs/{download}",
        f"/jobs/{week}/week",
        "/schedules",
        f"/schedules/{schedule}",
        "/services",
        f"/services/{server.instance_id}",
        "/mappings",
        "/load",
        f"/load/{file}",
        f"/load/{file}/where?instance={google.instance_id}",
        f"/load/{file}/columns?{of_records}",
        f"/get?{of_records}",
    ]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_text_runs_nothing_wherever_it_is_shown(
    person: Person, shared_memory: Server, shared_google: Process, attack: str
) -> None:
    pages = pages_with(shared_memory, shared_memory.google(shared_google), attack)
    shown = 0
    for path in pages:
        person.open(path)
        assert person.page.evaluate("window.hit") is None, path
        assert person.page.locator("main script, main [onerror], main [onload]").count() == 0, path
        assert person.page.locator("[onfocus], main a[hx-get]").count() == 0, path
        assert person.page.locator("a[href^='javascript:' i]").count() == 0, path
        values = "[...document.querySelectorAll('input')].map(one => one.value).join(' ')"
        text = person.page.locator("html").text_content() or ""
        shown += attack in text or attack in person.page.evaluate(values)
    assert len(pages) == 20
    assert shown >= 18, "the pages show it, as text"
    assert (person.errors, person.strangers) == ([], [])


@pytest.mark.parametrize(
    "place", ["kind", "group", "search", "from", "page", "of", "state", "where"]
)
def test_what_an_address_says_is_text(person: Person, shared_memory: Server, place: str) -> None:
    job = shared_memory.done("records", b"name\nAnn\n")["id"]
    paths = [f"/jobs/{job}/rows", f"/jobs/{job}/week", "/jobs", "/get", "/mappings", "/schedules"]
    tried = 0
    for path in paths:
        for attack in ATTACKS:
            person.open(f"{path}?{urllib.parse.urlencode({place: attack})}")
            assert person.page.evaluate("window.hit") is None, (path, attack)
            assert person.page.locator("main script, [onfocus]").count() == 0, (path, attack)
            tried += 1
    assert tried == len(paths) * len(ATTACKS)
    assert person.strangers == []


def forms() -> list[str]:
    """Each address of the console that takes a form of somebody who is signed in."""

    class Parts:
        def __getattr__(self, name: str) -> None:
            return None

    routes = make_console(None, Parts()).routes  # type: ignore[arg-type]
    found = [one for one in routes if "POST" in (getattr(one, "methods", None) or ())]
    return [str(one.path) for one in found]  # type: ignore[attr-defined]


WITHOUT_SESSION = ("/sign-in", "/sign-in/oidc", "/sign-in/code", "/language", *PAGES.values())
"""Forms of people who are not signed in: none has a token, and none is taken from another site."""


def test_no_form_is_taken_without_its_token_or_from_another_site(shared_memory: Server) -> None:
    """Every address that takes one, with each kind of forgery."""
    server = shared_memory
    cookie = cookie_of(server)
    token, foreign = token_of(server, cookie), token_of(server, cookie_of(server))
    own = [path for path in forms() if path not in WITHOUT_SESSION]
    tried = 0
    for path in own:
        where = re.sub(r"\{\w+\}", "1", path)
        for given in ({}, {"csrf": ""}, {"csrf": "wrong"}, {"csrf": foreign}):
            assert post(server, where, given, Cookie=cookie).status == 403, (path, given)
            tried += 1
        for site in ("cross-site", "same-site"):
            headers = {"Cookie": cookie, "Sec-Fetch-Site": site}
            assert post(server, where, {"csrf": token}, **headers).status == 403, (path, site)
            tried += 1
    assert len(own) >= 13
    assert tried == 6 * len(own)
    for path in WITHOUT_SESSION:
        assert post(server, path, {}, **{"Sec-Fetch-Site": "cross-site"}).status == 403


def test_every_page_forbids_frames_and_foreign_scripts(shared_memory: Server) -> None:
    headers = {"Cookie": cookie_of(shared_memory), "Accept": "text/html"}
    job = shared_memory.done("records", b"name\nAnn\n")["id"]
    paths = ["/", "/jobs", f"/jobs/{job}", f"/jobs/{job}/rows", f"/jobs/{job}/live", "/get"]
    paths += ["/schedules", "/services", "/services/connect", "/load", "/mappings", "/sign-in"]
    for path in (*paths, "/no/such/page", "/jobs/999999"):
        answer = request("GET", shared_memory.process.url + path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy, path
        assert "script-src 'self'" in policy, path
        assert "unsafe" not in policy, path
        assert answer.headers["cache-control"] == "no-store", path


@pytest.mark.parametrize("back", BACK)
def test_no_address_leads_away(shared_server: Server, back: str) -> None:
    """After signing in, and after choosing a language."""
    answer = post(shared_server, "/language", {"language": "de", "back": back})
    assert answer.headers["location"] == "/"
    page = request(
        "GET", f"{shared_server.process.url}/sign-in?{urllib.parse.urlencode({'back': back})}"
    )
    assert b'name="back" value="/"' in page.body
