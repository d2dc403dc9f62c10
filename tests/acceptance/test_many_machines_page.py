"""The commands of how-to/many-machines.md and back-up-and-restore.md, but for the addresses."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from acceptance.pages import ROOT, blocks_of
from support.harness import ORGANIZATION_SECRET, USER_SECRET, Processes, Server
from support.postgres import Postgres, binaries
from support.s3 import S3

BLOCKS = {
    f"{block.language} {block.kind}".strip(): block.text.strip()
    for name in ("many-machines", "back-up-and-restore")
    for block in blocks_of(ROOT / "docs" / "how-to" / f"{name}.md")
}


def shell(command: str, folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=env,
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_two_machines_are_started_as_the_page_says_backed_up_and_taken_back(
    processes: Processes, tmp_path: Path, postgres: Postgres, s3: S3
) -> None:
    name = f"page_{os.urandom(6).hex()}"  # instead of the page's own names: those may be taken
    with postgres.connect() as administrator:
        for statement in BLOCKS["sql"].split("\n"):
            administrator.execute(re.sub(r"\bopenbulk\b", name, statement).encode())
    key = shell(BLOCKS["bash key"], tmp_path, dict(os.environ))
    owner = replace(postgres, user=name, password="choose-one")
    told = {
        "postgresql://openbulk:choose-one@db.example.com:5432/openbulk": owner.url(name),
        "s3://my-bucket/openbulk": s3.new_bucket(),
        "the-master-key": key,
        "example-secret-of-a-user": USER_SECRET,
        "example-secret-of-an-organization": ORGANIZATION_SECRET,
    }
    settings: dict[str, str] = dict(re.findall(r"(\w+)=(\S+)", BLOCKS["bash settings"]))
    assert all(value in settings.values() for value in told)
    env = (
        {variable: told.get(value, value) for variable, value in settings.items()}
        | s3.environment
        | {"OPENBULK_MEMORY_CONNECTOR": "true"}
    )
    first, second = BLOCKS["bash first"].split(), BLOCKS["bash second"].split()
    program = ".venv/bin/openbulk"
    assert (first[:2], second) == ([program, "serve"], [program, "worker"])
    data = {"OPENBULK_DATA_DIR": str(tmp_path / "first")}
    start = [*first[1:-4], "--host", "127.0.0.1", "--port", "0"]
    server = Server(processes.run(*start, env=env | data)).instance("memory")
    worker = processes.run(*second[1:], env=env | {"OPENBULK_DATA_DIR": str(tmp_path / "second")})
    assert server.done("records", b"name\nAnn\n")["recordsCount"] == 1
    with owner.connect(name) as connection:
        living, working, jobs = (
            connection.execute(query.encode()).fetchall()
            for query in BLOCKS["sql watch"].split("\n")
        )
    assert len(living) == 2
    assert len({name.removeprefix("openbulk ") for name, _ in living}) == 2
    assert {name for name, _ in working} <= {name.removeprefix("openbulk ") for name, _ in living}
    assert all(seconds_ago < 5 for _, seconds_ago in working)
    assert jobs == [("COMPLETE", 1)]

    path = tools()
    if path is None:
        return
    shell(
        BLOCKS["bash backup"],
        tmp_path,
        {**path, "OPENBULK_DATABASE_URL": env["OPENBULK_DATABASE_URL"]},
    )
    assert server.done("records", b"name\nBob\n")["id"] == "2", "what the backup does not know"
    restore = BLOCKS["bash restore"].replace(
        "postgresql://ADMIN@HOST/postgres", postgres.url(postgres.maintenance)
    )
    with pytest.raises(AssertionError, match="is being accessed by other users"):
        shell(restore, tmp_path, path)
    assert server.status("2")["status"] == "COMPLETE", "it has changed nothing"
    worker.stop()
    server.process.stop()
    shell(restore, tmp_path, path)
    again = Server(processes.run(*start, env=env | data), server.element_token)
    assert [job["id"] for job in again.call("GET", "/bulk/jobs").json] == [1]
    assert again.done("records", b"name\nBob\n")["recordsCount"] == 1


def tools() -> dict[str, str] | None:
    """How PostgreSQL's own tools are found, where they are installed beside it."""
    if (here := binaries()) is None:
        return None
    folder = (here / "initdb").resolve().parent  # it may be a link, and the only one
    return {"PATH": f"{folder}:{os.environ['PATH']}"} if (folder / "pg_dump").exists() else None
