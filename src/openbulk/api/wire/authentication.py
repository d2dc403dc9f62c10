"""A sign-in with a password on the wire."""

from typing import Annotated, Any, Protocol

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc

_TOKEN = "c2VhbGVkIG5vdGUgb2YgYSBzaWduLWlu"  # noqa: S105 - an example


# --- shapes ---


@with_config(EXACT)
class SignedIn(TypedDict):
    """A sign-in with a password."""

    token: Annotated[str, doc("Token for `Authorization: Bearer <token>`.", _TOKEN)]
    # The names are the wire contract's.
    twoFactor: Annotated[
        bool, doc("Whether a code of an app is needed, too: POST /authentication/code.", False)
    ]
    registeredForTwoFactor: Annotated[
        bool, doc("Whether the user has an authenticator app.", False)
    ]


@with_config(EXACT)
class CallersSecrets(TypedDict):
    """The secrets for `Authorization: User <secret>, Organization <secret>`."""

    userSecret: Annotated[str, doc("Secret of the user.", "example-secret-of-a-user")]
    organizationSecret: Annotated[
        str, doc("Secret of the organization.", "example-secret-of-an-organization")
    ]


# --- sign-ins as shapes ---


class _Secrets(Protocol):
    @property
    def user(self) -> str: ...

    @property
    def organization(self) -> str: ...


def present_sign_in(token: str, *, needs_code: bool = False) -> dict[str, Any]:
    """A sign-in."""
    return {"token": token, "twoFactor": needs_code, "registeredForTwoFactor": needs_code}


def present_secrets(secrets: _Secrets) -> dict[str, Any]:
    """The secrets that a sign-in opens."""
    return {"userSecret": secrets.user, "organizationSecret": secrets.organization}
