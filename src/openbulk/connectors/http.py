"""HTTP calls to a cloud service: signed in, paced and timed.

A call returns the service's answer, or raises the `ServiceError` that says what happened.
"""

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp

from openbulk.connectors.answers import (
    UNSAFE_METHODS,
    Answer,
    bounds_of,
    hide_secrets,
    no_answer,
    parse_large,
    read_body,
)
from openbulk.connectors.pace import Budget, Pace, Throttle, Unpaced
from openbulk.domain.errors import (
    AddressNotAllowed,
    AnswerLost,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
)
from openbulk.domain.http_dates import seconds_to_wait
from openbulk.exact_json import encode_json

TIMEOUT = aiohttp.ClientTimeout(total=90, sock_connect=10)
MAX_RENEWALS = 3
"""How many times one call is resent with new credentials. Once is not enough if many calls share
them: the new ones may have expired too before this call is sent."""
_SHOWN_PATH = 120
Body = bytes | Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a service, credentials included."""

    method: str
    url: str
    params: Mapping[str, str] | None
    body: Body
    headers: Mapping[str, str]
    records: int = 1
    """How many records its answer may have."""
    secrets: Sequence[str] = field(default=(), repr=False)
    """What nobody may read of it, should the service repeat it."""


class Auth(Protocol):
    """Adds an instance's credentials to its calls."""

    async def headers(self) -> Mapping[str, str]:
        """The headers to add to a call, with valid credentials. Raises ServiceError."""

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Renew the credentials after a 401 to the headers `refused`. True: send the call again."""


class HeaderAuth:
    """Adds constant headers to every call: an API key, or a user name and password."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self._headers

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """False: a key or a password that the service refuses stays wrong."""
        return False


ThrottleOf = Callable[[Answer, str], Throttle | None]
"""From an answer and the service's name: a Throttle if the answer refuses the call because a budget
is used up, None for any other answer."""

Send = Callable[[Request], Awaitable[Answer]]
"""Sends a request and returns its answer. Raises ServiceError if there is none."""


