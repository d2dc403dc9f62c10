"""One run: starts its processes, lets works and blows take their course, notes the result."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp

from crash.actors import Actor, Disk
from crash.caller import Caller, UnexpectedAnswer, cancel
from crash.cluster import Cluster
from crash.files import kept_event
from crash.ledger import jobs_in
from crash.outsider import Outsider
from crash.receiver import CallbackReceiver
from crash.scenario import PEOPLE, Blow, Scenario
from crash.seen import Seen
from crash.signs import OVER, Signs
from openbulk.sandbox.google.store import Store
from openbulk.sandbox.journal import Journal
from support.harness import ORGANIZATION_SECRET, USER_SECRET
from support.ports import free_port

PATIENCE_SECONDS = 300.0
"""For all works to finish once nothing is down any more. Sweeps come every half minute."""
CALLBACK_SECONDS = 60.0
"""For the last callbacks to arrive."""
COUNT_SECONDS = 0.04


async def play(scenario: Scenario, folder: Path, cluster: Cluster | None = None) -> Seen:
    """Play a scenario, with its files in `folder`; one that shares PostgreSQL needs `cluster`."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(scenario, folder, cluster)
    try:
        await run.start()
        await run.take_its_course()
        await run.look()
    finally:
        await run.end()
    run.seen.seconds = time.monotonic() - began
    return run.seen


