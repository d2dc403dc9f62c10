"""Somebody who asks for jobs and follows them. A server that is down is waited for, and nothing is given up."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp

from crash.files import file_of, metadata_of
from crash.receiver import KEY, Receiver
from crash.scenario import Account, Download, Upload, Work
from crash.seen import Attempt, Seen
from crash.signs import Signs
from support.harness import BASE_PATH, ORGANIZATION_SECRET, USER_SECRET, multipart

AGAIN_SECONDS = 0.15
POLL_SECONDS = 0.1
ANSWER = aiohttp.ClientTimeout(total=30)
FINAL = {"COMPLETE", "CANCELLED", "ABORTED", "ERROR"}
UNABLE = {503, 507}
"""What a server answers that cannot now: its database is away, or its disk is full."""
LOST = (aiohttp.ClientError, TimeoutError)

Answer = tuple[int, Mapping[str, str], bytes]


class Caller:
    """Speaks to one server."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, signs: Signs, receiver: Receiver, seen: Seen
    ) -> None:
        self._http = http
        self._url = url + BASE_PATH
        self._signs = signs
        self._receiver = receiver
        self._seen = seen
        self._with_keys = seen.scenario.with_keys
        self._hangs_up = dict(seen.scenario.hangs_up)
        self._tokens: dict[Account, str] = {}
        self.is_quiet = False
        """Whether nothing is down any more: every request that is made from then on has to be answered."""

    # --- its instances ---

    async def sign_in(self, account: Account, configuration: Mapping[str, str]) -> None:
        """Make the instance of an account."""
        element = "memory" if account == "memory" else "googlecalendar"
        signed = {**configuration, "event.notification.signature.key": KEY}
        body = {"element": {"key": element}, "configuration": signed}
        status, _, answer = await self._request("POST", "/instances", json=body)
        assert status == 200, answer
        self._tokens[account] = json.loads(answer)["token"]

    # --- a work, from its request to its end ---

    async def live(self, work: Work) -> None:
        """Ask for a job, and follow it to its end."""
        await asyncio.sleep(work.begins)
        if isinstance(work, Upload) and work.behind:
            await self._signs.wait(f"finished {work.behind}")
        attempt = await self._submit(work)
        async with asyncio.TaskGroup() as following:
            following.create_task(self._follow(attempt))
            if isinstance(work, Upload) and work.cancelled is not None:
                following.create_task(self._cancel(attempt))
        if isinstance(work, Download):
            await self._fetch(attempt)
        # Those whose answer was lost, too: what comes behind them is in nobody's way.
        await self._all_are_finished(work.account)
        self._signs.give(f"finished {work.name}")

    async def _submit(self, work: Work) -> Attempt:
        """Ask until there is an answer. One that was lost may have been taken or not: with an Idempotency-Key the same
        is asked again, and without one, something else is."""
        attempt = self._attempt(work)
        while (job_id := await self._ask_once(attempt)) is None:
            await asyncio.sleep(AGAIN_SECONDS)
            attempt = attempt if self._with_keys else self._attempt(work)
        attempt.job_id = job_id
        self._signs.give(f"answered {work.name}")
        await self._ask_again(attempt)
        return attempt

    async def _ask_again(self, attempt: Attempt) -> None:
        """The same request with its key, where it has one, has the same answer: now, and after everything."""
        if self._with_keys and await self._ask_once(attempt) not in {attempt.job_id, None}:
            self._seen.wrong.append(
                f"{attempt.tag}: asked again with its key, and answered with another job"
            )

    def _attempt(self, work: Work) -> Attempt:
        number = sum(attempt.work is work for attempt in self._seen.attempts) + 1
        self._seen.attempts.append(Attempt(work, f"{work.name}.{number}"))
        return self._seen.attempts[-1]

    async def _ask_once(self, attempt: Attempt) -> int | None:
        """The job's id; None where the answer was lost, or was not waited for."""
        name = attempt.work.name
        self._signs.give(f"posting {name}")
        patience = self._hangs_up.pop(name, None)
        try:
            async with asyncio.timeout(patience):
                answer = await self._post(
                    attempt, {"Idempotency-Key": attempt.tag} if self._with_keys else {}
                )
        except TimeoutError:
            return None
        return None if answer is None else int(json.loads(answer[2])["id"])

    async def _post(self, attempt: Attempt, headers: dict[str, str]) -> Answer | None:
        work, callback = attempt.work, None
        if work.refusals is not None:
            callback = self._receiver.address(attempt.tag, work.refusals)
        if callback is not None and not (isinstance(work, Download) and not work.query):
            headers["Elements-Async-Callback-Url"] = callback
        match work:
            case Upload(object=object):
                fields = {"metaData": json.dumps(metadata_of(work, attempt.tag))}
                body, headers["Content-Type"] = multipart(file_of(work, attempt.tag), fields)
                return await self._once(
                    "POST", f"/bulk/{object}", work.account, data=body, headers=headers
                )
            case Download(query=""):
                asked = {
                    "objectName": "events",
                    "format": work.format,
                    "pageSize": 37,
                    **_payload(attempt),
                }
                asked |= {"notificationUrl": callback} if callback else {}
                return await self._once(
                    "POST", "/bulk/download", work.account, json=asked, headers=headers
                )
            case Download(query=query):
                asked = {"q": query, "fileFormat": work.format, "metaData": _payload(attempt)}
                return await self._once(
                    "POST", "/bulk/query", work.account, json=asked, headers=headers
                )

    async def _follow(self, attempt: Attempt) -> None:
        while (status := await self._status(attempt))["status"] not in FINAL:
            if status["status"] == "RUNNING":
                self._signs.give(f"running {attempt.work.name}")
            await asyncio.sleep(POLL_SECONDS)
        self._signs.give(
            f"running {attempt.work.name}"
        )  # it has been, whether anybody saw it or not

    async def _status(self, attempt: Attempt) -> Mapping[str, Any]:
        answer = await self._surely("GET", f"/bulk/{attempt.job_id}/status", attempt.work.account)
        status: Mapping[str, Any] = json.loads(answer[2])
        return status

    async def _cancel(self, attempt: Attempt) -> None:
        assert isinstance(attempt.work, Upload)
        assert attempt.work.cancelled is not None
        if not await self._signs.until(attempt.work.cancelled):
            return
        attempt.is_cancelled = True
        await self._surely("PUT", f"/bulk/{attempt.job_id}/cancel", attempt.work.account)

    async def _fetch(self, attempt: Attempt) -> None:
        answer = await self._surely("GET", f"/bulk/{attempt.job_id}/events", attempt.work.account)
        self._seen.files.append((attempt.work.name, answer[2]))

    async def _all_are_finished(self, account: Account) -> None:
        while True:
            answer = await self._surely("GET", "/bulk/jobs?pageSize=2000", account)
            if all(job["status"] in FINAL for job in json.loads(answer[2])):
                return
            await asyncio.sleep(POLL_SECONDS * 2)

    # --- in the end ---

    async def look(self) -> None:
        """See what the API says of everything, now that nothing moves any more."""
        for attempt in self._seen.attempts:
            if attempt.job_id is None:
                continue
            await self._ask_again(attempt)
            self._seen.statuses[attempt.job_id] = status = await self._status(attempt)
            if isinstance(attempt.work, Upload):
                self._seen.errors[attempt.job_id] = await self._errors(attempt)
            elif status["status"] == "COMPLETE":
                await self._fetch(attempt)

    async def _errors(self, attempt: Attempt) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        token = ""
        while True:
            path = f"/bulk/{attempt.job_id}/errors?pageSize=500&nextPage={token}"
            _, headers, body = await self._surely("GET", path, attempt.work.account)
            found += json.loads(body)
            token = headers.get("elements-next-page-token", "")
            if not token:
                return found

    # --- requests ---

    async def _surely(self, method: str, path: str, account: Account) -> Answer:
        """A request that may be repeated, until it is answered."""
        while True:
            answer = await self._once(method, path, account)
            if answer is not None:
                return answer
            await asyncio.sleep(AGAIN_SECONDS)

    async def _once(self, method: str, path: str, account: Account, **more: Any) -> Answer | None:
        """One request; None where its answer was lost, or the server says that it cannot now."""
        began_quiet = self.is_quiet  # what was asked before may be answered as things stood then
        try:
            answer = await self._request(method, path, account, **more)
        except LOST as error:
            self._fail(
                f"{method}: {type(error).__name__}",
                f"{method} {path} was not answered: {error!r}",
                began_quiet,
            )
            return None
        if answer[0] in UNABLE:
            self._fail(
                f"{method}: {answer[0]}",
                f"{method} {path} was answered {answer[0]}: {answer[2][:500]!r}",
                began_quiet,
            )
            return None
        if answer[0] != 200:
            self._seen.wrong.append(
                f"{method} {path} was answered {answer[0]}: {answer[2][:500]!r}"
            )
            raise UnexpectedAnswer(self._seen.wrong[-1])
        return answer

    def _fail(self, kind: str, story: str, began_quiet: bool) -> None:
        self._seen.failed_answers[kind] += 1
        if began_quiet:
            self._seen.wrong.append(f"nothing is down, but {story}")

    async def _request(
        self,
        method: str,
        path: str,
        account: Account | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        secrets = f"User {USER_SECRET}, Organization {ORGANIZATION_SECRET}"
        token = f", Element {self._tokens[account]}" if account else ""
        sent = {"Authorization": secrets + token, **(headers or {})}
        async with self._http.request(
            method, self._url + path, headers=sent, timeout=ANSWER, **more
        ) as answer:
            got = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, got, await answer.read()


class UnexpectedAnswer(Exception):
    """An answer that no caller should get, whatever was killed."""


def _payload(attempt: Attempt) -> Mapping[str, Any]:
    return {"callback-payload": {"tag": attempt.tag}}


async def ended(task: "asyncio.Task[None]") -> None:
    """Wait for a task that was told to end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
