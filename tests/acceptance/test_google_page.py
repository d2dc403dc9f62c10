"""The commands of docs/how-to/google-calendar.md against the stand-in for Google."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from acceptance.pages import ROOT, blocks_of
from acceptance.test_instances import consent
from connectors.test_google_sign_in import key_file
from support.harness import (
    BASE_PATH,
    ORGANIZATION_SECRET,
    USER_SECRET,
    Process,
    Processes,
    Server,
    request,
)

BLOCKS = {
    block.kind: block.text.strip()
    for block in blocks_of(ROOT / "docs" / "how-to" / "google-calendar.md")
}


def run(command: str, server: Server, folder: Path, **more: str) -> Any:
    """Run a command of the page in a shell; the JSON that it prints."""
    variables = {
        "AUTH": f"Authorization: User {USER_SECRET}, Organization {ORGANIZATION_SECRET}",
        "API": server.process.url + BASE_PATH,
        "CLIENT_ID": "client",
        "CLIENT_SECRET": "secret",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**os.environ, **variables, **more},
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def at(sandbox: Process, command: str) -> str:
    """A command with the base.url that the page names for the stand-in."""
    return command.replace(
        '"configuration": {', f'"configuration": {{"base.url": "{sandbox.url}", '
    )


def test_the_page_sets_the_variables_that_its_commands_use() -> None:
    """The tests below replace their values: the server has another port, and other secrets."""
    assert [line.split("=")[0] for line in BLOCKS["setup"].splitlines()] == [
        "export API",
        "export AUTH",
    ]
    assert BLOCKS["setup"].splitlines()[1].startswith("export AUTH='Authorization: User ")


def test_a_newcomer_gets_from_the_console_to_the_first_upload(
    processes: Processes, tmp_path: Path
) -> None:
    """From step 6 on; the steps before it are at Google."""
    sandbox, server = processes.sandbox("google"), processes.server()
    said = run(f"{BLOCKS['address']} -d base.url={sandbox.url}", server, tmp_path)
    back = consent(said["oauthUrl"])
    made = run(
        at(sandbox, BLOCKS["sign-in"]), server, tmp_path, CODE=back["code"], STATE=back["state"]
    )
    (tmp_path / "lessons.csv").write_text(BLOCKS["lessons"] + "\n")
    signed_in = {"TOKEN": made["token"]}
    assert run(BLOCKS["upload"], server, tmp_path, **signed_in)["status"] == "CREATED"
    Server(server.process, made["token"]).finished("1")
    status, errors = BLOCKS["follow"].splitlines()
    assert run(status, server, tmp_path, **signed_in)["recordsCount"] == 1
    assert run(errors, server, tmp_path, **signed_in) == []
    (event,) = request("GET", f"{sandbox.url}/sandbox/events").json
    assert (event["summary"], event["start"]["timeZone"]) == ("Maths", "Europe/Berlin")


def test_an_administrator_signs_in_a_service_account_for_a_person(
    processes: Processes, tmp_path: Path
) -> None:
    """Step 6 of the second way; the steps before it are at Google."""
    sandbox, server = processes.sandbox("google"), processes.server()
    (tmp_path / "key.json").write_text(key_file())
    made = run(at(sandbox, BLOCKS["account"]), server, tmp_path)
    assert made["configuration"]["google.service_account"] == "********"
    assert made["configuration"]["google.subject"] == "ann@example.com"
