"""Fixtures for every test: real servers and sandboxes on loopback, each a process of its own."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from support.harness import Process, Processes, Server, request, set_faults
from support.mariadb import (
    NAMED_MARIADB,
    Mariadb,
    installed_mariadb,
    named_mariadb,
    running_mariadb,
)
from support.oidc import oidc_provider
from support.postgres import (
    NAMED,
    Cluster,
    Postgres,
    binaries,
    named_postgres,
    running_cluster,
    running_postgres,
)
from support.receiver import Receiver
from support.s3 import S3, running_s3

# A shared machine may be slow; that breaks no promise.
settings.register_profile("openbulk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("openbulk")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have the long tests begin first: one that begins last runs alone.

    Each worker begins at its own place in the list, with an equal share of it (worksteal).
    """
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    left = len(items)
    items.clear()
    for worker in range(workers):
        first = long[worker::workers]
        share = left // (workers - worker)
        rest = share - len(first)
        items += [*first, *others[:rest]]
        others, left = others[rest:], left - share


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes, and ends those that still run when the test is over."""
    with Processes(tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Starts what all tests share. A start takes seconds."""
    with Processes(tmp_path_factory.mktemp("shared")) as started:
        yield started


@pytest.fixture(scope="session")
def sqlite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shared server's SQLite files."""
    return tmp_path_factory.mktemp("sqlite")


@pytest.fixture(scope="session")
def shared_server(shared: Processes, sqlite_folder: Path) -> Server:
    """A server for tests that stop nothing, and look at nothing but instances of their own."""
    return shared.server(OPENBULK_SQLITE_FOLDER=str(sqlite_folder))


@pytest.fixture(scope="session")
def shared_strict_server(shared: Processes) -> Server:
    """A server that may not call private addresses, for tests as those of `shared_server`."""
    folder = shared.folder / "strict"
    return shared.server(data_dir=folder, OPENBULK_ALLOW_PRIVATE_ADDRESSES="false")


@pytest.fixture
def shared_memory(shared_server: Server) -> Iterator[Server]:
    """An instance of Memory on the shared server, in a space of its own.

    Its records go with it: all instances of a server share one room.
    """
    made = shared_server.instance("memory", {"space": uuid.uuid4().hex})
    yield made
    shared_server.call("DELETE", f"/instances/{made.instance_id}")


@pytest.fixture(scope="session")
def _eloqua(shared: Processes) -> Process:
    return shared.sandbox("eloqua")


@pytest.fixture
def shared_eloqua(_eloqua: Process) -> Process:
    """A sandbox of Eloqua for tests that do not stop it; each finds it empty and without faults."""
    return _emptied(_eloqua)


@pytest.fixture(scope="session")
def _google(shared: Processes) -> Process:
    return shared.sandbox("google")


@pytest.fixture
def shared_google(_google: Process) -> Process:
    """A sandbox of Google for tests that do not stop it; each finds it empty and without faults."""
    return _emptied(_google)


def _emptied(sandbox: Process) -> Process:
    set_faults(sandbox, "")
    assert request("POST", f"{sandbox.url}/sandbox/reset").status == 200
    return sandbox


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests; each test has its own database."""
    if (named := named_postgres()) is not None:
        yield named
        return
    with running_postgres(_binaries()) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """A MariaDB server for all tests; each test has its own database."""
    if (named := named_mariadb()) is not None:
        yield named
        return
    if not installed_mariadb():
        _skip_or_fail(f"MariaDB is not installed, and {NAMED_MARIADB} names none")
    with running_mariadb() as server:
        yield server


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that the test may kill and start again."""
    with running_cluster(_binaries()) as started:
        yield started


def _binaries() -> Path:
    """The folder of PostgreSQL's programs. Without it the test is skipped; in CI it fails."""
    folder = binaries()
    if folder is None:
        _skip_or_fail(f"PostgreSQL is not installed, and {NAMED} names none")
    return folder


def _skip_or_fail(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, for this test alone."""
    name = postgres.new_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server for all tests; each test has its own bucket."""
    with running_s3() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A caller's server, which receives callbacks."""
    with Receiver() as started:
        yield started


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An OpenID provider, as its issuer."""
    with oidc_provider(tmp_path_factory.mktemp("oidc")) as found:
        yield found
