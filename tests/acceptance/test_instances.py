"""Instances: made, shown without their secrets, changed, deleted."""

import re
import stat
import urllib.parse
import uuid
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from support.harness import (
    ORGANIZATION_SECRET,
    USER_SECRET,
    Process,
    Processes,
    Server,
    request,
    set_faults,
    until,
)
from support.receiver import Receiver

NOBODYS = 999_999_999
"""The id of no instance."""
SECRETS = ["s3cret-password", "s3cret-signature", "s3cret-basic", "s3cret-unheard-of"]


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_secrets_never_come_back_and_are_nowhere_on_disk_or_in_the_log(
    processes: Processes, shared_eloqua: Process, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = processes.server(data_dir=data)
    configuration = {
        "base.url": shared_eloqua.url,
        "username": "Acme\\ann",
        "password": SECRETS[0],
        "event.notification.signature.key": SECRETS[1],
        "event.notification.basic.password": SECRETS[2],
        "oauth.user.token": SECRETS[3],
    }
    body = {
        "element": {"key": "eloqua"},
        "name": "Marketing",
        "configuration": configuration,
        "tags": ["spring"],
    }
    made = server.call("POST", "/instances", json_body=body)
    one = server.call("GET", f"/instances/{made.json['id']}")
    everyone = server.call("GET", "/instances")
    assert (one.json["name"], one.json["tags"], one.json["element"]["hub"]) == (
        "Marketing",
        ["spring"],
        "marketing",
    )
    assert one.json["configuration"]["username"] == "Acme\\ann"
    assert one.json["configuration"]["password"] == "********"
    job = Server(server.process, made.json["token"]).done(
        "contact", b"C_EmailAddress\nunmistakable@example.com\n"
    )
    assert job["recordsFailedCount"] == 0

    seen = made.body + one.body + everyone.body + server.process.log().encode()
    held = everything_below(data)
    for secret in SECRETS:
        assert secret.encode() not in seen + held
    for secret in (made.json["token"], USER_SECRET, ORGANIZATION_SECRET):
        assert secret.encode() not in held + server.process.log().encode()
    assert b"unmistakable@example.com" not in everything_below(data / "files"), "files are sealed"
    assert stat.S_IMODE((data / "master.key").stat().st_mode) == 0o600


def test_wrong_credentials_are_401_with_the_services_own_words(
    shared_server: Server, shared_eloqua: Process
) -> None:
    configuration = {"base.url": shared_eloqua.url, "username": "Acme\\ann", "password": "wrong"}
    body = {"element": {"key": "eloqua"}, "configuration": configuration}
    reply = shared_server.call("POST", "/instances", json_body=body)
    assert (reply.status, "sign in again" in reply.json["message"]) == (401, True)


def test_an_instance_without_credentials_or_of_nothing_known_is_refused(
    shared_server: Server,
) -> None:
    for body, status, says in (
        ({"element": {"key": "googlecalendar"}}, 400, "the instance has no credentials"),
        ({"element": {"key": "nonsense"}}, 404, "the elements are: googlecalendar, eloqua, memory"),
        ({"name": "nobody"}, 400, "the body names no element"),
        (
            {"element": {"key": "eloqua"}, "configuration": {"username": "ann", "password": "x"}},
            400,
            "lacks the company",
        ),
        ([], 400, "body"),
    ):
        reply = shared_server.call("POST", "/instances", json_body=body)
        assert (reply.status, says in reply.json["message"]) == (status, True), reply.body


def test_an_instance_is_made_below_its_element_changed_and_deleted(shared_server: Server) -> None:
    server = shared_server
    made = server.call(
        "POST",
        "/elements/memory/instances",
        json_body={"name": "Mine", "configuration": {"space": "a"}},
    )
    path = f"/instances/{made.json['id']}"
    changed = server.call(
        "PATCH", path, json_body={"name": "Yours", "tags": ["x"], "configuration": {"space": "b"}}
    )
    assert (changed.json["name"], changed.json["tags"], changed.json["configuration"]) == (
        "Yours",
        ["x"],
        {"space": "b"},
    )
    gone = server.call("DELETE", path, body=b"null", headers={"Content-Type": "application/json"})
    assert (gone.status, server.call("GET", path).status) == (200, 404)
    assert Server(server.process, made.json["token"]).call("GET", "/objects").status == 401


def test_a_job_whose_instance_is_deleted_stops_with_a_reason(
    shared_server: Server, shared_google: Process
) -> None:
    server = shared_server.google(shared_google)
    set_faults(shared_google, "error-503=1")
    job_id = server.upload("events", LESSON).json["id"]
    until(lambda: "busy" in server.status(job_id).get("infoMessage", ""), 120, "the job waits")
    assert server.call("DELETE", f"/instances/{server.instance_id}").status == 200
    status = shared_server.finished(job_id)
    assert (status["status"], status["error"]) == (
        "ABORTED",
        f"instance {server.instance_id} does not exist any more",
    )
    assert "1 of 1 record was not reached" in status["infoMessage"]


# --- signing in at Google ---

BACK = "https://app.example.com/oauth"
LESSON = b"summary,start.date,end.date\nMaths,2026-09-01,2026-09-02\n"


def address(server: Server, sandbox: Process, **more: str) -> Any:
    """The sign-in URL that the server answers."""
    asked = {
        "apiKey": "client",
        "apiSecret": "secret",
        "callbackUrl": BACK,
        "base.url": sandbox.url,
        **more,
    }
    reply = server.call(
        "GET", f"/elements/googlecalendar/oauth/url?{urllib.parse.urlencode(asked)}"
    )
    assert reply.status == 200, reply.body
    return reply.json


def consent(url: str) -> dict[str, str]:
    """Allow it, as a person does in the browser; what comes back to the callback."""
    page = request("GET", url).body.decode()
    form = dict(re.findall(r"name='([^']+)' value='([^']*)'", page)) | {"decision": "allow"}
    body = urllib.parse.urlencode({name: unescape(value) for name, value in form.items()}).encode()
    answer = request(
        "POST", url, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    found = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.headers["location"]).query)
    return {name: values[0] for name, values in found.items()}


