"""The Google sandbox keeps its state: an answered change outlives a kill."""

import subprocess
import sys
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from openbulk.sandbox.journal import Journal, JournaledDict
from support.google_sandbox import event
from support.harness import Process, Processes, request

EVENTS = "/calendar/v3/calendars/primary/events"
CALLERS = 8


class Ann:
    """Calls a sandbox, signed in as Ann."""

    def __init__(self, sandbox: Process) -> None:
        self.url = sandbox.url
        self.tokens = request(
            "POST", f"{self.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
        ).json
        self.headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        reply = request(method, self.url + path, headers=self.headers, json_body=body)
        assert reply.status < 300, reply.body
        return reply.json if reply.body else None


def restart(processes: Processes, killed: Process, state: Path) -> Process:
    killed.kill()
    return processes.sandbox(
        "google", "--state", str(state), port=int(killed.url.rpartition(":")[2])
    )


def test_an_answered_change_outlives_a_kill(processes: Processes, tmp_path: Path) -> None:
    sandbox = processes.sandbox("google", "--state", str(tmp_path / "state"))
    ann, answered = Ann(sandbox), set[str]()

    def insert_until_it_is_killed(caller: int) -> None:
        for number in range(100_000):
            try:
                answered.add(ann.call("POST", EVENTS, event(f"{caller}-{number}"))["id"])
            except (OSError, HTTPException):
                return

    callers = [
        threading.Thread(target=insert_until_it_is_killed, args=[caller])
        for caller in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    while len(answered) < 200:
        callers[0].join(0.01)
    sandbox.kill()
    for caller in callers:
        caller.join()
    restart(processes, sandbox, tmp_path / "state")

    stored = {one["id"]: one for one in request("GET", f"{ann.url}/sandbox/events").json}
    assert answered <= stored.keys()
    assert len(stored) <= len(answered) + CALLERS
    assert all(one["start"] == {"date": "2026-03-01"} for one in stored.values())
    assert ann.call("POST", EVENTS, event("one more"))["etag"] > max(
        one["etag"] for one in stored.values()
    )


def test_changes_of_every_kind_outlive_the_sandbox(processes: Processes, tmp_path: Path) -> None:
    sandbox = processes.sandbox("google", "--state", str(tmp_path / "state"))
    ann = Ann(sandbox)
    kept, gone = (ann.call("POST", EVENTS, event(name))["id"] for name in ("kept", "gone"))
    listed = ann.call("GET", f"{EVENTS}?maxResults=2500")
    ann.call("PATCH", f"{EVENTS}/{kept}", {"location": "Hall"})
    ann.call("DELETE", f"{EVENTS}/{gone}")
    room = ann.call(
        "POST", "/calendar/v3/calendars", {"summary": "Room", "timeZone": "Europe/Berlin"}
    )["id"]
    closed = ann.call("POST", "/calendar/v3/calendars", {"summary": "Closed"})["id"]
    ann.call("DELETE", f"/calendar/v3/calendars/{closed}")
    rule = {"role": "reader", "scope": {"type": "user", "value": "bob@example.com"}}
    ann.call("POST", f"/calendar/v3/calendars/{room}/acl", rule)
    ann.call("PATCH", f"/calendar/v3/users/me/calendarList/{room}", {"colorId": "3"})
    before = [
        ann.call("GET", path)
        for path in (
            "/calendar/v3/users/me/calendarList",
            f"/calendar/v3/calendars/{room}/acl",
            EVENTS,
        )
    ]
    restart(processes, sandbox, tmp_path / "state")

    after = [
        ann.call("GET", path)
        for path in (
            "/calendar/v3/users/me/calendarList",
            f"/calendar/v3/calendars/{room}/acl",
            EVENTS,
        )
    ]
    assert after == before
    changed = ann.call("GET", f"{EVENTS}?syncToken={listed['nextSyncToken']}")["items"]
    assert {one["id"]: one["status"] for one in changed} == {kept: "confirmed", gone: "cancelled"}
    ever = request("GET", f"{ann.url}/sandbox/events?showDeleted=true").json
    assert sorted(one["summary"] for one in ever) == ["gone", "kept"]
    assert request("GET", f"{ann.url}/sandbox/stats").json["inserted"] == 2


def test_tokens_stay_good_and_revoked_ones_stay_bad(processes: Processes, tmp_path: Path) -> None:
    sandbox = processes.sandbox("google", "--state", str(tmp_path / "state"))
    ann, other = Ann(sandbox), Ann(sandbox)
    request("POST", f"{ann.url}/sandbox/tokens", json_body={"user": "bob@example.com"})
    refresh_token = other.tokens["refresh_token"]
    client = "client_id=c&client_secret=s"
    form = f"{client}&grant_type=refresh_token&refresh_token={refresh_token}"
    sent = {"Content-Type": "application/x-www-form-urlencoded"}
    restart(processes, sandbox, tmp_path / "state")
    assert ann.call("GET", EVENTS)["items"] == []
    assert request("POST", f"{ann.url}/token", body=form.encode(), headers=sent).status == 200
    body = f"token={ann.tokens['access_token']}".encode()
    assert request("POST", f"{ann.url}/revoke", body=body, headers=sent).status == 200

    restart(processes, processes.started[-1], tmp_path / "state")
    assert request("GET", f"{ann.url}{EVENTS}", headers=ann.headers).status == 401
    assert request("POST", f"{ann.url}/token", body=form.encode(), headers=sent).status == 400


def test_a_reset_is_remembered(processes: Processes, tmp_path: Path) -> None:
    sandbox = processes.sandbox("google", "--state", str(tmp_path / "state"))
    ann = Ann(sandbox)
    ann.call("POST", EVENTS, event("before"))
    request("POST", f"{ann.url}/sandbox/reset")
    ann.call("POST", EVENTS, event("after"))
    restart(processes, sandbox, tmp_path / "state")
    assert [one["summary"] for one in request("GET", f"{ann.url}/sandbox/events").json] == ["after"]


def test_a_recurrence_that_cannot_be_read_is_dropped_from_a_state(
    processes: Processes, tmp_path: Path
) -> None:
    """An earlier version kept it as text. What it holds can be listed."""
    sandbox = processes.sandbox("google", "--state", str(tmp_path / "state"))
    ann = Ann(sandbox)
    ann.call("POST", EVENTS, {**event("kept"), "recurrence": ["RRULE:FREQ=DAILY;COUNT=2"]})
    sandbox.kill()
    content = (tmp_path / "state").read_bytes()
    (tmp_path / "state").write_bytes(content.replace(b"COUNT=2", b"COUNT=x"))
    restart(processes, sandbox, tmp_path / "state")
    assert [one["summary"] for one in ann.call("GET", f"{EVENTS}?singleEvents=true")["items"]] == [
        "kept"
    ]


def test_a_line_that_was_cut_off_is_dropped_and_the_next_ones_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "state"
    kept = JournaledDict(Journal(file), "words", str)
    kept["a"], kept["b"] = "1", "2"
    del kept["a"]
    for cut in range(1, 12):
        whole = file.read_bytes()
        JournaledDict(Journal(file), "words", str)["c"] = "3"
        file.write_bytes(file.read_bytes()[:-cut])
        assert JournaledDict(Journal(file), "words", str) == {"b": "2"}, cut
        assert file.read_bytes() == whole


@pytest.mark.parametrize("text", ["Dear Ann,\nhow are you?", "Dear Ann"])
def test_a_file_that_is_no_state_is_not_changed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "letter.txt"
    file.write_text(text)
    command = [
        sys.executable,
        "-m",
        "openbulk",
        "sandbox",
        "google",
        "--port",
        "0",
        "--state",
        str(file),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "line 1" in ended.stderr
    assert file.read_text() == text
    with pytest.raises(ValueError, match="line 1 cannot be read"):
        Journal(file)
