"""The Google sandbox answers as Google documents, and fails only by its faults."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from openbulk.sandbox import google
from support.harness import request

EVENTS = "/calendar/v3/calendars/primary/events"
CLIENT = {"client_id": "client", "client_secret": "secret"}


@dataclass
class Caller:
    """Calls a sandbox, signed in as one user."""

    http: aiohttp.ClientSession
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """The status and the body; JSON is decoded."""
        headers = {**self.headers, **more.pop("headers", {})}
        async with self.http.request(
            method, self.url + path, headers=headers, allow_redirects=False, **more
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(
                text
            ) if text and answer.content_type == "application/json" else text

    async def sign_in(self, user: str, **more: Any) -> "Caller":
        """A caller of this sandbox for another user."""
        _, tokens = await self.call("POST", "/sandbox/tokens", json={"user": user, **more})
        return Caller(self.http, self.url, {"Authorization": f"Bearer {tokens['access_token']}"})

    async def insert(self, **fields: Any) -> tuple[int, Any]:
        return await self.call("POST", EVENTS, json=event(**fields))

    async def stats(self) -> Any:
        return (await self.call("GET", "/sandbox/stats"))[1]

    async def list_events(self, **query: str) -> list[Any]:
        """The items of every page of a list."""
        items, page = [], {"nextPageToken": ""}
        while "nextPageToken" in page:
            token = {"pageToken": page["nextPageToken"]} if page["nextPageToken"] else {}
            status, page = await self.call("GET", EVENTS, params={**query, **token})
            assert status == 200, page
            items += page["items"]
        return items


def event(**fields: Any) -> dict[str, Any]:
    start, end = {"dateTime": "2026-03-01T09:00:00Z"}, {"dateTime": "2026-03-01T10:00:00Z"}
    return {"summary": "Stand-up", "start": start, "end": end, **fields}


def reason(body: Any) -> str:
    error = body["error"]
    assert error["message"] == error["errors"][0]["message"]
    return str(error["errors"][0]["reason"])


@asynccontextmanager
async def sandbox(**options: Any) -> AsyncIterator[Caller]:
    runner = web.AppRunner(google.make_app(google.Options(**options)), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            nobody = Caller(http, f"http://127.0.0.1:{runner.addresses[0][1]}")
            yield await nobody.sign_in("ann@example.com")
    finally:
        await runner.cleanup()


@pytest.fixture
async def ann() -> AsyncIterator[Caller]:
    async with sandbox() as caller:
        yield caller


# --- events ---


async def test_google_fills_in_what_a_caller_leaves_out(ann: Caller) -> None:
    status, made = await ann.insert(etag="mine", creator={"email": "eve@example.com"})
    assert status == 200
    assert re.fullmatch(r"[a-v0-9]{26}", made["id"])
    assert made["iCalUID"] == f"{made['id']}@google.com"
    assert made["creator"] == {"email": "ann@example.com", "self": True}
    assert made["etag"] != "mine"
    assert (made["kind"], made["status"], made["sequence"]) == ("calendar#event", "confirmed", 0)
    assert {"htmlLink", "created", "updated", "organizer", "reminders"} <= made.keys()
    assert await ann.call("GET", f"{EVENTS}/{made['id']}") == (200, made)


@pytest.mark.parametrize("bad", ["abcd", "a" * 1025, "ABCDE", "abc-de", "wxyz01", "é" * 5])
async def test_an_illegal_id_is_refused(ann: Caller, bad: str) -> None:
    status, body = await ann.insert(id=bad)
    assert (status, reason(body)) == (400, "invalid")
    assert body["error"]["message"] == "Invalid resource id value."


async def test_an_id_stays_taken_even_after_its_event_is_deleted(ann: Caller) -> None:
    assert (await ann.insert(id="abc01"))[0] == 200
    for _ in range(2):
        status, body = await ann.insert(id="abc01")
        assert (status, reason(body)) == (409, "duplicate")
        assert body["error"]["message"] == "The requested identifier already exists."
        await ann.call("DELETE", f"{EVENTS}/abc01")
    assert (await ann.stats())["inserted"] == 1


async def test_a_deleted_event_is_a_tombstone_that_an_update_brings_back(ann: Caller) -> None:
    await ann.insert(id="abc01")
    assert await ann.call("DELETE", f"{EVENTS}/abc01") == (204, "")
    status, body = await ann.call("DELETE", f"{EVENTS}/abc01")
    assert (status, reason(body)) == (410, "deleted")
    assert (await ann.call("GET", f"{EVENTS}/abc01"))[1]["status"] == "cancelled"
    assert await ann.list_events() == []
    assert [item["id"] for item in await ann.list_events(showDeleted="true")] == ["abc01"]
    status, body = await ann.call("PUT", f"{EVENTS}/abc01", json=event(status="confirmed"))
    assert (status, body["status"]) == (200, "confirmed")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"start": None}, "required"),
        ({"end": None}, "required"),
        ({"end": {"dateTime": "2026-02-01T10:00:00Z"}}, "timeRangeEmpty"),
        ({"end": {"date": "2026-03-02"}}, "invalid"),
        ({"start": {"dateTime": "2026-03-01T09:00:00"}}, "required"),
        ({"start": {"dateTime": "2026-03-01T09:00:00", "timeZone": "Europe/Atlantis"}}, "invalid"),
        ({"recurrence": ["RRULE:FREQ=DAILY"]}, "required"),
    ],
)
async def test_times_that_google_refuses_are_refused(
    ann: Caller, fields: dict[str, Any], expected: str
) -> None:
    status, body = await ann.insert(**fields)
    assert (status, reason(body)) == (400, expected)


async def test_local_times_are_taken_with_a_time_zone(ann: Caller) -> None:
    berlin = {"dateTime": "2026-07-01T09:00:00", "timeZone": "Europe/Berlin"}
    once = ["RRULE:FREQ=DAILY;COUNT=1"]
    assert (await ann.insert(start=berlin, end=berlin, recurrence=once))[0] == 200
    assert (
        len(await ann.list_events(timeMin="2026-07-01T06:00:00Z", timeMax="2026-07-01T07:30:00Z"))
        == 1
    )
    assert await ann.list_events(timeMin="2026-07-01T08:00:00Z") == []


async def test_patch_keeps_omitted_fields_and_update_does_not(ann: Caller) -> None:
    await ann.insert(id="abc01", location="Room 7")
    _, patched = await ann.call("PATCH", f"{EVENTS}/abc01", json={"summary": "Later"})
    assert (patched["summary"], patched["location"]) == ("Later", "Room 7")
    _, updated = await ann.call("PUT", f"{EVENTS}/abc01", json=event(id="other"))
    assert (updated["id"], updated["summary"]) == ("abc01", "Stand-up")
    assert "location" not in updated
    assert updated["created"] == patched["created"]


async def test_a_change_by_an_outdated_etag_is_refused(ann: Caller) -> None:
    _, made = await ann.insert(id="abc01")
    path, match = f"{EVENTS}/abc01", {"If-Match": made["etag"]}
    assert (await ann.call("PATCH", path, json={"summary": "1"}, headers=match))[0] == 200
    for method in ("PATCH", "PUT", "DELETE"):
        status, body = await ann.call(method, path, json=event(), headers=match)
        assert (status, reason(body)) == (412, "conditionNotMet")
    assert (await ann.call("DELETE", path, headers={"If-Match": "*"}))[0] == 204


async def test_a_list_pages_through_every_event_once(ann: Caller) -> None:
    for n in range(7):
        await ann.insert(id=f"abc0{n}")
    assert [item["id"] for item in await ann.list_events(maxResults="3")] == [
        f"abc0{n}" for n in range(7)
    ]


async def test_a_sync_token_brings_changes_and_deletions(ann: Caller) -> None:
    for n in range(3):
        await ann.insert(id=f"abc0{n}")
    _, page = await ann.call("GET", EVENTS)
    await ann.call("PATCH", f"{EVENTS}/abc01", json={"summary": "Later"})
    await ann.call("DELETE", f"{EVENTS}/abc02")
    _, page = await ann.call("GET", EVENTS, params={"syncToken": page["nextSyncToken"]})
    assert {item["id"]: item["status"] for item in page["items"]} == {
        "abc01": "confirmed",
        "abc02": "cancelled",
    }
    await ann.call("POST", "/sandbox/reset")
    status, body = await ann.call("GET", EVENTS, params={"syncToken": page["nextSyncToken"]})
    assert (status, reason(body)) == (410, "fullSyncRequired")


async def test_tokens_of_lists_can_be_forgotten(ann: Caller) -> None:
    for n in range(3):
        await ann.insert(id=f"abc0{n}")
    _, first = await ann.call("GET", EVENTS, params={"maxResults": "2"})
    _, whole = await ann.call("GET", EVENTS)
    at_page, since = {"pageToken": first["nextPageToken"]}, {"syncToken": whole["nextSyncToken"]}
    assert [(await ann.call("GET", EVENTS, params=one))[0] for one in (at_page, since)] == [
        200,
        200,
    ]
    await ann.call("POST", "/sandbox/forget", json={"tokens": "page"})
    assert [(await ann.call("GET", EVENTS, params=one))[0] for one in (at_page, since)] == [
        400,
        200,
    ]
    await ann.call("POST", "/sandbox/forget", json={"tokens": "sync"})
    status, body = await ann.call("GET", EVENTS, params=since)
    assert (status, reason(body)) == (410, "fullSyncRequired")


async def test_a_sync_token_is_good_for_its_own_list_only(ann: Caller) -> None:
    """Google leaves other parameters, or another calendar, undefined."""
    _, whole = await ann.call("GET", EVENTS, params={"showDeleted": "true"})
    since = {"syncToken": whole["nextSyncToken"]}
    _, other = await ann.call("POST", "/calendar/v3/calendars", json={"summary": "Other"})
    assert (await ann.call("GET", EVENTS, params={**since, "showDeleted": "true"}))[0] == 200
    assert (await ann.call("GET", EVENTS, params={**since, "showDeleted": "false"}))[0] == 400
    assert (
        await ann.call(
            "GET", EVENTS, params={**since, "showDeleted": "true", "singleEvents": "true"}
        )
    )[0] == 400
    path = f"/calendar/v3/calendars/{other['id']}/events"
    assert (await ann.call("GET", path, params={**since, "showDeleted": "true"}))[0] == 400


async def test_a_list_can_be_narrowed(ann: Caller) -> None:
    await ann.insert(
        id="abc01", summary="Budget review", extendedProperties={"private": {"key": "1"}}
    )
    await ann.insert(id="abc02", summary="Lunch", extendedProperties={"shared": {"key": "1"}})
    for query, expected in (
        ({"q": "budget"}, ["abc01"]),
        ({"iCalUID": "abc02@google.com"}, ["abc02"]),
        ({"privateExtendedProperty": "key=1"}, ["abc01"]),
        ({"sharedExtendedProperty": "key=1"}, ["abc02"]),
        ({"timeMax": "2026-03-01T09:00:00Z"}, []),
        ({"eventTypes": "default"}, ["abc01", "abc02"]),
        ({"eventTypes": "focusTime"}, []),
        ({"updatedMin": "2100-01-01T00:00:00Z"}, []),
    ):
        assert [item["id"] for item in await ann.list_events(**query)] == expected, query


async def test_a_calendar_can_be_added_and_is_nobody_elses(ann: Caller) -> None:
    _, made = await ann.call(
        "POST", "/calendar/v3/calendars", json={"summary": "Rooms", "timeZone": "Europe/Berlin"}
    )
    path = f"/calendar/v3/calendars/{made['id']}"
    assert (await ann.call("POST", f"{path}/events", json=event()))[0] == 200
    assert (await ann.call("GET", path))[1]["summary"] == "Rooms"
    _, entries = await ann.call("GET", "/calendar/v3/users/me/calendarList")
    assert [item["id"] for item in entries["items"]] == ["ann@example.com", made["id"]]
    bob = await ann.sign_in("bob@example.com")
    status, body = await bob.call("GET", path)
    assert (status, reason(body)) == (404, "notFound")
    assert (await bob.call("GET", f"{EVENTS}/abc01"))[0] == 404
    assert (await ann.call("POST", "/calendar/v3/calendars", json={}))[0] == 400


async def test_hostile_bodies_are_refused_and_harm_nobody(ann: Caller) -> None:
    for data, expected in (
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[1]", 400),
        (b'{"a":NaN}', 400),
        (b" " * 1_100_000, 413),
    ):
        status, body = await ann.call("POST", EVENTS, data=data)
        assert status == expected, data[:20]
        assert body["error"]["code"] == expected
    assert reason((await ann.call("POST", EVENTS, data=b"{"))[1]) == "parseError"
    assert (await ann.insert())[0] == 200


# --- signing in ---


async def test_a_call_needs_a_good_access_token(ann: Caller) -> None:
    for headers in (
        {"Authorization": ""},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
    ):
        status, body = await ann.call("GET", EVENTS, headers=headers)
        assert (status, reason(body)) == (401, "authError")
    late = await ann.sign_in("ann@example.com", expires_in=-1)
    assert (await late.call("GET", EVENTS))[0] == 401


# --- quota, latency and faults ---


async def test_calls_over_the_quota_are_refused_for_each_user_apart() -> None:
    async with sandbox(quota_per_minute=3) as ann:
        answers = [await ann.insert() for _ in range(5)]
        assert [status for status, _ in answers] == [200, 200, 200, 403, 403]
        assert reason(answers[-1][1]) in {"rateLimitExceeded", "userRateLimitExceeded"}
        assert answers[-1][1]["error"]["errors"][0]["domain"] == "usageLimits"
        assert (await (await ann.sign_in("bob@example.com")).insert())[0] == 200
        stats = await ann.stats()
        assert (stats["calls"], stats["refused"], stats["by_status"]) == (
            6,
            2,
            {"200": 4, "403": 2},
        )
        assert (stats["inserted"], stats["max_calls_in_any_60s"]) == (4, 6)


async def test_calls_over_the_projects_quota_are_refused_whoever_makes_them() -> None:
    async with sandbox(quota_per_minute=10, project_quota_per_minute=3) as ann:
        bob = await ann.sign_in("bob@example.com")
        answers = [(await caller.insert())[0] for caller in (ann, bob, ann, bob, ann)]
        assert answers == [200, 200, 200, 403, 403]


async def test_every_api_answer_takes_the_latency_and_pages_do_not() -> None:
    async with sandbox(latency_ms=100) as ann:
        began = time.monotonic()
        await ann.insert()
        assert time.monotonic() - began >= 0.1
    async with sandbox(latency_ms=60_000) as ann:
        began = time.monotonic()
        await ann.stats()
        assert time.monotonic() - began < 60


@pytest.mark.parametrize(("fault", "kept"), [("drop-after", 1), ("drop-before", 0)])
async def test_a_dropped_call_was_done_only_with_the_fault_drop_after(
    fault: str, kept: int
) -> None:
    async with sandbox(faults=f"{fault}=1") as ann:
        with pytest.raises(aiohttp.ClientError):
            await ann.insert()
        assert len((await ann.call("GET", "/sandbox/events"))[1]) == kept


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_error_fault_answers_as_google_and_does_nothing(ann: Caller, status: int) -> None:
    await ann.call("POST", "/sandbox/faults", json={"spec": f"error-{status}=1"})
    answered, body = await ann.insert()
    assert (answered, body["error"]["code"]) == (status, status)
    assert reason(body) == ("rateLimitExceeded" if status == 429 else "backendError")
    await ann.call("POST", "/sandbox/faults", json={"spec": ""})
    assert await ann.list_events() == []


async def test_an_expired_token_can_be_renewed(ann: Caller) -> None:
    _, tokens = await ann.call("POST", "/sandbox/tokens", json={"user": "ann@example.com"})
    await ann.call("POST", "/sandbox/faults", json={"spec": "expire-token=1"})
    assert (await ann.insert())[0] == 401
    await ann.call("POST", "/sandbox/faults", json={"spec": ""})
    assert (await ann.insert())[0] == 401
    form = {**CLIENT, "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await ann.call("POST", "/token", data=form))[0] == 200


async def test_the_same_seed_brings_the_same_faults() -> None:
    runs = []
    for _ in range(2):
        async with sandbox(faults="error-503=0.3,error-500=0.2,seed=42") as ann:
            runs.append([(await ann.insert())[0] for _ in range(40)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500, 503}


async def test_a_burst_hits_so_many_calls_in_a_row() -> None:
    async with sandbox(faults="error-503=0.1,burst=5,seed=42") as ann:
        statuses = [(await ann.insert())[0] for _ in range(200)]
    runs = [
        len(run) for run in "".join("x" if status == 503 else " " for status in statuses).split()
    ]
    assert runs
    assert all(length % 5 == 0 for length in runs[:-1])


@pytest.mark.parametrize(
    "spec", ["burst=x", "boom=0.1", "slow=2", "slow=x", "slow=nan", "slow=0.6,drop-after=0.6"]
)
async def test_a_fault_spec_that_makes_no_sense_is_refused(ann: Caller, spec: str) -> None:
    with pytest.raises(ValueError, match=r"fault|share|whole number"):
        google.make_app(google.Options(faults=spec))
    assert (await ann.call("POST", "/sandbox/faults", json={"spec": spec}))[0] == 400


# --- the page and the operator endpoints ---


async def test_the_page_and_the_json_show_the_events(ann: Caller) -> None:
    await ann.insert(id="abc01", summary="<script>alert(1)</script>")
    await ann.insert(id="abc02")
    await ann.call("DELETE", f"{EVENTS}/abc02")
    _, page = await ann.call("GET", "/")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "ann@example.com" in page
    assert [item["id"] for item in (await ann.call("GET", "/sandbox/events"))[1]] == ["abc01"]
    assert (await ann.call("GET", "/sandbox/events?calendarId=bob@example.com"))[1] == []
    await ann.call("POST", "/sandbox/reset")
    assert (await ann.call("GET", "/sandbox/events"))[1] == []
    assert (await ann.insert(id="abc01"))[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_address_and_stops_on_a_signal(number: signal.Signals) -> None:
    code = (
        "from openbulk.sandbox import google, server\n"
        "server.run(google.make_app(google.Options()), '127.0.0.1', 0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        try:
            line = program.stdout.readline().decode()
            address = re.fullmatch(r"Google sandbox listens on (http://127\.0\.0\.1:\d+)\n", line)
            assert address, line
            assert request("GET", address[1]).status == 200
            program.send_signal(number)
            assert program.wait(60) == 0
        finally:
            program.kill()
