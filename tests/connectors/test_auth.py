"""Sign-in by OAuth 2, against a token endpoint with scripted answers."""

import asyncio
from collections.abc import Mapping
from typing import Any
from unittest.mock import ANY
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web

from openbulk.connectors.auth import (
    REFRESH_TOKEN,
    BearerAuth,
    Token,
    TokenEndpoint,
    authorize_url,
    challenge_of,
    refresh_token_entry,
    request_token,
    revoke_token,
    token_for_code,
    token_refresher,
)
from openbulk.domain.errors import Refused, RetryLater, ServiceError, SignInAgain
from support import Serve, forget

REFRESH = {"grant_type": "refresh_token", "refresh_token": "refresh-secret"}
SECRETS = ("refresh-secret", "client-secret", "access-secret")


class TokenService:
    """Answers in the order of its script, and repeats the last answer."""

    def __init__(self, *script: tuple[int, Any], seconds: float = 0.0) -> None:
        self.script = list(script)
        self.seconds = seconds
        self.requests: list[dict[str, str]] = []
        self.app = web.Application()
        self.app.router.add_post("/token", self.token)
        self.app.router.add_post("/revoke", self.token)

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append({**form, "Authorization": request.headers.get("Authorization", "")})
        await asyncio.sleep(self.seconds)
        status, body = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return (
            web.Response(text=body, status=status)
            if isinstance(body, str)
            else web.json_response(body, status=status)
        )

    async def endpoint(self, serve: Serve, **more: Any) -> TokenEndpoint:
        return TokenEndpoint(f"{await serve(self.app)}/token", "client", "client-secret", **more)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def granted(access: str = "access-secret", **more: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"access_token": access, "expires_in": 3600, "token_type": "Bearer", **more}


def test_an_authorize_address_leaves_out_parameters_without_a_value() -> None:
    url = authorize_url(
        "https://example.com/auth", {"client_id": "a b", "state": None, "scope": "x/y"}
    )
    assert parse_qs(urlsplit(url).query) == {"client_id": ["a b"], "scope": ["x/y"]}


def test_a_challenge_is_that_of_the_rfc() -> None:
    """The example of RFC 7636, appendix B."""
    assert (
        challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


# --- tokens and refusals ---


@pytest.mark.parametrize("secret_in_header", [False, True])
async def test_the_secret_is_in_the_form_or_in_the_header(
    http: aiohttp.ClientSession, serve: Serve, secret_in_header: bool
) -> None:
    service = TokenService(granted(refresh_token="next"))
    endpoint = await service.endpoint(serve, secret_in_header=secret_in_header)
    assert await request_token(http, endpoint, REFRESH) == Token("access-secret", 3600.0, "next")
    in_form = {"client_id": "client", "client_secret": "client-secret", "Authorization": ""}
    in_header = {"Authorization": "Basic Y2xpZW50OmNsaWVudC1zZWNyZXQ="}
    assert service.requests == [REFRESH | (in_header if secret_in_header else in_form)]


@pytest.mark.parametrize(
    ("status", "body", "error", "says", "provider_says"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "Gone."},
            SignInAgain,
            "sign in again",
            "Gone.",
        ),
        (
            401,
            {"error": "invalid_client"},
            SignInAgain,
            "check oauth.api.key and oauth.api.secret",
            None,
        ),
        (401, "", SignInAgain, "check oauth.api.key and oauth.api.secret", None),
        (
            401,
            {"error": "unauthorized_client"},
            SignInAgain,
            "the administrator of their organization",
            None,
        ),
        (400, {"error": "redirect_uri_mismatch"}, SignInAgain, "oauth.callback.url is not", None),
        (
            400,
            {"error": "invalid_grant", "error_description": "Missing code verifier."},
            SignInAgain,
            "state",
            ANY,
        ),
        (
            400,
            {
                "error": "invalid_grant",
                "error_description": "code_verifier or verifier is not needed.",
            },
            SignInAgain,
            "otherwise give no state",
            ANY,
        ),
        (400, {"error": "org_internal"}, SignInAgain, r"\(org_internal\)", None),
        (404, "<html>", SignInAgain, r"\(404\)", "<html>"),
        (400, '{"error": ', SignInAgain, r"\(400\)", '{"error": '),
        (400, "[]", SignInAgain, r"\(400\)", "[]"),
        (400, {"error": "internal_failure"}, RetryLater, "internal_failure", None),
        (500, "", RetryLater, "failed with 500", ""),
        (503, "", RetryLater, "busy", ""),
        (429, "", RetryLater, "busy", ""),
        (200, "<html>", RetryLater, "not JSON", None),
        (200, {"welcome": "to our network"}, RetryLater, "without a token", None),
        (200, [], RetryLater, "answered 200 with a list; expected an object", None),
        (
            200,
            {"access_token": "access-secret", "expires_in": "soon"},
            RetryLater,
            "without a token",
            None,
        ),
    ],
)
async def test_a_refusal_says_what_to_do_and_never_a_secret(
    http: aiohttp.ClientSession,
    serve: Serve,
    status: int,
    body: Any,
    error: type[ServiceError],
    says: str,
    provider_says: str | None,
) -> None:
    endpoint = await TokenService((status, body)).endpoint(serve)
    with pytest.raises(error, match=says) as raised:
        await request_token(http, endpoint, REFRESH)
    assert raised.value.provider_message == provider_says
    shown = f"{raised.value!r} {raised.value.__cause__!r} {endpoint!r}"
    assert not [secret for secret in SECRETS if secret in shown]