_NOT_SENT = (aiohttp.InvalidURL, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
# aiohttp lets some of what a service does wrong out as it is: a ValueError for a header that is not
# one, an OSError for a connection that breaks while it sends.
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Transport:
    """Sends single requests to a service, and says what happened if it does not answer."""

    def __init__(self, http: aiohttp.ClientSession, service: str) -> None:
        self._http = http
        self._service = service

    async def call(self, request: Request) -> Answer:
        """Send a request as it is, under no budget. Raises the errors that `Client` lists."""
        answer = await self.send(request)
        if answer.is_success:
            return answer
        throttle = throttle_by_status(answer, self._service)
        if throttle is not None:
            raise RetryLater(
                throttle.message, after=throttle.after, provider_message=throttle.provider_message
            )
        self.raise_for_service(request.method, answer)
        return answer

    async def send(self, request: Request) -> Answer:
        """Send a request, and return any answer. Raises the errors that `Client` lists."""
        call = f"{self._service} ({request.method} {_path_of(request.url)})"
        bounds = bounds_of(request.records)
        try:
            async with self._http.request(
                request.method,
                request.url,
                params=request.params,
                data=request.body,
                headers=request.headers,
                timeout=TIMEOUT,
                # Send credentials to the configured address only.
                allow_redirects=False,
            ) as response:
                status, headers = response.status, response.headers
                body = await read_body(response.content, bounds)
        except _NOT_SENT as error:
            raise self._connection_failure(request.url, error) from error
        except _BROKEN as error:
            reason = f"{call} did not answer ({type(error).__name__})"
            raise no_answer(request.method)(reason) from error
        if body is None:
            # Whether it was done is not known; to ask again brings the same answer.
            kind = AnswerLost if request.method in UNSAFE_METHODS else Refused
            expected = f"at most {bounds.bytes:,}, for {request.records:,} records"
            raise kind(f"{call} answered more bytes than expected: {expected}")
        method, secrets = request.method, request.secrets
        if not 200 <= status < 300:
            # All of it is for people. Records stay as they are.
            body, secrets = hide_secrets(body, secrets), ()
        parsed = await parse_large(body, bounds)
        return Answer(status, headers, body, method, call, bounds, parsed, secrets)

    def _connection_failure(self, url: str, error: Exception) -> ServiceError:
        """The error for a request that was never sent: nothing was done."""
        if isinstance(error, aiohttp.InvalidURL):
            return Refused(f"{url!r} is not an address that can be called; check the configuration")
        cause = getattr(error, "os_error", None)
        if isinstance(cause, AddressNotAllowed):
            return Refused(str(cause))
        return RetryLater(f"{self._service} cannot be reached", provider_message=str(error) or None)

    def raise_for_service(self, method: str, answer: Answer) -> None:
        """Raise the error of an answer with which the service as a whole refuses or fails."""
        if answer.status == 401:
            raise SignInAgain(
                f"{self._service} no longer accepts this instance's credentials; sign in again",
                provider_message=answer.text(),
            )
        if answer.status == 503:
            # The service did not handle the request, and may later (RFC 9110, section 15.6.4).
            raise RetryLater(
                f"{self._service} is busy ({answer.status})",
                after=seconds_to_wait(answer.headers.get("Retry-After"), datetime.now(UTC)),
                provider_message=answer.text(),
            )
        if answer.status >= 500:
            reason = f"{self._service} failed with {answer.status}"
            raise no_answer(method)(reason, provider_message=answer.text())


class Client:
    """Speaks HTTP for one instance of a service.

    `call` returns every answer that is about the request itself, whatever its status. It raises
    if the service as a whole cannot answer:

    - RetryLater: 429 or 503, or the service cannot be reached; nothing was done
    - AnswerLost: the answer was lost, or is another 5xx, and the method is unsafe
    - SignInAgain: 401, and new credentials did not help
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        auth: Auth,
        service: str,
        pace: Pace | None = None,
        throttle_of: ThrottleOf | None = None,
        wrap_send: Callable[[Send], Send] | None = None,
    ) -> None:
        """`wrap_send` gets the function that sends one request, and returns the one to use instead.

        A connector that sends several requests as one batch passes it.
        """
        self._transport = Transport(http, service)
        self._auth = auth
        self._service = service
        self._pace = pace or Unpaced()
        self._throttle_of = throttle_of or throttle_by_status
        self._send: Send = self._transport.send
        if wrap_send is not None:
            self._send = wrap_send(self._transport.send)

    async def call(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        budgets: Sequence[Budget] = (),
        records: int = 1,
        secrets: Sequence[str] = (),
    ) -> Answer:
        """Make one call as soon as its budgets allow it, and return the answer.

        `records` bounds the answer: it is the size of the requested page. `json` is sent as
        JSON, `data` unchanged (a mapping as form fields). `secrets` are those in it beside the
        credentials. Raises the errors that the class lists.
        """
        extra = dict(headers or {})
        if json is not None:
            data, extra["Content-Type"] = encode_json(json), "application/json"
        request = Request(method, url, params, data, extra, records, secrets)
        credentials = await self._auth.headers()
        answer = await self._send_paced(budgets, request, credentials)
        for _ in range(MAX_RENEWALS):
            if answer.status != 401 or not await self._auth.renew(credentials):
                break
            credentials = await self._auth.headers()
            answer = await self._send_paced(budgets, request, credentials)
        if not answer.is_success:
            self._transport.raise_for_service(method, answer)
        return answer

    async def _send_paced(
        self, budgets: Sequence[Budget], request: Request, credentials: Mapping[str, str]
    ) -> Answer:
        """Send a request under a permit. Raises RetryLater if the service throttles the call."""
        permit = await self._pace.take(budgets)
        signed = replace(
            request,
            headers={**request.headers, **credentials},
            secrets=(*request.secrets, *secrets_in(credentials)),
        )
        try:
            answer = await self._send(signed)
        except BaseException:
            self._pace.report_loss(permit)
            raise
        if not answer.is_success:
            throttle = self._throttle_of(answer, self._service)
            if throttle is not None:
                raise await self._pace.report_refusal(permit, throttle)
        await self._pace.report_answer(permit)
        return answer


def secrets_in(credentials: Mapping[str, str]) -> Iterator[str]:
    """What is secret in the headers of credentials: each, its last word, and a password in it."""
    for value in credentials.values():
        yield value
        scheme, _, word = value.rpartition(" ")
        yield word
        if scheme.lower() == "basic":
            yield _password_in(word)


def _password_in(word: str) -> str:
    """The password in the credentials of Basic (RFC 7617, section 2); "" if there is none."""
    try:
        plain = base64.b64decode(word).decode(errors="replace")
    except ValueError:
        return ""  # a service may have a scheme of its own under this name
    return plain.partition(":")[2]


def _path_of(url: str) -> str:
    """The path of a URL, without anything that may be a secret."""
    return urlsplit(url).path[:_SHOWN_PATH]


def throttle_by_status(answer: Answer, service: str) -> Throttle | None:
    """The throttle in a 429 (RFC 6585, section 4), for services without a rule of their own."""
    if answer.status != 429:
        return None
    after = seconds_to_wait(answer.headers.get("Retry-After"), datetime.now(UTC))
    return Throttle(f"{service} is busy (429)", after=after, provider_message=answer.text())
