"""Callers are told when their jobs are finished, signed, at least once, and only where they may be called."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from support.harness import Processes, Server
from support.receiver import Receiver

KEY = "a key of the caller's own choice"


def test_the_caller_is_told_with_both_signatures_and_its_own_payload(
    processes: Processes, receiver: Receiver
) -> None:
    server = processes.server().instance("memory", {"event.notification.signature.key": KEY})
    metadata = {"callback-payload": {"ref": 7}}
    headers = {"Elements-Async-Callback-URL": receiver.url}
    job_id = server.upload(
        "records", b'[{"name": "Ann"}, {"fail": "no"}]', metadata, headers=headers
    ).json["id"]
    receiver.wait_for(1)

    got, body = receiver.received[0]
    told = json.loads(body)
    assert (told["id"], told["status"], told["recordsCount"], told["recordsFailedCount"]) == (
        job_id,
        "COMPLETE",
        2,
        1,
    )
    assert told["callback-payload"] == {"ref": 7}
    digest = base64.b64encode(hmac.new(KEY.encode(), body, hashlib.sha256).digest()).decode()
    assert got["elements-webhook-signature"] == f"sha256={digest}"
    Webhook(KEY.encode()).verify(body, got)


def test_a_callback_that_fails_is_repeated_also_after_a_crash(
    processes: Processes, receiver: Receiver, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance("memory")
    receiver.status = 503
    headers = {"Elements-Async-Callback-Url": receiver.url}
    server.upload("records", b"name\nAnn\n", headers=headers)
    receiver.wait_for(1)
    server.process.kill()
    receiver.status = 200
    processes.server(data_dir=data)
    receiver.wait_for(2)
    first, second = receiver.received
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[1] == second[1]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/hooks", "http://localhost/x", "http://169.254.169.254/", "http://[::1]/"],
)
def test_private_addresses_are_refused_unless_allowed(processes: Processes, url: str) -> None:
    server = processes.server(OPENBULK_ALLOW_PRIVATE_ADDRESSES="false").instance("memory")
    reply = server.upload("records", b"name\nAnn\n", headers={"Elements-Async-Callback-Url": url})
    assert reply.status == 400
    assert "OPENBULK_ALLOW_PRIVATE_ADDRESSES" in reply.json["message"]


def test_an_instance_cannot_be_pointed_at_a_private_address_unless_allowed(
    processes: Processes,
) -> None:
    server: Server = processes.server(OPENBULK_ALLOW_PRIVATE_ADDRESSES="false")
    configuration = {
        "base.url": "http://127.0.0.1:1",
        "username": "Acme\\ann",
        "password": "secret",
    }
    body = {"element": {"key": "eloqua"}, "configuration": configuration}
    reply = server.call("POST", "/instances", json_body=body)
    assert (reply.status, "OPENBULK_ALLOW_PRIVATE_ADDRESSES" in reply.json["message"]) == (
        400,
        True,
    )
