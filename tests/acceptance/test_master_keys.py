"""The master key is replaced while openbulk works, as how-to/rotate-the-master-key.md says."""

from pathlib import Path
from typing import Any

import pytest

from support.harness import Processes, Server, until

OLD = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
NEW = "YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI="


def env(database: str, *keys: str) -> dict[str, Any]:
    return {"OPENBULK_DATABASE_URL": database, "OPENBULK_MASTER_KEY": ",".join(keys)}


def instances(server: Server) -> list[int]:
    reply = server.call("GET", "/instances")
    assert reply.status == 200, reply.body
    return sorted(instance["id"] for instance in reply.json)


@pytest.mark.long
def test_a_new_master_key_replaces_the_old_one_while_servers_work(
    processes: Processes, database: str
) -> None:
    """On two servers, one after the other. At every step each opens what the other has sealed."""
    token = processes.server(**env(database, OLD)).instance("memory").element_token
    running = [processes.started[0], processes.server(**env(database, OLD)).process]
    made = 1
    for keys in ((OLD, NEW), (NEW, OLD), (NEW,)):
        for number in range(2):
            assert running[number].stop() == 0
            running[number] = processes.server(**env(database, *keys)).process
            for process in running:
                Server(process).instance("memory")
                made += 1
            for process in running:
                assert len(instances(Server(process))) == made
                assert (
                    Server(process, token).done("records", b"name\nAnn\n")["status"] == "COMPLETE"
                )


def test_a_start_without_a_key_that_credentials_need_ends_with_one_sentence(
    processes: Processes, database: str
) -> None:
    """A process with the old key first has sealed an instance after the others were resealed."""
    late = processes.server(**env(database, OLD, NEW)).instance("memory")
    new = processes.server(**env(database, NEW, OLD))
    late.instance("memory")
    done = processes.command(
        "worker", env=env(database, NEW) | {"OPENBULK_DATA_DIR": str(processes.folder / "data")}
    )
    assert done.returncode == 1
    message = (
        "configuration of instance 2 was sealed with a master key that this server no longer has; "
        "add that key"
    )
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert OLD not in done.stderr
    assert NEW not in done.stderr
    assert late.process.stop() == 0
    processes.worker(**env(database, NEW, OLD))
    assert instances(processes.server(**env(database, NEW))) == [1, 2] == instances(new)


def test_a_single_server_takes_a_new_key_in_one_step(processes: Processes, tmp_path: Path) -> None:
    """On SQLite, with the key in OPENBULK_MASTER_KEY."""
    data = tmp_path / "data"
    server = processes.server(data_dir=data, OPENBULK_MASTER_KEY=OLD).instance("memory")
    for keys in (f"{NEW},{OLD}", NEW):
        server.process.stop()
        server = Server(
            processes.server(data_dir=data, OPENBULK_MASTER_KEY=keys).process, server.element_token
        )
        assert instances(server) == [1]
    server.process.stop()
    done = processes.command(
        "serve", "--port", "0", env={"OPENBULK_DATA_DIR": str(data), "OPENBULK_MASTER_KEY": OLD}
    )
    assert done.returncode == 1
    assert "sealed with a master key that this machine does not have" in done.stderr


def test_a_job_whose_file_needs_a_missing_key_waits_for_that_key(
    processes: Processes, tmp_path: Path
) -> None:
    """Its status says so. The file of a download is refused meanwhile, with one sentence."""
    data = tmp_path / "data"

    def serve(*keys: str) -> Server:
        return Server(
            processes.server(data_dir=data, OPENBULK_MASTER_KEY=",".join(keys)).process, token
        )

    sandbox = processes.sandbox("eloqua")
    first = processes.server(data_dir=data, OPENBULK_MASTER_KEY=OLD).eloqua(sandbox)
    token = first.element_token
    file = b"C_EmailAddress\n" + b"".join(b"ann%d@example.com\n" % number for number in range(20))
    assert first.done("contact", file)["status"] == "COMPLETE"
    query = first.call("POST", "/bulk/query?q=select+C_EmailAddress+from+contact").json["id"]
    assert first.finished(query)["status"] == "COMPLETE"
    sandbox.freeze()
    upload = first.upload("contact", file).json["id"]
    first.process.kill()
    serve(NEW, OLD).process.kill()
    sandbox.wake()
    without = serve(NEW)
    message = (
        "was sealed with a master key that this server no longer has; to continue the job, "
        "add that key to OPENBULK_MASTER_KEY"
    )
    until(
        lambda: message in without.status(upload).get("infoMessage", ""),
        30,
        "the job waits for its key",
    )
    reply = without.call("GET", f"/bulk/{query}/contact")
    assert reply.status == 409
    assert (
        "are sealed with a master key this server no longer has; to read them, add that key"
        in reply.json["message"]
    )
    assert without.call("GET", f"/bulk/{query}/contact/data").status == 409
    without.process.kill()
    again = serve(NEW, OLD)
    assert again.finished(upload, within=120)["status"] == "COMPLETE"
    assert again.call("GET", f"/bulk/{query}/contact").status == 200


def test_rotate_key_says_how_to_change_a_key_that_a_setting_holds(
    processes: Processes,
) -> None:
    done = processes.command("rotate-key", env={"OPENBULK_MASTER_KEY": OLD})
    assert done.returncode == 1
    assert "set it to old,new in all processes, one after the other, then to new,old" in done.stderr
    assert OLD not in done.stderr
