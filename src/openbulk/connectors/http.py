"""Calls to a cloud service: signed in, timed, and answered with an answer or a ServiceError."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
import orjson

from openbulk.connectors.pace import Budget, Pace, Throttle, Unpaced
from openbulk.domain.errors import (
    AddressNotAllowed,
    AnswerLost,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
)

TIMEOUT = aiohttp.ClientTimeout(total=90, sock_connect=10)
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_RENEWALS = 3
"""How often a call is sent again with new credentials: new ones may have run out, too, where many calls share them."""
UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})


Body = bytes | Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a service, credentials included."""

    method: str
    url: str
    params: Mapping[str, str] | None
    body: Body
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """True for any status from 200 to 299."""
        return 200 <= self.status < 300

    @property
    def dated(self) -> datetime | None:
        """When it was given, by the service's own clock, to the second; None where it does not say."""
        try:
            return parsedate_to_datetime(self.headers["Date"])
        except (KeyError, ValueError, TypeError, OverflowError):
            return None

    def json(self) -> Any:
        """The body as JSON. Raises RetryLater where it isn't: what answered was not the service."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise RetryLater(
                f"the service answered {self.status} with a body that is not JSON"
            ) from error

    def text(self, limit: int = 500) -> str:
        """The beginning of the body, for a person to read."""
        return self.body[:limit].decode(errors="replace")


class Auth(Protocol):
    """Puts an instance's credentials on its calls."""

    async def headers(self) -> Mapping[str, str]:
        """What to add to a call; renews what has run out. Raises `ServiceError`."""

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Called when the service answered 401 to `refused`: True where the call may be sent once more."""


class NoAuth:
    """For calls that need no credentials."""

    async def headers(self) -> Mapping[str, str]:
        """Nothing to add."""
        return {}

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """There is nothing to renew."""
        return False


ThrottleOf = Callable[[Answer, str], Throttle | None]
"""Reads from an answer of a service (named beside it) that it refused a call for being one too many."""


Send = Callable[[Request], Awaitable[Answer]]
"""Sends a request and returns its answer. Raises ServiceError where there is none."""


class Client:
    """Speaks HTTP for one instance of a service.

    `call` returns any answer that says something about the request itself, and raises where the service as a
    whole could not answer: RetryLater (429, 503, not reached), AnswerLost (answer lost, or a 5xx to a call that
    changes something), SignInAgain (401 that renewing the credentials did not mend).
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
        """`wrap_send` makes of the way to send a request alone another one, where a service takes several together."""
        self._http = http
        self._auth = auth
        self._service = service
        self._pace = pace or Unpaced()
        self._throttle_of = throttle_of or by_status
        self._send: Send = wrap_send(self._send_alone) if wrap_send else self._send_alone

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
    ) -> Answer:
        """Make one call, when the budgets allow it, and return its answer; see the class for what is raised instead."""
        body: Body = data
        extra = dict(headers or {})
        if json is not None:
            body, extra["Content-Type"] = orjson.dumps(json), "application/json"
        credentials = await self._auth.headers()
        answer = await self._send_paced(
            budgets, Request(method, url, params, body, {**extra, **credentials})
        )
        for _ in range(MAX_RENEWALS):
            if answer.status != 401 or not await self._auth.renew(credentials):
                break
            credentials = await self._auth.headers()
            answer = await self._send_paced(
                budgets, Request(method, url, params, body, {**extra, **credentials})
            )
        self._raise_for_service(method, answer)
        return answer

    async def _send_paced(self, budgets: Sequence[Budget], request: Request) -> Answer:
        """Send a request with leave for it. Raises RetryLater where the service took it for one too many."""
        permit = await self._pace.take(budgets)
        try:
            answer = await self._send(request)
        except BaseException:
            self._pace.lost(permit)
            raise
        throttle = self._throttle_of(answer, self._service)
        if throttle is not None:
            raise await self._pace.refused(permit, throttle)
        await self._pace.answered(permit)
        return answer

    async def _send_alone(self, request: Request) -> Answer:
        try:
            async with self._http.request(
                request.method,
                request.url,
                params=request.params,
                data=request.body,
                headers=request.headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as response:
                return Answer(response.status, response.headers, await _bounded_body(response))
        except (
            aiohttp.InvalidURL,
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
        ) as error:
            raise self._not_reached(request.url, error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._answer_lost(request.method, error) from error

    def _not_reached(self, url: str, error: Exception) -> ServiceError:
        """The request never left: nothing was done."""
        if isinstance(error, aiohttp.InvalidURL):
            return Refused(f"{url!r} is not an address that can be called; check base.url")
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(
            error.os_error, AddressNotAllowed
        ):
            return Refused(str(error.os_error))
        return RetryLater(f"{self._service} cannot be reached", provider_message=str(error) or None)

    def _answer_lost(self, method: str, error: Exception) -> ServiceError:
        reason = f"{self._service} did not answer ({type(error).__name__})"
        return AnswerLost(reason) if method in UNSAFE_METHODS else RetryLater(reason)

    def _raise_for_service(self, method: str, answer: Answer) -> None:
        if answer.status == 401:
            raise SignInAgain(
                f"{self._service} no longer accepts this instance's credentials; sign in again",
                provider_message=answer.text(),
            )
        if answer.status == 503:
            raise RetryLater(
                f"{self._service} is busy ({answer.status})",
                after=seconds_to_wait(answer.headers.get("Retry-After"), datetime.now(UTC)),
                provider_message=answer.text(),
            )
        if answer.status >= 500:
            reason = f"{self._service} failed with {answer.status}"
            error = AnswerLost if method in UNSAFE_METHODS else RetryLater
            raise error(reason, provider_message=answer.text())


def by_status(answer: Answer, service: str) -> Throttle | None:
    """What 429 says (RFC 6585, section 4), for services that say it with nothing else."""
    if answer.status != 429:
        return None
    after = seconds_to_wait(answer.headers.get("Retry-After"), datetime.now(UTC))
    return Throttle(f"{service} is busy (429)", after=after, provider_message=answer.text())


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(256 * 1024):
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3): a number or a date.

    None where there is no header, or it says neither.
    """
    if retry_after is None:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
