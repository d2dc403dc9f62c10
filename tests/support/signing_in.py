"""People with passwords and sessions, as a client of the API sees them."""

import secrets
from dataclasses import dataclass
from typing import Any

from support.harness import BASE_PATH, Reply, Server, request

PASSWORD = "correct horse battery"


def call(
    server: Server, method: str, path: str, body: Any = None, token: str = "", address: str = ""
) -> Reply:
    """Make a request with the token of a session, or with nothing.

    Each comes from an address of its own, as behind a proxy: tests would otherwise use up the wrong
    secrets that an address may send.
    """
    headers = {"X-Forwarded-For": address or f"2001:db8:{secrets.randbelow(65536):x}::1"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{server.process.url}{BASE_PATH}{path}"
    return request(method, url, json_body=body, headers=headers)


@dataclass
class SignedIn:
    """Somebody who is signed in with a password."""

    server: Server
    email: str
    token: str

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """Make a request in the session."""
        return call(self.server, method, path, body, self.token)


def sign_in(server: Server, email: str, password: str = PASSWORD, *, address: str = "") -> Reply:
    """The answer to a sign-in."""
    body = {"username": email, "password": password}
    return call(server, "POST", "/authentication", body, address=address)


def signed_in(server: Server, email: str, password: str = PASSWORD) -> SignedIn:
    """Sign in."""
    reply = sign_in(server, email, password)
    assert reply.status == 200, reply.body
    return SignedIn(server, email, reply.json["token"])


def invite(server: Server, email: str, role: str = "viewer") -> Any:
    """An invitation, made with the server's secrets."""
    body = {"email": email, "role": role}
    reply = server.call("POST", "/organizations/invitations", json_body=body)
    assert reply.status == 200, reply.body
    return reply.json


def accept(server: Server, code: str, password: str = PASSWORD, **more: str) -> Reply:
    """The answer to whoever uses a link."""
    body = {"code": code, "password": password, **more}
    return call(server, "POST", "/authentication/links/use", body)


def member(server: Server, email: str, role: str = "viewer") -> SignedIn:
    """Somebody who has accepted an invitation, and has signed in."""
    reply = accept(server, invite(server, email, role)["code"], firstName="Dora")
    assert reply.status == 200, reply.body
    return signed_in(server, email)
