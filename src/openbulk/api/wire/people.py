"""Organizations, users and secrets on the wire."""

from typing import Annotated, Any, Literal

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms
from openbulk.domain.access import permissions_of
from openbulk.domain.people import KnownSecret, Organization, User

_MILLISECONDS = "in milliseconds since 1970 (UTC)"


# --- shapes ---


@with_config(EXACT)
class ShownOrganization(TypedDict):
    """An organization."""

    id: Annotated[int, doc("Number of the organization.", 1)]
    name: Annotated[str, doc("Name of the organization.", "Music school")]
    active: Annotated[bool, doc("Whether its users may call.", True)]
    createdDate: Annotated[EpochMs, doc(f"When it was made, {_MILLISECONDS}.", EXAMPLE_TIME)]
    approvals: Annotated[
        Literal["agents", "everyone"],
        doc(
            "Whose plans another person has to approve before they are carried out: `agents`, or "
            "`everyone`.",
            "agents",
        ),
    ]
    identityProvider: Annotated[
        str | None,
        doc(
            "OpenID provider at which its people can sign in; null for none.",
            "https://login.example.com/realms/school",
        ),
    ]


@with_config(EXACT)
class ShownUser(TypedDict):
    """A user of the organization."""

    id: Annotated[int, doc("Number of the user.", 2)]
    email: Annotated[str, doc("Email address of the user.", "ann@example.com")]
    firstName: Annotated[str, doc("First name; empty if it is not known.", "Ann")]
    lastName: Annotated[str, doc("Last name; empty if it is not known.", "Lee")]
    role: Annotated[
        str,
        doc("viewer, operator, approver, administrator or installation.", "operator"),
    ]
    permissions: Annotated[
        list[str], doc("What the role gives, in alphabetical order.", ["load", "plan", "read"])
    ]
    active: Annotated[bool, doc("Whether the user may call.", True)]
    hasPassword: Annotated[bool, doc("Whether the user signs in with a password.", True)]
    twoFactor: Annotated[
        bool, doc("Whether a sign-in with the password needs a code of an app, too.", False)
    ]
    identityProvider: Annotated[
        str | None,
        doc(
            "OpenID provider at which the user signs in; null for one who does not.",
            "https://login.example.com/realms/school",
        ),
    ]
    createdDate: Annotated[EpochMs, doc(f"When it was made, {_MILLISECONDS}.", EXAMPLE_TIME)]


@with_config(EXACT)
class ListedSecret(TypedDict):
    """A secret of a user or an organization, without the secret itself."""

    id: Annotated[int, doc("Number of the secret.", 3)]
    name: Annotated[str, doc("What it is for.", "nightly load")]
    scopes: Annotated[
        list[str] | None,
        doc("What an API key is for; null for a secret without bounds.", ["plan", "load"]),
    ]
    createdDate: Annotated[EpochMs, doc(f"When it was made, {_MILLISECONDS}.", EXAMPLE_TIME)]
    expiresDate: Annotated[
        EpochMs | None, doc(f"When it ends, {_MILLISECONDS}; null for never.", EXAMPLE_TIME)
    ]
    lastUsedDate: Annotated[
        EpochMs | None,
        doc(f"When it was used last, to a minute, {_MILLISECONDS}; null for never.", EXAMPLE_TIME),
    ]
    fromSettings: Annotated[
        bool, doc("Whether it is set at the start of the server, and changed there.", False)
    ]
    agent: Annotated[
        bool, doc("Whether it is the key of an agent: a person approves what it plans.", False)
    ]


@with_config(EXACT)
class MadeSecret(ListedSecret):
    """A secret that was just made. It is shown this once."""

    secret: Annotated[str, doc("The secret itself.", "obk_example-of-a-key")]


@with_config(EXACT)
class MadeOrganization(ShownOrganization):
    """An organization that was just made. The secrets are shown this once."""

    user: Annotated[ShownUser, doc("Its first user.")]
    organizationSecret: Annotated[
        str, doc("Secret of the organization.", "example-secret-of-an-organization")
    ]
    userSecret: Annotated[str, doc("Secret of the user.", "example-secret-of-a-user")]


# --- people as shapes ---


def present_organization(organization: Organization) -> dict[str, Any]:
    """An organization."""
    return {
        "id": organization.id,
        "name": organization.name,
        "active": organization.active,
        "createdDate": epoch_ms(organization.created_at),
        "approvals": organization.approvals.value,
        "identityProvider": organization.identity_issuer,
    }


def present_user(user: User) -> dict[str, Any]:
    """A user."""
    return {
        "id": user.id,
        "email": user.email,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "role": user.role,
        "permissions": sorted(permissions_of(user.role, None)),
        "active": user.active,
        "hasPassword": user.has_password,
        "twoFactor": user.has_second_factor,
        "identityProvider": user.identity_issuer,
        "createdDate": epoch_ms(user.created_at),
    }


def present_secret(secret: KnownSecret) -> dict[str, Any]:
    """A secret, without the secret itself."""
    return {
        "id": secret.id,
        "name": secret.name,
        "scopes": None if secret.scopes is None else list(secret.scopes),
        "createdDate": epoch_ms(secret.created_at),
        "expiresDate": epoch_ms(secret.expires_at),
        "lastUsedDate": epoch_ms(secret.last_used_at),
        "fromSettings": secret.from_settings,
        "agent": secret.is_agent,
    }


def present_new_secret(secret: KnownSecret, value: str) -> dict[str, Any]:
    """A secret that was just made."""
    return {**present_secret(secret), "secret": value}