async def test_a_token_service_that_does_not_answer_is_tried_later(
    http: aiohttp.ClientSession,
) -> None:
    with pytest.raises(RetryLater, match="cannot be reached"):
        await request_token(http, TokenEndpoint("http://127.0.0.1:1/token"), REFRESH)


def test_a_token_that_is_printed_shows_nothing() -> None:
    assert "secret" not in repr(Token("access-secret", 1.0, "refresh-secret"))


async def test_the_scope_of_a_token_is_read(http: aiohttp.ClientSession, serve: Serve) -> None:
    """A person may have left a box unticked: the scope is narrower than the requested one."""
    endpoint = await TokenService(granted(scope="a b")).endpoint(serve)
    assert (await request_token(http, endpoint, REFRESH)).scope == "a b"


# --- codes ---


@pytest.mark.parametrize("verifier", [None, "v" * 43])
async def test_a_code_is_traded_with_its_verifier_where_it_has_one(
    http: aiohttp.ClientSession, serve: Serve, verifier: str | None
) -> None:
    """A service refuses a verifier without a challenge, and a challenge without a verifier."""
    service = TokenService(granted(refresh_token="next"))
    settings = {"oauth.callback.url": "http://localhost/back"}
    token = await token_for_code(http, await service.endpoint(serve), "4/code", settings, verifier)
    assert refresh_token_entry(token, element="x") == {REFRESH_TOKEN: "next"}
    assert service.requests[0].get("code_verifier") == verifier
    assert (service.requests[0]["code"], service.requests[0]["redirect_uri"]) == (
        "4/code",
        "http://localhost/back",
    )


# --- revoking ---


