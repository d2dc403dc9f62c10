"""Who may not: pages of others, forged forms, strangers."""

import re
import urllib.parse

import pytest

from support.harness import ORGANIZATION_SECRET, USER_SECRET, Reply, Server, request


def post(server: Server, path: str, fields: dict[str, str], **headers: str) -> Reply:
    body = urllib.parse.urlencode(fields).encode()
    sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return request("POST", server.process.url + path, body=body, headers=sent)


def sign_in(server: Server, back: str = "/") -> tuple[str, str]:
    """The cookie of a new session, and the place that the browser is sent to."""
    fields = {"user": USER_SECRET, "organization": ORGANIZATION_SECRET, "back": back}
    answer = post(server, "/sign-in", fields)
    assert answer.status == 303, answer.body
    return answer.headers["set-cookie"], answer.headers["location"]


def cookie_of(server: Server) -> str:
    return sign_in(server)[0].partition(";")[0]


def token_of(server: Server, cookie: str) -> str:
    page = request("GET", f"{server.process.url}/", headers={"Cookie": cookie})
    found = re.search(rb'name="csrf" value="([^"]+)"', page.body)
    assert found is not None
    return found[1].decode()


def test_the_cookie_is_for_this_server_alone(shared_server: Server) -> None:
    cookie, _ = sign_in(shared_server)
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert USER_SECRET not in urllib.parse.unquote(cookie)


def test_a_stranger_sees_the_sign_in_alone(shared_server: Server) -> None:
    for path in ("/", "/jobs", "/jobs/1", "/load", "/services", "/jobs/1/results?kind=failed"):
        answer = request("GET", shared_server.process.url + path)
        assert answer.status == 303, path
        back = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.headers["location"]).query)
        assert back == {"back": [path]}
    assert post(shared_server, "/jobs/1/cancel", {}).headers["location"].startswith("/sign-in?")


def test_the_api_takes_no_cookie(shared_server: Server) -> None:
    headers = {"Cookie": cookie_of(shared_server)}
    url = f"{shared_server.process.url}/elements/api-v2/instances"
    assert request("GET", url, headers=headers).status == 401


@pytest.mark.parametrize("token", ["", "wrong", None])
def test_a_forged_form_does_nothing(shared_memory: Server, token: str | None) -> None:
    cookie = cookie_of(shared_memory)
    fields = {"delete": "1"} if token is None else {"delete": "1", "csrf": token}
    path = f"/services/{shared_memory.instance_id}"
    assert post(shared_memory, path, fields, Cookie=cookie).status == 403
    assert post(shared_memory, "/load", fields, Cookie=cookie).status == 403
    right = {"delete": "1", "csrf": token_of(shared_memory, cookie)}
    other_site = {"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}
    assert post(shared_memory, path, right, **other_site).status == 403
    assert shared_memory.call("GET", f"/instances/{shared_memory.instance_id}").status == 200


def test_a_token_of_another_session_is_none(shared_memory: Server) -> None:
    mine, other = cookie_of(shared_memory), cookie_of(shared_memory)
    fields = {"name": "x", "csrf": token_of(shared_memory, other)}
    path = f"/services/{shared_memory.instance_id}"
    assert post(shared_memory, path, fields, Cookie=mine).status == 403


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "x"])
def test_the_sign_in_leads_to_this_server_alone(shared_server: Server, back: str) -> None:
    assert sign_in(shared_server, back)[1] == "/"


def test_wrong_secrets_open_nothing(shared_strict_server: Server) -> None:
    """After twenty an address has to wait."""
    fields = {"user": "wrong", "organization": ORGANIZATION_SECRET}
    statuses = [post(shared_strict_server, "/sign-in", fields).status for _ in range(25)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_the_cookie_is_a_number_that_says_nothing(shared_server: Server) -> None:
    """And another one at each sign-in, whatever the browser had before."""
    first = cookie_of(shared_server)
    fields = {"user": USER_SECRET, "organization": ORGANIZATION_SECRET}
    again = post(shared_server, "/sign-in", fields, Cookie=first).headers["set-cookie"]
    for cookie in (first, again):
        assert re.match(r"openbulk-session=obs_[\w-]{43}(;|$)", cookie)
    assert again.partition(";")[0] != first


def test_who_has_signed_out_is_out_also_with_a_copy_of_the_cookie(shared_server: Server) -> None:
    cookie = cookie_of(shared_server)
    fields = {"csrf": token_of(shared_server, cookie)}
    assert post(shared_server, "/sign-out", fields, Cookie=cookie).status == 303
    answer = request("GET", f"{shared_server.process.url}/", headers={"Cookie": cookie})
    assert answer.headers["location"].startswith("/sign-in")


def test_a_changed_cookie_opens_nothing(shared_server: Server) -> None:
    cookie = cookie_of(shared_server)
    changed = cookie[:-6] + ("AAAAAA" if cookie[-6:] != "AAAAAA" else "BBBBBB")
    answer = request("GET", f"{shared_server.process.url}/", headers={"Cookie": changed})
    assert answer.status == 303


def test_no_other_page_may_show_a_page(shared_server: Server) -> None:
    """And none runs what is not of this server."""
    for path in ("/sign-in", "/no/such/page"):
        headers = {"Accept": "text/html"}
        answer = request("GET", shared_server.process.url + path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_form_is_bounded(shared_server: Server) -> None:
    """Also one without a length, and a file where none belongs."""
    cookie = cookie_of(shared_server)
    large = {"name": "x" * 2_000_000}
    assert post(shared_server, "/services/1", large, Cookie=cookie).status == 413
    form = {"Content-Type": "multipart/form-data; boundary=x", "Cookie": cookie}
    url = f"{shared_server.process.url}/services/1"
    assert request("POST", url, body=b"--x--\r\n", headers=form).status == 413
