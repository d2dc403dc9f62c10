"""Google's sign-in and its many refusals, against a service that answers as each test wants."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from openbulk.connectors.base import AuthorizeRequest, ConnectionContext
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.googlecalendar.sign_in import GoogleOAuth
from openbulk.domain.errors import BadInput, Refused, SignInAgain
from support import Serve, forget

AUTH = "https://www.googleapis.com/auth/"
EVENTS = f"{AUTH}calendar.events"
ACCOUNT = "google.service_account"


@dataclass
class Google:
    """Answers sign-ins as each test wants, and keeps the calls."""

    status: int = 200
    body: Any = field(default_factory=dict)
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:token|revoke}", self.answer)
        app.router.add_get("/calendar/v3/{path:.*}", self.events)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.calls.append((request.path, form))
        return web.json_response(self.body, status=self.status)

    async def events(self, request: web.Request) -> web.Response:
        return web.json_response({"kind": "calendar#events"})

    @property
    def settings(self) -> dict[str, str]:
        return {
            "base.url": self.url + "/",
            "oauth.api.key": "client",
            "oauth.api.secret": "secret",
            "oauth.callback.url": "http://localhost/back",
        }


@pytest.fixture
async def google(serve: Serve) -> Google:
    made = Google(body={"access_token": "token", "expires_in": 3600, "refresh_token": "refresh"})
    made.url = await serve(made.app())
    return made


@cache
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key.decode()


def key_file(**changes: Any) -> str:
    """What the Google Cloud console hands out; an entry set to None is left out."""
    account = {
        "type": "service_account",
        "client_id": "112233",
        "client_email": "robot@project.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": private_key(),
        **changes,
    }
    return json.dumps({name: value for name, value in account.items() if value is not None})


# --- the address ---


def query_of_sign_in(**more: Any) -> dict[str, str]:
    request = AuthorizeRequest("client", "secret", "https://example.com/back", **more)
    query = parse_qs(urlsplit(GoogleOAuth().authorize_url(request)).query)
    return {name: values[0] for name, values in query.items()}


def test_a_challenge_goes_with_its_method() -> None:
    """Without the method Google would take the challenge for the verifier itself.

    RFC 7636, section 4.3."""
    assert {"code_challenge": "abc", "code_challenge_method": "S256"}.items() <= query_of_sign_in(
        challenge="abc"
    ).items()
    assert not {"code_challenge", "code_challenge_method"} & query_of_sign_in().keys()


def test_the_scope_is_the_narrow_one_unless_another_is_set() -> None:
    """Calendars and their sharing need scopes of their own."""
    assert query_of_sign_in()["scope"] == EVENTS
    assert (
        query_of_sign_in(scope=f"{EVENTS} {AUTH}calendar.acls")["scope"]
        == f"{EVENTS} {AUTH}calendar.acls"
    )


# --- what a person allowed ---


@pytest.mark.parametrize(
    "scope", ["", f"{AUTH}calendar.acls", "openid https://www.googleapis.com/auth/calendar.eventsx"]
)
async def test_a_person_who_left_the_box_of_events_unticked_learns_it(
    google: Google, http: aiohttp.ClientSession, scope: str
) -> None:
    """Google gives a token all the same, and every upload would fail."""
    google.body["scope"] = scope
    with pytest.raises(SignInAgain, match="left unticked on Google's consent page") as raised:
        await GoogleOAuth().exchange("4/code", google.settings, http)
    assert scope in raised.value.message


@pytest.mark.parametrize(
    "scope", [EVENTS, f"openid {EVENTS}", f"{AUTH}calendar", f"{AUTH}calendar.readonly", None]
)
async def test_a_person_who_allowed_events_in_any_way_is_signed_in(
    google: Google, http: aiohttp.ClientSession, scope: str | None
) -> None:
    """Wider scopes do, too, and narrower ones for reading.

    An answer without a scope allows what was requested."""
    google.body["scope"] = scope
    assert await GoogleOAuth().exchange("4/code", google.settings, http, verifier="v" * 43) == {
        "oauth.user.refresh_token": "refresh"
    }
    ((path, form),) = google.calls
    assert (path, form["code_verifier"]) == ("/token", "v" * 43)


# --- giving access back ---


async def test_access_is_revoked_where_it_was_granted(
    google: Google, http: aiohttp.ClientSession
) -> None:
    """Below base.url, where there is one."""
    await GoogleOAuth().revoke({**google.settings, "oauth.user.refresh_token": "refresh"}, http)
    assert google.calls == [("/revoke", {"token": "refresh"})]


async def test_a_service_account_has_nothing_to_revoke(
    google: Google, http: aiohttp.ClientSession
) -> None:
    """Its key is deleted in the Google Cloud console."""
    await GoogleOAuth().revoke({**google.settings, ACCOUNT: key_file()}, http)
    assert google.calls == []


async def test_access_that_google_does_not_revoke_is_an_error(
    google: Google, http: aiohttp.ClientSession
) -> None:
    """Whoever deletes the instance logs it."""
    google.status, google.body = 400, {"error": "unsupported_token_type"}
    with pytest.raises(Refused, match="did not revoke"):
        await GoogleOAuth().revoke({**google.settings, "oauth.user.refresh_token": "refresh"}, http)


# --- service accounts ---


def claims_of(google: Google) -> dict[str, Any]:
    claims = google.calls[0][1]["assertion"].split(".")[1]
    claims_set: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return claims_set


async def check(google: Google, http: aiohttp.ClientSession, **settings: str) -> None:
    configuration = {"base.url": google.url, ACCOUNT: key_file(), **settings}
    await GoogleCalendarProvider().connect(ConnectionContext(configuration, http, forget)).check()


@pytest.mark.parametrize("subject", ["", " ", "ann@example.com", " ann@example.com "])
async def test_a_service_account_acts_for_its_subject_or_for_itself(
    google: Google, http: aiohttp.ClientSession, subject: str
) -> None:
    """A blank subject is none."""
    await check(google, http, **{"google.subject": subject})
    claims = claims_of(google)
    assert (claims["iss"], claims["scope"]) == ("robot@project.iam.gserviceaccount.com", EVENTS)
    assert claims.get("sub", "") == subject.strip()


async def test_a_service_account_asks_for_the_scopes_that_are_set(
    google: Google, http: aiohttp.ClientSession
) -> None:
    """They have to be the administrator's.

    Google refuses an assertion with one scope more than that."""
    await check(google, http, **{"google.scope": f"{EVENTS} {AUTH}calendar.calendars"})
    assert claims_of(google)["scope"] == f"{EVENTS} {AUTH}calendar.calendars"


@pytest.mark.parametrize(
    "subject", ["ann", "ann@", "@example.com", "ann@example", "ann smith@example.com"]
)
async def test_a_subject_that_is_no_address_costs_no_call(
    google: Google, http: aiohttp.ClientSession, subject: str
) -> None:
    """Google would say no more than `invalid_grant`."""
    with pytest.raises(BadInput, match=r"google\.subject .* looks like ann@example\.com"):
        await check(google, http, **{"google.subject": subject})
    assert google.calls == []


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("/home/ann/key.json", "is not JSON; give the whole text of the file"),
        ('"text"', "is not a JSON object"),
        ("{}", "lacks client_email and private_key"),
        (
            '{"web": {"client_id": "x", "client_secret": "y"}}',
            "belong in oauth.api.key and oauth.api.secret",
        ),
        ('{"installed": {}}', "belong in oauth.api.key and oauth.api.secret"),
        ({"client_email": None}, "lacks client_email;"),
        ({"private_key": 7}, "lacks private_key;"),
        (
            {"private_key": "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"},
            "cannot be read",
        ),
        ({"private_key": "nonsense"}, "cannot be read"),
    ],
)
async def test_a_text_that_is_no_key_is_refused(
    google: Google, http: aiohttp.ClientSession, key: str | Mapping[str, Any], says: str
) -> None:
    """People paste the path, the wrong file, or half of it; what they pasted is in no message."""
    with pytest.raises(BadInput) as raised:
        await check(google, http, **{ACCOUNT: key if isinstance(key, str) else key_file(**key)})
    assert says in raised.value.message
    assert "nonsense" not in raised.value.message
    assert google.calls == []


UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, "
    "or client not authorized for any of the scopes requested."
)


@pytest.mark.parametrize(
    ("status", "error", "description", "says"),
    [
        (
            401,
            "unauthorized_client",
            UNAUTHORIZED,
            f"allow the client id 112233 the scope {EVENTS}",
        ),
        (
            400,
            "invalid_grant",
            "Invalid email or User ID",
            "google.subject is not the address of a person",
        ),
        (400, "invalid_grant", "Invalid grant: account not found", "deleted or disabled"),
        (
            400,
            "invalid_grant",
            "Invalid JWT Signature.",
            "make a new one in the Google Cloud console",
        ),
        (
            400,
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and",
            "set its clock",
        ),
        (400, "invalid_grant", "Something new.", "check that its key was not deleted"),
        (400, "access_denied", "", "check that its key was not deleted"),
    ],
)
async def test_a_service_account_that_is_refused_says_what_to_mend(
    google: Google,
    http: aiohttp.ClientSession,
    status: int,
    error: str,
    description: str,
    says: str,
) -> None:
    """Google's own words tell the causes apart, and come along."""
    google.status, google.body = status, {"error": error, "error_description": description}
    with pytest.raises(SignInAgain) as raised:
        await check(google, http, **{"google.subject": "ann@example.com"})
    assert says in raised.value.message
    assert raised.value.provider_message == (description or None)
