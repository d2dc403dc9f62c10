"""Sessions, one-time links and second factors on the wire."""

from typing import Annotated, Any

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms
from openbulk.domain.links import Link, link_address
from openbulk.domain.sessions import Session

_MILLISECONDS = "in milliseconds since 1970 (UTC)"
_CODE = "rT0jexampleexampleexampleexampleexampleexam"


# --- shapes ---


@with_config(EXACT)
class ShownSession(TypedDict):
    """A session of a user, without its token."""

    id: Annotated[int, doc("Number of the session.", 5)]
    address: Annotated[str, doc("Address from which it was begun.", "198.51.100.7")]
    program: Annotated[
        str, doc("Browser or program that has begun it, as it names itself.", "Mozilla/5.0")
    ]
    createdDate: Annotated[EpochMs, doc(f"When it was begun, {_MILLISECONDS}.", EXAMPLE_TIME)]
    lastUsedDate: Annotated[
        EpochMs, doc(f"When it was used last, to a minute, {_MILLISECONDS}.", EXAMPLE_TIME)
    ]
    expiresDate: Annotated[EpochMs, doc(f"When it ends, {_MILLISECONDS}.", EXAMPLE_TIME)]
    current: Annotated[bool, doc("Whether it is the one that makes this call.", True)]


@with_config(EXACT)
class BegunSession(ShownSession):
    """A session that was just begun. The token is shown this once."""

    token: Annotated[
        str, doc("Token for `Authorization: Bearer <token>`.", "obs_example-of-a-session")
    ]


@with_config(EXACT)
class ShownInvitation(TypedDict):
    """An invitation that is not accepted yet."""

    id: Annotated[int, doc("Number of the invitation.", 4)]
    email: Annotated[str, doc("Whom it is for.", "bob@example.com")]
    role: Annotated[str, doc("Role that the user will have.", "operator")]
    createdDate: Annotated[EpochMs, doc(f"When it was made, {_MILLISECONDS}.", EXAMPLE_TIME)]
    expiresDate: Annotated[EpochMs, doc(f"When it ends, {_MILLISECONDS}.", EXAMPLE_TIME)]


@with_config(EXACT)
class MadeInvitation(ShownInvitation):
    """An invitation that was just made. The link is shown this once."""

    code: Annotated[str, doc("Code of the link.", _CODE)]
    link: Annotated[
        str,
        doc("Address that the person opens.", f"https://openbulk.example/invitation?code={_CODE}"),
    ]


@with_config(EXACT)
class MadePasswordLink(TypedDict):
    """A link with which a user chooses another password. It is shown this once."""

    email: Annotated[str, doc("Whom it is for.", "bob@example.com")]
    expiresDate: Annotated[EpochMs, doc(f"When it ends, {_MILLISECONDS}.", EXAMPLE_TIME)]
    code: Annotated[str, doc("Code of the link.", _CODE)]
    link: Annotated[
        str,
        doc(
            "Address that the person opens.", f"https://openbulk.example/new-password?code={_CODE}"
        ),
    ]


@with_config(EXACT)
class ShownLink(TypedDict):
    """What a link is for."""

    purpose: Annotated[str, doc("invitation, password or welcome.", "invitation")]
    email: Annotated[str, doc("Whom it is for.", "bob@example.com")]
    organization: Annotated[str, doc("Name of the organization.", "Music school")]
    role: Annotated[str, doc("Role that the user has, or will have.", "operator")]
    expiresDate: Annotated[EpochMs, doc(f"When it ends, {_MILLISECONDS}.", EXAMPLE_TIME)]


@with_config(EXACT)
class OfferedTotpKey(TypedDict):
    """A key for an authenticator app. It counts with its first code, and is shown this once."""

    key: Annotated[str, doc("The key, to be typed.", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    address: Annotated[
        str,
        doc(
            "The address that the app opens.",
            "otpauth://totp/openbulk:bob%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=openbulk",
        ),
    ]


@with_config(EXACT)
class RecoveryCodes(TypedDict):
    """Codes that each sign in once, in place of one of the app. They are shown this once."""

    recoveryCodes: Annotated[
        list[str], doc("Keep them where the phone is not.", ["abcd-efgh-jkmn-pqrs"])
    ]


# --- sessions and links as shapes ---


def present_session(session: Session, current: Session | None) -> dict[str, Any]:
    """A session."""
    return {
        "id": session.id,
        "address": session.origin.address,
        "program": session.origin.program,
        "createdDate": epoch_ms(session.created_at),
        "lastUsedDate": epoch_ms(session.seen_at),
        "expiresDate": epoch_ms(session.expires_at),
        "current": current is not None and session.id == current.id,
    }


def present_begun_session(session: Session, token: str) -> dict[str, Any]:
    """A session that was just begun."""
    return {**present_session(session, None), "token": token}


def present_invitation(link: Link) -> dict[str, Any]:
    """An invitation."""
    return {
        "id": link.id,
        "email": link.email,
        "role": link.role,
        "createdDate": epoch_ms(link.created_at),
        "expiresDate": epoch_ms(link.expires_at),
    }


def present_made_invitation(link: Link, code: str, base: str) -> dict[str, Any]:
    """An invitation that was just made."""
    address = link_address(base, link.purpose, code)
    return {**present_invitation(link), "code": code, "link": address}


def present_password_link(link: Link, code: str, base: str) -> dict[str, Any]:
    """A link for another password."""
    return {
        "email": link.email,
        "expiresDate": epoch_ms(link.expires_at),
        "code": code,
        "link": link_address(base, link.purpose, code),
    }


def present_link(link: Link) -> dict[str, Any]:
    """What a link is for."""
    return {
        "purpose": link.purpose,
        "email": link.email,
        "organization": link.organization,
        "role": link.role,
        "expiresDate": epoch_ms(link.expires_at),
    }
