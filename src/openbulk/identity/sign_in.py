"""Signs people in with a password, and with a code of their authenticator app if they have one."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from openbulk.domain.errors import BadInput, Conflict, NotSignedIn, SealBroken
from openbulk.domain.people import Caller
from openbulk.domain.sessions import Origin, Session
from openbulk.identity import totp
from openbulk.identity.passwords import Passwords, require_good_password
from openbulk.security import Sealer, fingerprint
from openbulk.storage.credentials import Credential, Credentials
from openbulk.storage.sessions import Sessions

SESSION_BEGINNING = "obs_"
"""How the token of a session begins."""
CODE_SECONDS = 300
"""Seconds between the password and the code."""
_CONTEXT = "a sign-in that needs a code"
WRONG_CODE = (
    "the code is wrong, or was used already; send the one that the authenticator app shows now, "
    "or a recovery code"
)
_OTHER_SIGN_IN = "this sign-in took too long, or the password has changed; begin again"


def new_session_token() -> str:
    """The token of a session: 256 random bits."""
    return SESSION_BEGINNING + secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that was just begun. Its token is shown this once."""

    session: Session
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The password was right; a code is needed, too."""

    token: str = field(repr=False)
    """Sealed note of the password's check. It holds for `CODE_SECONDS`."""


class SignIn:
    """Passwords and codes in, sessions out."""

    def __init__(
        self,
        credentials: Credentials,
        sessions: Sessions,
        passwords: Passwords,
        sealer: Sealer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._passwords = passwords
        self._sealer = sealer
        self._clock = clock

    async def with_password(
        self, email: str, password: str, origin: Origin
    ) -> Begun | CodeNeeded | None:
        """Sign in; None if nobody has this address and password, or they are deactivated.

        It takes as long for an address that nobody has. Raises ServerBusy.
        """
        credential = await self._credentials.of_email(email)
        hashed = None if credential is None else credential.password_hash
        is_right = await self._passwords.is_right(password, hashed)
        if not is_right or credential is None or hashed is None:
            return None
        if self._passwords.is_outdated(hashed):
            renewed = await self._passwords.hash(password)
            await self._credentials.renew_hash(credential.user.id, hashed, renewed)
            hashed = renewed
        if credential.user.has_second_factor:
            return CodeNeeded(self._seal(credential.user.id, hashed))
        return await self.begin(credential.user.id, origin)

    def user_of(self, token: str) -> int:
        """The number of the user whose sign-in needs a code. Raises NotSignedIn."""
        return int(self._open(token)["user"])

    async def with_code(self, token: str, code: str, origin: Origin) -> Begun:
        """Sign in with the token of `CodeNeeded` and a code. Raises NotSignedIn."""
        note = self._open(token)
        credential = await self._credentials.of_user(note["user"])
        hashed = None if credential is None else credential.password_hash
        if credential is None or not hashed or fingerprint(hashed) != note["password"]:
            raise NotSignedIn(_OTHER_SIGN_IN)
        if not await self._takes_code(credential, code):
            raise NotSignedIn(WRONG_CODE)
        return await self.begin(credential.user.id, origin)

    async def begin(
        self,
        user_id: int,
        origin: Origin,
        *,
        user_secret_id: int | None = None,
        organization_secret_id: int | None = None,
    ) -> Begun:
        """Begin a session of somebody who has shown who they are."""
        token = new_session_token()
        session = await self._sessions.begin(
            user_id,
            token,
            origin,
            user_secret_id=user_secret_id,
            organization_secret_id=organization_secret_id,
        )
        return Begun(session, token)

    # --- what a person changes ---

    async def require_password(self, user_id: int, password: str) -> None:
        """Raise NotSignedIn unless this is the password of a user."""
        credential = await self._credentials.of_user(user_id)
        hashed = None if credential is None else credential.password_hash
        if not await self._passwords.is_right(password, hashed):
            raise NotSignedIn("the password is wrong")

    async def require_code(self, user_id: int, code: str) -> None:
        """Raise NotSignedIn unless this is a code that the user's app shows, or a recovery code."""
        credential = await self._credentials.of_user(user_id)
        if credential is None or not await self._takes_code(credential, code):
            raise NotSignedIn(WRONG_CODE)

    async def change_password(self, caller: Caller, password: str) -> None:
        """Give the caller another password, and end all their other sessions.

        Raises BadInput for one that can be guessed.
        """
        require_good_password(password, caller.user.email)
        hashed = await self._passwords.hash(password)
        keeps = None if caller.session is None else caller.session.id
        await self._credentials.set_password(caller.user.id, hashed, keeps_session=keeps)

    async def offer_second_factor(self, user_id: int) -> str:
        """A key for the user's authenticator app, which counts with its first code.

        Raises Conflict if the user has one, or no password.
        """
        credential = await self._require_credential(user_id)
        if credential.user.has_second_factor:
            raise Conflict("there is a second factor already; remove it first")
        if not credential.user.has_password:
            raise Conflict("a second factor needs a password beside it; set one first")
        key = totp.new_key()
        await self._credentials.offer_totp_key(user_id, key)
        return key

    async def begin_second_factor(self, user_id: int, code: str) -> list[str]:
        """Ask for codes from now on, and return the recovery codes. Raises BadInput, Conflict."""
        credential = await self._require_credential(user_id)
        if credential.user.has_second_factor or credential.totp_key is None:
            raise Conflict("no authenticator app is being added; begin with a new key")
        step = totp.step_of(code, credential.totp_key, self._clock())
        if step is None:
            raise BadInput(
                "code is not the one that the app shows now; the clock of the phone has to be right"
            )
        codes = totp.new_recovery_codes()
        await self._credentials.begin_second_factor(user_id, step, codes)
        return codes

    async def _require_credential(self, user_id: int) -> Credential:
        credential = await self._credentials.of_user(user_id)
        if credential is None:
            raise Conflict("this user was deactivated")
        return credential

    async def _takes_code(self, credential: Credential, code: str) -> bool:
        """Use a code; return whether it is right and was not used before."""
        user_id = credential.user.id
        if recovery := totp.normalize_recovery_code(code):
            return await self._credentials.use_recovery_code(user_id, recovery)
        if credential.totp_key is None:
            return False
        step = totp.step_of(code, credential.totp_key, self._clock())
        return step is not None and await self._credentials.use_step(user_id, step)

    def _seal(self, user_id: int, hashed: str) -> str:
        note = {
            "user": user_id,
            "password": fingerprint(hashed),
            "until": self._clock() + CODE_SECONDS,
        }
        sealed = self._sealer.seal(json.dumps(note).encode(), _CONTEXT)
        return base64.urlsafe_b64encode(sealed).decode()

    def _open(self, token: str) -> dict[str, Any]:
        try:
            note = json.loads(self._sealer.open(base64.urlsafe_b64decode(token), _CONTEXT))
        except (ValueError, SealBroken) as error:
            raise NotSignedIn(_OTHER_SIGN_IN) from error
        if note["until"] < self._clock():
            raise NotSignedIn(_OTHER_SIGN_IN)
        opened: dict[str, Any] = note
        return opened
