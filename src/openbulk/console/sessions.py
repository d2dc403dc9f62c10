"""Who is signed in at a browser: a cookie with the token of a session, and nothing else."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from openbulk.domain.errors import SealBroken
from openbulk.domain.people import Caller
from openbulk.domain.sessions import LIFETIME
from openbulk.security import Sealer
from openbulk.storage.sessions import Sessions

COOKIE = "openbulk-session"


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A person at a browser."""

    caller: Caller
    csrf: str
    """Each form of the person carries it: pages of others do not know it."""


class BrowserSessions:
    """Finds the sessions of browsers, and seals what browsers keep."""

    def __init__(self, sessions: Sessions, sealer: Sealer) -> None:
        self._sessions = sessions
        self._sealer = sealer

    async def session_of(self, request: Request) -> BrowserSession | None:
        """The session of a request; None without one, and after its end."""
        token = request.cookies.get(COOKIE, "")
        caller = await self._sessions.identify(token, None) if token else None
        if caller is None:
            return None
        csrf = hmac.digest(token.encode(), b"forms", hashlib.sha256)
        return BrowserSession(caller, base64.urlsafe_b64encode(csrf).decode().rstrip("="))

    def begin(self, request: Request, response: Response, token: str) -> None:
        """Have the browser keep a session that was just begun."""
        seconds = int(LIFETIME.total_seconds())
        keep_in_browser(request, response, COOKIE, token, seconds=seconds)

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


def keep_in_browser(
    request: Request, response: Response, name: str, value: str, *, seconds: int, path: str = "/"
) -> None:
    """Have the browser keep a cookie that no script sees, and no other site sends in a form."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
