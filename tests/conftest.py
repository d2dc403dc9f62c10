"""What every test may ask for: real servers and sandboxes, each a process of its own on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from callback_server import Receiver
from harness import Processes
from postgres import Postgres, binaries, running_postgres


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes and ends those that are left when the test is over."""
    with Processes(tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests; each has a database of its own."""
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres(folder) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where callers are told of their jobs."""
    started = Receiver()
    yield started
    started.stop()