def with_code(sandbox: Process, **provider_data: str) -> dict[str, Any]:
    """The body that signs in with a code."""
    configuration = {
        "base.url": sandbox.url,
        "oauth.api.key": "client",
        "oauth.api.secret": "secret",
        "oauth.callback.url": BACK,
    }
    return {
        "element": {"key": "googlecalendar"},
        "configuration": configuration,
        "providerData": provider_data,
    }


def revoke_everything(sandbox: Process) -> None:
    """What the person does at Google: take openbulk off the applications that they allow."""
    tokens = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    body = f"token={tokens['refresh_token']}".encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert request("POST", f"{sandbox.url}/revoke", body=body, headers=form).status == 200


def is_signed_in(sandbox: Process, refresh_token: str) -> bool:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": "x",
        "client_secret": "y",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urllib.parse.urlencode(form).encode()
    return request("POST", f"{sandbox.url}/token", body=body, headers=headers).status == 200


def test_a_code_with_a_challenge_is_good_with_its_state_even_after_a_restart(
    processes: Processes, shared_google: Process
) -> None:
    """The server remembers nothing: all that it needs is sealed in the state."""
    sandbox = shared_google
    server = processes.server()
    answer = address(server, sandbox, pkce="true", state="tab.7")
    assert "code_challenge_method=S256" in answer["oauthUrl"]
    back = consent(answer["oauthUrl"])
    assert back["state"] == answer["state"]
    assert back["state"].startswith("tab.7.")
    server.process.kill()
    server = processes.server()
    made = server.call(
        "POST", "/instances", json_body=with_code(sandbox, code=back["code"], state=back["state"])
    )
    assert made.status == 200, made.body
    assert (
        Server(server.process, made.json["token"]).done("events", LESSON)["recordsFailedCount"] == 0
    )


