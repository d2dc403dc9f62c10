"""The commands of docs/many-machines.md, run as they stand, but for the addresses."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

from harness import ORGANIZATION_SECRET, USER_SECRET, Processes, Server
from postgres import Postgres, binaries
from s3 import S3

PAGE = (Path(__file__).parents[2] / "docs" / "many-machines.md").read_text()


def block(kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return str(found).strip()


def shell(command: str, folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], env=env, capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_two_machines_are_started_as_the_page_says_and_backed_up(
    processes: Processes, tmp_path: Path, postgres: Postgres, s3: S3
) -> None:
    name = f"page_{os.urandom(6).hex()}"  # instead of the page's own names: those may be taken
    with postgres.connect() as administrator:
        for statement in block("sql").split("\n"):
            administrator.execute(re.sub(r"\bopenbulk\b", name, statement).encode())
    key = shell(block("bash key"), tmp_path, dict(os.environ))
    owner = replace(postgres, user=name, password="choose-one")
    told = {
        "postgresql://openbulk:choose-one@db.example.com:5432/openbulk": owner.url(name),
        "s3://my-bucket/openbulk": s3.new_bucket(),
        "the-master-key": key,
        "my-user-secret": USER_SECRET,
        "my-organization-secret": ORGANIZATION_SECRET,
    }
    settings: dict[str, str] = dict(re.findall(r"(\w+)=(\S+)", block("bash settings")))
    assert all(value in settings.values() for value in told)
    env = {variable: told.get(value, value) for variable, value in settings.items()} | s3.environment
    first, second = block("bash first").split(), block("bash second").split()
    assert (first[:2], second) == (["openbulk", "serve"], ["openbulk", "worker"])
    data = {"OPENBULK_DATA_DIR": str(tmp_path / "first")}
    server = Server(processes.run(*first[1:-4], "--host", "127.0.0.1", "--port", "0", env=env | data))
    processes.run(*second[1:], env=env | {"OPENBULK_DATA_DIR": str(tmp_path / "second")})
    assert server.instance("memory").done("records", b"name\nAnn\n")["recordsCount"] == 1

    back_up(env["OPENBULK_DATABASE_URL"], tmp_path)


def back_up(address: str, folder: Path) -> None:
    """With PostgreSQL's own tools, where they are installed beside it."""
    tools = binaries()
    if tools is None or not (tools / "pg_dump").exists():
        return
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    shell(block("bash backup"), folder, {**path, "OPENBULK_DATABASE_URL": address})
    assert "openbulk_lanes" in shell("pg_restore --list openbulk.dump", folder, path)
