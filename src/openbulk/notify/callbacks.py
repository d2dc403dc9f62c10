"""Callbacks: one attempt to notify a caller that its job is finished, and when to retry."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from standardwebhooks import Webhook

from openbulk.domain.errors import AddressNotAllowed, BadInput
from openbulk.domain.http_dates import seconds_to_wait
from openbulk.security import webhook_signature

SCHEDULE = (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds before each attempt, counted from the last one: 10 attempts in 75.6 hours.

Standard Webhooks 1.0 recommends this schedule."""
JITTER = 0.2
TIMEOUT = 20.0
"""Seconds for a whole attempt; Standard Webhooks recommends 15 to 30."""

BUSY = frozenset({429, 502, 503, 504})
GONE = 410
_EXPLANATIONS = {
    **dict.fromkeys(range(300, 400), "redirects are not followed"),
    GONE: "the receiver wants no more of these",
}
"""What an answer's status means, if its number does not say enough."""

SIGNATURE_KEY = "event.notification.signature.key"
EXTRA_HEADERS = "event.notification.callback.headers"
USER_NAME = "event.notification.basic.username"
PASSWORD = "event.notification.basic.password"  # noqa: S105 - the name of a setting
HOSTS = "event.notification.callback.hosts"
"""The hosts that get the headers and the password of an instance, with commas between them."""

MAX_RECEIVER = 300
"""A name has 253 characters at most, and a port five."""
USER_AGENT = f"openbulk/{version('openbulk')}"

_SIGNED = {"elements-webhook-signature", "webhook-id", "webhook-timestamp", "webhook-signature"}
_FRAMING = {
    "host",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
}
_RESERVED = (
    {"content-type", "user-agent", "te", "trailer", "upgrade", "expect"} | _SIGNED | _FRAMING
)
"""Headers that a configuration cannot set: framing, content type and signatures."""
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]*")


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to a caller. Every attempt delivers it unchanged."""

    id: int
    url: str
    body: bytes
    """JSON in UTF-8."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt."""

    result: str
    """A sentence for the log and the ledger, without the answer's body and without secrets."""
    status: int | None = None
    """None if there was no answer."""
    retry_after: float | None = None
    """Seconds that a busy receiver asks openbulk to wait."""
    is_hopeless: bool = False
    """True if no further attempt can succeed."""

    @property
    def is_delivered(self) -> bool:
        """True for any answer from 200 to 299."""
        return self.status is not None and 200 <= self.status < 300


