"""Sign-in with OpenID Connect, at a provider that others wrote, and at one that lies."""

import base64
import hashlib
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from openbulk.domain.access import Role
from openbulk.domain.errors import NotSignedIn, ProviderFailed
from openbulk.domain.role_rule import RoleRule
from openbulk.identity.oidc import OpenIdConnect, Registration
from openbulk.identity.oidc_answers import GOOGLE, BegunSignIn, Identity, identity_of
from support.oidc import agree, oidc_provider

BACK = "http://127.0.0.1:9/sign-in/back"
ANN = {
    "sub": "ann",
    "email": "ann@example.com",
    "email_verified": True,
    "name": "Ann Ahlers",
}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with oidc_provider(tmp_path_factory.mktemp("oidc"), ANN) as found:
        yield found


@pytest.fixture
async def connect() -> AsyncIterator[OpenIdConnect]:
    async with aiohttp.ClientSession() as http:
        yield OpenIdConnect(http)


async def test_a_person_signs_in(connect: OpenIdConnect, issuer: str) -> None:
    registration = Registration(issuer, "openbulk", "secret/of:openbulk")
    begun = await connect.begin(registration, BACK)
    who = await connect.finish(registration, BACK, begun, agree(begun.address, "ann"))
    assert (who.subject, who.email, who.first_name) == ("ann", "ann@example.com", "Ann Ahlers")