def test_a_client_that_knows_nothing_of_challenges_signs_in_as_ever(
    shared_server: Server, shared_google: Process
) -> None:
    """It finds its own state in the callback, and may send it along or not."""
    server, sandbox = shared_server, shared_google
    for own in ("", "s1", "a.b"):
        answer = address(server, sandbox, **({"state": own} if own else {}))
        assert answer.keys() == {"element", "oauthUrl"}
        assert "code_challenge" not in answer["oauthUrl"]
        back = consent(answer["oauthUrl"])
        assert back.get("state", "") == own
        for sent in ({}, {"state": own}):
            code = consent(answer["oauthUrl"])["code"]
            made = server.call(
                "POST", "/instances", json_body=with_code(sandbox, code=code, **sent)
            )
            assert made.status == 200, made.body


def test_a_code_without_its_state_or_with_another_one_is_refused_with_what_would_be_right(
    shared_server: Server,
    shared_google: Process,
) -> None:
    """The code is lost in the first case: the service takes it once."""
    server, sandbox = shared_server, shared_google
    answer = address(server, sandbox, pkce="true")
    back = consent(answer["oauthUrl"])
    missing = server.call("POST", "/instances", json_body=with_code(sandbox, code=back["code"]))
    assert (
        missing.status,
        "give the state that came back with the code" in missing.json["message"],
    ) == (
        401,
        True,
    )
    body = with_code(sandbox, code=consent(answer["oauthUrl"])["code"], state=answer["state"])
    body["configuration"]["oauth.callback.url"] = "https://elsewhere.example.com/"
    other = server.call("POST", "/instances", json_body=body)
    assert (other.status, "does not belong to this sign-in" in other.json["message"]) == (400, True)


def test_a_service_that_knows_no_challenge_says_so(shared_server: Server) -> None:
    """Better than a sign-in that only looks protected."""
    query = "apiKey=client&callbackUrl=https://app.example.com/&pkce=true"
    reply = shared_server.call("GET", f"/elements/eloqua/oauth/url?{query}")
    assert (reply.status, reply.json["message"]) == (
        400,
        "Oracle Eloqua does not support PKCE; leave pkce out",
    )


def test_a_person_who_left_events_unticked_learns_it_at_once(
    shared_server: Server, shared_google: Process
) -> None:
    """The sign-in fails, and not the first upload."""
    server, sandbox = shared_server, shared_google
    scope = "https://www.googleapis.com/auth/calendar.calendars"
    code = consent(address(server, sandbox, scope=scope)["oauthUrl"])["code"]
    reply = server.call("POST", "/instances", json_body=with_code(sandbox, code=code))
    assert (reply.status, "was left unticked" in reply.json["message"]) == (401, True)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_job_whose_access_is_revoked_waits_and_goes_on_when_the_person_signs_in_again(
    shared_server: Server, shared_google: Process, method: str
) -> None:
    """Its status says what to do; no record is lost to it."""
    server, sandbox = shared_server.google(shared_google), shared_google
    revoke_everything(sandbox)
    job_id = server.upload("events", LESSON).json["id"]
    says = "the sign-in has expired or was revoked"
    until(lambda: says in server.status(job_id).get("infoMessage", ""), 120, "the job waits")
    assert server.status(job_id)["status"] == "RUNNING"
    back = consent(address(server, sandbox, pkce="true")["oauthUrl"])
    change = with_code(sandbox, code=back["code"], state=back["state"])
    path = f"/instances/{server.instance_id}"
    assert server.call(method, path, json_body=change).status == 200
    assert server.finished(job_id)["recordsCount"] == 1
    assert server.errors(job_id) == []


def has_logged_that_access_stays(server: Server, instance: Server) -> bool:
    """Whether the log says that the access of an instance was not given back."""
    lines = server.process.log().splitlines()
    warnings = [line.split() for line in lines if "access not revoked" in line]
    return any(f"instance={instance.instance_id}" in words for words in warnings)


