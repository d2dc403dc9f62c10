"""Runs what may never end, or take all memory, in a process that may."""

import io
import multiprocessing
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.formats.packed import unpack
from openbulk.formats.recognition import inspect

CPU_SECONDS = 20
"""Many times what anything in the suites takes on a slow machine."""
MEGABYTES = 300
"""What a file may take beside the process that reads it."""
SHARES = 8
"""Tests in tests/fuzz that share FUZZ_SECONDS: seven call `chances`, and one makes up JSON."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a file."""

    rows: int = 0
    problems: tuple[str, ...] = ()
    """The different sentences on its broken rows, in their order; the first ten."""
    refusal: str = ""
    """The sentence with which the file was refused."""

    @property
    def said(self) -> str:
        """All sentences in one text."""
        return " | ".join([self.refusal, *self.problems])


def read_file(content: bytes, format_name: str | None = None) -> Reading:
    """Read a file as a job does: recognize it, then read all of its rows."""
    file = io.BytesIO(content)
    rows, problems = 0, dict[str, None]()
    try:
        recognized = inspect(file, format_name, {})
        for row in recognized.read(unpack(file), {}):
            rows += 1
            assert row.number == rows
            assert (row.values is None) == (row.problem is not None)
            if row.problem is not None and len(problems) < 10:
                problems[row.problem.message] = None
    except BadInput as error:
        return Reading(rows, tuple(problems), error.message)
    return Reading(rows, tuple(problems))


def read_within_bounds(content: bytes, format_name: str | None = None) -> Reading:
    """Read a file in a process that dies if it takes too long, or too much memory."""
    found = run_within_bounds(lambda: read_file(content, format_name))
    assert isinstance(found, Reading)
    return found


def run_within_bounds(work: Callable[[], Any]) -> Any:
    """The result of some work, in a process of its own. Raises AssertionError if it dies."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(work, sender))
    child.start()
    sender.close()
    try:
        found = receiver.recv()
    except EOFError:
        child.join()
        raise AssertionError(f"it took too much time or memory: {child.exitcode}") from None
    child.join()
    if isinstance(found, BaseException):
        raise AssertionError(f"it raised {found!r}") from found
    return found


def _run(work: Callable[[], Any], sender: Connection) -> None:
    held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    most = held + MEGABYTES * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS))
    try:
        found = work()
    except BaseException as error:
        found = RuntimeError(f"{type(error).__name__}: {str(error)[:200]}")
    sender.send(found)


# --- fuzzing ---


def chances() -> Iterator[random.Random]:
    """Sources of chance, for a test's share of FUZZ_SECONDS: `make fuzz` takes an hour.

    They are the same ones each time, from FUZZ_SEED (0 by default) on.
    """
    seconds = float(os.environ.get("FUZZ_SECONDS", "16")) / SHARES
    first = int(os.environ.get("FUZZ_SEED", "0"))
    end = time.monotonic() + seconds
    number = first
    while number == first or time.monotonic() < end:
        with _ends_in_time(f"FUZZ_SEED={number}"):
            yield random.Random(number)
        number += 1


@contextmanager
def _ends_in_time(what: str) -> Iterator[None]:
    def end(*_: object) -> None:
        raise AssertionError(f"{what} took more than {CPU_SECONDS} seconds")

    previous = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