async def test_the_secret_and_the_verifier_are_not_in_the_address(
    connect: OpenIdConnect, issuer: str
) -> None:
    registration = Registration(issuer, "openbulk", "secret/of:openbulk")
    begun = await connect.begin(registration, BACK)
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(begun.address).query))
    digest = hashlib.sha256(begun.verifier.encode()).digest()
    assert query["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert query["code_challenge_method"] == "S256"
    assert "secret" not in begun.address and begun.verifier not in begun.address
    assert "secret" not in repr(registration)


async def test_a_code_signs_in_once(connect: OpenIdConnect, issuer: str) -> None:
    registration = Registration(issuer, "openbulk", "secret")
    begun = await connect.begin(registration, BACK)
    answer = agree(begun.address, "ann")
    await connect.finish(registration, BACK, begun, answer)
    with pytest.raises(ProviderFailed, match="answers 400"):
        await connect.finish(registration, BACK, begun, answer)


async def test_an_answer_to_another_sign_in_is_refused(connect: OpenIdConnect, issuer: str) -> None:
    """Else somebody could sign a victim in as themselves."""
    registration = Registration(issuer, "openbulk", "secret")
    mine, theirs = [await connect.begin(registration, BACK) for _ in range(2)]
    with pytest.raises(NotSignedIn, match="belongs to no sign-in"):
        await connect.finish(registration, BACK, mine, agree(theirs.address, "ann"))


async def test_a_person_who_is_refused_hears_why(connect: OpenIdConnect, issuer: str) -> None:
    registration = Registration(issuer, "openbulk", "secret")
    begun = await connect.begin(registration, BACK)
    answer = {"state": begun.state, "error": "access_denied", "error_description": "not today"}
    with pytest.raises(NotSignedIn, match="not today"):
        await connect.finish(registration, BACK, begun, answer)


async def test_a_provider_that_is_none_is_named(connect: OpenIdConnect) -> None:
    with pytest.raises(ProviderFailed, match="does not answer"):
        await connect.begin(Registration("http://127.0.0.1:9", "openbulk", ""), BACK)


class Liar:
    """A provider whose answers a test chooses."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.keys = [self.key]
        self.issuer = ""
        self.metadata: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.claims: dict[str, Any] = {}
        self.signed_with: Any = self.key
        self.userinfo: dict[str, Any] | None = None
        self.begun: BegunSignIn | None = None
        self.asked_for_keys = 0
        self.refusal: tuple[int, dict[str, str]] | None = None
        """What the token endpoint answers in place of tokens."""

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self.discovery)
        application.router.add_get("/keys", self.answer_keys)
        application.router.add_post("/token", self.token)
        application.router.add_get("/userinfo", self.answer_userinfo)
        return application

    async def discovery(self, _: web.Request) -> web.Response:
        content = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **({"userinfo_endpoint": f"{self.issuer}/userinfo"} if self.userinfo else {}),
        }
        return web.json_response({**content, **self.metadata})

    async def answer_keys(self, _: web.Request) -> web.Response:
        self.asked_for_keys += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    async def answer_userinfo(self, _: web.Request) -> web.Response:
        return web.json_response(self.userinfo)

    async def token(self, _: web.Request) -> web.Response:
        if self.refusal is not None:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        assert self.begun is not None
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "openbulk",
            "sub": "ann",
            "iat": now,
            "exp": now + 60,
            "nonce": self.begun.nonce,
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        algorithms = [self.header["alg"]]
        text = jwt.encode(self.header, kept, self.signed_with, algorithms=algorithms)
        return web.json_response({"id_token": text, "access_token": "a", "token_type": "Bearer"})

    async def sign_in(self, connect: OpenIdConnect) -> Identity:
        registration = Registration(self.issuer, "openbulk", "secret")
        self.begun = await connect.begin(registration, BACK)
        answer = {"state": self.begun.state, "code": "1"}
        return await connect.finish(registration, BACK, self.begun, answer)


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    provider = Liar()
    runner = web.AppRunner(provider.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield provider
    await runner.cleanup()


async def test_an_honest_provider_signs_in(connect: OpenIdConnect, liar: Liar) -> None:
    """The one that the lies below begin from."""
    assert (await liar.sign_in(connect)).subject == "ann"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example.com"},
        {"aud": "another"},
        {"aud": ["openbulk", "another"], "azp": "another"},
        {"aud": ["openbulk", "another"]},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1_000},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"iat": 9_999_999_999},
        {"at_hash": "another"},
    ],
    ids=str,
)
async def test_a_token_for_somebody_or_something_else_is_refused(
    connect: OpenIdConnect, liar: Liar, claims: dict[str, Any]
) -> None:
    liar.claims = claims
    with pytest.raises(NotSignedIn, match="does not hold"):
        await liar.sign_in(connect)


async def test_a_token_without_the_provider_s_signature_is_refused(
    connect: OpenIdConnect, liar: Liar
) -> None:
    liar.signed_with = RSAKey.generate_key(2048, {"kid": "one"})
    with pytest.raises(NotSignedIn, match="no signature"):
        await liar.sign_in(connect)


async def test_a_token_signed_with_what_both_know_is_refused(
    connect: OpenIdConnect, liar: Liar
) -> None:
    """The public key, or the client's secret, is no proof."""
    liar.header = {"alg": "HS256", "kid": "one"}
    liar.signed_with = OctKey.import_key("secret" * 8)
    with pytest.raises(NotSignedIn, match="no signature"):
        await liar.sign_in(connect)


async def test_a_token_without_any_signature_is_refused(connect: OpenIdConnect, liar: Liar) -> None:
    """Whoever can write `none` in a header has shown nothing."""
    liar.header, liar.signed_with = {"alg": "none"}, OctKey.import_key("x" * 32)
    with pytest.raises(NotSignedIn, match="no signature"):
        await liar.sign_in(connect)


async def test_a_new_key_of_the_provider_is_learned(liar: Liar) -> None:
    now = time.time()
    async with aiohttp.ClientSession() as http:
        connect = OpenIdConnect(http, lambda: now)
        await liar.sign_in(connect)
        new = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
        liar.keys, liar.signed_with = [new], new  # type: ignore[list-item]
        liar.header = {"alg": "ES256", "kid": "two"}
        now += 31
        assert (await liar.sign_in(connect)).subject == "ann"
        liar.header = {"alg": "ES256", "kid": "three"}
        liar.signed_with = ECKey.generate_key("P-256", {"kid": "three"})
        for _ in range(3):
            with pytest.raises(NotSignedIn):
                await liar.sign_in(connect)
    assert liar.asked_for_keys == 2, "tokens with unknown keys cost the provider no calls"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"issuer": "https://other.example.com"}, "calls itself"),
        ({"token_endpoint": "file:///etc/passwd"}, "token_endpoint"),
        ({"jwks_uri": None}, "jwks_uri"),
        ({"filling": "x" * 300_000}, "more than 262,144 bytes"),
    ],
    ids=["issuer", "token", "keys", "size"],
)
async def test_a_provider_that_says_wrong_things_of_itself_is_refused(
    connect: OpenIdConnect, liar: Liar, metadata: dict[str, Any], message: str
) -> None:
    liar.metadata = metadata
    with pytest.raises(ProviderFailed, match=message):
        await liar.sign_in(connect)


