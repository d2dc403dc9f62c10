"""How much a thread does, without a clock."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Calls:
    """How many functions were called."""

    count: int = 0


@contextmanager
def calls_of_this_thread() -> Iterator[Calls]:
    """Counts the calls of Python's functions in the thread of the test, which runs its loop."""
    calls = Calls()

    def note(_frame: FrameType, event: str, _of: Any) -> None:
        calls.count += event == "call"

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
