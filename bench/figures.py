"""Figures, and what measurements start with: real processes and files of rows."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.harness import Process, Processes, request
from support.postgres import Postgres, binaries, running_cluster


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    measured: str
    target: str = ""


@contextmanager
def processes() -> Iterator[Processes]:
    """The processes of one measurement; they end with it."""
    with (
        tempfile.TemporaryDirectory(prefix="openbulk-bench-") as folder,
        Processes(Path(folder), imports_anew=True) as started,
    ):
        yield started


@contextmanager
def postgresql() -> Iterator[Postgres]:
    """A PostgreSQL server as people run it: with fsync."""
    folder = binaries()
    assert folder is not None, "PostgreSQL is not installed"
    with running_cluster(folder, fsync=True) as cluster:
        yield cluster.postgres


def stats(sandbox: Process) -> dict[str, Any]:
    """The counters of a sandbox."""
    counted: dict[str, Any] = request("GET", f"{sandbox.url}/sandbox/stats").json
    return counted


def lessons(count: int) -> bytes:
    """A CSV of all-day events."""
    rows = "".join(f"Lesson {n},2026-09-01,2026-09-02\n" for n in range(count))
    return f"summary,start.date,end.date\n{rows}".encode()


def contacts(count: int) -> bytes:
    """A CSV with the seven columns of examples/sample.csv."""
    line = (
        "person{n}@example.com,Ann,Smith,Design Engineer,(333) 333-1234,Acme,http://www.acme.com\n"
    )
    head = "C_EmailAddress,C_FirstName,C_LastName,C_Title,C_BusPhone,C_Company,C_Website1\n"
    return (head + "".join(line.format(n=n) for n in range(count))).encode()
