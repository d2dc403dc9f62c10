"""A finished job sends a signed callback, at least once, to an address that may be called."""

import base64
import hashlib
import hmac
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from support.harness import Processes, Server, until
from support.ledger_rows import copy_first_row
from support.receiver import Receiver

KEY = "a key of the caller's own choice"


def test_a_callback_has_both_signatures_and_the_callers_payload(
    shared_server: Server, receiver: Receiver
) -> None:
    server = shared_server.instance("memory", {"event.notification.signature.key": KEY})
    metadata = {"callback-payload": {"ref": 7}}
    headers = {"Elements-Async-Callback-URL": receiver.url}
    job_id = server.upload(
        "records", b'[{"name": "Ann"}, {"fail": "no"}]', metadata, headers=headers
    ).json["id"]
    receiver.wait_for(1)

    received = receiver.received[0]
    job = json.loads(received.body)
    assert (job["id"], job["status"]) == (job_id, "COMPLETE")
    assert (job["recordsCount"], job["recordsFailedCount"]) == (2, 1)
    assert job["callback-payload"] == {"ref": 7}
    digest = base64.b64encode(hmac.digest(KEY.encode(), received.body, hashlib.sha256)).decode()
    assert received.headers["elements-webhook-signature"] == f"sha256={digest}"
    Webhook(KEY.encode()).verify(received.body, dict(received.headers))


def test_a_callback_can_be_sent_again(shared_memory: Server, receiver: Receiver) -> None:
    server = shared_memory
    headers = {"Elements-Async-Callback-Url": f"{receiver.url}?key=secret"}
    job_id = server.upload("records", b"name\nAnn\n", headers=headers).json["id"]
    path = f"/bulk/{job_id}/status/callback"

    def sent(attempts: int) -> bool:
        found = server.call("GET", path).json
        return found.get("attempts") == attempts and "finishedDate" in found

    until(lambda: sent(1), 300, "the callback is delivered")
    found = server.call("GET", path).json
    assert found["result"] == "answered 200"
    assert "secret" not in found["url"]
    assert server.call("POST", path).status == 200
    until(lambda: sent(2), 300, "it is delivered again")
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == found["id"]
    receiver.status = 503
    assert server.call("POST", path).status == 200
    until(lambda: server.call("GET", path).json["attempts"] == 3, 300, "an attempt has failed")
    refused = server.call("POST", path)
    assert (refused.status, "attempt 4 is due" in refused.json["message"]) == (409, True)
    without = server.done("records", b"name\nAnn\n")["id"]
    assert server.call("GET", f"/bulk/{without}/status/callback").status == 404


def test_a_callback_that_fails_is_sent_again_after_a_crash(
    processes: Processes, receiver: Receiver, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance("memory")
    receiver.status = 503
    headers = {"Elements-Async-Callback-Url": receiver.url}
    server.upload("records", b"name\nAnn\n", headers=headers)
    receiver.wait_for(1)
    server.process.kill()
    receiver.status, before = 200, len(receiver.received)
    processes.server(data_dir=data)
    receiver.wait_for(before + 1)
    first, *again = receiver.received
    assert {one.headers["webhook-id"] for one in again} == {first.headers["webhook-id"]}
    assert {one.body for one in again} == {first.body}


def test_callbacks_to_a_receiver_that_does_not_answer_hold_up_none_to_another(
    processes: Processes, receiver: Receiver
) -> None:
    """Each attempt waits for 20 s. The one to the other receiver is the last in the queue."""
    with Receiver() as dead:
        server = processes.server().instance("memory")
        for one in (dead, receiver):
            one.status = 503
            headers = {"Elements-Async-Callback-Url": one.url}
            server.upload("records", b"name\nAnn\n", headers=headers)
            one.wait_for(1)
        server.process.stop()
        dead.seconds_before_answer = 30.0
        with closing(sqlite3.connect(processes.folder / "data" / "ledger.db")) as ledger, ledger:
            copy_first_row(ledger, "jobs", 80, id="n + 10", file="'job' || n")
            copy_first_row(ledger, "deliveries", 80, id="n + 10", job_id="n + 10")
            ledger.execute("UPDATE deliveries SET id = 1000 WHERE id = 2")
            soon = int((time.time() + 4) * 1_000)
            ledger.execute("UPDATE deliveries SET attempts = 1, due_at = ?", (soon,))
        processes.server()
        receiver.wait_for(2, within=160)
        dead.wait_for(1 + 8, within=160)
        assert len(dead.received) <= 1 + 2 * 8  # some may begin without the queue


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/hooks", "http://localhost/x", "http://169.254.169.254/", "http://[::1]/"],
)
def test_private_addresses_are_refused_unless_allowed(
    shared_strict_server: Server, url: str
) -> None:
    server = shared_strict_server.instance("memory")
    reply = server.upload("records", b"name\nAnn\n", headers={"Elements-Async-Callback-Url": url})
    assert reply.status == 400
    assert "OPENBULK_ALLOW_PRIVATE_ADDRESSES" in reply.json["message"]


def test_an_instance_cannot_be_pointed_at_a_private_address_unless_allowed(
    shared_strict_server: Server,
) -> None:
    configuration = {
        "base.url": "http://127.0.0.1:1",
        "username": "Acme\\ann",
        "password": "secret",
    }
    body = {"element": {"key": "eloqua"}, "configuration": configuration}
    reply = shared_strict_server.call("POST", "/instances", json_body=body)
    assert (reply.status, "OPENBULK_ALLOW_PRIVATE_ADDRESSES" in reply.json["message"]) == (
        400,
        True,
    )
