"""How many calls Google takes (https://developers.google.com/workspace/calendar/api/guides/quota)."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from openbulk.connectors.auth import API_KEY, REFRESH_TOKEN
from openbulk.connectors.googlecalendar.sign_in import SERVICE_ACCOUNT
from openbulk.connectors.pace import Budget
from openbulk.domain.errors import BadInput

USER_MINUTE = 600
PROJECT_MINUTE = 10_000
PROJECT_DAY = 1_000_000
_PROJECT_NUMBER = re.compile(r"(?P<number>\d+)-")
_MINUTE, _DAY = 60.0, 86_400.0


class Limits:
    """The budgets of one instance's calls.

    Projects from before May 2026 keep the quotas that they had, and a project may ask for more: what is documented
    for a minute is a beginning. The million a day is where Google begins to charge: it is never gone beyond by
    itself. `quota.user.minute`, `quota.project.minute` and `quota.project.day` of the configuration say otherwise.
    """

    def __init__(self, configuration: Mapping[str, str]) -> None:
        project, user = project_of(configuration), _user_of(configuration)
        self._shared = (
            _budget(
                configuration,
                "project.day",
                PROJECT_DAY,
                f"project/{project}/day",
                "a day for the project",
            ),
            _budget(
                configuration,
                "project.minute",
                PROJECT_MINUTE,
                f"project/{project}",
                "a minute for the project",
            ),
            _budget(
                configuration, "user.minute", USER_MINUTE, f"user/{user}", "a minute for one user"
            ),
        )
        self._user = user

    @property
    def account(self) -> str:
        """A name for the account that is signed in, the same as long as the sign-in is."""
        return self._user

    def of(self, calendar: str | None) -> Sequence[Budget]:
        """The budgets of a call, the widest first. Writing to one calendar has a limit of its own, not documented."""
        if calendar is None:
            return self._shared
        minute = self._shared[-1].calls
        scope = f"googlecalendar/calendar/{self._user}/{calendar}"
        says = f"Google takes {minute:,} calls a minute for one calendar"
        return (*self._shared, Budget(scope, "calendar", minute, _MINUTE, says, may_be_more=True))


def project_of(configuration: Mapping[str, str]) -> str:
    """The Google Cloud project that an instance's calls are counted on."""
    try:
        return str(json.loads(configuration[SERVICE_ACCOUNT])["project_id"])
    except (KeyError, ValueError, TypeError):
        client = configuration.get(API_KEY, "")
        match = _PROJECT_NUMBER.match(client)
        return match["number"] if match else client


def _user_of(configuration: Mapping[str, str]) -> str:
    """A name for the account, which Google tells to nobody with our scope: two sign-ins of one person are two."""
    account = configuration.get(SERVICE_ACCOUNT) or configuration.get(REFRESH_TOKEN) or ""
    subject = configuration.get("google.subject") or ""
    return hashlib.sha256(f"{account} {subject}".encode()).hexdigest()[:16]


def _budget(
    configuration: Mapping[str, str], name: str, documented: int, scope: str, whose: str
) -> Budget:
    told = configuration.get(f"quota.{name}") or str(documented)
    if not (told.isascii() and told.isdigit() and int(told)):
        raise BadInput(
            f"quota.{name} is {told!r}; it has to be a whole number of calls, like {documented}"
        )
    label, window = name.split(".")
    return Budget(
        scope=f"googlecalendar/{scope}",
        label=label if window == "minute" else window,
        calls=int(told),
        seconds=_DAY if window == "day" else _MINUTE,
        says=f"Google takes {int(told):,} calls {whose}",
        may_be_more=window == "minute" and f"quota.{name}" not in configuration,
    )
