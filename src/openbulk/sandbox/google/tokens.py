"""The codes, access tokens and refresh tokens that the sandbox has issued."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from openbulk.sandbox.google.errors import Rejected
from openbulk.sandbox.journal import Journal, JournaledDict


@dataclass(frozen=True, slots=True)
class Grant:
    """A user's permission for a client."""

    user: str
    client_id: str
    scope: str
    redirect_uri: str = ""
    offline: bool = False
    challenge: str = ""
    challenge_method: str = ""
    until: float = 0.0
    """Unix time at which its code or access token expires."""


def _decode_grant(values: Mapping[str, Any]) -> Grant:
    return Grant(**values)


class Tokens:
    """Grants by code and by token; all of them outlive the sandbox in its journal."""

    def __init__(self, token_seconds: int, journal: Journal) -> None:
        self.token_seconds = token_seconds
        self.codes = JournaledDict(journal, "codes", _decode_grant)
        self.access = JournaledDict(journal, "access tokens", _decode_grant)
        self.refresh = JournaledDict(journal, "refresh tokens", _decode_grant)
        self.clients = JournaledDict(journal, "clients", str)
        """The secret of each client."""

    def user_of(self, request: web.Request) -> str:
        """The user whose access token a call carries. Raises Rejected (401 `authError`)."""
        return self._grant_of(request).user

    def client_of(self, request: web.Request) -> str:
        """The client that signed the call's user in; empty for a service account.

        Raises Rejected (401 `authError`).
        """
        return self._grant_of(request).client_id

    def _grant_of(self, request: web.Request) -> Grant:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self.access.get(token)
        if kind != "Bearer" or grant is None or grant.until < time.time():
            location = ("header", "Authorization")
            raise Rejected(401, "authError", "Invalid Credentials", location=location)
        return grant

    def expire(self, request: web.Request) -> None:
        """Expire the access token of a call now."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.access.pop(token, None)

    def issue_access(self, grant: Grant, seconds: int) -> str:
        """A new access token."""
        # Access tokens, refresh tokens and codes begin as Google's own do.
        token = "ya29." + secrets.token_urlsafe(32)
        until = time.time() + seconds
        self.access[token] = Grant(grant.user, grant.client_id, grant.scope, until=until)
        return token

    def issue_refresh(self, grant: Grant) -> str:
        """A new refresh token."""
        token = "1//" + secrets.token_urlsafe(32)
        self.refresh[token] = grant
        return token

    def issue_code(self, grant: Grant) -> str:
        """A new authorization code."""
        code = "4/" + secrets.token_urlsafe(24)
        self.codes[code] = grant
        return code

    def revoke(self, grant: Grant) -> None:
        """Delete all tokens of the grant's user and client."""
        owner = (grant.user, grant.client_id)
        for tokens in (self.access, self.refresh):
            revoked = [name for name, one in tokens.items() if (one.user, one.client_id) == owner]
            for name in revoked:
                del tokens[name]
