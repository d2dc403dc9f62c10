"""The callers' secrets are replaced while servers work: how-to/rotate-the-callers-secrets.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.harness import BASE_PATH, Process, Processes, request

OLD = ("old-secret-of-the-user", "old-secret-of-the-organization")
NEW = ("new+secret/of=the+user", "new+secret/of=the+organization")
MIXED = (NEW[0], OLD[1])
BOTH = (f"{NEW[0]},{OLD[0]}", f"{NEW[1]}, {OLD[1]}\n")
STEPS = ((OLD, [OLD]), (BOTH, [OLD, NEW, MIXED]), (NEW, [NEW]))
"""What is set, and the secrets that hold then."""


def settings(user: str, organization: str) -> dict[str, Any]:
    return {"OPENBULK_USER_SECRET": user, "OPENBULK_ORGANIZATION_SECRET": organization}


def status_for(server: Process, user: str, organization: str) -> int:
    headers = {"Authorization": f"User {user}, Organization {organization}"}
    return request("GET", f"{server.url}{BASE_PATH}/instances", headers=headers).status


def require_that_only_these_hold(server: Process, holding: list[tuple[str, str]]) -> None:
    for secrets in (OLD, NEW, MIXED):
        assert status_for(server, *secrets) == (200 if secrets in holding else 401), secrets


@pytest.mark.long
def test_new_secrets_replace_the_old_ones_while_servers_work(
    processes: Processes, database: str
) -> None:
    """On two servers, one after the other. From the first restart on, both answer alike."""
    running = [
        processes.server(OPENBULK_DATABASE_URL=database, **settings(*OLD)).process for _ in range(2)
    ]
    for server in running:
        require_that_only_these_hold(server, [OLD])
    for set_secrets, holding in STEPS[1:]:
        for number in range(2):
            assert running[number].stop() == 0
            running[number] = processes.server(
                OPENBULK_DATABASE_URL=database, **settings(*set_secrets)
            ).process
            for server in running:
                require_that_only_these_hold(server, holding)


@pytest.mark.parametrize("steps", [STEPS, STEPS[1:]], ids=["one", "two"])
def test_a_single_server_takes_several_secrets_also_at_its_first_start(
    processes: Processes,
    tmp_path: Path,
    steps: Sequence[tuple[tuple[str, str], list[tuple[str, str]]]],
) -> None:
    data = tmp_path / "data"
    for set_secrets, holding in steps:
        server = processes.server(data_dir=data, **settings(*set_secrets)).process
        require_that_only_these_hold(server, holding)
        server.stop()
    empty = processes.server(data_dir=data, **settings("", " ,")).process
    require_that_only_these_hold(empty, [NEW])
    log = "".join(process.log() for process in processes.started)
    assert log.count("an earlier user secret has ended") == 1
    for secret in (*OLD, *NEW):
        assert secret not in log


def test_an_address_that_tries_secrets_is_stopped(processes: Processes) -> None:
    server = processes.server()
    assert server.call("GET", "/instances").status == 200
    answers = [
        request(
            "GET",
            f"{server.process.url}{BASE_PATH}/instances",
            headers={"Authorization": f"User wrong-secret-{number:03}, Organization any"},
        )
        for number in range(22)
    ]
    assert [one.status for one in answers] == [401] * 20 + [429] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
    # A caller who was here before is still served.
    assert server.call("GET", "/instances").status == 200
    log = server.process.log()
    assert log.count("too many wrong secrets") == 1
    assert log.count("wrong secret ") == 19
    assert log.count("address=127.0.0.1") == 20
    assert "wrong-secret" not in log
    metrics = server.metrics()
    assert 'openbulk_wrong_secrets_total{answer="refused"} 20.0' in metrics
    assert 'openbulk_wrong_secrets_total{answer="throttled"} 2.0' in metrics


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(processes: Processes) -> None:
    """What a caller writes into `X-Forwarded-For` comes before it, and changes nothing."""
    server = processes.server()

    def status(number: int, address: str) -> int:
        headers = {
            "Authorization": f"User wrong-secret-{number:03}, Organization any",
            "X-Forwarded-For": f"198.51.100.{number}, {address}",
        }
        return request("GET", f"{server.process.url}{BASE_PATH}/instances", headers=headers).status

    assert [status(number, "203.0.113.7") for number in range(21)] == [401] * 20 + [429]
    assert status(22, "203.0.113.8") == 401
    log = server.process.log()
    assert (log.count("address=203.0.113.7"), log.count("address=198.51.100.")) == (20, 0)
