"""Somebody else, who changes records at the service itself, and does not give up."""

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any

import aiohttp

from crash.files import text_of
from crash.scenario import PEOPLE, Account, Upload
from crash.seen import Attempt

FOREIGN_PLACE = "elsewhere"
AGAIN_SECONDS = 0.15
ANSWER = aiohttp.ClientTimeout(total=30)
_EVENTS = "/calendar/v3/calendars/primary/events"
_DONE = frozenset({200, 204})
_DONE_BEFORE = frozenset({409, 410})
"""Answers to a call whose first answer was lost: the event is there, or is gone."""
_COPIED = ("start", "end", "extendedProperties")


def double_of(text: str) -> str:
    """The text of the second event with a reference."""
    return f"{text} again"


class Outsider:
    """Changes events of the Google sandbox, as the people whose they are."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def change(self, upload: Upload, attempt: Attempt) -> None:
        """Change the records of an upload, before it is verified."""
        foreign = attempt.foreign
        await self._move(upload, attempt, foreign.moved)
        for event in await self._events(upload, attempt, foreign.deleted):
            await self._surely("DELETE", upload.account, f"/{event['id']}")
        for event in await self._events(upload, attempt, foreign.doubled):
            double = {name: event[name] for name in _COPIED}
            name = {"id": f"{event['id']}0", "summary": double_of(event["summary"])}
            await self._surely("POST", upload.account, "", double | name)

    async def change_meanwhile(self, upload: Upload, attempt: Attempt) -> None:
        """Change the records of an upload while it is verified."""
        await self._move(upload, attempt, attempt.foreign.moved_meanwhile)

    async def _move(self, upload: Upload, attempt: Attempt, rows: Collection[int]) -> None:
        for event in await self._events(upload, attempt, rows):
            body = {"location": FOREIGN_PLACE}
            await self._surely("PATCH", upload.account, f"/{event['id']}", body)

    async def _events(
        self, upload: Upload, attempt: Attempt, rows: Collection[int]
    ) -> list[Mapping[str, Any]]:
        """The events of some rows, as far as they are there."""
        texts = {text_of(upload, attempt.tag, row) for row in rows}
        while True:
            try:
                async with self._http.get(f"{self._url}/sandbox/events", timeout=ANSWER) as answer:
                    return [event for event in await answer.json() if event["summary"] in texts]
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(AGAIN_SECONDS)

    async def _surely(
        self, method: str, account: Account, path: str, body: Mapping[str, Any] | None = None
    ) -> None:
        """Make a call until it is answered with success."""
        while True:
            if await self._is_done(method, account, path, body):
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _is_done(
        self, method: str, account: Account, path: str, body: Mapping[str, Any] | None
    ) -> bool:
        try:
            headers = {"Authorization": f"Bearer {await self._token(account)}"}
            async with self._http.request(
                method, self._url + _EVENTS + path, json=body, headers=headers, timeout=ANSWER
            ) as answer:
                await answer.read()
                return answer.status in _DONE | _DONE_BEFORE
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
            return False

    async def _token(self, account: Account) -> str:
        """A token for one call: one that is kept may be expired."""
        address = f"{self._url}/sandbox/tokens"
        async with self._http.post(address, json={"user": PEOPLE[account]}) as answer:
            token: str = (await answer.json())["access_token"]
            return token
