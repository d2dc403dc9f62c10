"""What an OpenID provider answers, understood: nothing here makes a call."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from openbulk.domain.errors import NotSignedIn, ProviderFailed
from openbulk.domain.people import EMAIL, MAX_NAME

MAX_SUBJECT = 255
"""Characters of a subject (OpenID Connect Core 1.0, section 2)."""
GOOGLE = "https://accounts.google.com"


@dataclass(frozen=True, slots=True)
class BegunSignIn:
    """A person who was sent to the provider. It is kept until they come back."""

    address: str
    """Where the person's browser goes."""
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, as the provider knows them."""

    subject: str
    """It never changes, and nobody else of this provider has it."""
    email: str | None
    """None unless the provider has verified that it is the person's."""
    first_name: str
    last_name: str
    claims: Mapping[str, Any]
    """All that the provider says of the person."""


def missing_abilities(content: Mapping[str, Any], issuer: str) -> list[str]:
    """What a provider lists as its abilities without one that openbulk needs (Discovery 1.0)."""
    needed = {
        "response_types_supported": "code",
        "code_challenge_methods_supported": "S256",
        "scopes_supported": "openid",
    }
    return [
        f"{issuer} does not list '{ability}' in {name}, and openbulk needs it"
        for name, ability in needed.items()
        if (listed := texts_of(content, name)) and ability not in listed
    ]


def texts_of(content: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list in what a provider says; none if there is no such list."""
    value = content.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def code_of(answer: Mapping[str, str], begun: BegunSignIn, issuer: str) -> str:
    """The code in an answer. Raises NotSignedIn."""
    if not secrets.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
        raise NotSignedIn("this answer of the provider belongs to no sign-in here; begin again")
    if answer.get("iss", issuer) != issuer:  # RFC 9207
        raise NotSignedIn("this answer comes from another provider; begin again")
    if "error" in answer:
        why = answer.get("error_description") or answer["error"]
        raise NotSignedIn(f"the provider has not signed you in: {why[:200]}")
    code = answer.get("code", "")
    if not code:
        raise NotSignedIn("the provider has sent no code; begin again")
    return code


def address_of(content: Mapping[str, Any], name: str, issuer: str) -> str:
    """An address in what a provider says of itself. Raises ProviderFailed."""
    address = content.get(name)
    parts = urlsplit(address) if isinstance(address, str) else None
    scheme = urlsplit(issuer).scheme
    is_plain = isinstance(address, str) and address.isascii() and address.isprintable()
    if parts is None or parts.scheme not in {"https", scheme} or not (parts.hostname and is_plain):
        raise ProviderFailed(
            f"{issuer} names no {name} that can be used: {str(address)[:200]!r}; it must begin "
            "with https://"
        )
    assert isinstance(address, str)
    return address


def usable_keys(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keys of a set that can check signatures."""
    return [
        key
        for key in content["keys"]
        if key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use", "sig") == "sig"
    ]


def identity_of(claims: Mapping[str, Any], issuer: str) -> Identity:
    """Who somebody is. Raises ProviderFailed for a subject that cannot be one."""
    subject, email = str(claims["sub"]), claims.get("email")
    if not 0 < len(subject) <= MAX_SUBJECT:
        raise ProviderFailed(
            f"{issuer} names a person by {len(subject)} characters; "
            f"a subject has 1 to {MAX_SUBJECT}"
        )
    is_email = isinstance(email, str) and EMAIL.fullmatch(email) is not None
    first, last = _text_of(claims, "given_name"), _text_of(claims, "family_name")
    return Identity(
        subject=subject,
        email=email if is_email and _is_verified(claims, issuer) else None,
        first_name=first or ("" if last else _text_of(claims, "name")),
        last_name=last,
        claims=claims,
    )


def _is_verified(claims: Mapping[str, Any], issuer: str) -> bool:
    """Whether the provider vouches that the address is the person's."""
    if "email_verified" not in claims:
        # Entra ID has no such claim. It says that somebody owns the domain of the address:
        # https://learn.microsoft.com/entra/identity-platform/optional-claims-reference
        return _is_true(claims.get("xms_edov"))
    if issuer == GOOGLE and not claims.get("hd"):
        # Google has looked at other addresses once, and they may have another owner since:
        # https://developers.google.com/identity/gsi/web/guides/verify-google-id-token
        is_googles = str(claims.get("email", "")).lower().endswith("@gmail.com")
        return is_googles and _is_true(claims["email_verified"])
    return _is_true(claims["email_verified"])


def _is_true(value: object) -> bool:
    """Some providers write "true" or "1"."""
    return str(value).lower() in {"true", "1"}


def _text_of(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return " ".join(value.split())[:MAX_NAME] if isinstance(value, str) else ""


def parse(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object of an answer; None if it is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def refusal(address: str, status: int, content: Mapping[str, Any] | None) -> str:
    """Why an answer is none that openbulk can use."""
    said = (content or {}).get("error_description") or (content or {}).get("error")
    what = f": {str(said)[:200]}" if said else ", and not with JSON as OpenID Connect asks for"
    return f"{address} answers {status}{what}"
