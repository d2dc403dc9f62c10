"""Connects a service: asks what it needs, and signs in with a browser where a person has to."""

import getpass
import secrets
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from openbulk.client.api import Api
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.output import is_interactive, notes, plain
from openbulk.client.targets import element_key

SIGN_IN_SECONDS = 600.0
_WITHOUT_CHALLENGE = frozenset({"eloqua"})
"""Services whose sign-in knows no PKCE (RFC 7636). There, `state` alone ties the code to it."""
_DONE = (
    b"<!doctype html><title>openbulk</title><p>You can close this page and go back to the terminal."
)


@dataclass(frozen=True, slots=True)
class Connection:
    """A service to connect."""

    service: str
    name: str | None
    configuration: Mapping[str, str]
    opens_browser: bool


def connect_service(api: Api, wanted: Connection) -> dict[str, Any]:
    """Connect a service, and return its instance without its token. Raises CommandFailed."""
    key = element_key(wanted.service)
    element = api.get(f"/elements/{key}")
    configuration = dict(wanted.configuration)
    body: dict[str, Any] = {"element": {"key": key}}
    if _signs_in_with_browser(element, configuration):
        body["providerData"] = _sign_in(api, key, configuration, opens_browser=wanted.opens_browser)
    else:
        configuration = _ask_for_rest(element, configuration)
    body["configuration"] = configuration
    if wanted.name is not None:
        body["name"] = wanted.name
    instance = api.post("/instances", body)
    instance.pop("token", None)
    return dict(instance)


def _signs_in_with_browser(element: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    kind = str((element.get("authentication") or {}).get("type", ""))
    others = ("oauth.user.refresh_token", "google.service_account", "username")
    return kind.startswith("oauth") and not any(key in given for key in others)


def _ask_for_rest(element: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """The configuration with what a person types.

    Entries that are marked as required are asked always. The others are asked if none is given and
    somebody can answer; Enter leaves one out.
    """
    known = dict(given)
    asks_all = not given and is_interactive()
    for entry in element.get("configuration", []):
        key, is_secret = entry["key"], entry.get("type") == "PASSWORD"
        if key in known or not (entry.get("required") or (asks_all and _is_own(key))):
            continue
        if is_interactive() and entry.get("description"):
            notes().print(plain(entry["description"]))
        value = _ask(key, is_secret)
        if value:
            known[key] = value
    return known


def _is_own(key: str) -> bool:
    """Whether an entry is of the service, and not of callbacks, formats and sign-ins."""
    return not key.startswith(("event.", "bulk.", "oauth."))


def _ask(key: str, is_secret: bool) -> str:
    if not is_interactive():
        raise CommandFailed(f"{key} is missing; give it with --set {key}=...", ExitCode.USAGE)
    if is_secret:
        return getpass.getpass(f"{key}: ")
    notes().print(f"{plain(key)}: ", end="")
    return input().strip()


def _sign_in(
    api: Api, key: str, configuration: dict[str, str], *, opens_browser: bool
) -> dict[str, str]:
    """Have a person sign in, with a redirect to this machine (RFC 8252, section 7.3)."""
    for entry in ("oauth.api.key", "oauth.api.secret"):
        if entry not in configuration:
            configuration[entry] = _ask(entry, entry.endswith("secret"))
    with HTTPServer(("127.0.0.1", 0), _Redirect) as listener:
        back = f"http://127.0.0.1:{listener.server_port}/"
        configuration["oauth.callback.url"] = back
        body = {
            "apiKey": configuration["oauth.api.key"],
            "apiSecret": configuration["oauth.api.secret"],
            "callbackUrl": back,
            "siteAddress": configuration.get("base.url", ""),
        }
        if key in _WITHOUT_CHALLENGE:
            state = secrets.token_urlsafe(24)
            answer = api.post(f"/elements/{key}/oauth/url", {**body, "state": state})
            _show_link(str(answer["oauthUrl"]), opens_browser=opens_browser)
            return {"code": _wait_for_code(listener, state)}
        answer = api.post(f"/elements/{key}/oauth/url", {**body, "pkce": True})
        state = str(answer["state"])
        _show_link(str(answer["oauthUrl"]), opens_browser=opens_browser)
        return {"code": _wait_for_code(listener, state), "state": state}


def _show_link(address: str, *, opens_browser: bool) -> None:
    console = notes()
    if opens_browser and webbrowser.open(address):
        console.print("Sign in in the browser that has opened, or open this link:")
    else:
        console.print("Open this link in a browser on this machine, and sign in:")
    # Without markup and line breaks, so that it can be copied.
    console.print(address, markup=False, soft_wrap=True)


def _wait_for_code(listener: HTTPServer, state: str) -> str:
    """The code of the redirect that belongs to this sign-in. Raises CommandFailed."""
    deadline = time.monotonic() + SIGN_IN_SECONDS
    _Redirect.query = {}
    while _Redirect.query.get("state") != state:
        # Browsers also ask for an icon; other pages may ask for anything.
        listener.timeout = deadline - time.monotonic()
        if listener.timeout <= 0:
            raise CommandFailed(
                "nobody signed in within ten minutes; start again", ExitCode.SIGN_IN
            )
        listener.handle_request()
    query = _Redirect.query
    if "code" not in query:
        why = query.get("error", "it brought no code")[:100]
        raise CommandFailed(f"the sign-in was refused: {why}; start again", ExitCode.SIGN_IN)
    return query["code"]


class _Redirect(BaseHTTPRequestHandler):
    """Takes the code that the service's redirect brings."""

    query: dict[str, str] = {}  # noqa: RUF012 - of the one request that is waited for

    def do_GET(self) -> None:
        """Keep the query, and tell the person to go back."""
        parsed = parse_qs(urlsplit(self.path).query)
        type(self).query = {name: values[0] for name, values in parsed.items()}
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(_DONE)))
        self.end_headers()
        self.wfile.write(_DONE)

    def log_message(self, *_: object) -> None:
        """Log nothing: the address has the code in it."""
