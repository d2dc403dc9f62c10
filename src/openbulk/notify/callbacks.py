"""One attempt to tell a caller that its job is finished, and when to make the next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import aiohttp
import orjson
from standardwebhooks import Webhook

from openbulk.domain.errors import AddressNotAllowed, BadInput
from openbulk.security import webhook_signature

SCHEDULE = (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds before each attempt, counted from the one before it: 10 attempts in 75.6 hours.

Standard Webhooks 1.0 recommends this schedule."""
MAX_WAIT = 24 * 3600.0
JITTER = 0.2
TIMEOUT = 20.0
"""Seconds for a whole attempt; Standard Webhooks recommends 15 to 30."""

BUSY = frozenset({429, 502, 503, 504})
GONE = 410

SIGNATURE_KEY = "event.notification.signature.key"
EXTRA_HEADERS = "event.notification.callback.headers"
USER_NAME = "event.notification.basic.username"
PASSWORD = "event.notification.basic.password"  # noqa: S105 - the name of a setting

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
"""Headers that a configuration cannot set: the framing of the message, its type, its signatures."""
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]*")


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to a caller. All attempts deliver the same one."""

    id: int
    url: str
    body: bytes
    """JSON in UTF-8."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt."""

    result: str
    """In words, for the log and the ledger: without the answer's body, without secrets."""
    status: int | None = None
    """None where there was no answer."""
    retry_after: float | None = None
    """Seconds that a busy receiver asks for."""
    is_hopeless: bool = False
    """True where no further attempt could succeed."""

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
    """Make one attempt, as the instance's configuration says. Never raises: errors are its result.

    The status decides. Redirects are not followed, and the answer's body is not read, so that a
    receiver cannot keep openbulk waiting for its end. `http` is built on a `guarded_connector`.
    """
    try:
        prepared = headers(notification, configuration, now)
    except BadInput as error:
        # Not hopeless: a person may correct the configuration while the schedule runs.
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
    except (aiohttp.ClientError, UnicodeError) as error:
        return attempt_of_error(error)


def wait_before_next(attempt: Attempt, number: int, *, chance: float) -> float | None:
    """Seconds until the next attempt; None where the notification is delivered or given up.

    `number` is that of the last attempt, from 1. `chance` is a random number from 0 to 1: it
    lengthens a wait by up to a fifth, so that receivers that fail together are not called together.
    A receiver that asks for more time than the schedule gives gets it, up to a day.
    """
    if attempt.is_delivered or attempt.is_hopeless or number >= len(SCHEDULE):
        return None
    planned = SCHEDULE[number] * (1 + JITTER * chance)
    return max(planned, min(attempt.retry_after or 0.0, MAX_WAIT))


def attempt_of_answer(status: int, retry_after: str | None, now: datetime) -> Attempt:
    """The attempt that got an answer with this status."""
    if status == GONE:
        reason = "answered 410: the receiver wants no more of these"
        return Attempt(reason, status, is_hopeless=True)
    if 300 <= status < 400:
        return Attempt(f"answered {status}: redirects are not followed", status)
    if status in BUSY:
        return Attempt(f"answered {status}", status, _seconds_to_wait(retry_after, now))
    return Attempt(f"answered {status}", status)


def attempt_of_error(error: Exception) -> Attempt:
    """The attempt that got no answer."""
    # The library's own messages are not repeated: they quote the URL, which may hold a secret.
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | UnicodeError):
        return Attempt("the callback URL cannot be called", is_hopeless=True)
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, AddressNotAllowed):
            return Attempt(str(error.os_error), is_hopeless=True)
        return Attempt(
            f"no connection to {error.host}:{error.port} ({type(error.os_error).__name__})"
        )
    return Attempt(f"the connection broke ({type(error).__name__})")


def headers(
    notification: Notification, configuration: Mapping[str, str], now: datetime
) -> dict[str, str]:
    """The headers of an attempt. Raises BadInput where the configured headers cannot be read.

    `webhook-id` is the same in every attempt: a notification may arrive twice, and the receiver
    knows it by that. With a signature key there are two signatures: SAP's, and that of Standard
    Webhooks, whose secret is the bytes of the key.
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
            f"{USER_NAME} has a colon in it; Basic authentication (RFC 7617) takes names without"
        )
    return aiohttp.encode_basic_auth(name, password)


def _standard_signature(key: str, notification: Notification, now: datetime) -> str:
    # The library takes the wall clock of any datetime for UTC.
    webhook = Webhook(key.encode())
    return webhook.sign(f"msg_{notification.id}", now.astimezone(UTC), notification.body.decode())


def extra_headers(text: str) -> dict[str, str]:
    """The headers of `event.notification.callback.headers`, names in lower case.

    The service we replace never published their form, so both usual forms are read: a JSON object,
    or a `Name: value` on each line. Headers that only openbulk sets are left out. Raises BadInput.
    """
    is_json = text.lstrip().startswith("{")
    pairs = _json_pairs(text) if is_json else _line_pairs(text)
    extra: dict[str, str] = {}
    for name, value in pairs.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _unreadable()
        if name.lower() not in _RESERVED:
            extra[name.lower()] = value
    return extra


def _json_pairs(text: str) -> dict[str, str]:
    try:
        pairs = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _unreadable() from error
    if not all(isinstance(value, str) for value in pairs.values()):
        raise _unreadable()
    return {name: value.strip() for name, value in pairs.items()}


def _line_pairs(text: str) -> dict[str, str]:
    lines = [line.partition(":") for line in text.splitlines() if line.strip()]
    if not all(colon for _, colon, _ in lines):
        raise _unreadable()
    return {name.strip(): value.strip() for name, _, value in lines}


def _unreadable() -> BadInput:
    return BadInput(
        f'{EXTRA_HEADERS} cannot be read; write {{"X-Team": "data"}}, or X-Team: data on each line'
    )


def _seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """The seconds in `Retry-After`: a number or a date (RFC 9110, section 10.2.3)."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