@pytest.mark.parametrize(
    ("verified", "email"),
    [(True, "ann@example.com"), ("true", "ann@example.com"), (False, None), (None, None)],
)
async def test_an_address_counts_once_it_is_verified(
    connect: OpenIdConnect, liar: Liar, verified: object, email: str | None
) -> None:
    """Else a person could enter another's address at the provider, and be them here."""
    liar.claims = {"email": "ann@example.com", "email_verified": verified}
    assert (await liar.sign_in(connect)).email == email


async def test_entra_says_that_somebody_owns_the_domain_of_the_address(
    connect: OpenIdConnect, liar: Liar
) -> None:
    """It has no `email_verified`. Where there is one, it counts."""
    liar.claims = {"email": "ann@example.com", "xms_edov": True}
    assert (await liar.sign_in(connect)).email == "ann@example.com"
    liar.claims = {"email": "ann@example.com", "xms_edov": True, "email_verified": False}
    assert (await liar.sign_in(connect)).email is None


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({"email": "ann@school.example", "hd": "school.example"}, "ann@school.example"),
        ({"email": "ann@gmail.com"}, "ann@gmail.com"),
        ({"email": "ann@school.example"}, None),
    ],
)
def test_google_vouches_for_its_own_addresses_alone(
    claims: dict[str, Any], email: str | None
) -> None:
    """Any other has been looked at once, and may have another owner since."""
    told = {"sub": "1", "email_verified": True, **claims}
    assert identity_of(told, GOOGLE).email == email


def test_a_subject_has_a_length() -> None:
    with pytest.raises(ProviderFailed, match="a subject has 1 to 255"):
        identity_of({"sub": "x" * 256}, "https://login.example.com")


@pytest.mark.parametrize(
    ("refusal", "problem"),
    [
        ((400, {"error": "invalid_grant"}), ""),
        ((401, {"error": "invalid_client"}), "does not take this client"),
        ((500, {}), "does not take this client"),
    ],
)
async def test_a_client_is_tried_out_without_a_person(
    connect: OpenIdConnect, liar: Liar, refusal: tuple[int, dict[str, str]], problem: str
) -> None:
    liar.refusal = refusal
    found = await connect.problems_of(Registration(liar.issuer, "openbulk", "wrong"), BACK)
    assert ("".join(found) == "") if problem == "" else problem in found[0]


async def test_what_a_provider_cannot_do_is_named(connect: OpenIdConnect, liar: Liar) -> None:
    liar.refusal = (400, {"error": "invalid_grant"})
    liar.metadata = {"code_challenge_methods_supported": ["plain"]}
    found = await connect.problems_of(Registration(liar.issuer, "openbulk", ""), BACK)
    assert found == [
        f"{liar.issuer} does not list 'S256' in code_challenge_methods_supported, and openbulk "
        "needs it"
    ]


async def test_a_person_is_asked_again_on_request(connect: OpenIdConnect, liar: Liar) -> None:
    begun = await connect.begin(Registration(liar.issuer, "openbulk", ""), BACK, asks_again=True)
    assert "prompt=login" in begun.address


async def test_what_the_provider_says_beside_the_token_counts_for_the_same_person(
    connect: OpenIdConnect, liar: Liar
) -> None:
    liar.userinfo = {"sub": "ann", "groups": ["teachers"], "iss": "another"}
    found = await liar.sign_in(connect)
    assert (found.claims["groups"], found.claims["iss"]) == (["teachers"], liar.issuer)
    liar.userinfo = {"sub": "bob", "groups": ["heads"]}
    with pytest.raises(NotSignedIn, match="two people"):
        await liar.sign_in(connect)


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["teachers", "heads"]}, Role.ADMINISTRATOR),
        ({"groups": "teachers"}, Role.OPERATOR),
        ({"groups": ["parents"]}, None),
        ({"groups": {"teachers": True}}, None),
        ({}, None),
    ],
)
def test_a_claim_gives_the_role_that_may_most(claims: dict[str, Any], role: Role | None) -> None:
    rule = RoleRule("groups", {"teachers": Role.OPERATOR, "heads": Role.ADMINISTRATOR})
    assert rule.role_of(claims) == role


def test_a_claim_may_be_inside_of_another() -> None:
    rule = RoleRule("realm_access.roles", {"load": Role.OPERATOR}, Role.VIEWER)
    assert rule.role_of({"realm_access": {"roles": ["load"]}}) == Role.OPERATOR
    assert rule.role_of({"realm_access": ["load"]}) == Role.VIEWER
    assert rule.role_of({"realm_access.roles": ["load"]}) == Role.OPERATOR
