"""A sign-in with a password, and how long its token holds."""

import pytest

from openbulk.api.password_sign_in import LIFE_SECONDS, CallersSecrets, PasswordSignIn
from openbulk.domain.errors import NotAllowed, NotSignedIn
from openbulk.security import Sealer

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
SECRETS = CallersSecrets("user", "organization")
SEALER = Sealer([bytes(32)])
NOON = 1_780_000_000.0


def signing_in(
    *,
    password: str | None = PASSWORD,
    secrets: CallersSecrets | None = SECRETS,
    sealer: Sealer = SEALER,
    now: float = NOON,
    email: str = EMAIL,
) -> PasswordSignIn:
    return PasswordSignIn(email, password, secrets, sealer, lambda: now)


def test_a_token_holds_for_eight_hours_on_every_server_with_these_settings() -> None:
    token = signing_in().sign_in(" Ann@Example.com", PASSWORD)
    assert signing_in(now=NOON + LIFE_SECONDS).secrets_for(token) == SECRETS
    with pytest.raises(NotSignedIn, match="expired"):
        signing_in(now=NOON + LIFE_SECONDS + 1).secrets_for(token)


@pytest.mark.parametrize(
    "other",
    [
        signing_in(password="another horse battery"),
        signing_in(email="bob@example.com"),
        signing_in(sealer=Sealer([bytes(range(32))])),
    ],
    ids=["password", "user", "master key"],
)
def test_a_token_ends_with_what_it_was_made_for(other: PasswordSignIn) -> None:
    token = signing_in().sign_in(EMAIL, PASSWORD)
    with pytest.raises(NotSignedIn, match="POST /authentication makes another"):
        other.secrets_for(token)


@pytest.mark.parametrize("token", ["", "bm9uZQ==", "no base64", "\N{SNOWMAN}"])
def test_what_is_no_token_opens_nothing(token: str) -> None:
    with pytest.raises(NotSignedIn, match="not one of this server"):
        signing_in().secrets_for(token)


@pytest.mark.parametrize(
    ("username", "password"),
    [("bob@example.com", PASSWORD), (EMAIL, f"{PASSWORD} "), (EMAIL, ""), ("", PASSWORD)],
)
def test_a_wrong_name_and_a_wrong_password_are_refused_alike(username: str, password: str) -> None:
    with pytest.raises(NotSignedIn, match="the user name or the password is wrong"):
        signing_in().sign_in(username, password)


def test_a_server_that_cannot_show_the_secrets_says_what_to_set() -> None:
    """But only to who has the password: without one, every password is wrong."""
    says = "set OPENBULK_USER_SECRET and OPENBULK_ORGANIZATION_SECRET"
    server = signing_in(secrets=None)
    with pytest.raises(NotAllowed, match=says):
        server.sign_in(EMAIL, PASSWORD)
    with pytest.raises(NotSignedIn, match="is wrong"):
        server.sign_in(EMAIL, "wrong horse battery")
    with pytest.raises(NotSignedIn, match="is wrong"):
        signing_in(password=None).sign_in(EMAIL, PASSWORD)
    for other in (server, signing_in(password=None)):
        with pytest.raises(NotSignedIn, match="set OPENBULK_USER"):
            other.secrets_for(signing_in().sign_in(EMAIL, PASSWORD))


def test_nothing_secret_is_shown_in_a_representation() -> None:
    shown = repr(signing_in())
    assert PASSWORD not in shown and "organization" not in shown
