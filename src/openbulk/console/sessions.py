"""Who is signed in at a browser: a sealed cookie, which any server with the master key can open.

It holds the secrets that the person has signed in with. They are looked up at each request: a
secret that ends ends the sessions that were opened with it.
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from openbulk.domain.errors import SealBroken
from openbulk.domain.people import Caller
from openbulk.security import Sealer
from openbulk.storage.known_secrets import KnownSecrets

COOKIE = "openbulk-session"
LIFE_SECONDS = 12 * 3600
_CONTEXT = "session of the console"


@dataclass(frozen=True, slots=True)
class Session:
    """A person at a browser."""

    caller: Caller
    csrf: str
    """Each form of the person carries it: pages of others do not know it."""


class Sessions:
    """Opens and closes sessions."""

    def __init__(self, known: KnownSecrets, sealer: Sealer) -> None:
        self._known = known
        self._sealer = sealer

    async def session_of(self, request: Request) -> Session | None:
        """The session of a request; None without one, and after its end."""
        cookie = request.cookies.get(COOKIE, "")
        content = self.open(cookie, _CONTEXT) if cookie else None
        if content is None:
            return None
        kept = json.loads(content)
        if kept["until"] < time.time():
            return None
        caller = await self._identify(kept["user"], kept["organization"])
        if caller is None:
            return None
        csrf = hmac.digest(cookie.encode(), b"forms", hashlib.sha256)
        return Session(caller, base64.urlsafe_b64encode(csrf).decode().rstrip("="))

    async def begin(
        self, request: Request, response: Response, user: str, organization: str
    ) -> Caller | None:
        """Open a session with two secrets; return whose they are, None if they are wrong."""
        caller = await self._identify(user, organization)
        if caller is None:
            return None
        until = time.time() + LIFE_SECONDS
        content = json.dumps({"user": user, "organization": organization, "until": until})
        response.set_cookie(
            COOKIE,
            self.seal(content.encode(), _CONTEXT),
            max_age=LIFE_SECONDS,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return caller

    async def _identify(self, user: str, organization: str) -> Caller | None:
        caller = await self._known.identify(user, organization, None)
        is_right = caller is not None and caller.knows_organization and not caller.problem
        return caller if is_right else None

    def end(self, response: Response) -> None:
        """Have the browser forget its session."""
        response.delete_cookie(COOKIE)

    def seal(self, content: bytes, context: str) -> str:
        """What only this installation can read, for a cookie."""
        return base64.urlsafe_b64encode(self._sealer.seal(content, context)).decode()

    def open(self, sealed: str, context: str) -> bytes | None:
        """What `seal` has sealed; None if it was not that."""
        try:
            return self._sealer.open(base64.urlsafe_b64decode(sealed), context)
        except (ValueError, SealBroken):
            return None
