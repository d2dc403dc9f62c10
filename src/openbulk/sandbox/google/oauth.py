"""Google's sign-in: consent page, codes, refresh tokens, service accounts.

https://developers.google.com/identity/protocols/oauth2/web-server
https://developers.google.com/identity/protocols/oauth2/service-account
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from openbulk.sandbox.google.answers import Rejected
from openbulk.sandbox.journal import Journal, JournaledDict
from openbulk.sandbox.page import page, paragraph
from openbulk.sandbox.traffic import json_response

CODE_SECONDS = 600
_WEB_ADDRESS = re.compile(r"https?://\S+")
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person has allowed."""

    user: str
    client_id: str
    scope: str
    redirect_uri: str = ""
    offline: bool = False
    challenge: str = ""
    challenge_method: str = ""
    until: float = 0.0


def _grant_again(values: Mapping[str, Any]) -> Grant:
    return Grant(**values)


class Refused(Exception):
    """A token request that Google would refuse (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


class SignIn:
    """Codes and tokens that were given out."""

    def __init__(self, token_seconds: int, journal: Journal) -> None:
        self.token_seconds = token_seconds
        self.codes = JournaledDict(journal, "codes", _grant_again)
        self.access = JournaledDict(journal, "access tokens", _grant_again)
        self.refresh = JournaledDict(journal, "refresh tokens", _grant_again)
        self.clients = JournaledDict(journal, "clients", str)

    def user_of(self, request: web.Request) -> str:
        """The user whose access token a call carries. Raises Rejected (401 `authError`)."""
        return self._grant_of(request).user

    def client_of(self, request: web.Request) -> str:
        """The client through which the call's user has signed in; empty for a service account."""
        return self._grant_of(request).client_id

    def _grant_of(self, request: web.Request) -> "Grant":
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self.access.get(token)
        if kind != "Bearer" or grant is None or grant.until < time.time():
            raise Rejected(
                401, "authError", "Invalid Credentials", location=("header", "Authorization")
            )
        return grant

    def expire(self, request: web.Request) -> None:
        """Let the access token of a call run out now."""
        self.access.pop(request.headers.get("Authorization", "").removeprefix("Bearer "), None)

    def issue(self, grant: Grant, seconds: int | None = None) -> tuple[str, int]:
        """A new access token and its life in seconds."""
        life = self.token_seconds if seconds is None else seconds
        token = "ya29." + secrets.token_urlsafe(32)
        self.access[token] = Grant(
            grant.user, grant.client_id, grant.scope, until=time.time() + life
        )
        return token, life

    def issue_refresh(self, grant: Grant) -> str:
        """A new refresh token."""
        token = "1//" + secrets.token_urlsafe(32)
        self.refresh[token] = grant
        return token


# --- the consent page ---


async def authorize_page(request: web.Request) -> web.Response:
    """`GET /o/oauth2/v2/auth`: who asks for what, and two buttons."""
    query = request.query
    for name in ("client_id", "redirect_uri", "scope"):
        if not query.get(name):
            return _refusal_page("invalid_request", f"Missing required parameter: {name}")
    if query.get("response_type") != "code":
        return _refusal_page("unsupported_response_type", "response_type must be code")
    if not _WEB_ADDRESS.fullmatch(query["redirect_uri"]):
        return _refusal_page("invalid_request", "redirect_uri must begin with http:// or https://")
    hidden = "".join(
        f"<input type=hidden name='{escape(name)}' value='{escape(value)}'>"
        for name, value in query.items()
    )
    scopes = "".join(f"<li>{escape(scope)}" for scope in query["scope"].split())
    user = escape(query.get("login_hint") or "sandbox@example.com")
    return page(
        "Sign in to the Google sandbox",
        f"<p><b>{escape(query['client_id'])}</b> asks for:</p><ul>{scopes}</ul>"
        f"<form method=post>{hidden}<p>as <input name=account value='{user}'></p>"
        "<button name=decision value=allow>Allow</button><button name=decision value=deny>Deny</button></form>",
    )


def _refusal_page(error: str, explanation: str) -> web.Response:
    answer = page(f"Error 400: {error}", paragraph(explanation))
    answer.set_status(400)
    return answer


