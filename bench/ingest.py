"""What does reading a CSV cost, against Python's csv module? In one process, without a server."""

import csv
import io
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from figures import Figure, contacts
from openbulk.formats.csv import Csv

Read = Callable[[bytes], Iterable[Any]]


def measure(quick: bool) -> Iterator[Figure]:
    """Rows per second: cells, cells by name, and a job's records (checked, numbered, nested)."""
    rows, times = (100_000, 1) if quick else (500_000, 3)
    file = contacts(rows)
    alone = rate(lambda content: csv.reader(text_of(content)), file, rows + 1, times)
    named = rate(lambda content: csv.DictReader(text_of(content)), file, rows, times)
    ours = rate(lambda content: Csv().read(io.BytesIO(content), {}), file, rows, times)
    yield Figure(f"{rows:,} rows of CSV read by csv.reader alone", f"{alone:,.0f} rows/s")
    yield Figure(
        f"{rows:,} rows of CSV read into records by openbulk ({times} times each)",
        f"{ours:,.0f} rows/s: {ours / alone:.2f}x csv.reader (cells without names), "
        f"{ours / named:.2f}x csv.DictReader",
        "1.0x csv.DictReader",
    )


def text_of(content: bytes) -> TextIO:
    """The text of a file, for the csv module."""
    return io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")


def rate(read: Read, file: bytes, rows: int, times: int) -> float:
    """Rows per second, the median of several times."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        assert sum(1 for _ in read(file)) == rows
        taken.append(time.perf_counter() - began)
    return rows / statistics.median(taken)
