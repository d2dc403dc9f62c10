"""Google's error bodies (https://developers.google.com/workspace/calendar/api/guides/errors)."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from openbulk.sandbox.traffic import json_response


class Rejected(Exception):
    """A call that Google would refuse."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        location: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.domain = domain
        self.location = location

    def answer(self) -> web.Response:
        """Google's response."""
        error: dict[str, Any] = {
            "domain": self.domain,
            "reason": self.reason,
            "message": self.message,
        }
        if self.location is not None:
            error["locationType"], error["location"] = self.location
        body = {"error": {"errors": [error], "code": self.code, "message": self.message}}
        return json_response(body, self.code)


def invalid(message: str, parameter: str | None = None) -> Rejected:
    """400 `invalid`."""
    location = ("parameter", parameter) if parameter else None
    return Rejected(400, "invalid", message, location=location)


def bad_request() -> Rejected:
    """400 `badRequest`: a value that Google cannot read."""
    # googleapis/google-api-java-client#625 and #1628
    return Rejected(400, "badRequest", "Bad Request")


def missing_value(message: str) -> Rejected:
    """400 `required`."""
    return Rejected(400, "required", message)


def not_found() -> Rejected:
    """404 `notFound`."""
    return Rejected(404, "notFound", "Not Found")


def over_quota() -> web.Response:
    """403 `rateLimitExceeded`."""
    return _usage_limits(403, "rateLimitExceeded", "Rate Limit Exceeded").answer()


def _usage_limits(code: int, reason: str, message: str) -> Rejected:
    return Rejected(code, reason, message, domain="usageLimits")


REFUSALS: Mapping[str, Callable[[], web.Response]] = {
    "error-403-rate": over_quota,
    "error-403-user-rate": _usage_limits(
        403, "userRateLimitExceeded", "User Rate Limit Exceeded"
    ).answer,
    "error-403-quota": _usage_limits(
        403, "quotaExceeded", "Calendar usage limits exceeded."
    ).answer,
    "error-429": _usage_limits(429, "rateLimitExceeded", "Rate Limit Exceeded").answer,
    "error-500": Rejected(500, "backendError", "Backend Error").answer,
    "error-503": Rejected(503, "backendError", "Service unavailable. Please try again.").answer,
}
"""The errors that a fault can bring, worded as in Google's guide to errors."""