async def deliver(
    http: aiohttp.ClientSession,
    notification: Notification,
    configuration: Mapping[str, str],
    now: datetime,
    *,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - aiohttp keeps the time itself
) -> Attempt:
    """Make one attempt, with the instance's configuration. Never raises: an error is a result.

    Only the status counts. It follows no redirects, and does not read the answer's body, so that a
    receiver cannot keep openbulk waiting for its end. `http` needs a `guarded_connector`.
    """
    try:
        check_host(notification.url, configuration)
        prepared = headers(notification, configuration, now)
    except BadInput as error:
        # Not hopeless: a person may correct the configuration before the next attempt.
        return Attempt(error.message)
    try:
        async with http.post(
            notification.url,
            data=notification.body,
            headers=prepared,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as response:
            return attempt_of_answer(response.status, response.headers.get("Retry-After"), now)
    except TimeoutError:
        return Attempt(f"no answer within {timeout:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return attempt_of_error(error)


def host_of(url: str) -> str:
    """The host in a URL, as `event.notification.callback.hosts` has it."""
    return (urlsplit(url).hostname or "").rstrip(".")


def receiver_of(url: str) -> str:
    """The host and the port that a URL calls, as the URL has them."""
    with suppress(ValueError):  # no such URL is called: it cannot be
        return urlsplit(url).netloc.rpartition("@")[2].casefold()[:MAX_RECEIVER] or "-"
    return "-"


def sends_secrets(configuration: Mapping[str, str]) -> bool:
    """Whether an instance's notifications carry its own headers or its password."""
    return any(configuration.get(name) for name in (EXTRA_HEADERS, USER_NAME, PASSWORD))


def check_host(url: str, configuration: Mapping[str, str]) -> None:
    """Raise BadInput if a callback would carry an instance's secrets to a host that is not listed.

    A caller who may start a job need not know these secrets, and chooses the URL.
    """
    listed = configuration.get(HOSTS, "").replace(",", " ").casefold().split()
    if listed and sends_secrets(configuration) and host_of(url) not in listed:
        raise BadInput(
            f"callbacks of this instance carry its headers and password, and go to "
            f"{' and '.join(listed)} alone; to allow {host_of(url)}, add it to {HOSTS}"
        )


def wait_before_next(attempt: Attempt, number: int, *, chance: float) -> float | None:
    """Seconds until the next attempt; None if there is none, after a success or the last attempt.

    `number` is that of the last attempt, from 1. `chance` is a random number from 0 to 1: it
    lengthens a wait by up to a fifth, so that receivers that fail together are not called together.
    A receiver's `Retry-After` lengthens a wait to a day at most.
    """
    is_last = attempt.is_hopeless or number >= len(SCHEDULE)
    if attempt.is_delivered or is_last:
        return None
    planned = SCHEDULE[number] * (1 + JITTER * chance)
    return max(planned, attempt.retry_after or 0.0)


def attempt_of_answer(status: int, retry_after: str | None, now: datetime) -> Attempt:
    """The attempt that got an answer with this status and this header `Retry-After`, if any."""
    result = f"answered {status}"
    if status in BUSY:
        return Attempt(result, status, seconds_to_wait(retry_after, now))
    if status in _EXPLANATIONS:
        result = f"{result}: {_EXPLANATIONS[status]}"
    return Attempt(result, status, is_hopeless=status == GONE)


def attempt_of_error(error: Exception) -> Attempt:
    """The attempt that got no answer."""
    # aiohttp's own messages quote the URL, which may hold a secret: leave them out.
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return Attempt("the callback URL cannot be called", is_hopeless=True)
        case aiohttp.ClientConnectorError(os_error=AddressNotAllowed() as refusal):
            return Attempt(str(refusal), is_hopeless=True)
        case aiohttp.ClientConnectorError(host=host, port=port, os_error=cause):
            return Attempt(f"no connection to {host}:{port} ({type(cause).__name__})")
        case _:
            return Attempt(f"the connection broke ({type(error).__name__})")


def headers(
    notification: Notification, configuration: Mapping[str, str], now: datetime
) -> dict[str, str]:
    """The headers of an attempt. Raises BadInput if the configured headers cannot be read.

    Every attempt has the same `webhook-id`: a notification may arrive twice, and the receiver
    recognizes it by that id. A signature key gives two signatures: SAP's, and that of Standard
    Webhooks, which uses the bytes of the key as its secret.
    """
    result = extra_headers(configuration.get(EXTRA_HEADERS, ""))
    if name := configuration.get(USER_NAME):
        result["authorization"] = _basic(name, configuration.get(PASSWORD, ""))
    result["content-type"] = "application/json"
    result["user-agent"] = USER_AGENT
    result["webhook-id"] = f"msg_{notification.id}"
    result["webhook-timestamp"] = str(int(now.timestamp()))
    if key := configuration.get(SIGNATURE_KEY):
        result["Elements-Webhook-Signature"] = webhook_signature(key, notification.body)
        result["webhook-signature"] = _standard_signature(key, notification, now)
    return result


def _basic(name: str, password: str) -> str:
    if ":" in name:
        raise BadInput(
            f"{USER_NAME} has a colon in it; Basic authentication (RFC 7617) allows none"
        )
    return aiohttp.encode_basic_auth(name, password)


def _standard_signature(key: str, notification: Notification, now: datetime) -> str:
    # The library ignores a datetime's zone and reads its wall clock as UTC.
    webhook = Webhook(key.encode())
    return webhook.sign(f"msg_{notification.id}", now.astimezone(UTC), notification.body.decode())


def extra_headers(text: str) -> dict[str, str]:
    """The headers of `event.notification.callback.headers`, names in lower case.

    The service that openbulk replaces never published their form, so this reads both usual ones: a
    JSON object, or `Name: value` on each line. Leaves out headers that only openbulk sets. Raises
    BadInput.
    """
    try:
        pairs = _parse_pairs(text)
    except ValueError as error:
        raise _unreadable() from error
    extra: dict[str, str] = {}
    for name, value in pairs.items():
        if not _is_header(name, value):
            raise _unreadable()
        if name.lower() not in _RESERVED:
            extra[name.lower()] = value.strip()
    return extra


def _parse_pairs(text: str) -> dict[str, Any]:
    """Names and values. Raises ValueError if the text is neither a JSON object nor such lines."""
    if text.lstrip().startswith("{"):
        pairs: dict[str, Any] = orjson.loads(text)
        return pairs
    lines = filter(str.strip, text.splitlines())
    # A line without a colon makes a list of one item, which `dict` refuses with a ValueError.
    return dict(list(map(str.strip, line.split(":", 1))) for line in lines)


def _is_header(name: str, value: Any) -> bool:
    if not isinstance(value, str) or _NAME.fullmatch(name) is None:
        return False
    return _VALUE.fullmatch(value.strip()) is not None


def _unreadable() -> BadInput:
    return BadInput(
        f'{EXTRA_HEADERS} cannot be read; write {{"X-Team": "data"}}, or X-Team: data on each line'
    )