@pytest.mark.parametrize("answer", [(200, {}), (400, {"error": "invalid_token"})])
async def test_a_token_that_the_service_does_not_know_counts_as_revoked(
    http: aiohttp.ClientSession, serve: Serve, answer: tuple[int, Any]
) -> None:
    """It is worth nothing, as it should be."""
    service = TokenService(answer)
    await revoke_token(
        http, (await service.endpoint(serve)).url.replace("/token", "/revoke"), "refresh-secret"
    )
    assert service.requests == [{"token": "refresh-secret", "Authorization": ""}]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, {"error": "x"}), Refused),
        ((404, "<html>"), Refused),
        ((503, ""), RetryLater),
        ((500, ""), ServiceError),
    ],
)
async def test_a_failure_to_revoke_is_an_error_without_the_token(
    http: aiohttp.ClientSession, serve: Serve, answer: tuple[int, Any], error: type[ServiceError]
) -> None:
    """The token is in no message."""
    endpoint = await TokenService(answer).endpoint(serve)
    with pytest.raises(error) as raised:
        await revoke_token(http, endpoint.url.replace("/token", "/revoke"), "refresh-secret")
    assert "refresh-secret" not in f"{raised.value!r} {raised.value.__cause__!r}"


# --- refresh tokens that change ---


async def test_a_rotated_refresh_token_is_remembered_and_used(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    service = TokenService(granted(refresh_token="second"), granted())
    remembered: list[Mapping[str, str]] = []

    async def remember(changes: Mapping[str, str]) -> None:
        remembered.append(changes)

    fetch = token_refresher(http, await service.endpoint(serve), "first", remember)
    for _ in range(3):
        await fetch()
    assert [form["refresh_token"] for form in service.requests] == ["first", "second", "second"]
    assert remembered == [{REFRESH_TOKEN: "second"}]


async def test_a_rotated_refresh_token_survives_a_caller_who_gives_up(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    service = TokenService(granted(refresh_token="second"), seconds=0.2)
    remembered = asyncio.Event()

    async def remember(_changes: Mapping[str, str]) -> None:
        remembered.set()

    auth = BearerAuth(token_refresher(http, await service.endpoint(serve), "first", remember))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(auth.headers(), 0.1)
    await asyncio.wait_for(remembered.wait(), 60)
    assert await auth.headers() == {"Authorization": "Bearer access-secret"}
    assert len(service.requests) == 1


# --- access tokens ---


async def signed_in(
    http: aiohttp.ClientSession, serve: Serve, service: TokenService
) -> tuple[BearerAuth, Clock]:
    clock = Clock()
    return BearerAuth(
        token_refresher(http, await service.endpoint(serve), "first", forget), clock
    ), clock


async def test_calls_that_wait_share_one_token(http: aiohttp.ClientSession, serve: Serve) -> None:
    service = TokenService(granted(), seconds=0.05)
    auth, _ = await signed_in(http, serve, service)
    headers = await asyncio.gather(*(auth.headers() for _ in range(50)))
    assert headers == [{"Authorization": "Bearer access-secret"}] * 50
    assert len(service.requests) == 1


async def test_a_token_is_renewed_a_minute_before_it_runs_out(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    service = TokenService(granted("one"), granted("two"))
    auth, clock = await signed_in(http, serve, service)
    seen = []
    for clock.now in (0.0, 3539.0, 3540.0):
        seen.append((await auth.headers())["Authorization"])
    assert seen == ["Bearer one", "Bearer one", "Bearer two"]


async def test_a_token_that_many_calls_see_refused_is_renewed_once(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    service = TokenService(granted("one"), granted("two"), seconds=0.05)
    auth, _ = await signed_in(http, serve, service)
    refused = await auth.headers()
    assert await asyncio.gather(*(auth.renew(refused) for _ in range(50))) == [True] * 50
    assert await auth.renew(refused), "a call that comes late with the old token"
    assert await auth.headers() == {"Authorization": "Bearer two"}
    assert len(service.requests) == 2


async def test_calls_that_wait_share_a_failure_and_the_next_call_tries_again(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    service = TokenService((503, ""), granted(), seconds=0.05)
    auth, _ = await signed_in(http, serve, service)
    ends = await asyncio.gather(*(auth.headers() for _ in range(50)), return_exceptions=True)
    assert {type(end) for end in ends} == {RetryLater}
    assert len(service.requests) == 1
    assert await auth.headers() == {"Authorization": "Bearer access-secret"}
