"""Calls of the Calendar API v3, each counted on the budgets that it uses."""

from collections.abc import Mapping

from openbulk.connectors.googlecalendar.limits import Limits
from openbulk.connectors.http import Answer, Client

_JSON = {"Content-Type": "application/json"}


class CalendarApi:
    """The API of one signed-in account."""

    def __init__(self, client: Client, base_url: str, limits: Limits) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/calendar/v3"
        self._limits = limits

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