def test_an_instance_that_is_deleted_gives_its_access_back_when_no_other_may_share_it(
    shared_server: Server, shared_google: Process
) -> None:
    """Google ends all access of a person and an application together, so the last instance does."""
    server, sandbox = shared_server, shared_google
    tokens = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    signed_in = {
        "oauth.api.key": uuid.uuid4().hex,
        "oauth.user.refresh_token": tokens["refresh_token"],
    }
    first, last = (server.google(sandbox, **signed_in) for _ in range(2))
    assert server.call("DELETE", f"/instances/{first.instance_id}").status == 200
    assert is_signed_in(sandbox, tokens["refresh_token"])
    assert server.call("DELETE", f"/instances/{last.instance_id}").status == 200
    assert not is_signed_in(sandbox, tokens["refresh_token"])
    assert not any(has_logged_that_access_stays(server, one) for one in (first, last))


def test_an_instance_is_deleted_where_its_service_cannot_be_reached(
    processes: Processes, shared_server: Server
) -> None:
    """The log says that the access could not be given back."""
    sandbox = processes.sandbox("google")
    instance = shared_server.google(sandbox, **{"oauth.api.key": uuid.uuid4().hex})
    sandbox.kill()
    path = f"/instances/{instance.instance_id}"
    assert shared_server.call("DELETE", path).status == 200
    assert shared_server.call("GET", path).status == 404
    assert has_logged_that_access_stays(shared_server, instance)


# --- the server ---


