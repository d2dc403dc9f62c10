"""How long does a small job take? From the upload's first byte to the first status that says it is finished."""

import statistics
import time
from collections.abc import Iterator

from figures import Figure, processes

FILE = b"name\n" + b"Ann\n" * 10


def measure(quick: bool) -> Iterator[Figure]:
    """Jobs of ten rows, one after the other."""
    samples = 5 if quick else 20
    with processes() as started:
        server = started.server().instance("memory")
        server.done("records", FILE)
        taken = []
        for _ in range(samples):
            began = time.monotonic()
            server.done("records", FILE)
            taken.append(time.monotonic() - began)
    middle, worst = statistics.median(taken), max(taken)
    yield Figure(
        f"ten rows, submitted to finished ({samples} times)",
        f"{middle:.2f} s in the middle, {worst:.2f} s at worst",
        "0.5 s",
    )
