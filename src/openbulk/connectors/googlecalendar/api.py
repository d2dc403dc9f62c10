"""Calls of the Calendar API v3, each counted on the budgets that it uses."""

from collections.abc import Mapping
from typing import Any

from openbulk.connectors.googlecalendar.errors import DELETED, is_lost_place, refusal
from openbulk.connectors.googlecalendar.limits import Limits
from openbulk.connectors.http import Answer, Client
from openbulk.domain.errors import CursorExpired, NotFound, Refused

_TOKENS = frozenset({"pageToken", "syncToken"})
_JSON = {"Content-Type": "application/json"}


class CalendarApi:
    """The API of one signed-in account."""

    def __init__(self, client: Client, base_url: str, limits: Limits) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/calendar/v3"
        self._limits = limits

    @property
    def account(self) -> str:
        """A name for the account, which says nothing of it."""
        return self._limits.account

    async def call(
        self,
        method: str,
        path: str,
        calendar: str | None = None,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Call a path below `/calendar/v3`; `calendar` is the one that it writes to. Raises ServiceError."""
        return await self._client.call(
            method,
            self._url + path,
            params=params,
            data=body,
            headers=_JSON if body is not None else None,
            budgets=self._limits.of(None if method == "GET" else calendar),
        )

    async def one(self, path: str) -> dict[str, Any]:
        """What is at a path. Raises NotFound where nothing is, Refused where Google says anything else."""
        return dict(found(await self.call("GET", path)).json())


def found(answer: Answer) -> Answer:
    """The answer to a call that asks for something, where it is there. Raises NotFound, Refused."""
    if answer.is_success:
        return answer
    refused = refusal(answer)
    kind = NotFound if refused.status == 404 or refused.reason == DELETED else Refused
    raise kind(str(refused), provider_message=refused.message)


def page_of(answer: Answer, asked: Mapping[str, str]) -> dict[str, Any]:
    """A page of a list that was asked for with these parameters. Raises CursorExpired where Google does not know a token
    among them any more, and as `found`."""
    if _TOKENS & asked.keys() and is_lost_place(answer):
        raise CursorExpired(
            "Google does not know this place in its list any more; read it from its beginning"
        )
    return dict(found(answer).json())
