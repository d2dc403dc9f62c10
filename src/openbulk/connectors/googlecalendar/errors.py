"""What Google's refusals mean: for one record, for the whole job, or for the sign-in.

The reason in `errors[0].reason` decides, not the status: 403 alone has at least five meanings
(https://developers.google.com/workspace/calendar/api/guides/errors).
"""

from dataclasses import dataclass
from typing import Any

import orjson

from openbulk.connectors.answers import Answer
from openbulk.connectors.googlecalendar.shapes import read_resource
from openbulk.connectors.http import throttle_by_status
from openbulk.connectors.pace import Throttle
from openbulk.domain.errors import OpenbulkError, Refused
from openbulk.domain.records import Outcome

GONE = frozenset({404, 410})
"""The statuses of an event, calendar or rule that does not exist, or no longer exists."""
USAGE_LIMIT_WAIT_SECONDS = 3600.0
DUPLICATE = "duplicate"
"""An event has this id already, or had it before it was deleted."""
DELETED = "deleted"
"""The event existed, and was deleted."""
TOO_LONG_AGO = "updatedMinTooLongAgo"
"""Google lists changes for the last few weeks only."""
FULL_SYNC = "fullSyncRequired"
"""Google has forgotten the sync token."""
MAX_WORD = 100
MAX_MESSAGE = 2_000
"""A message is kept with every row that it is about."""
_USER = "user"
_RATE_LIMITS = {"userRateLimitExceeded": _USER, "rateLimitExceeded": None}
"""The limit that a reason is about; None if it may be any."""
_USAGE_LIMITS = (
    "Google's limits on calendar use are reached (events created, invitations sent or calendars "
    "made in a short time); they are lifted after hours"
)
_SETUP = {
    "accessNotConfigured": "the Calendar API is not enabled in the Google Cloud project; "
    "enable it there",
    "insufficientPermissions": "the sign-in does not allow writing events; sign in again with "
    "the scope https://www.googleapis.com/auth/calendar.events",
    "domainPolicy": "the administrator of the domain does not allow this application",
}
"""Reasons that hold for every record of the job, and what to do about them."""
_HINTS = {
    "timeRangeEmpty": "the event ends before it starts, or on the day it starts: the end of an "
    "all-day event is the day after its last",
    "required": "a required field is missing",
    "invalid": "a value is not valid",
    "forbiddenForServiceAccounts": "a service account can only invite guests with domain-wide "
    "delegation; set google.subject",
    "cannotDeletePrimaryCalendar": "the main calendar of an account cannot be deleted; "
    "the action delete with the object events empties it",
    "forbidden": "this account may not write to that calendar",
    "requiredAccessLevel": "this account may not write to that calendar",
    "notFound": "there is no such calendar, or it is not shared with this account; "
    "check calendarId",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Google refused one call."""

    status: int
    reason: str
    """Google's word for it; empty if the answer has none."""
    message: str
    """In Google's words."""
    parameter: str | None = None
    """The query parameter that Google refuses; None if it names none."""

    @property
    def is_missing(self) -> bool:
        """Whether the thing does not exist, or was deleted."""
        return self.status == 404 or self.reason == DELETED

    @property
    def hint(self) -> str:
        """A sentence for the person who must correct the record."""
        return _HINTS.get(self.reason, f"Google refused it ({self.reason or self.status})")

    def __str__(self) -> str:
        """The hint and Google's own words."""
        return f"{self.hint}: {self.message}"


class RecordRefused(OpenbulkError):
    """Google refused one record: it fails, and the next one is sent."""

    def __init__(self, answer: Answer, *, hint: str = "", calendar: str | None = None) -> None:
        """`calendar` is the calendar that a status of 404 means. Raises Refused."""
        refusal = read_refusal(answer)
        self.missing_calendar: str | None = None
        """The calendar that does not exist, or that the account may not see."""
        if calendar is not None and refusal.status == 404:
            self.missing_calendar = calendar
            hint = f"calendar {calendar!r}: "
        super().__init__(f"{hint}{refusal}", provider_message=refusal.message)

    def outcome(self, row: int) -> Outcome:
        """The outcome of the record in this row."""
        return Outcome.failure(row, self.message, provider_message=self.provider_message)


class EventDrifted(OpenbulkError):
    """An event is not as the plan of its row saw it: it is left as it is."""

    def __init__(self, reason: str, event_id: str | None = None) -> None:
        super().__init__(reason)
        self.event_id = event_id


def read_refusal(answer: Answer) -> Refusal:
    """Why Google refused one record. Raises Refused if it would refuse any record."""
    refusal = _parse_refusal(answer)
    if refusal.reason in _SETUP:
        raise Refused(_SETUP[refusal.reason], provider_message=refusal.message)
    return refusal


def require_accepted(answer: Answer, *, hint: str = "", calendar: str | None = None) -> None:
    """Raise RecordRefused if Google refused this record, Refused if it would refuse any."""
    if not answer.is_success:
        raise RecordRefused(answer, hint=hint, calendar=calendar)


def read_existing(
    answer: Answer, name: str = "Event", *, calendar: str | None = None
) -> dict[str, Any] | None:
    """The record in an answer; None if it does not exist. `name` is its type in Google's document.

    Raises as `require_accepted`, and ServiceError for an answer of another shape.
    """
    if answer.status in GONE:
        return None
    require_accepted(answer, calendar=calendar)
    return read_resource(answer, name)


def is_expired_token(answer: Answer) -> bool:
    """Whether Google no longer knows a page token or a sync token.

    Google documents 410 `fullSyncRequired` for sync tokens only
    (https://developers.google.com/workspace/calendar/api/guides/sync). It refuses an
    unknown page token as an invalid parameter; its answer to an expired one is not documented.
    """
    refusal = _parse_refusal(answer)
    # 410 has another meaning: `updatedMinTooLongAgo`.
    if refusal.status == 410:
        return refusal.reason == FULL_SYNC
    return refusal.status == 400 and refusal.parameter in {"pageToken", "syncToken"}


def throttle_of(answer: Answer, service: str) -> Throttle | None:
    """The throttle in an answer that refuses a call for a rate limit or a usage limit.

    `userRateLimitExceeded` is the limit of one user. `rateLimitExceeded` is that one, the
    project's, or the undocumented limit of a single calendar
    (https://developers.google.com/workspace/calendar/api/guides/errors).
    """
    if answer.status not in {403, 429}:
        return None
    refusal = _parse_refusal(answer)
    # `quotaExceeded` is about limits on the use of calendars, not on calls: Google also refuses
    # another call a minute later.
    if refusal.reason == "quotaExceeded":
        return Throttle(_USAGE_LIMITS, _USER, USAGE_LIMIT_WAIT_SECONDS, refusal.message)
    if refusal.reason in _RATE_LIMITS:
        message = f"Google's rate limit is reached ({refusal.reason})"
        label = _RATE_LIMITS[refusal.reason]
        return Throttle(message, label, provider_message=refusal.message)
    return throttle_by_status(answer, service)


def _parse_refusal(answer: Answer) -> Refusal:
    error = _error_object(answer)
    reasons = error.get("errors")
    first = reasons[0] if isinstance(reasons, list) and reasons else None
    first = first if isinstance(first, dict) else {}
    message = str(first.get("message") or error.get("message") or answer.text())
    reason, location = str(first.get("reason", "")), str(first.get("location", ""))
    return Refusal(
        answer.status, reason[:MAX_WORD], message[:MAX_MESSAGE], location[:MAX_WORD] or None
    )


def _error_object(answer: Answer) -> dict[str, Any]:
    """The `error` of a body; empty if the body is not one of Google's."""
    try:
        error = orjson.loads(answer.body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}
