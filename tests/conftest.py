"""What every test may ask for: real servers and sandboxes, each a process of its own on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes and ends those that are left when the test is over."""
    with Processes(tmp_path) as started:
        yield started