def test_credentials_outlive_a_rotation_of_the_master_key(
    processes: Processes, shared_eloqua: Process, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = processes.server(data_dir=data).eloqua(shared_eloqua)
    assert server.process.stop() == 0
    before = (data / "master.key").read_text()
    rotated = processes.command("rotate-key", "--data-dir", str(data))
    assert (rotated.returncode, rotated.stdout) == (
        0,
        "sealed the credentials of 1 instances with the new key\n",
    )
    assert (data / "master.key").read_text().endswith(before)
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.call("GET", "/objects").status == 200


def test_a_first_start_writes_its_secrets_for_the_owner_alone(
    processes: Processes, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    settings = {"OPENBULK_DATA_DIR": str(data)}
    first = processes.run("serve", "--port", "0", env=settings)
    written = data / "first-secrets"
    assert f"First start. The secrets for your calls are in {written}" in first.log()
    made = dict(line.split("=", 1) for line in written.read_text().splitlines())
    user, organization = made["OPENBULK_USER_SECRET"], made["OPENBULK_ORGANIZATION_SECRET"]
    assert user not in first.log()
    assert organization not in first.log()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [data, *data.rglob("*")]}
    assert {path: mode for path, mode in modes.items() if mode & 0o077} == {}
    secrets = f"User {user}, Organization {organization}"
    reply = request(
        "GET", f"{first.url}/elements/api-v2/instances", headers={"Authorization": secrets}
    )
    assert (reply.status, reply.json) == (200, [])
    first.stop()
    second = processes.run("serve", "--port", "0", env=settings)
    assert "First start" not in second.log()
    assert (
        request(
            "GET", f"{second.url}/elements/api-v2/instances", headers={"Authorization": secrets}
        ).status
        == 200
    )


def test_a_secret_that_a_start_replaces_is_said_and_not_shown(
    processes: Processes, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    first = processes.server(data_dir=data).process
    assert "secret" not in first.log()
    first.stop()
    second = processes.server(
        data_dir=data, OPENBULK_USER_SECRET="unmistakable-secret-of-ann"
    ).process
    assert (
        "an earlier user secret has ended, because it is not set any more; callers must send one"
        in second.log()
    )
    assert "unmistakable" not in second.log()
    assert USER_SECRET not in second.log()
    assert "organization" not in second.log()


def test_a_second_server_in_the_same_data_directory_is_refused_with_a_sentence(
    processes: Processes, shared_server: Server
) -> None:
    data = str(shared_server.process.output.parent / "data")
    second = processes.command("serve", "--port", "0", "--data-dir", data)
    assert second.returncode == 1
    assert "another openbulk process uses" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        (
            ("serve",),
            {"OPENBULK_PORT": "abc"},
            "OPENBULK_PORT is 'abc'; it must be a number from 0 to 65535",
        ),
        (
            ("serve", "--port", "0"),
            {"OPENBULK_MASTER_KEY": "s3cret"},
            "a master key is 32 bytes, in base64: 44 characters",
        ),
        (
            ("serve", "--port", "0"),
            {"OPENBULK_DATABASE_URL": "mysql://x/y"},
            "has to begin with sqlite:/// or postgresql://",
        ),
        (
            ("serve", "--port", "0"),
            {"OPENBULK_DATABASE_URL": "nonsense"},
            "the database cannot be used",
        ),
        (("serve", "--host", "192.0.2.1"), {}, "cannot listen on 192.0.2.1"),
        (("sandbox", "google", "--faults", "nonsense=1"), {}, "there is no fault 'nonsense'"),
        (("sandbox", "eloqua", "--faults", "slow=2"), {}, "a share is a number from 0 to 1"),
        (("sandbox", "google", "--host", "192.0.2.1"), {}, "cannot listen on 192.0.2.1"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    processes: Processes, arguments: tuple[str, ...], env: dict[str, str], says: str
) -> None:
    settings = {"OPENBULK_DATA_DIR": str(processes.folder / "data"), "COLUMNS": "500", **env}
    done = processes.command(*arguments, env=settings)
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("command", [("serve",), ("sandbox", "google")])
def test_a_port_in_use_is_named_with_what_to_do(
    processes: Processes, shared_server: Server, command: tuple[str, ...]
) -> None:
    port = shared_server.process.url.rpartition(":")[2]
    settings = {"OPENBULK_DATA_DIR": str(processes.folder / "other"), "COLUMNS": "500"}
    done = processes.command(*command, "--port", port, env=settings)
    says = f"cannot listen on 127.0.0.1:{port}: another program uses this port; stop it, or choose"
    assert says in done.stderr


def test_a_server_says_whether_it_lives_and_can_work(processes: Processes) -> None:
    server = processes.server().instance("memory")
    server.done("records", b"name\nAnn\n")
    assert request("GET", f"{server.process.url}/healthz").status == 200
    assert request("GET", f"{server.process.url}/readyz").json == {"ready": True, "broken": {}}
    metrics = server.metrics()
    assert 'openbulk_records_total{outcome="created"} 1.0' in metrics
    assert 'openbulk_jobs_finished_total{status="COMPLETE"} 1.0' in metrics


def test_instances_are_found_by_tags_and_text_and_paged(shared_server: Server) -> None:
    """A filter that finds none is 404, as at the live service."""
    server, word = shared_server, uuid.uuid4().hex
    made = [
        server.call(
            "POST",
            "/instances",
            json_body={
                "element": {"key": "memory"},
                "name": f"{name} of {word}",
                "tags": [f"{tag}-{word}" for tag in tags],
            },
        ).json
        for name, tags in (
            ("School timetable", ["school", "test"]),
            ("Club", ["club"]),
            ("School club", ["club", "test"]),
        )
    ]

    def names(query: str) -> list[str]:
        found = server.call("GET", f"/instances?{query.format(word=word)}").json
        return [one["name"].removesuffix(f" of {word}") for one in found]

    assert names("searchText=of%20{word}") == ["School timetable", "Club", "School club"]
    assert names("searchText=school%20club%20of%20{word}") == ["School club"]
    assert names("tags[]=club-{word}&tags[]=test-{word}") == ["School club"]
    assert names("tags[]=test-{word}&searchText=TIME") == ["School timetable"]
    assert server.call("GET", "/instances?tags[]=nobody").status == 404
    assert len(server.call("GET", "/instances?pageSize=2&searchText=").json) == 2
    first = server.call("GET", f"/instances?pageSize=2&searchText={word}")
    token = first.headers["elements-next-page-token"]
    rest = server.call("GET", f"/instances?nextPage={token}&searchText={word}")
    assert [one["id"] for one in [*first.json, *rest.json]] == [one["id"] for one in made]
    assert "elements-next-page-token" not in rest.headers


def test_the_calling_instance_is_disabled_and_enabled_by_its_token(shared_memory: Server) -> None:
    server = shared_memory
    disabled = server.call("DELETE", "/instances/enabled")
    assert (disabled.status, disabled.json["disabled"]) == (200, True), disabled.body
    assert server.call("GET", "/objects").status == 403
    enabled = server.call("PUT", "/instances/enabled")
    assert (enabled.status, enabled.json["disabled"]) == (200, False), enabled.body
    assert server.call("GET", "/objects").status == 200
    without_token = Server(server.process).call("PUT", "/instances/enabled")
    assert without_token.status == 401
    assert "the instance's token is missing" in without_token.json["message"]


def test_a_slash_at_the_end_of_a_path_changes_nothing(shared_memory: Server) -> None:
    """A client of the contract sends `POST /instances/`."""
    server = shared_memory
    made = server.call("POST", "/instances/", json_body={"element": {"key": "memory"}})
    assert (made.status, made.json["name"]) == (200, "Memory"), made.body
    instance = f"/instances/{server.instance_id}/"
    for path in (instance, "/hubs/general/objects/", "/bulk/jobs/", "/records/"):
        assert server.call("GET", path).status == 200, path
    job_id = server.upload("records/", b"name\nAnn\n").json["id"]
    assert server.finished(job_id)["object_name"] == "records"


def test_an_instance_is_disabled_and_enabled(shared_server: Server) -> None:
    """Its jobs wait meanwhile, and then go on."""
    server = shared_server
    made = server.call("POST", "/instances", json_body={"element": {"key": "memory"}}).json
    instance = Server(server.process, made["token"])
    assert server.call("DELETE", f"/instances/{made['id']}/enabled").json["disabled"] is True
    job_id = instance.upload("records", b"name\nAnn\n").json["id"]
    says = "is disabled"
    until(lambda: says in instance.status(job_id).get("infoMessage", ""), 120, "the job waits")
    assert server.call("PUT", f"/instances/{made['id']}/enabled").json["disabled"] is False
    assert instance.finished(job_id)["recordsCount"] == 1


def test_a_configuration_is_looked_at_and_changed_entry_by_entry(
    shared_server: Server, receiver: Receiver
) -> None:
    """Entries have a key and a number. A masked value sent back leaves the secret unchanged."""
    server = shared_server.instance(
        "memory", {"space": "one", "event.notification.signature.key": "hush"}
    )
    configuration = f"/instances/{server.instance_id}/configuration"
    shown = server.call("GET", configuration).json
    entries = {one["key"]: one for one in shown}
    assert entries["space"]["propertyValue"] == "one"
    assert entries["event.notification.signature.key"]["propertyValue"] == "********"
    assert "propertyValue" not in entries["keep"]
    path = f"{configuration}/{entries['space']['id']}"
    assert (
        server.call("PATCH", path, json_body={"propertyValue": "two"}).json["propertyValue"]
        == "two"
    )
    assert server.call("GET", f"{configuration}/space").json["propertyValue"] == "two"
    body = {one["key"]: one["propertyValue"] for one in shown if "propertyValue" in one}
    server.call("PATCH", configuration, json_body=body)
    assert server.call("GET", path).json["propertyValue"] == "one"
    server.upload("records", b"name\nAnn\n", headers={"Elements-Async-Callback-Url": receiver.url})
    receiver.wait_for(1)
    assert "elements-webhook-signature" in receiver.received[0][0], "the key is still there"
    for method, path, status in (
        ("GET", f"{configuration}/circus", 404),
        ("GET", f"/instances/{NOBODYS}/configuration", 404),
        ("PATCH", f"{configuration}/space", 400),
    ):
        assert (
            server.call(method, path, json_body={} if method == "PATCH" else None).status == status
        )


def test_an_instance_is_changed_and_deleted_by_its_own_token(shared_memory: Server) -> None:
    """As clients do that know no number."""
    server = shared_memory
    assert server.call("PATCH", "/instances", json_body={"name": "Mine"}).json["name"] == "Mine"
    assert server.call("PUT", "/instances", json_body={"tags": ["a"]}).json["tags"] == ["a"]
    assert server.call("DELETE", "/instances").status == 200
    assert server.call("GET", "/objects").status == 401, "the token is worth nothing any more"


def test_a_sign_in_url_can_be_requested_with_a_body(shared_server: Server) -> None:
    """The answer is that of GET, and the address has no secret."""
    server = shared_server
    body = {
        "apiKey": "key",
        "apiSecret": "hush",
        "callbackUrl": "https://example.com/back",
        "state": "s",
    }
    query = urllib.parse.urlencode(body)
    asked = server.call("POST", "/elements/googlecalendar/oauth/url", json_body=body)
    assert asked.json == server.call("GET", f"/elements/googlecalendar/oauth/url?{query}").json
    assert "hush" not in asked.json["oauthUrl"]


def test_a_data_directory_that_others_may_read_is_closed(
    processes: Processes, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    server = processes.server(data_dir=data)
    assert stat.S_IMODE(data.stat().st_mode) & stat.S_IRWXO == 0
    assert f"data directory closed to other users folder={data}" in server.process.log()


@pytest.mark.parametrize("secret", ["short", "a-secret-that-is-long-enough,short"])
def test_a_secret_that_can_be_guessed_is_refused_and_not_shown(
    processes: Processes, secret: str
) -> None:
    ended = processes.command("serve", "--port", "0", env={"OPENBULK_USER_SECRET": secret})
    assert ended.returncode == 1
    assert ended.stderr == (
        "openbulk cannot start: OPENBULK_USER_SECRET: a secret has 5 characters, so it can be "
        "guessed; give it at least 20: head -c 32 /dev/urandom | base64 makes one\n"
    )


def test_the_token_of_an_instance_is_replaced_while_its_jobs_stay(shared_memory: Server) -> None:
    server, path = shared_memory, f"/instances/{shared_memory.instance_id}"
    job = server.done("records", b"name\nAnn\n")
    made = server.call("POST", f"{path}/token")
    assert (made.status, str(made.json["id"])) == (200, server.instance_id)
    assert server.call("GET", "/objects").status == 401
    renewed = Server(server.process, made.json["token"])
    assert renewed.call("GET", f"/bulk/{job['id']}").status == 200
    assert renewed.call("GET", path).json["token"] == "********"
    assert made.json["token"] not in server.process.log()
    missing = renewed.call("POST", f"/instances/{NOBODYS}/token")
    says = f"there is no instance '{NOBODYS}'"
    assert (missing.status, missing.json["message"]) == (404, says)


def test_tokens_that_openbulk_does_not_use_are_not_kept(shared_server: Server) -> None:
    unused = {"oauth.user.token": "s3cret", "oauth.basic.header": "s3cret", "oauth.scope": "all"}
    server = shared_server.instance("memory", unused)
    configuration = server.call("GET", f"/instances/{server.instance_id}").json["configuration"]
    assert set(configuration) == {"oauth.scope"}


def test_metrics_need_a_token_or_the_secrets_of_a_caller(processes: Processes) -> None:
    token = "a-token-for-prometheus-alone"
    server = processes.server(OPENBULK_METRICS_TOKEN=token)

    def status(**headers: str) -> int:
        return request("GET", f"{server.process.url}/metrics", headers=headers).status

    assert status() == 401
    assert status(Authorization="Bearer another-token-that-is-wrong") == 401
    assert status(Authorization=f"Bearer {token}") == 200
    assert status(Authorization=server.authorization) == 200
    other = server.call("GET", "/instances", headers={"Authorization": f"Bearer {token}"})
    assert other.status == 401
    guesses = [status(Authorization=f"Bearer a-guess-of-the-token-{n:02}") for n in range(40)]
    # Another guess is let through every six seconds.
    assert guesses[:17] == [401] * 17
    assert 429 in guesses
    assert status(Authorization=f"Bearer {token}") == 200


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/healthz", "/docs", "/openapi.json"])
def test_pages_of_other_origins_call_the_api_alone(shared_server: Server, path: str) -> None:
    server = shared_server
    origin = {"Origin": "https://app.example.com", "Authorization": server.authorization}
    answer = request("GET", f"{server.process.url}{path}", headers=origin)
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" in server.call("GET", "/instances", headers=origin).headers
