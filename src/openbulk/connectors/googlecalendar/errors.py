"""What Google's refusals mean: for the record, for the job, or for the whole sign-in.

Classified by `errors[0].reason`, never by the status alone: 403 means at least five things
(https://developers.google.com/workspace/calendar/api/guides/errors).
"""

from dataclasses import dataclass
from typing import Any

import orjson

from openbulk.connectors.http import Answer, throttle_by_status
from openbulk.connectors.pace import Throttle
from openbulk.domain.errors import Refused

USAGE_LIMIT_WAIT_SECONDS = 3600.0
_USER = "user"
_USAGE_LIMITS = (
    "Google's limits on calendar use are reached (events created, invitations sent or calendars made in a "
    "short time); they are lifted after hours"
)
DUPLICATE = "duplicate"
"""The reason that says: an event has this id already, or had it before it was deleted."""
DELETED = "deleted"
"""The reason that says: it was there, and is gone."""
TOO_LONG_AGO = "updatedMinTooLongAgo"
"""The reason that says: changes are listed for the last few weeks only."""
FULL_SYNC = "fullSyncRequired"
"""The reason that says: the changes since then are not known any more."""
_SETUP = {
    "accessNotConfigured": "the Calendar API is not enabled in the Google Cloud project; enable it there",
    "insufficientPermissions": "the sign-in does not allow to write events; sign in again with the scope "
    "https://www.googleapis.com/auth/calendar.events",
    "domainPolicy": "the administrator of the domain does not allow this application",
}
_HINTS = {
    "timeRangeEmpty": "the event ends before it starts, or on the day it starts: the end of an all-day event is the "
    "day after its last",
    "required": "a required field is missing",
    "invalid": "a value is not valid",
    "forbiddenForServiceAccounts": "a service account can only invite guests with domain-wide delegation; "
    "set google.subject",
    "forbidden": "this account may not write to that calendar",
    "requiredAccessLevel": "this account may not write to that calendar",
    "notFound": "there is no such calendar, or it is not shared with this account; check calendarId",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Google did not take one record."""

    status: int
    reason: str
    message: str
    """In Google's words."""

    @property
    def hint(self) -> str:
        """In words for the person who has to mend the record."""
        return _HINTS.get(self.reason, f"Google refused it ({self.reason or self.status})")

    def __str__(self) -> str:
        """The hint and Google's own words."""
        return f"{self.hint}: {self.message}"


def refusal(answer: Answer) -> Refusal:
    """The refusal of one record. Raises Refused where it is about every record."""
    reason, message = _said(answer)
    if reason in _SETUP:
        raise Refused(_SETUP[reason], provider_message=message)
    return Refusal(answer.status, reason, message)


def is_lost_place(answer: Answer) -> bool:
    """Whether Google does not know a token any more by which a list was to be gone on with.

    It says so in an incremental listing (https://developers.google.com/workspace/calendar/api/guides/sync): 410
    `fullSyncRequired`. What it says of a page's token that has run out is not documented; one that it does not know is
    a parameter that is invalid.
    """
    first = _first_error(answer)
    if answer.status == 410:
        return first.get("reason") == FULL_SYNC
    return answer.status == 400 and first.get("location") in {"pageToken", "syncToken"}


def throttle_of(answer: Answer, service: str) -> Throttle | None:
    """What Google says where it takes a call for one too many, or has had enough of the account for hours.

    `userRateLimitExceeded` is the limit of one user; `rateLimitExceeded` may be that, too, or the project's, or the
    undocumented one of a single calendar (https://developers.google.com/workspace/calendar/api/guides/errors).
    """
    if answer.status not in {403, 429}:
        return None
    reason, message = _said(answer)
    match reason:
        case "quotaExceeded":
            return Throttle(_USAGE_LIMITS, _USER, USAGE_LIMIT_WAIT_SECONDS, message)
        case "userRateLimitExceeded" | "rateLimitExceeded":
            label = _USER if reason.startswith("user") else None
            return Throttle(
                f"Google's rate limit is reached ({reason})", label, provider_message=message
            )
        case _:
            return throttle_by_status(answer, service)


def _said(answer: Answer) -> tuple[str, str]:
    """Reason and message of an answer that is an error."""
    error, first = _error_of(answer), _first_error(answer)
    return str(first.get("reason", "")), str(
        first.get("message") or error.get("message") or answer.text()
    )


def _first_error(answer: Answer) -> dict[str, Any]:
    return dict((_error_of(answer).get("errors") or [{}])[0])


def _error_of(answer: Answer) -> dict[str, Any]:
    try:
        error = orjson.loads(answer.body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}