def authorize(sign_in: SignIn) -> Any:
    """`POST /o/oauth2/v2/auth`: back to the one who asked, with a code or with a refusal."""

    async def handle(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        back = {"state": form["state"]} if form.get("state") else {}
        if form.get("decision") == "allow":
            code = "4/" + secrets.token_urlsafe(24)
            sign_in.codes[code] = _grant_of(form)
            back |= {"code": code, "scope": form.get("scope", "")}
        else:
            back |= {"error": "access_denied"}
        target = form.get("redirect_uri", "")
        if not _WEB_ADDRESS.fullmatch(target):
            return _refusal_page(
                "invalid_request", "redirect_uri must begin with http:// or https://"
            )
        glue = "&" if "?" in target else "?"
        return web.Response(status=302, headers={"Location": f"{target}{glue}{urlencode(back)}"})

    return handle


def _grant_of(form: Mapping[str, str]) -> Grant:
    return Grant(
        user=form.get("account") or "sandbox@example.com",
        client_id=form.get("client_id", ""),
        scope=form.get("scope", ""),
        redirect_uri=form.get("redirect_uri", ""),
        offline=form.get("access_type") == "offline",
        challenge=form.get("code_challenge", ""),
        challenge_method=form.get("code_challenge_method", "plain"),
        until=time.time() + CODE_SECONDS,
    )


# --- tokens ---


def token(sign_in: SignIn) -> Any:
    """`POST /token`: a code, a refresh token or a signed assertion for an access token."""
    grants = {
        "authorization_code": _by_code,
        "refresh_token": _by_refresh_token,
        _JWT_BEARER: _by_assertion,
    }

    async def handle(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            grant = grants.get(form.get("grant_type", ""))
            if grant is None:
                raise Refused(
                    "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}"
                )
            return json_response(grant(sign_in, form, str(request.url.with_query(None))))
        except Refused as refused:
            body = {"error": refused.error, "error_description": refused.description}
            return json_response(body, refused.status)

    return handle


def _by_code(sign_in: SignIn, form: Mapping[str, str], _audience: str) -> dict[str, Any]:
    _check_client(sign_in, form)
    grant = sign_in.codes.pop(form.get("code", ""), None)
    if grant is None or grant.until < time.time() or grant.client_id != form["client_id"]:
        raise Refused("invalid_grant", "Malformed auth code.")
    if grant.redirect_uri != form.get("redirect_uri", ""):
        raise Refused("redirect_uri_mismatch", "Bad Request")
    if grant.challenge and not _verifies(grant, form.get("code_verifier", "")):
        raise Refused("invalid_grant", "Invalid code verifier.")
    answer = _token_answer(sign_in, grant)
    if grant.offline:
        answer["refresh_token"] = sign_in.issue_refresh(grant)
    return answer


def _verifies(grant: Grant, verifier: str) -> bool:
    """Proof Key for Code Exchange (RFC 7636, section 4.6)."""
    if grant.challenge_method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(verifier.encode(), grant.challenge.encode())


def _by_refresh_token(sign_in: SignIn, form: Mapping[str, str], _audience: str) -> dict[str, Any]:
    _check_client(sign_in, form)
    grant = sign_in.refresh.get(form.get("refresh_token", ""))
    if grant is None or (grant.client_id and grant.client_id != form["client_id"]):
        raise Refused("invalid_grant", "Token has been expired or revoked.")
    return _token_answer(sign_in, grant)


def _by_assertion(sign_in: SignIn, form: Mapping[str, str], audience: str) -> dict[str, Any]:
    """A service account's assertion (RFC 7523). Its signature is not checked: the sandbox knows no public keys."""
    header, claims = _jwt(form.get("assertion", ""))
    if header.get("alg") != "RS256":
        raise Refused("invalid_grant", "Invalid JWT Signature.")
    if claims.get("aud") not in (audience, "https://oauth2.googleapis.com/token"):
        raise Refused("invalid_grant", "Invalid JWT: aud must be the token endpoint.")
    if not _is_timely(claims, time.time()):
        raise Refused(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
            "Check your iat and exp values in the JWT claim.",
        )
    if not claims.get("scope"):
        raise Refused("invalid_scope", "Empty or missing scope not allowed.")
    grant = Grant(str(claims.get("sub") or claims.get("iss")), "", str(claims["scope"]))
    return _token_answer(sign_in, grant)


def _is_timely(claims: Mapping[str, Any], now: float) -> bool:
    """Issued at most five minutes in the future, not run out, and good for an hour at most."""
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return False
    return issued - 300 <= now <= expires <= now + 3660


def _jwt(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        header, claims, signature = assertion.split(".")
        if not signature:
            raise ValueError("no signature")
        parts = [orjson.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims)]
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError("not objects")
        return parts[0], parts[1]
    except (ValueError, binascii.Error) as error:
        raise Refused("invalid_grant", "Invalid JWT: failed to parse") from error


def _check_client(sign_in: SignIn, form: Mapping[str, str]) -> None:
    """Any client is taken at first sight; from then on its secret has to be the same."""
    client, secret = form.get("client_id", ""), form.get("client_secret", "")
    if not client or not secret:
        raise Refused("invalid_request", "client_id or client_secret is missing.")
    if sign_in.clients.setdefault(client, secret) != secret:
        raise Refused("invalid_client", "Unauthorized", 401)


def _token_answer(sign_in: SignIn, grant: Grant) -> dict[str, Any]:
    access, life = sign_in.issue(grant)
    return {
        "access_token": access,
        "expires_in": life,
        "scope": grant.scope,
        "token_type": "Bearer",
    }


def revoke(sign_in: SignIn) -> Any:
    """`POST /revoke`: the token, and the refresh token of the same person and client, are worth nothing any more."""

    async def handle(request: web.Request) -> web.Response:
        token = str((await request.post()).get("token") or request.query.get("token", ""))
        grant = sign_in.access.get(token) or sign_in.refresh.get(token)
        if grant is None:
            return json_response(
                {"error": "invalid_token", "error_description": "Token expired or revoked"}, 400
            )
        for tokens in (sign_in.access, sign_in.refresh):
            for name in [
                n
                for n, g in tokens.items()
                if (g.user, g.client_id) == (grant.user, grant.client_id)
            ]:
                del tokens[name]
        return json_response({})

    return handle


def hand_out(sign_in: SignIn) -> Any:
    """`POST /sandbox/tokens {"user", "expires_in"?}`: tokens without the pages, for tests."""

    async def handle(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read() or b"{}")
        grant = Grant(
            asked.get("user", "sandbox@example.com"), "", "https://www.googleapis.com/auth/calendar"
        )
        access, life = sign_in.issue(grant, asked.get("expires_in"))
        return json_response(
            {
                "access_token": access,
                "expires_in": life,
                "refresh_token": sign_in.issue_refresh(grant),
            }
        )

    return handle
