"""Processes start on one database: at once, with a wrong key, beside others that work."""

import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.harness import Processes, Server
from support.ports import free_port
from support.s3 import S3

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER_KEY = "YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI="


def test_servers_that_start_at_once_on_an_empty_database_all_start(
    tmp_path: Path, database: str
) -> None:
    """And all of them work."""
    settings: dict[str, Any] = {"OPENBULK_DATABASE_URL": database, "OPENBULK_MASTER_KEY": KEY}
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    with (
        Processes(folders[0]) as a,
        Processes(folders[1]) as b,
        Processes(folders[2]) as c,
        ThreadPoolExecutor() as pool,
    ):
        starting = [
            pool.submit(one.server, data_dir=tmp_path / "data", **settings) for one in (a, b, c)
        ]
        servers = [one.result() for one in starting]
        memory = servers[0].instance("memory")
        for server in servers:
            status = Server(server.process, memory.element_token).done("records", b"name\nAnn\n")
            assert status["recordsCount"] == 1


def test_a_process_with_another_master_key_does_not_start(
    processes: Processes, tmp_path: Path, database: str
) -> None:
    """Whether it has another key or none. It says what to do, and shows no key."""
    processes.server(OPENBULK_DATABASE_URL=database, OPENBULK_MASTER_KEY=KEY)
    shared = {"OPENBULK_DATABASE_URL": database, "OPENBULK_DATA_DIR": str(tmp_path / "elsewhere")}
    for wrong, says in (
        (
            {"OPENBULK_MASTER_KEY": OTHER_KEY},
            "a master key that this machine does not have; set OPENBULK_MASTER_KEY on all",
        ),
        (
            {},
            "a master key, and this machine has none; set OPENBULK_MASTER_KEY as on the other "
            "machines, or copy the file",
        ),
    ):
        done = processes.command("worker", env=shared | wrong)
        assert done.returncode == 1
        assert f"the ledger is sealed with {says}" in done.stderr
        assert KEY not in done.stderr
        assert OTHER_KEY not in done.stderr
    assert not (tmp_path / "elsewhere" / "master.key").exists(), "it makes no key"
    processes.worker(OPENBULK_DATABASE_URL=database, OPENBULK_MASTER_KEY=f"{OTHER_KEY},{KEY}")


@pytest.mark.parametrize("kind", ["folders", "S3"])
def test_a_process_whose_files_are_elsewhere_does_not_start(
    processes: Processes, tmp_path: Path, database: str, s3: S3, kind: str
) -> None:
    """It would end the others' jobs, for it does not find their files.

    It says first what to set, and then where the files are; also if its bucket does not exist.
    """
    settings: dict[str, Any] = {
        "OPENBULK_DATABASE_URL": database,
        "OPENBULK_MASTER_KEY": KEY,
        **s3.environment,
    }
    right: dict[str, Any] = {"OPENBULK_FILES_URL": s3.new_bucket()} if kind == "S3" else {}
    server = processes.server(**settings, **right).instance("memory")
    there = right.get("OPENBULK_FILES_URL", str(tmp_path / "data" / "files"))
    elsewhere = settings | {"OPENBULK_DATA_DIR": str(tmp_path / "elsewhere")}
    for wrong in (
        {},
        {"OPENBULK_FILES_URL": s3.new_bucket()},
        {"OPENBULK_FILES_URL": "s3://never-made/openbulk"},
    ):
        done = processes.command("worker", env=elsewhere | wrong)
        assert done.returncode == 1
        here = wrong.get("OPENBULK_FILES_URL", str(tmp_path / "elsewhere" / "files"))
        message = (
            "start: set OPENBULK_FILES_URL as on the other machines: the ledger's files are not in "
            rf"{here}( on \S+)?, they were in {there}( on \S+)? at the last start. Only"
        )
        assert re.search(message, done.stderr), done.stderr
    shared = right or {"OPENBULK_FILES_URL": f"file://{there}"}
    processes.worker(data_dir=tmp_path / "elsewhere", **settings, **shared)
    assert server.done("records", b"name\nAnn\n" * 2)["status"] == "COMPLETE"


