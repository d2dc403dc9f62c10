"""Google's sign-in: consent page, codes, refresh tokens, service accounts.

https://developers.google.com/identity/protocols/oauth2/web-server
https://developers.google.com/identity/protocols/oauth2/service-account
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from html import escape
from itertools import filterfalse
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.forms import hidden_inputs, is_web_address, read_form, redirect
from openbulk.sandbox.google.bodies import read_body
from openbulk.sandbox.google.errors import bad_request
from openbulk.sandbox.google.tokens import Grant, Tokens
from openbulk.sandbox.page import page, paragraph
from openbulk.sandbox.traffic import json_response

CODE_SECONDS = 600
DEFAULT_USER = "sandbox@example.com"
CALENDAR_SCOPE = "https://www.googleapis.com/auth/calendar"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCE = "https://oauth2.googleapis.com/token"
"""Google's own token endpoint."""
_BUTTONS = (
    "<button name=decision value=allow>Allow</button><button name=decision value=deny>Deny</button>"
)

Form = Mapping[str, str]


class TokenRefused(Exception):
    """A token request that Google would refuse (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    def answer(self) -> web.Response:
        """Google's response."""
        body = {"error": self.error, "error_description": self.description}
        return json_response(body, self.status)


class OAuth:
    """The handlers of the consent page and of tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._grant_types: Mapping[str, Callable[[Form, str], dict[str, Any]]] = {
            "authorization_code": self._redeem_code,
            "refresh_token": self._redeem_refresh_token,
            _JWT_BEARER: self._redeem_assertion,
        }

    def routes(self) -> list[web.RouteDef]:
        """The routes of the sign-in."""
        return [
            web.get("/o/oauth2/v2/auth", self.show_consent),
            web.post("/o/oauth2/v2/auth", self.redirect_back),
            web.post("/token", self.issue_token),
            web.post("/revoke", self.revoke_token),
            web.post("/sandbox/tokens", self.issue_for_tests),
        ]

    # --- the consent page ---

    async def show_consent(self, request: web.Request) -> web.Response:
        """`GET /o/oauth2/v2/auth`: the client, its scopes, and two buttons."""
        query = request.query
        missing = list(filterfalse(query.get, ("client_id", "redirect_uri", "scope")))
        if missing:
            return _refusal_page("invalid_request", f"Missing required parameter: {missing[0]}")
        if query.get("response_type") != "code":
            return _refusal_page("unsupported_response_type", "response_type must be code")
        if not is_web_address(query["redirect_uri"]):
            return _bad_redirect_page()
        scopes = "".join(f"<li>{escape(scope)}" for scope in query["scope"].split())
        user = escape(query.get("login_hint") or DEFAULT_USER)
        return page(
            "Sign in to the Google sandbox",
            f"<p><b>{escape(query['client_id'])}</b> asks for:</p><ul>{scopes}</ul>"
            f"<form method=post>{hidden_inputs(query)}<p>as <input name=account value='{user}'></p>"
            f"{_BUTTONS}</form>",
        )

    async def redirect_back(self, request: web.Request) -> web.Response:
        """`POST /o/oauth2/v2/auth`: back to the client, with a code or with `access_denied`."""
        form = await read_form(request)
        target = form.get("redirect_uri", "")
        if not is_web_address(target):
            return _bad_redirect_page()
        back = {"state": form["state"]} if form.get("state") else {}
        if form.get("decision") == "allow":
            back["code"] = self._tokens.issue_code(_consent_grant(form))
            back["scope"] = form.get("scope", "")
        else:
            back["error"] = "access_denied"
        return redirect(target, back)

    # --- tokens ---

    async def issue_token(self, request: web.Request) -> web.Response:
        """`POST /token`: an access token for a code, a refresh token or a signed assertion."""
        form = await read_form(request)
        redeem = self._grant_types.get(form.get("grant_type", ""), _refuse_grant_type)
        try:
            return json_response(redeem(form, str(request.url.with_query(None))))
        except TokenRefused as refused:
            return refused.answer()

    def _redeem_code(self, form: Form, _audience: str) -> dict[str, Any]:
        self._check_client(form)
        # A code is valid once, even if this request is refused below.
        grant = self._tokens.codes.pop(form.get("code", ""), None)
        if grant is None or grant.until < time.time() or grant.client_id != form["client_id"]:
            raise TokenRefused("invalid_grant", "Malformed auth code.")
        if grant.redirect_uri != form.get("redirect_uri", ""):
            raise TokenRefused("redirect_uri_mismatch", "Bad Request")
        if grant.challenge and not _is_verifier(form.get("code_verifier", ""), grant):
            raise TokenRefused("invalid_grant", "Invalid code verifier.")
        tokens = self._issue_access(grant)
        if grant.offline:
            tokens["refresh_token"] = self._tokens.issue_refresh(grant)
        return tokens

    def _redeem_refresh_token(self, form: Form, _audience: str) -> dict[str, Any]:
        self._check_client(form)
        grant = self._tokens.refresh.get(form.get("refresh_token", ""))
        # Tokens for tests belong to no client: any client may redeem them.
        if grant is None or grant.client_id not in {"", form["client_id"]}:
            raise TokenRefused("invalid_grant", "Token has been expired or revoked.")
        return self._issue_access(grant)

    def _redeem_assertion(self, form: Form, audience: str) -> dict[str, Any]:
        """A service account's assertion (RFC 7523).

        Its signature is not checked: the sandbox knows no public keys.
        """
        header, claims = _parse_jwt(form.get("assertion", ""))
        if header.get("alg") != "RS256":
            raise TokenRefused("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") not in (audience, _AUDIENCE):
            raise TokenRefused("invalid_grant", "Invalid JWT: aud must be the token endpoint.")
        if not _is_timely(claims, time.time()):
            raise TokenRefused(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            )
        if not claims.get("scope"):
            raise TokenRefused("invalid_scope", "Empty or missing scope not allowed.")
        # `sub` is the user for whom the service account acts (domain-wide delegation).
        user = str(claims.get("sub") or claims.get("iss"))
        return self._issue_access(Grant(user, "", str(claims["scope"])))

    def _check_client(self, form: Form) -> None:
        """Accept any client on first use; from then on, it must send the same secret."""
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if not client or not secret:
            raise TokenRefused("invalid_request", "client_id or client_secret is missing.")
        if self._tokens.clients.setdefault(client, secret) != secret:
            raise TokenRefused("invalid_client", "Unauthorized", 401)

    def _issue_access(self, grant: Grant) -> dict[str, Any]:
        seconds = self._tokens.token_seconds
        return {
            "access_token": self._tokens.issue_access(grant, seconds),
            "expires_in": seconds,
            "scope": grant.scope,
            "token_type": "Bearer",
        }

    async def revoke_token(self, request: web.Request) -> web.Response:
        """`POST /revoke`: revoke a token and all other tokens of its user and client."""
        token = (await read_form(request)).get("token") or request.query.get("token", "")
        grant = self._tokens.access.get(token) or self._tokens.refresh.get(token)
        if grant is None:
            return TokenRefused("invalid_token", "Token expired or revoked").answer()
        self._tokens.revoke(grant)
        return json_response({})

    async def issue_for_tests(self, request: web.Request) -> web.Response:
        """`POST /sandbox/tokens {"user", "expires_in"?}`: tokens without the consent page."""
        body = await read_body(request) if request.can_read_body else {}
        user, seconds = body.get("user", DEFAULT_USER), body.get("expires_in")
        if seconds is None:
            seconds = self._tokens.token_seconds
        if not user or not isinstance(user, str) or type(seconds) not in {int, float}:
            raise bad_request()
        grant = Grant(user, "", CALENDAR_SCOPE)
        tokens = {
            "access_token": self._tokens.issue_access(grant, seconds),
            "expires_in": seconds,
            "refresh_token": self._tokens.issue_refresh(grant),
        }
        return json_response(tokens)


def _refuse_grant_type(form: Form, _audience: str) -> dict[str, Any]:
    grant_type = form.get("grant_type", "")
    raise TokenRefused("unsupported_grant_type", f"Invalid grant_type: {grant_type}")


def _bad_redirect_page() -> web.Response:
    explanation = "redirect_uri must begin with http:// or https://"
    return _refusal_page("invalid_request", explanation)


def _refusal_page(error: str, explanation: str) -> web.Response:
    return page(f"Error 400: {error}", paragraph(explanation), status=400)


def _consent_grant(form: Form) -> Grant:
    return Grant(
        user=form.get("account") or DEFAULT_USER,
        client_id=form.get("client_id", ""),
        scope=form.get("scope", ""),
        redirect_uri=form.get("redirect_uri", ""),
        offline=form.get("access_type") == "offline",
        challenge=form.get("code_challenge", ""),
        challenge_method=form.get("code_challenge_method", "plain"),
        until=time.time() + CODE_SECONDS,
    )


def _is_verifier(verifier: str, grant: Grant) -> bool:
    """Whether a verifier proves the grant's challenge (PKCE: RFC 7636, section 4.6)."""
    if grant.challenge_method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(verifier.encode(), grant.challenge.encode())


def _is_timely(claims: Mapping[str, Any], now: float) -> bool:
    """Whether an assertion is issued at most 5 minutes ahead and expires within 61 minutes."""
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return False
    return issued - 300 <= now <= expires <= now + 3660


def _parse_jwt(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims. Raises TokenRefused."""
    try:
        header, claims, signature = assertion.split(".")
        if not signature:
            raise ValueError("no signature")
        return _decode_object(header), _decode_object(claims)
    except (ValueError, binascii.Error) as error:
        raise TokenRefused("invalid_grant", "Invalid JWT: failed to parse") from error


def _decode_object(part: str) -> dict[str, Any]:
    # JWT leaves the padding out, and the decoder ignores surplus padding.
    value = orjson.loads(base64.urlsafe_b64decode(part + "=="))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
