"""What does it cost to send a file again? 10,000 events, with 100 changed, then unchanged."""

import time
from collections.abc import Iterator

from figures import Figure, processes, stats


def measure(quick: bool) -> Iterator[Figure]:
    """The calls that the sandbox counts, by method."""
    count, changed = (1_000, 10) if quick else (10_000, 100)
    pages = -(-count // 2_500)
    with processes() as started:
        sandbox = started.sandbox("google", "--latency-ms", "20")
        server = started.server().google(sandbox)
        upsert = {"action": "upsert", "identifierFieldName": "ref"}
        server.done("events", timetable(count, 0), upsert, within=300)
        for what, moved in ((f"{changed} of them changed", changed), ("nothing changed", 0)):
            before = stats(sandbox)["by_method"]
            began = time.monotonic()
            server.done("events", timetable(count, changed), upsert, within=300)
            taken = time.monotonic() - began
            spent = {
                method: calls - before.get(method, 0)
                for method, calls in stats(sandbox)["by_method"].items()
            }
            yield Figure(
                f"{count:,} events sent again, {what}",
                f"{sum(spent.values())} calls {spent}, {taken:.1f} s",
                f"{pages} pages + {moved} writes + 5 %: {(pages + moved) * 1.05:.0f} calls",
            )


def timetable(count: int, changed: int) -> bytes:
    """A CSV of lessons with references; the first `changed` ones are in another room."""
    times = "2026-09-01T09:00:00+02:00,2026-09-01T10:00:00+02:00"
    rows = "".join(f"{n},Lesson {n},Room {2 if n < changed else 1},{times}\n" for n in range(count))
    return f"ref,summary,location,start.dateTime,end.dateTime\n{rows}".encode()
