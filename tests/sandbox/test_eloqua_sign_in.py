"""Sign-in at the Eloqua sandbox: Basic authentication, codes and refresh tokens."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from openbulk.sandbox import eloqua
from sandbox.test_eloqua import ANN, Eloqua, call, http, start_sandbox

__all__ = ["call", "http"]

APP = {"Authorization": aiohttp.encode_basic_auth("app", "secret")}
CALLBACK = "http://127.0.0.1:9/callback?x=1"
CONSENT = {
    "response_type": "code",
    "client_id": "app",
    "redirect_uri": CALLBACK,
    "scope": "full",
    "state": "s&t",
}
FIELDS = "/api/bulk/2.0/contacts/fields"


async def consent(http: aiohttp.ClientSession, url: str, decision: str) -> dict[str, str]:
    """Open the page, press a button; the parameters that come back to the app."""
    async with http.get(f"{url}/auth/oauth2/authorize", params=CONSENT) as answer:
        assert answer.status == 200
        page = await answer.text()
    form = dict(re.findall(r"<input type=hidden name='([^']*)' value='([^']*)'>", page))
    form = {name: unescape(value) for name, value in form.items()} | {"decision": decision}
    async with http.post(
        f"{url}/auth/oauth2/authorize", data=form, allow_redirects=False
    ) as answer:
        assert answer.status == 302
        location = urlsplit(answer.headers["Location"])
    back = {name: values[0] for name, values in parse_qs(location.query).items()}
    assert (back.pop("x"), back.pop("state")) == ("1", "s&t")
    return back


async def request_token(call: Eloqua, **grant: str) -> tuple[int, Any]:
    return await call("POST", "/auth/oauth2/token", grant, headers=APP)


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def test_id_says_where_the_apis_are_or_that_nobody_is_signed_in(call: Eloqua) -> None:
    urls = (await call("GET", "/id"))[1]["urls"]
    assert (urls["base"], urls["apis"]["rest"]["bulk"]) == (
        call.url,
        f"{call.url}/API/Bulk/{{version}}/",
    )
    assert await call("GET", "/id", headers={}) == (200, "Not authenticated.")


@pytest.mark.parametrize(
    "header",
    [
        aiohttp.encode_basic_auth("Acme\\ann", "wrong"),
        aiohttp.encode_basic_auth("Acme\\ann", ""),
        aiohttp.encode_basic_auth("ann", "secret"),
        "Basic \u00e4",
        "Basic",
        "Bearer made-up",
        "",
    ],
)
async def test_wrong_credentials_are_refused(call: Eloqua, header: str) -> None:
    wrong = {"Authorization": header}
    assert await call("GET", "/id", headers=wrong) == (200, "Not authenticated.")
    assert (await call("GET", FIELDS, headers=wrong))[0] == 401
    assert (await call("GET", FIELDS, headers=ANN))[0] == 200


async def test_a_person_who_accepts_signs_the_app_in(
    call: Eloqua, http: aiohttp.ClientSession
) -> None:
    back = await consent(http, call.url, "allow")
    grant = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": CALLBACK}
    status, tokens = await request_token(call, **grant)
    assert (status, tokens["token_type"], tokens["expires_in"]) == (200, "bearer", 28_800)
    assert (await call("GET", FIELDS, headers=bearer(tokens)))[0] == 200
    assert await request_token(call, **grant) == (400, {"error": "invalid_grant"})
    other = await consent(http, call.url, "allow")
    assert (
        await request_token(
            call, **{**grant, "code": other["code"], "redirect_uri": "http://127.0.0.1:9/"}
        )
    )[0] == 400


async def test_a_person_who_declines_does_not(call: Eloqua, http: aiohttp.ClientSession) -> None:
    assert await consent(http, call.url, "deny") == {"error": "access_denied"}


@pytest.mark.parametrize(
    "change",
    [
        {"response_type": "x"},
        {"client_id": ""},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://["},
    ],
)
async def test_an_invalid_request_has_no_consent_page(
    call: Eloqua, http: aiohttp.ClientSession, change: dict[str, str]
) -> None:
    async with http.get(
        f"{call.url}/auth/oauth2/authorize", params={**CONSENT, **change}
    ) as answer:
        assert answer.status == 400


async def test_nobody_is_sent_to_an_address_that_is_none(
    call: Eloqua, http: aiohttp.ClientSession
) -> None:
    form = {**CONSENT, "redirect_uri": "http://[", "decision": "allow"}
    async with http.post(f"{call.url}/auth/oauth2/authorize", data=form) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"a=\xff", "application/x-www-form-urlencoded"),
        (b"a=b", "application/x-www-form-urlencoded; charset=klingon"),
        (b"--b\r\n", "multipart/form-data; boundary=b"),
        (b"x", "multipart/form-data"),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused(
    call: Eloqua, http: aiohttp.ClientSession, content: bytes, kind: str
) -> None:
    for path, headers in (("authorize", {}), ("token", APP)):
        async with http.post(
            f"{call.url}/auth/oauth2/{path}",
            data=content,
            headers={**headers, "Content-Type": kind},
        ) as answer:
            assert answer.status == 400


async def test_a_refresh_token_is_good_once_and_old_access_tokens_stay_good(call: Eloqua) -> None:
    _, first = await request_token(
        call, grant_type="password", username="Acme\\ann", password="secret"
    )
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    status, second = await request_token(call, **refresh)
    assert (status, second["refresh_token"] != first["refresh_token"]) == (200, True)
    assert await request_token(call, **refresh) == (400, {"error": "invalid_grant"})
    for tokens in (first, second):
        assert (await call("GET", FIELDS, headers=bearer(tokens)))[0] == 200


async def test_tokens_are_given_to_known_clients_for_grants_that_exist(call: Eloqua) -> None:
    grant = {"grant_type": "password", "username": "Acme\\ann", "password": "wrong"}
    assert await request_token(call, **grant) == (400, {"error": "invalid_grant"})
    assert await request_token(call, grant_type="magic") == (
        400,
        {"error": "unsupported_grant_type"},
    )
    good = {**grant, "password": "secret"}
    assert await call("POST", "/auth/oauth2/token", good, headers={}) == (
        401,
        {"error": "invalid_client"},
    )
    assert (await call("POST", "/auth/oauth2/token", data=good, headers=APP))[0] == 200
    json = {**APP, "Content-Type": "application/json"}
    assert (await call("POST", "/auth/oauth2/token", data=b"{", headers=json))[0] == 400


async def test_an_access_token_runs_out(http: aiohttp.ClientSession) -> None:
    runner, call = await start_sandbox(http, eloqua.Options(token_seconds=0))
    _, tokens = await request_token(
        call, grant_type="password", username="Acme\\ann", password="secret"
    )
    assert (await call("GET", FIELDS, headers=bearer(tokens)))[0] == 401
    await runner.cleanup()


async def test_the_fault_expire_token_ends_the_token_of_the_call(call: Eloqua) -> None:
    _, tokens = await request_token(
        call, grant_type="password", username="Acme\\ann", password="secret"
    )
    await call("POST", "/sandbox/faults", {"spec": "expire-token=1"})
    assert (await call("GET", FIELDS, headers=bearer(tokens)))[0] == 401
    await call("POST", "/sandbox/faults", {"spec": ""})
    assert (await call("GET", FIELDS, headers=bearer(tokens)))[0] == 401
