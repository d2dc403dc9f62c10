"""Instances: made, shown without their secrets, changed, deleted."""

import stat
import time
from pathlib import Path

import pytest

from harness import ORGANIZATION_SECRET, USER_SECRET, Processes, Server, request

SECRETS = ["s3cret-password", "s3cret-signature", "s3cret-basic", "s3cret-unheard-of"]


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_secrets_never_come_back_and_are_nowhere_on_disk_or_in_the_log(processes: Processes, tmp_path: Path) -> None:
    data = tmp_path / "data"
    sandbox = processes.sandbox("eloqua")
    server = processes.server(data_dir=data)
    configuration = {
        "base.url": sandbox.url,
        "username": "Acme\\ann",
        "password": SECRETS[0],
        "event.notification.signature.key": SECRETS[1],
        "event.notification.basic.password": SECRETS[2],
        "some.other.token": SECRETS[3],
    }
    body = {"element": {"key": "eloqua"}, "name": "Marketing", "configuration": configuration, "tags": ["spring"]}
    made = server.call("POST", "/instances", json_body=body)
    one = server.call("GET", f"/instances/{made.json['id']}")
    everyone = server.call("GET", "/instances")
    assert (one.json["name"], one.json["tags"], one.json["element"]["hub"]) == ("Marketing", ["spring"], "marketing")
    assert one.json["configuration"]["username"] == "Acme\\ann"
    assert one.json["configuration"]["password"] == "********"
    job = Server(server.process, made.json["token"]).done("contact", b"C_EmailAddress\nunmistakable@example.com\n")
    assert job["recordsFailedCount"] == 0

    seen = made.body + one.body + everyone.body + server.process.log().encode()
    held = everything_below(data)
    for secret in SECRETS:
        assert secret.encode() not in seen + held
    for secret in (made.json["token"], USER_SECRET, ORGANIZATION_SECRET):
        assert secret.encode() not in held + server.process.log().encode()
    assert b"unmistakable@example.com" not in everything_below(data / "files"), "files are sealed"
    assert stat.S_IMODE((data / "master.key").stat().st_mode) == 0o600


def test_wrong_credentials_are_401_with_the_services_own_words(processes: Processes) -> None:
    sandbox = processes.sandbox("eloqua")
    configuration = {"base.url": sandbox.url, "username": "Acme\\ann", "password": "wrong"}
    body = {"element": {"key": "eloqua"}, "configuration": configuration}
    reply = processes.server().call("POST", "/instances", json_body=body)
    assert (reply.status, "sign in again" in reply.json["message"]) == (401, True)


def test_an_instance_without_credentials_or_of_nothing_known_is_refused(processes: Processes) -> None:
    server = processes.server()
    for body, status, says in (
        ({"element": {"key": "googlecalendar"}}, 400, "the instance has no credentials"),
        ({"element": {"key": "nonsense"}}, 404, "the elements are: googlecalendar, eloqua, memory"),
        ({"name": "nobody"}, 400, "the body names no service"),
        (
            {"element": {"key": "eloqua"}, "configuration": {"username": "ann", "password": "x"}},
            400,
            "lacks the company",
        ),
        ([], 400, "body"),
    ):
        reply = server.call("POST", "/instances", json_body=body)
        assert (reply.status, says in reply.json["message"]) == (status, True), reply.body


def test_an_instance_is_made_below_its_element_changed_and_deleted(processes: Processes) -> None:
    server = processes.server()
    made = server.call(
        "POST", "/elements/memory/instances", json_body={"name": "Mine", "configuration": {"space": "a"}}
    )
    path = f"/instances/{made.json['id']}"
    changed = server.call("PATCH", path, json_body={"name": "Yours", "tags": ["x"], "configuration": {"space": "b"}})
    assert (changed.json["name"], changed.json["tags"], changed.json["configuration"]) == (
        "Yours",
        ["x"],
        {"space": "b"},
    )
    gone = server.call("DELETE", path, body=b"null", headers={"Content-Type": "application/json"})
    assert (gone.status, server.call("GET", path).status) == (200, 404)
    assert Server(server.process, made.json["token"]).call("GET", "/objects").status == 401


