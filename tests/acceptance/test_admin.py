"""`openbulk admin`: people and secrets in the ledger itself, while the server runs and when not."""

import json
from subprocess import CompletedProcess
from urllib.parse import parse_qs, urlsplit

import pytest

from support.harness import Processes, Server, request
from support.signing_in import PASSWORD, accept, call, sign_in, signed_in

ME = "/organizations/users/me"


class Admin:
    """The command at one ledger."""

    def __init__(self, processes: Processes, **env: str) -> None:
        self._processes = processes
        self._env = {"OPENBULK_DATA_DIR": str(processes.folder / "data"), **env}

    def run(self, *arguments: str) -> "CompletedProcess[str]":
        return self._processes.command("admin", *arguments, env=self._env)

    def facts(self, *arguments: str) -> dict[str, str]:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    def refusal(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


def code_of(link: str) -> str:
    return parse_qs(urlsplit(link).query)["code"][0]


def administer(admin: Admin, server: Server) -> None:
    """All commands, while a server runs."""
    made = admin.facts("create-user", "bob@example.com", "--role", "operator")
    assert made["link"].startswith("http://127.0.0.1:8080/new-password?code=")
    assert accept(server, code_of(made["link"])).status == 200
    bob = signed_in(server, "bob@example.com")
    assert bob.call("GET", ME).json["role"] == "operator"
    again = admin.facts("reset-password", "Bob@example.com", "--url", "https://bulk.example/")
    assert again["link"].startswith("https://bulk.example/new-password?code=")
    assert sign_in(server, "bob@example.com").status == 200, "the password holds until then"
    assert accept(server, code_of(again["link"]), "another horse battery").status == 200
    assert bob.call("GET", ME).status == 401

    choir = admin.facts("create-organization", "Choir", "--email", "cara@example.com")
    secrets = f"User {choir['userSecret']}, Organization {choir['organizationSecret']}"
    number = str(choir["organization"])
    assert me_with(server, secrets) == "cara@example.com"
    user = admin.facts("rotate-secret", "--user", "cara@example.com", "--overlap-hours", "0")
    assert me_with(server, secrets) is None
    organization = admin.facts("rotate-secret", "--organization", number)
    for kept in (choir["organizationSecret"], organization["secret"]):
        assert me_with(server, f"User {user['secret']}, Organization {kept}")

    listed = json.loads(admin.run("list", "--json").stdout)
    assert [one["name"] for one in listed] == ["Organization 1", "Choir"]
    assert [user["email"] for user in listed[1]["users"]] == ["cara@example.com"]
    table = admin.run("list").stdout.splitlines()
    assert table[0].split() == [
        *("organization", "user", "email", "role", "password", "app", "active"),
    ]
    assert "bob@example.com" in table[2]

    assert "there is a user 'bob@example.com' already" in admin.refusal(
        "create-user", "bob@example.com", "--organization", "1"
    )
    assert "say which: --organization can be 1 (Organization 1), 2 (Choir)" in admin.refusal(
        "create-user", "dora@example.com"
    )
    assert "'openbulk admin list' shows all" in admin.refusal("reset-password", "x@example.com")
    assert "write it like ann@example.com" in admin.refusal(
        "create-organization", "Band", "--email", "x"
    )
    assert "name either --user EMAIL" in admin.refusal("rotate-secret")


def me_with(server: Server, secrets: str) -> str | None:
    url = f"{server.process.url}/elements/api-v2{ME}"
    reply = request("GET", url, headers={"Authorization": secrets})
    return reply.json["email"] if reply.status == 200 else None


def test_a_ledger_in_sqlite_is_administered_beside_its_server(processes: Processes) -> None:
    server = processes.server()
    administer(Admin(processes), server)
    assert server.process.stop() == 0
    assert "cara@example.com" in Admin(processes).run("list").stdout, "also when it is stopped"


def test_a_ledger_in_postgresql_is_administered(processes: Processes, database: str) -> None:
    server = processes.server(OPENBULK_DATABASE_URL=database)
    administer(Admin(processes, OPENBULK_DATABASE_URL=database), server)


def test_the_secrets_of_the_settings_are_not_ended(processes: Processes) -> None:
    server = processes.server()
    done = Admin(processes).run("rotate-secret", "--organization", "1", "--overlap-hours", "0")
    assert done.returncode == 0
    assert "OPENBULK_ORGANIZATION_SECRET" in done.stderr
    assert server.call("GET", ME).status == 200


@pytest.mark.parametrize("arguments", [["list"], ["create-user", "bob@example.com"]])
def test_a_ledger_that_is_missing_is_not_made(processes: Processes, arguments: list[str]) -> None:
    assert "there is no ledger at" in Admin(processes).refusal(*arguments)
    assert not (processes.folder / "data").exists()


def test_a_wrong_option_is_2_and_shows_how(processes: Processes) -> None:
    for arguments in (
        ("create-user", "bob@example.com", "--role", "king"),
        ("rotate-secret", "--organization", "1", "--overlap-hours", "-1"),
    ):
        done = Admin(processes).run(*arguments)
        assert done.returncode == 2
        assert "Invalid value" in done.stderr


def test_no_answer_shows_a_code_again(processes: Processes) -> None:
    server = processes.server()
    link = Admin(processes).facts("create-user", "bob@example.com")["link"]
    listed = server.call("GET", "/organizations/invitations").body.decode()
    assert code_of(link) not in listed + server.process.log()
    shown = call(server, "POST", "/authentication/links/look", {"code": code_of(link)}).json
    assert (shown["purpose"], shown["email"]) == ("password", "bob@example.com")
    assert accept(server, code_of(link), PASSWORD).status == 200
