"""How many calls Google takes (https://developers.google.com/workspace/calendar/api/guides/quota)."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbulk.connectors.auth import API_KEY, REFRESH_TOKEN
from openbulk.connectors.googlecalendar.sign_in import SERVICE_ACCOUNT, SUBJECT
from openbulk.connectors.pace import Budget
from openbulk.domain.errors import BadInput
from openbulk.domain.plan import Counted, UsageLimit

USER_MINUTE = 600
PROJECT_MINUTE = 10_000
PROJECT_DAY = 1_000_000
_MINUTE, _DAY = 60.0, 86_400.0
_PROJECT_NUMBER = re.compile(r"\A(?P<number>\d+)-.*", re.DOTALL)
"""Google begins the client id of a project with the project's number."""
_CALLS = re.compile(r"0*[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class _Quota:
    """One of Google's documented quotas."""

    setting: str
    label: str
    calls: int
    seconds: float
    scope: str
    """With places for `{project}` and `{user}`."""
    period: str
    """As in "600 calls a minute for one user"."""

    def budget(self, configuration: Mapping[str, str], project: str, user: str) -> Budget:
        """The quota as an instance's configuration has it. Raises BadInput."""
        text = configuration.get(self.setting) or str(self.calls)
        if not _CALLS.fullmatch(text):
            raise BadInput(
                f"{self.setting} is {text!r}; it must be a whole number of calls, like {self.calls}"
            )
        return Budget(
            scope=f"googlecalendar/{self.scope.format(project=project, user=user)}",
            label=self.label,
            calls=int(text),
            seconds=self.seconds,
            limit_text=f"Google takes {{calls}} calls {self.period}",
            # Google charges for more than the million a day: openbulk never exceeds it by itself.
            may_probe=self.seconds == _MINUTE and self.setting not in configuration,
        )


_LIFTED = (
    "; above it, Google may refuse changes for hours, and may not lift the limit for months. New "
    "accounts and trials have lower ones, which Google does not publish"
)
USAGE_LIMITS: Mapping[str, Sequence[UsageLimit]] = {
    # https://knowledge.workspace.google.com/admin/calendar/avoid-calendar-use-limits
    "events": (
        UsageLimit(
            Counted.CREATED,
            100_000,
            f"Google lets one user create 100,000 events in a short period{_LIFTED}",
        ),
        UsageLimit(
            Counted.MAILS_OUTSIDE,
            10_000,
            f"Google lets one user send 10,000 invitations to people outside{_LIFTED}",
        ),
    ),
    "calendars": (
        UsageLimit(
            Counted.CREATED,
            60,
            f"Google lets one user create 60 calendars in a short period{_LIFTED}",
        ),
    ),
}
"""By object, Google's limits on the use of calendars."""
_QUOTAS = (
    _Quota(
        "quota.project.day",
        "day",
        PROJECT_DAY,
        _DAY,
        "project/{project}/day",
        "a day for the project",
    ),
    _Quota(
        "quota.project.minute",
        "project",
        PROJECT_MINUTE,
        _MINUTE,
        "project/{project}",
        "a minute for the project",
    ),
    _Quota(
        "quota.user.minute",
        "user",
        USER_MINUTE,
        _MINUTE,
        "user/{user}",
        "a minute for one user",
    ),
)
"""The widest first."""


class Limits:
    """The budgets of one instance's calls.

    openbulk begins with the documented limits of a minute: projects from before May 2026 keep their
    old quotas, and a project may request more. The settings `quota.user.minute`,
    `quota.project.minute` and `quota.project.day` replace them.
    """

    def __init__(self, configuration: Mapping[str, str]) -> None:
        """Raises BadInput if a quota of the configuration is not a number of calls."""
        project = project_of(configuration)
        self.account = _account_name(configuration)
        """A name for the signed-in account; another sign-in has another name."""
        self.shared: Sequence[Budget] = tuple(
            quota.budget(configuration, project, self.account) for quota in _QUOTAS
        )
        """The budgets of a call that reads, the widest first."""

    def budgets(self, calendar: str | None) -> Sequence[Budget]:
        """The budgets of a call that changes this calendar, or none, the widest first."""
        if calendar is None:
            return self.shared
        # Google answers `rateLimitExceeded` to many writes to one calendar. The limit is not
        # documented: openbulk begins with the limit of a user, and learns from the refusals.
        minute = self.shared[-1].calls
        scope = f"googlecalendar/calendar/{self.account}/{calendar}"
        sentence = "Google takes {calls} calls a minute for one calendar"
        return (
            *self.shared,
            Budget(scope, "calendar", minute, _MINUTE, sentence, may_probe=True),
        )


def project_of(configuration: Mapping[str, str]) -> str:
    """The Google Cloud project that an instance's calls are counted on."""
    try:
        return str(json.loads(configuration[SERVICE_ACCOUNT])["project_id"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return _PROJECT_NUMBER.sub(r"\g<number>", configuration.get(API_KEY, ""))


def _account_name(configuration: Mapping[str, str]) -> str:
    """A digest of the sign-in: with our scope, Google does not reveal the account.

    Two sign-ins of one person are two accounts.
    """
    account = configuration.get(SERVICE_ACCOUNT) or configuration.get(REFRESH_TOKEN, "")
    subject = configuration.get(SUBJECT, "")
    return hashlib.sha256(f"{account} {subject}".encode()).hexdigest()[:16]
