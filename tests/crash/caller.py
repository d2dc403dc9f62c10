"""A caller: it requests jobs and follows them. It waits for a server that is down."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp

from crash.files import file_of, metadata_of
from crash.outsider import Outsider
from crash.receiver import KEY, CallbackReceiver
from crash.scenario import Account, Download, Upload, Work
from crash.seen import Attempt, Seen, ShownVerification
from crash.signs import Signs
from support.harness import BASE_PATH, ORGANIZATION_SECRET, USER_SECRET, multipart

AGAIN_SECONDS = 0.15
POLL_SECONDS = 0.1
ANSWER = aiohttp.ClientTimeout(total=30)
FINAL = {"COMPLETE", "CANCELLED", "ABORTED", "ERROR", "PLANNED", "VERIFIED"}
UNABLE = {503, 507}
"""Answers of a server whose database is away, or whose disk is full."""
LOST = (aiohttp.ClientError, TimeoutError)

Answer = tuple[int, Mapping[str, str], bytes]


class Caller:
    """Speaks to one server."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        signs: Signs,
        receiver: CallbackReceiver,
        outsider: Outsider,
        seen: Seen,
    ) -> None:
        self._http = http
        self._url = url + BASE_PATH
        self._signs = signs
        self._receiver = receiver
        self._outsider = outsider
        self._seen = seen
        self._with_keys = seen.scenario.with_keys
        self._hangs_up = dict(seen.scenario.hangs_up)
        self._tokens: dict[Account, str] = {}
        self.is_quiet = False
        """Whether nothing is down any more. From then on, every request has to be answered."""

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
        """Request a job, and follow it to its end."""
        await asyncio.sleep(work.begins)
        if isinstance(work, Upload) and work.after:
            await self._signs.wait(f"finished {work.after}")
        if isinstance(work, Upload) and work.during:
            await self._signs.wait(f"planned {work.during}")
        attempt = await self._submit(work)
        async with asyncio.TaskGroup() as following:
            following.create_task(self._follow(attempt))
            if isinstance(work, Upload) and work.cancelled is not None:
                following.create_task(self._cancel(attempt))
        if isinstance(work, Download):
            await self._fetch(attempt)
        # Also those whose answer was lost: the next work would meet them in the lane.
        await self._all_are_finished(work.account)
        if isinstance(work, Upload):
            await self._follow_up(attempt, work)
        self._signs.give(f"finished {work.name}")

    async def _follow_up(self, attempt: Attempt, work: Upload) -> None:
        """Do what a caller does once its job is finished, one after the other."""
        steps = [
            (work.is_retried, self._retry),
            (work.is_applied, self._apply),
            (work.is_undone, self._undo),
            (work.foreign is not None, self._verify),
        ]
        for is_wanted, step in steps:
            if is_wanted:
                await step(attempt, work)
                await self._all_are_finished(work.account)

    async def _undo(self, attempt: Attempt, work: Upload) -> None:
        """Undo the job."""
        headers = {"Idempotency-Key": f"{attempt.tag} undone"}
        self._signs.give(f"undoing {work.name}")
        path = f"/bulk/{attempt.job_id}/undo"
        answer = await self._surely("POST", path, work.account, headers=headers)
        attempt.undo_id = int(json.loads(answer[2])["id"])

    async def _verify(self, attempt: Attempt, work: Upload) -> None:
        """Verify the job, while somebody else changes its records."""
        await self._outsider.change(work, attempt)
        shown = await self._surely("GET", f"/bulk/{attempt.job_id}", work.account)
        if not any(json.loads(shown[2])["outcomes"].values()):
            return  # cancelled before its file was read
        headers = {"Idempotency-Key": f"{attempt.tag} verified"}
        self._signs.give(f"verifying {work.name}")
        path = f"/bulk/{attempt.job_id}/verify"
        answer = await self._surely("POST", path, work.account, headers=headers)
        attempt.verification_id = int(json.loads(answer[2])["id"])
        await self._outsider.change_meanwhile(work, attempt)

    async def _apply(self, attempt: Attempt, work: Upload) -> None:
        """Have a plan carried out, once somebody else has changed some of its records."""
        self._signs.give(f"planned {work.name}")
        (other,) = (one for one in self._seen.scenario.uploads if one.during == work.name)
        await self._signs.wait(f"finished {other.name}")
        path = f"/bulk/{attempt.job_id}"
        plan = await self._surely("GET", f"{path}/plan", work.account)
        self._signs.give(f"applying {work.name}")
        await self._surely(
            "PUT",
            f"{path}/apply",
            work.account,
            headers={"Idempotency-Key": f"{attempt.tag} apply"},
            json={"plan": json.loads(plan[2])["digest"]},
        )
        attempt.is_applied = True
        await self._follow(attempt)

    async def _retry(self, attempt: Attempt, work: Upload) -> None:
        """Retry the rows that are not written, if there are any."""
        shown = await self._surely("GET", f"/bulk/{attempt.job_id}", work.account)
        outcomes = json.loads(shown[2])["outcomes"]
        if not any(outcomes[kind] for kind in ("failed", "unknown", "notReached")):
            return
        headers = {"Idempotency-Key": f"{attempt.tag} again"}
        self._signs.give(f"retrying {work.name}")
        path = f"/bulk/{attempt.job_id}/retry"
        answer = await self._surely("POST", path, work.account, headers=headers)
        attempt.retry_id = int(json.loads(answer[2])["id"])

    async def _submit(self, work: Work) -> Attempt:
        """Make the request until it is answered.

        A request whose answer is lost may have made a job. With an Idempotency-Key the caller
        repeats the request; without one, it makes another attempt, which may make a second job.
        """
        attempt = self._new_attempt(work)
        while (job_id := await self._request_job(attempt)) is None:
            await asyncio.sleep(AGAIN_SECONDS)
            if not self._with_keys:
                attempt = self._new_attempt(work)
        attempt.job_id = job_id
        self._signs.give(f"answered {work.name}")
        await self._repeat(attempt)
        return attempt

    async def _repeat(self, attempt: Attempt) -> None:
        """Repeat a request with its key, if it has one: the answer is the job that it has made."""
        if self._with_keys and await self._request_job(attempt) not in {attempt.job_id, None}:
            self._seen.wrong.append(f"{attempt.tag}: repeated with its key, and got another job")

    def _new_attempt(self, work: Work) -> Attempt:
        number = sum(attempt.work is work for attempt in self._seen.attempts) + 1
        self._seen.attempts.append(Attempt(work, f"{work.name}.{number}"))
        return self._seen.attempts[-1]

    async def _request_job(self, attempt: Attempt) -> int | None:
        """The id of the job; None where the answer is lost, or the caller hangs up before it."""
        name = attempt.work.name
        self._signs.give(f"posting {name}")
        patience = self._hangs_up.pop(name, None)
        headers = {"Idempotency-Key": attempt.tag} if self._with_keys else {}
        try:
            async with asyncio.timeout(patience):
                answer = await self._post(attempt, headers)
        except TimeoutError:
            return None
        return None if answer is None else int(json.loads(answer[2])["id"])

    async def _post(self, attempt: Attempt, headers: dict[str, str]) -> Answer | None:
        work, by_header, by_body = attempt.work, {}, {}
        if work.refusals is not None:
            callback = self._receiver.address(attempt.tag, work.refusals)
            by_header["Elements-Async-Callback-Url"] = callback
            by_body["notificationUrl"] = callback
        payload = {"callback-payload": {"tag": attempt.tag}}
        match work:
            case Upload():
                path = f"/bulk/{work.object}"
                fields = {"metaData": json.dumps(metadata_of(work, attempt.tag))}
                form, headers["Content-Type"] = multipart(file_of(work, attempt.tag), fields)
                body: dict[str, Any] = {"data": form, "headers": headers | by_header}
            case Download(query=""):
                path = "/bulk/download"
                request = {"objectName": "events", "format": work.format, "pageSize": 37}
                body = {"json": request | payload | by_body, "headers": headers}
            case Download():
                path = "/bulk/query"
                query = {"q": work.query, "fileFormat": work.format, "metaData": payload}
                body = {"json": query, "headers": headers | by_header}
        return await self._once("POST", path, work.account, **body)

    async def _follow(self, attempt: Attempt) -> None:
        while (status := await self._status(attempt))["status"] not in FINAL:
            if status["status"] == "RUNNING":
                self._signs.give(f"running {attempt.work.name}")
            await asyncio.sleep(POLL_SECONDS)
        # A fast job may have run between two looks.
        self._signs.give(f"running {attempt.work.name}")

    async def _status(self, attempt: Attempt) -> Mapping[str, Any]:
        answer = await self._surely("GET", f"/bulk/{attempt.job_id}/status", attempt.work.account)
        status: Mapping[str, Any] = json.loads(answer[2])
        return status

    async def _cancel(self, attempt: Attempt) -> None:
        assert isinstance(attempt.work, Upload)
        assert attempt.work.cancelled is not None
        if not await self._signs.until(attempt.work.cancelled):
            return
        answer = await self._surely("PUT", f"/bulk/{attempt.job_id}/cancel", attempt.work.account)
        # A job that has finished stays as it is. One whose slice runs is cancelled when that ends.
        status = json.loads(answer[2])["status"]
        attempt.is_cancelled = status in {"CANCELLED", "CANCELLATION_PENDING"}

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
        """Note what the API says of every job, now that all are over."""
        for attempt in self._seen.attempts:
            if attempt.job_id is None:
                continue
            await self._repeat(attempt)
            self._seen.statuses[attempt.job_id] = status = await self._status(attempt)
            if attempt.verification_id is not None:
                await self._look_at_verification(attempt, attempt.verification_id)
            if isinstance(attempt.work, Upload):
                path = f"/bulk/{attempt.job_id}/errors"
                self._seen.errors[attempt.job_id] = await self._list(path, attempt.work.account)
            elif status["status"] == "COMPLETE":
                await self._fetch(attempt)

    async def _look_at_verification(self, attempt: Attempt, job_id: int) -> None:
        path, account = f"/bulk/{job_id}/verification", attempt.work.account
        shown = json.loads((await self._surely("GET", path, account))[2])
        rows = await self._list(f"{path}/rows", account)
        self._seen.verifications[job_id] = ShownVerification(shown["counts"], rows)

    async def _list(self, path: str, account: Account) -> list[Mapping[str, Any]]:
        """All pages of a list."""
        found: list[Mapping[str, Any]] = []
        token = ""
        while True:
            page = f"{path}?pageSize=500&nextPage={token}"
            _, headers, body = await self._surely("GET", page, account)
            found += json.loads(body)
            token = headers.get("elements-next-page-token", "")
            if not token:
                return found

    # --- requests ---

    async def _surely(self, method: str, path: str, account: Account, **more: Any) -> Answer:
        """Repeat a request until it is answered."""
        while True:
            answer = await self._once(method, path, account, **more)
            if answer is not None:
                return answer
            await asyncio.sleep(AGAIN_SECONDS)

    async def _once(self, method: str, path: str, account: Account, **more: Any) -> Answer | None:
        """Make one request. Returns None if the answer is lost, or the server cannot do it now."""
        began_quiet = self.is_quiet  # a request that began earlier may fail
        try:
            answer = await self._request(method, path, account, **more)
        except LOST as error:
            kind, story = type(error).__name__, f"{method} {path} was not answered: {error!r}"
        else:
            status, _, body = answer
            if status == 200:
                return answer
            kind, story = str(status), f"{method} {path} was answered {status}: {body[:500]!r}"
            if status not in UNABLE:
                self._seen.wrong.append(story)
                raise UnexpectedAnswer(story)
        self._seen.failed_answers[f"{method}: {kind}"] += 1
        if began_quiet:
            self._seen.wrong.append(f"nothing is down, but {story}")
        return None

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
            return answer.status, answer.headers, await answer.read()


class UnexpectedAnswer(Exception):
    """An answer that is wrong whatever is down."""


async def cancel(task: "asyncio.Task[None]") -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
