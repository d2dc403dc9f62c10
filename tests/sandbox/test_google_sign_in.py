"""Sign-in at the Google sandbox: codes, refresh tokens and service accounts."""

import base64
import hashlib
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.test_google import CLIENT, EVENTS, Caller, ann

__all__ = ["ann"]

CALLBACK = "http://127.0.0.1:9/callback"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def consent(caller: Caller, **more: str) -> dict[str, str]:
    """Open the page, press a button; the parameters that come back to the callback."""
    parameters = {
        "client_id": "client",
        "redirect_uri": f"{CALLBACK}?x=1",
        "scope": "a b",
        "state": "s&t",
        **more,
    }
    button = parameters.pop("decision", "allow")
    status, page = await caller.call(
        "GET", "/o/oauth2/v2/auth", params={"response_type": "code", **parameters}
    )
    assert status == 200
    assert "<form method=post>" in page
    form = {"response_type": "code", **parameters, "account": "bob@example.com", "decision": button}
    async with caller.http.post(
        caller.url + "/o/oauth2/v2/auth", data=form, allow_redirects=False
    ) as answer:
        assert answer.status == 302
        location = answer.headers["Location"]
    assert location.startswith(f"{CALLBACK}?x=1&")
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def exchange(caller: Caller, code: str, **more: str) -> tuple[int, Any]:
    form = {
        **CLIENT,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"{CALLBACK}?x=1",
        **more,
    }
    return await caller.call("POST", "/token", data=form)


async def test_a_person_who_allows_signs_the_client_in(ann: Caller) -> None:
    back = await consent(ann, access_type="offline")
    assert back["state"] == "s&t"
    status, tokens = await exchange(ann, back["code"])
    assert status == 200
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "a b")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await ann.call("GET", "/calendar/v3/calendars/primary", headers=bearer))[1][
        "id"
    ] == "bob@example.com"
    form = {**CLIENT, "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    status, renewed = await ann.call("POST", "/token", data=form)
    assert status == 200
    assert "refresh_token" not in renewed
    await ann.call("POST", "/revoke", data={"token": renewed["access_token"]})
    assert (await ann.call("GET", EVENTS, headers=bearer))[0] == 401
    assert await ann.call("POST", "/token", data=form) == (
        400,
        {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
    )


async def test_a_person_who_denies_does_not(ann: Caller) -> None:
    assert await consent(ann, decision="deny") == {
        "x": "1",
        "error": "access_denied",
        "state": "s&t",
    }


async def test_a_refresh_token_comes_with_offline_access_only(ann: Caller) -> None:
    _, tokens = await exchange(ann, (await consent(ann))["code"])
    assert "refresh_token" not in tokens


async def test_a_code_is_good_once_and_for_its_client_and_address_only(ann: Caller) -> None:
    code = (await consent(ann))["code"]
    assert (await exchange(ann, code))[0] == 200
    assert (await exchange(ann, code))[1]["error"] == "invalid_grant"
    wrong_address = await exchange(
        ann, (await consent(ann))["code"], redirect_uri="http://127.0.0.1:9/other"
    )
    assert (wrong_address[0], wrong_address[1]["error"]) == (400, "redirect_uri_mismatch")
    wrong_secret = await exchange(ann, (await consent(ann))["code"], client_secret="other")
    assert (wrong_secret[0], wrong_secret[1]["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("method", ["S256", "plain"])
async def test_a_challenged_code_needs_its_verifier(ann: Caller, method: str) -> None:
    verifier = "v" * 43
    digest = (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )
    parameters = {
        "code_challenge": digest if method == "S256" else verifier,
        "code_challenge_method": method,
    }
    for wrong in ({}, {"code_verifier": "w" * 43}):
        assert (await exchange(ann, (await consent(ann, **parameters))["code"], **wrong))[1][
            "error"
        ] == "invalid_grant"
    assert (
        await exchange(ann, (await consent(ann, **parameters))["code"], code_verifier=verifier)
    )[0] == 200


def assertion(audience: str, *, algorithm: str = "RS256", **claims: Any) -> str:
    now = int(time.time())
    body = {
        "iss": "robot@x.iam",
        "scope": "a",
        "aud": audience,
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, body)] + [
        b"signature"
    ]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def test_a_service_account_acts_for_its_subject(ann: Caller) -> None:
    audience = f"{ann.url}/token"
    for claims, user in (({}, "robot@x.iam"), ({"sub": "bob@example.com"}, "bob@example.com")):
        form = {"grant_type": JWT_BEARER, "assertion": assertion(audience, **claims)}
        _, tokens = await ann.call("POST", "/token", data=form)
        assert "refresh_token" not in tokens
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await ann.call("GET", "/calendar/v3/calendars/primary", headers=bearer))[1][
            "id"
        ] == user


async def test_an_assertion_that_is_not_right_is_refused(ann: Caller) -> None:
    audience = f"{ann.url}/token"
    for wrong in (
        "nonsense",
        assertion("https://elsewhere/token"),
        assertion(audience, exp=int(time.time()) - 10),
        assertion(audience, algorithm="none"),
    ):
        status, body = await ann.call(
            "POST", "/token", data={"grant_type": JWT_BEARER, "assertion": wrong}
        )
        assert (status, body["error"]) == (400, "invalid_grant"), wrong
