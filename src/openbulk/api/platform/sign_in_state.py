"""The state of a sign-in, which carries a sealed PKCE verifier through the browser (decision 12).

With PKCE (RFC 7636), a service exchanges a code for tokens only with the verifier of the sign-in's
challenge. The verifier is sealed into `state`, so nothing is stored, and any server with the master
key can finish a sign-in that another one began.
"""

import base64
import json
import re
from dataclasses import astuple, dataclass

from openbulk.domain.errors import BadInput, SealBroken
from openbulk.security import Sealer

LIFE_SECONDS = 3600
"""Seconds that a person may take to sign in."""
_STATE = re.compile(r"(?:(?P<caller>.*)\.)?pkce-(?P<sealed>[A-Za-z0-9_-]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The sign-in that a state belongs to. The state opens for no other one."""

    organization_id: int
    element: str
    api_key: str
    callback_url: str


def make_state(
    verifier: str, sign_in: SignIn, caller_state: str, sealer: Sealer, now: float
) -> str:
    """The state for a sign-in: the caller's own, a dot, and the sealed verifier."""
    # The sign-in is the context of the seal, so a state of another sign-in does not open.
    note = f"{int(now) + LIFE_SECONDS} {verifier}".encode()
    sealed = sealer.seal(note, _context(sign_in, caller_state))
    ours = f"pkce-{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"
    return f"{caller_state}.{ours}" if caller_state else ours


def read_verifier(state: str, sign_in: SignIn, sealer: Sealer, now: float) -> str | None:
    """The verifier in a state; None if `make_state` did not make it.

    Raises BadInput if the state has expired or belongs to another sign-in.
    """
    match = _STATE.fullmatch(state)
    if match is None:
        return None
    context = _context(sign_in, match["caller"] or "")
    try:
        # Python ignores surplus padding, and refuses missing padding.
        sealed = base64.urlsafe_b64decode(match["sealed"] + "==")
        expires, verifier = sealer.open(sealed, context).decode().split(" ")
    except (ValueError, SealBroken) as error:
        raise BadInput(
            "providerData.state does not belong to this sign-in: send it unchanged as it came with "
            "the code, with the element, oauth.api.key and oauth.callback.url of the sign-in URL"
        ) from error
    if now > int(expires):
        raise BadInput(
            f"this sign-in began more than {LIFE_SECONDS // 60} minutes ago; get a new URL from "
            f"/elements/{sign_in.element}/oauth/url and sign in there"
        )
    return verifier


def _context(sign_in: SignIn, caller_state: str) -> str:
    return f"sign-in {json.dumps([*astuple(sign_in), caller_state])}"
