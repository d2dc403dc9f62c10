"""What every test may ask for: real servers and sandboxes, each a process of its own on loopback."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support.harness import Processes
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

# A shared machine is slow at times, and that breaks no promise.
settings.register_profile("openbulk", deadline=None)
settings.load_profile("openbulk")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes and ends those that are left when the test is over."""
    with Processes(tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests; each has a database of its own."""
    if (named := named_postgres()) is not None:
        yield named
        return
    with running_postgres(_binaries()) as server:
        yield server


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that this test may kill and start again."""
    with running_cluster(_binaries()) as started:
        yield started


def _binaries() -> Path:
    """Where PostgreSQL is; a test that needs it is skipped without it, but never in continuous integration."""
    folder = binaries()
    if folder is None:
        why = f"PostgreSQL is not installed, and {NAMED} names none"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return folder


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The address of a PostgreSQL database of the test's own."""
    name = postgres.new_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server for all tests; each has a bucket of its own."""
    with running_s3() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where callers are told of their jobs."""
    started = Receiver()
    yield started
    started.stop()