def test_a_job_whose_instance_is_deleted_stops_with_a_reason(processes: Processes) -> None:
    sandbox = processes.sandbox("google", "--latency-ms", "100")
    server = processes.server().google(sandbox)
    rows = "\n".join(f"Lesson {n},2026-09-01,2026-09-02" for n in range(2_000))
    job_id = server.upload("events", f"summary,start.date,end.date\n{rows}\n".encode()).json["id"]
    time.sleep(1.0)
    sandbox.kill()
    assert server.call("DELETE", "/instances/1").status == 200
    status = Server(server.process).finished(job_id)
    assert (status["status"], status["error"]) == ("ABORTED", "instance 1 does not exist any more")
    assert "were not reached" in status["infoMessage"]


def test_credentials_outlive_a_rotation_of_the_master_key(processes: Processes, tmp_path: Path) -> None:
    data = tmp_path / "data"
    sandbox = processes.sandbox("eloqua")
    server = processes.server(data_dir=data).eloqua(sandbox)
    assert server.process.stop() == 0
    before = (data / "master.key").read_text()
    rotated = processes.command("rotate-key", "--data-dir", str(data))
    assert (rotated.returncode, rotated.stdout) == (0, "sealed the credentials of 1 instances with the new key\n")
    assert (data / "master.key").read_text().endswith(before)
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.call("GET", "/objects").status == 200


def test_a_first_start_prints_its_secrets_once(processes: Processes, tmp_path: Path) -> None:
    settings = {"OPENBULK_DATA_DIR": str(tmp_path / "data")}
    first = processes.run("serve", "--port", "0", env=settings)
    words = first.log().split()
    secrets = f"User {words[words.index('User') + 2]}, Organization {words[words.index('Organization') + 2]}"
    reply = request("GET", f"{first.url}/elements/api-v2/instances", headers={"Authorization": secrets})
    assert (reply.status, reply.json) == (200, [])
    first.stop()
    second = processes.run("serve", "--port", "0", env=settings)
    assert second.log().startswith("openbulk listens on")
    assert request("GET", f"{second.url}/elements/api-v2/instances", headers={"Authorization": secrets}).status == 200


def test_a_second_server_in_the_same_data_directory_is_refused_with_a_sentence(processes: Processes) -> None:
    processes.server()
    second = processes.command("serve", "--port", "0", "--data-dir", str(processes.folder / "data"))
    assert second.returncode == 1
    assert "another openbulk works in" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        (("serve",), {"OPENBULK_PORT": "abc"}, "OPENBULK_PORT: Input should be a valid integer"),
        (("serve",), {"OPENBULK_MASTER_KEY": "s3cret"}, "a master key is written in base64"),
        (("serve",), {"OPENBULK_DATABASE_URL": "postgresql://x"}, "has to begin with sqlite:///"),
        (("serve",), {"OPENBULK_DATABASE_URL": "nonsense"}, "the database cannot be used"),
        (("serve", "--host", "192.0.2.1"), {}, "cannot listen on 192.0.2.1"),
        (("sandbox", "google", "--faults", "nonsense=1"), {}, "there is no fault 'nonsense'"),
        (("sandbox", "eloqua", "--faults", "slow=2"), {}, "a share is a number from 0 to 1"),
        (("sandbox", "google", "--host", "192.0.2.1"), {}, "cannot listen on 192.0.2.1"),
    ],
)
def test_what_cannot_start_says_why_in_a_sentence(
    processes: Processes, arguments: tuple[str, ...], env: dict[str, str], says: str
) -> None:
    settings = {"OPENBULK_DATA_DIR": str(processes.folder / "data"), "COLUMNS": "500", **env}
    done = processes.command(*arguments, env=settings)
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


def test_a_server_says_whether_it_lives_and_can_work(processes: Processes) -> None:
    server = processes.server().instance("memory")
    server.done("records", b"name\nAnn\n")
    assert request("GET", f"{server.process.url}/healthz").status == 200
    assert request("GET", f"{server.process.url}/readyz").json == {"ready": True, "broken": {}}
    metrics = request("GET", f"{server.process.url}/metrics").body.decode()
    assert 'openbulk_records_total{fate="created"} 1.0' in metrics
    assert 'openbulk_jobs_finished_total{status="COMPLETE"} 1.0' in metrics


def test_a_finished_job_is_spelled_as_the_setting_says(processes: Processes) -> None:
    server = processes.server(OPENBULK_COMPLETED_STATUS="COMPLETED").instance("memory")
    assert server.done("records", b"name\nAnn\n")["status"] == "COMPLETED"