class _Run:
    def __init__(self, scenario: Scenario, folder: Path, cluster: Cluster | None) -> None:
        self.seen = Seen(scenario)
        self._scenario = scenario
        self._folder = folder
        self._cluster = cluster
        self._signs = Signs()
        self._receiver = CallbackReceiver(self._give_sign_from_thread)
        self._loop = asyncio.get_running_loop()
        self._open = AsyncExitStack()
        self._data = folder / "data"
        self._disk: Disk | None = None
        if Disk.is_possible() and any(blow.kind == "fill" for blow in scenario.blows):
            self._disk = Disk(self._data)
        self._database = cluster.new_database() if cluster and scenario.is_shared else None
        self._ledger = self._database or f"sqlite:///{self._data / 'ledger.db'}"
        self._actors: dict[str, Actor] = {}
        self._urls: dict[str, str] = {}

    # --- its processes ---

    async def start(self) -> None:
        """Start all processes, and sign all accounts in."""
        keep_events(self._folder / "sandbox.state", self._scenario.kept)
        self._cast_all()
        await asyncio.gather(*(actor.start() for actor in self._actors.values()))
        # A connection for each request: the server may close a kept one just when it is used again.
        connector = aiohttp.TCPConnector(force_close=True)
        self._http = await self._open.enter_async_context(
            aiohttp.ClientSession(connector=connector)
        )
        self._open.enter_context(self._receiver)
        outsider = Outsider(self._http, self._urls["sandbox"])
        self._caller = Caller(
            self._http, self._urls["server"], self._signs, self._receiver, outsider, self.seen
        )
        await self._caller.sign_in("memory", {})
        for account, person in PEOPLE.items():
            await self._caller.sign_in(account, await self._google(person))
        await self._set_faults(self._scenario.faults)

    def _give_sign_from_thread(self, sign: str) -> None:
        self._loop.call_soon_threadsafe(self._signs.give, sign)

    def _cast(self, name: str, *arguments: str, **environment: str) -> None:
        folder = self._folder / name.replace(" ", "-")
        self._actors[name] = Actor(name, folder, arguments, environment)

    def _cast_all(self) -> None:
        scenario, ports = self._scenario, {name: str(free_port()) for name in ("sandbox", "server")}
        self._urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        latency = ("--latency-ms", str(scenario.latency_ms))
        state = ("--state", str(self._folder / "sandbox.state"))
        self._cast("sandbox", "sandbox", "google", "--port", ports["sandbox"], *latency, *state)
        environment = {
            "OPENBULK_USER_SECRET": USER_SECRET,
            "OPENBULK_ORGANIZATION_SECRET": ORGANIZATION_SECRET,
            "OPENBULK_ALLOW_PRIVATE_ADDRESSES": "true",
            "OPENBULK_MEMORY_CONNECTOR": "true",
            "OPENBULK_DATA_DIR": str(self._data),
        }
        if self._database:
            environment["OPENBULK_DATABASE_URL"] = self._database
        self._cast("server", "serve", "--port", ports["server"], **environment)
        for number in range(scenario.workers):
            self._cast(f"worker {number + 1}", "worker", **environment)

    async def _google(self, person: str) -> dict[str, str]:
        tokens = await self._tokens_of(person)
        return {
            "base.url": self._urls["sandbox"],
            "oauth.api.key": "client",
            "oauth.api.secret": "secret",
            "oauth.user.refresh_token": tokens["refresh_token"],
            # The sandbox has no quota, so that no job waits for the next minute.
            "quota.user.minute": "60000",
            "quota.project.minute": "60000",
        }

    async def _tokens_of(self, person: str) -> dict[str, str]:
        address = f"{self._urls['sandbox']}/sandbox/tokens"
        async with self._http.post(address, json={"user": person}) as answer:
            tokens: dict[str, str] = await answer.json()
        return tokens

    async def _set_faults(self, spec: str) -> None:
        """Set the faults of the sandbox, as soon as it is up."""
        address = f"{self._urls['sandbox']}/sandbox/faults"
        while True:
            try:
                async with self._http.post(address, json={"spec": spec}) as answer:
                    assert answer.status == 200, await answer.text()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(COUNT_SECONDS)

    # --- its course ---

    async def take_its_course(self) -> None:
        """Run works and blows at the same time, until all works are finished."""
        counting = asyncio.create_task(self._count_calls())
        works = [
            asyncio.create_task(self._caller.live(work), name=work.name)
            for work in self._scenario.works
        ]
        strikes = [asyncio.create_task(self._strike(blow)) for blow in self._scenario.blows]
        over = asyncio.create_task(self._wait_for(works))
        try:
            # Every blow ends, even if one fails: the next run needs the database server, too.
            for failure in await asyncio.gather(*strikes, return_exceptions=True):
                if failure is not None:
                    raise failure
            self._caller.is_quiet = True
            well_again = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(over), PATIENCE_SECONDS)
            self.seen.seconds_after = time.monotonic() - well_again
            for work in works:
                if not work.done():
                    self.seen.wrong.append(
                        f"{work.get_name()} is not finished after {PATIENCE_SECONDS:g} s"
                    )
            await self._wait_for_callbacks()
        finally:
            for task in (over, counting, *works):
                await cancel(task)
        await self._set_faults("")

    async def _wait_for(self, works: Sequence["asyncio.Task[None]"]) -> None:
        for work in works:
            with suppress(UnexpectedAnswer, ExceptionGroup):  # the caller has noted it
                await work
        self._signs.give(OVER)

    async def _strike(self, blow: Blow) -> None:
        target = self._target_of(blow)
        if target is None or not await self._signs.until(blow.when):
            return
        self.seen.blows.append(f"{blow.kind} {blow.target.partition(' ')[0]}")
        await target.take(blow)
        if blow.target == "sandbox" and blow.kind == "kill":
            await self._set_faults(self._scenario.faults)

    def _target_of(self, blow: Blow) -> "Actor | Disk | Cluster | None":
        match blow.target:
            case "disk":
                return self._disk
            case "postgres":
                return self._cluster
            case name:
                return self._actors[name]

    async def _count_calls(self) -> None:
        """Count the calls to the sandbox; those before it was killed count, too."""
        before, last = 0, 0
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self._http.get(f"{self._urls['sandbox']}/sandbox/stats") as answer:
                    calls = int((await answer.json())["calls"])
                if calls < last:  # it has been started again
                    before += last
                last = calls
                self._signs.count_calls(before + calls)
            await asyncio.sleep(COUNT_SECONDS)

    async def _wait_for_callbacks(self) -> None:
        """Wait until every job with a callback has sent one; the checker reports missing ones."""
        wanted = {one.tag for one in self.seen.attempts if one.work.refusals is not None}
        tags = wanted & {job.tag for job in await asyncio.to_thread(jobs_in, self._ledger)}
        deadline = time.monotonic() + CALLBACK_SECONDS
        while tags - {one.tag for one in self._receiver.callbacks if one.status == 200}:
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.05)

    # --- its end ---

    async def look(self) -> None:
        """Note what the API, the ledger and the sandbox hold in the end."""
        try:
            async with asyncio.timeout(CALLBACK_SECONDS):
                await self._caller.look()
        except (TimeoutError, UnexpectedAnswer) as error:
            self.seen.wrong.append(f"the API did not answer in the end: {error!r}")
        for actor in self._actors.values():
            actor.note_end()
            self.seen.wrong += actor.wrong + actor.failed_slices()
        self.seen.jobs = await asyncio.to_thread(jobs_in, self._ledger)
        self.seen.callbacks = self._receiver.callbacks
        ever = await self._get("/sandbox/events?showDeleted=true")
        live = await self._get("/sandbox/events")
        self.seen.ever = Counter([event["summary"] for event in ever])
        self.seen.live = Counter([event["summary"] for event in live])
        self.seen.places = {
            one["summary"]: (one["organizer"]["email"], one.get("location", "")) for one in live
        }
        for person in PEOPLE.values():
            calendars = await self._calendars_of(person)
            self.seen.live.update(calendars)
            self.seen.places |= dict.fromkeys(calendars, (person, ""))
        violations = await self._get("/sandbox/violations")
        self.seen.wrong += [f"Google would not allow: {one}" for one in violations]

    async def _get(self, path: str, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._http.get(self._urls["sandbox"] + path, headers=headers) as answer:
            return await answer.json()

    async def _calendars_of(self, person: str) -> list[str]:
        token = (await self._tokens_of(person))["access_token"]
        names: list[str] = []
        path, page = "/calendar/v3/users/me/calendarList?maxResults=250", ""
        while True:
            listed = await self._get(path + page, token)
            names += [one["summary"] for one in listed["items"]]
            if "nextPageToken" not in listed:
                return names
            page = f"&pageToken={listed['nextPageToken']}"

    async def end(self) -> None:
        """End everything; files alone stay."""
        await self._open.aclose()
        for actor in self._actors.values():
            await asyncio.to_thread(actor.end)
        if self._disk is not None:
            self._disk.end()
        if self._cluster is not None and self._database is not None:
            await asyncio.to_thread(self._cluster.drop, self._database)


def keep_events(file: Path, count: int) -> None:
    """Write the state of a sandbox: the events of the calendar that is only read."""
    store, reader = Store(Journal(file)), PEOPLE["reader"]
    for number in range(1, count + 1):
        store.insert(store.calendar(reader, "primary"), reader, kept_event(number))
