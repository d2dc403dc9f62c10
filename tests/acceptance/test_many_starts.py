"""Processes that start on one database: at once, with the wrong key, beside others that are at work."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness import Processes, Server
from s3 import S3

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER_KEY = "YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI="


def test_servers_that_start_at_once_on_an_empty_database_all_come_up(tmp_path: Path, database: str) -> None:
    """And work."""
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
        starting = [pool.submit(one.server, data_dir=tmp_path / "data", **settings) for one in (a, b, c)]
        servers = [one.result() for one in starting]
        memory = servers[0].instance("memory")
        for server in servers:
            assert Server(server.process, memory.element_token).done("records", b"name\nAnn\n")["recordsCount"] == 1


def test_a_process_with_another_master_key_does_not_start(processes: Processes, tmp_path: Path, database: str) -> None:
    """Whether it was told another one, or would make one of its own; it says what to do, and shows no key."""
    processes.server(OPENBULK_DATABASE_URL=database, OPENBULK_MASTER_KEY=KEY)
    shared = {"OPENBULK_DATABASE_URL": database, "OPENBULK_DATA_DIR": str(tmp_path / "elsewhere")}
    for wrong in ({"OPENBULK_MASTER_KEY": OTHER_KEY}, {}):
        done = processes.command("worker", env=shared | wrong)
        assert done.returncode == 1
        assert "sealed with another master key than this machine's; set OPENBULK_MASTER_KEY on all" in done.stderr
        assert KEY not in done.stderr
        assert OTHER_KEY not in done.stderr
    assert not (tmp_path / "elsewhere" / "master.key").exists(), "no key that nobody needs is made"
    processes.worker(OPENBULK_DATABASE_URL=database, OPENBULK_MASTER_KEY=f"{OTHER_KEY},{KEY}")


def test_a_worker_says_what_it_shares_with_a_server(processes: Processes) -> None:
    done = processes.command("worker")
    assert done.returncode == 1
    assert "set OPENBULK_DATABASE_URL to postgresql://" in done.stderr


def test_a_database_that_cannot_be_reached_is_said_in_a_sentence(processes: Processes, database: str) -> None:
    wrong = database.replace("secret", "wrong")
    done = processes.command("worker", env={"OPENBULK_DATABASE_URL": wrong})
    assert done.returncode == 1
    assert "openbulk cannot start: the database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong" not in done.stderr


def test_a_file_that_another_server_is_receiving_is_not_taken_for_an_orphan(
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


def test_machines_that_share_nothing_but_database_and_object_store_work_on_one_anothers_files(
    processes: Processes, tmp_path: Path, database: str, s3: S3
) -> None:
    """The server is killed when it has taken the file in; a worker brings it to its end."""
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
    again = Server(processes.server(data_dir=tmp_path / "third", **shared).process, first.element_token)
    assert again.finished(job_id, within=60)["recordsCount"] == 20_000
    assert not [path for path in tmp_path.rglob("files") if path.is_dir()], "no file is kept on a machine"
