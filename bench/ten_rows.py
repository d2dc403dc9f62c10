"""How long does a small job take? From the first byte of its upload to its final status."""

import statistics
import time
from collections.abc import Iterator

from figures import Figure, processes

FILE = b"name\n" + b"Ann\n" * 10


def measure(quick: bool) -> Iterator[Figure]:
    """Jobs of ten rows, one after another."""
    samples = 5 if quick else 20
    with processes() as started:
        server = started.server().instance("memory")
        server.done("records", FILE)
        taken = []
        for _ in range(samples):
            began = time.monotonic()
            server.done("records", FILE)
            taken.append(time.monotonic() - began)
    median, worst = statistics.median(taken), max(taken)
    yield Figure(
        f"ten rows, from upload to finished ({samples} times)",
        f"median {median:.2f} s, worst {worst:.2f} s",
        "0.5 s",
    )
