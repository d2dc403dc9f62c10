"""The state of a sign-in: a sealed note to ourselves that comes back with the code (decision 12).

A code that was asked for with a challenge is only given out for its verifier (PKCE, RFC 7636). The verifier travels
sealed in `state`, through the browser and back, so that nothing has to be stored and any server that has the master
key can go on with a sign-in that another one began.
"""

import base64
import json
import re
from dataclasses import astuple, dataclass

from openbulk.domain.errors import BadInput, SealBroken
from openbulk.security import Sealer

LIFE_SECONDS = 3600
"""How long a person may take to sign in."""
_OURS = re.compile(r"(?:(?P<own>.*)\.)?pkce-(?P<sealed>[A-Za-z0-9_-]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a code is for. A state that was made for one sign-in is of no use for another."""

    organization_id: int
    element: str
    api_key: str
    callback_url: str


def state_with(verifier: str, sign_in: SignIn, own_state: str, sealer: Sealer, now: float) -> str:
    """The state to send a person away with. The caller's own stands readable before it, set apart by a dot."""
    note = f"{int(now) + LIFE_SECONDS} {verifier}".encode()
    sealed = (
        base64.urlsafe_b64encode(sealer.seal(note, _context(sign_in, own_state)))
        .rstrip(b"=")
        .decode()
    )
    return f"{own_state}.pkce-{sealed}" if own_state else f"pkce-{sealed}"


def verifier_in(state: str, sign_in: SignIn, sealer: Sealer, now: float) -> str | None:
    """The verifier that a state brings back; None where it is a caller's own. Raises BadInput where it is not good."""
    ours = _OURS.fullmatch(state)
    if ours is None:
        return None
    try:
        sealed = base64.urlsafe_b64decode(ours["sealed"] + "==")
        until, verifier = (
            sealer.open(sealed, _context(sign_in, ours["own"] or "")).decode().split(" ")
        )
    except (ValueError, SealBroken) as error:
        raise BadInput(
            "providerData.state does not belong to this sign-in: give it as it came back with the code, with the "
            "element, the oauth.api.key and the oauth.callback.url that its address was asked for with"
        ) from error
    if now > int(until):
        raise BadInput(
            f"this sign-in was begun more than {LIFE_SECONDS // 60} minutes ago; ask for another address at "
            f"/elements/{sign_in.element}/oauth/url and sign in there"
        )
    return verifier


def _context(sign_in: SignIn, own_state: str) -> str:
    return f"sign-in {json.dumps([*astuple(sign_in), own_state])}"
