"""Connects a service: asks what it needs, and signs in with a browser where a person has to."""

import getpass
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
    """The configuration with what a person types for entries that are marked as required."""
    known = dict(given)
    for entry in element.get("configuration", []):
        if entry.get("required") and entry["key"] not in known:
            known[entry["key"]] = _ask(entry["key"], str(entry.get("type")) == "PASSWORD")
    return known


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
        answer = api.post(
            f"/elements/{key}/oauth/url",
            {
                "apiKey": configuration["oauth.api.key"],
                "apiSecret": configuration["oauth.api.secret"],
                "callbackUrl": back,
                "pkce": True,
                **(
                    {"siteAddress": configuration["base.url"]}
                    if "base.url" in configuration
                    else {}
                ),
            },
        )
        return _wait_for_code(listener, str(answer["oauthUrl"]), opens_browser=opens_browser)


def _wait_for_code(listener: HTTPServer, address: str, *, opens_browser: bool) -> dict[str, str]:
    console = notes()
    if opens_browser and webbrowser.open(address):
        console.print("Sign in in the browser that has opened.")
    else:
        console.print("Open this link in a browser on this machine, and sign in:")
    # Without markup and line breaks, so that it can be copied.
    console.print(address, markup=False, soft_wrap=True)
    listener.timeout = SIGN_IN_SECONDS
    _Redirect.query = {}
    while not {"code", "error"} & set(_Redirect.query):
        before = _Redirect.query
        listener.handle_request()
        if _Redirect.query is before:
            raise CommandFailed(
                "nobody signed in within ten minutes; start again", ExitCode.SIGN_IN
            )
    query = _Redirect.query
    if "error" in query:
        raise CommandFailed(
            f"the sign-in was refused: {query['error'][:100]}; start again", ExitCode.SIGN_IN
        )
    return {name: query[name] for name in ("code", "state") if name in query}


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
