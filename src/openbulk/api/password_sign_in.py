"""Signs a person in with a password, for clients that begin with one (decision 39).

The token of a sign-in is a sealed note, so nothing is stored, and any server with the same settings
and master key takes a token that another one made.
"""

import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from openbulk.domain.errors import NotAllowed, NotSignedIn, SealBroken
from openbulk.security import Sealer, fingerprint

LIFE_SECONDS = 8 * 3600
"""Seconds for which a token holds."""
WRONG = (
    "the user name or the password is wrong; an administrator can make a link for another password"
)
_NO_SIGN_IN = (
    "this server has no sign-in with a password; set OPENBULK_USER and OPENBULK_PASSWORD, or send "
    "the header 'Authorization: User <secret>, Organization <secret>'"
)
_NO_SECRETS = (
    "this server knows its callers' secrets by their fingerprints alone, so it cannot show them; "
    "set OPENBULK_USER_SECRET and OPENBULK_ORGANIZATION_SECRET"
)


@dataclass(frozen=True, slots=True)
class CallersSecrets:
    """The secrets of the first user and organization, in plain text. Never log them."""

    user: str
    organization: str


@dataclass(frozen=True, slots=True)
class PasswordSignIn:
    """The password of the first user, and what a sign-in with it opens."""

    email: str
    password: str | None = field(repr=False)
    """None if nobody may sign in with one."""
    secrets: CallersSecrets | None = field(repr=False)
    """None if this process does not have them in plain text."""
    sealer: Sealer = field(repr=False)
    clock: Callable[[], float] = time.time

    def sign_in(self, username: str, password: str) -> str:
        """A token for the right name and password. Raises NotSignedIn, NotAllowed."""
        if self.password is None:
            raise NotSignedIn(WRONG)
        # Both are compared, in constant time: how long it takes tells nothing about either.
        name_fits = _is_same(username.strip().casefold(), self.email.casefold())
        password_fits = _is_same(password, self.password)
        if not (name_fits and password_fits):
            raise NotSignedIn(WRONG)
        if self.secrets is None:
            raise NotAllowed(_NO_SECRETS)
        expires = str(int(self.clock()) + LIFE_SECONDS)
        sealed = self.sealer.seal(expires.encode(), self._context(self.password))
        return base64.urlsafe_b64encode(sealed).decode()

    def secrets_for(self, token: str) -> CallersSecrets:
        """The secrets that a token opens. Raises NotSignedIn."""
        if self.password is None:
            raise NotSignedIn(_NO_SIGN_IN)
        if self.secrets is None:
            raise NotSignedIn(_NO_SECRETS)
        try:
            sealed = base64.urlsafe_b64decode(token)
            plain = self.sealer.open(sealed, self._context(self.password))
        except (ValueError, SealBroken) as error:
            raise NotSignedIn(
                "the Bearer token is not one of this server, or the password has changed since; "
                "POST /authentication makes another"
            ) from error
        if self.clock() > int(plain):
            raise NotSignedIn("the Bearer token has expired; POST /authentication makes another")
        return self.secrets

    def _context(self, password: str) -> str:
        """What a token is sealed for. A new password ends all tokens."""
        return f"sign-in of {self.email} {fingerprint(password)}"


def _is_same(given: str, right: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(fingerprint(given), fingerprint(right))