def test_of_two_processes_that_start_at_once_with_different_files_urls_one_starts(
    tmp_path: Path, database: str
) -> None:
    """On an empty database, where neither is wrong yet."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    with Processes(folders[0]) as a, Processes(folders[1]) as b, ThreadPoolExecutor() as pool:
        starting = [
            pool.submit(one.worker, OPENBULK_DATABASE_URL=database, OPENBULK_MASTER_KEY=KEY)
            for one in (a, b)
        ]
        (error,) = [error for one in starting if (error := one.exception()) is not None]
    assert "openbulk cannot start: set OPENBULK_FILES_URL as on the other machines" in str(error)


def test_a_server_whose_files_are_gone_starts_only_when_a_person_allows_it(
    processes: Processes, tmp_path: Path
) -> None:
    """Its data directory was restored without its files, or cleared on purpose."""
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance("memory")
    server.process.stop()
    shutil.rmtree(data / "files")
    done = processes.command("serve", "--port", "0", env={"OPENBULK_DATA_DIR": str(data)})
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert f"cannot start: the ledger's files are not in {data / 'files'} on" in done.stderr
    assert "where they were at the last start: bring the bucket or folder back" in done.stderr
    word = re.findall(r"write the word (\w+) into a file 'mark' there", done.stderr)[0]
    (data / "files" / "mark").write_text(word + "\n")
    again = Server(processes.server(data_dir=data).process, server.element_token)
    assert again.done("records", b"name\nAnn\n")["recordsCount"] == 1


def test_a_start_waits_for_its_file_store_and_then_ends_with_one_sentence(
    processes: Processes, tmp_path: Path, s3: S3
) -> None:
    away = s3.environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    env = {
        "OPENBULK_FILES_URL": "s3://bucket/openbulk",
        "OPENBULK_DATA_DIR": str(tmp_path / "data"),
        **away,
    }
    done = processes.command("serve", "--port", "0", env=env)
    assert done.returncode == 1
    # The client retries after random pauses: the reason comes in time, or it does not.
    assert re.search(
        "cannot start: the file store (cannot be used|does not answer): s3://bucket/open",
        done.stderr,
    )
    assert "Traceback" not in done.stderr
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in done.stderr


def test_a_worker_without_a_database_url_says_what_to_set(processes: Processes) -> None:
    done = processes.command("worker")
    assert done.returncode == 1
    assert "set OPENBULK_DATABASE_URL to postgresql://" in done.stderr


def test_a_start_without_its_database_ends_with_one_sentence(
    processes: Processes, database: str
) -> None:
    wrong = database.replace("secret", "wrong")
    done = processes.command("worker", env={"OPENBULK_DATABASE_URL": wrong})
    assert done.returncode == 1
    assert "openbulk cannot start: the database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong" not in done.stderr


def test_a_file_that_another_server_receives_is_not_taken_for_an_orphan(
    processes: Processes, tmp_path: Path, database: str
) -> None:
    files = tmp_path / "data" / "files"
    for name, age in (("young", 0), ("old", 2 * 86_400)):
        block = files / name / "blocks" / "00000000"
        block.parent.mkdir(parents=True)
        block.write_bytes(b"sealed")
        os.utime(block, (time.time() - age,) * 2)
    processes.server(OPENBULK_DATABASE_URL=database)
    assert [(files / name).exists() for name in ("young", "old")] == [True, False]


def test_machines_that_share_only_database_and_bucket_work_on_each_others_files(
    processes: Processes, tmp_path: Path, database: str, s3: S3
) -> None:
    """The server is killed after it has received the file; a worker finishes the job."""
    shared: dict[str, Any] = {
        "OPENBULK_DATABASE_URL": database,
        "OPENBULK_FILES_URL": s3.new_bucket(),
        "OPENBULK_MASTER_KEY": KEY,
        **s3.environment,
    }
    first = processes.server(data_dir=tmp_path / "first", **shared).instance("memory")
    processes.worker(data_dir=tmp_path / "second", **shared)
    job_id = first.upload("records", b"name\n" + b"Ann\n" * 20_000).json["id"]
    first.process.kill()
    again = Server(
        processes.server(data_dir=tmp_path / "third", **shared).process, first.element_token
    )
    assert again.finished(job_id, within=120)["recordsCount"] == 20_000
    assert not [path for path in tmp_path.rglob("files") if path.is_dir()], (
        "no machine keeps a file"
    )


def test_a_worker_with_another_user_secret_changes_nothing_for_callers(
    processes: Processes, database: str
) -> None:
    server = processes.server(OPENBULK_DATABASE_URL=database)
    processes.worker(
        OPENBULK_DATABASE_URL=database, OPENBULK_USER_SECRET="mistyped-secret-of-tests"
    )
    assert server.call("GET", "/instances").status == 200


def test_a_worker_that_starts_first_leaves_the_secrets_to_the_first_server(
    processes: Processes, database: str
) -> None:
    """The server makes them, and writes them."""
    settings = {
        "OPENBULK_DATABASE_URL": database,
        "OPENBULK_DATA_DIR": str(processes.folder / "data"),
    }
    processes.run("worker", env=settings)
    server = Server(processes.run("serve", "--port", "0", env=settings))
    written = (processes.folder / "data" / "first-secrets").read_text()
    user, organization = (line.split("=", 1)[1] for line in written.splitlines())
    secrets = f"User {user}, Organization {organization}"
    assert server.call("GET", "/instances", headers={"Authorization": secrets}).status == 200
