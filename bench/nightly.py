"""What does a download of what was changed since the last night take? 100 of 10,000 events.

With a bookmark and without; where Google lists changes by their date, and where the last night is too long ago for it.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from changes import timetable
from figures import Figure, processes, stats
from support.harness import Process, Server


def measure(quick: bool) -> Iterator[Figure]:
    """The sandbox's count of calls, and the time."""
    count, changed = (1_000, 10) if quick else (10_000, 100)
    for when, options in (
        ("last night", ()),
        ("the last time weeks ago", ("--changes-seconds", "0")),
    ):
        with processes() as started:
            sandbox = started.sandbox("google", *options)
            server = started.server()
            known = server.google(sandbox)
            upsert = {"action": "upsert", "identifierFieldName": "ref"}
            known.done("events", timetable(count, 0), upsert, within=300)
            downloaded(known, sandbox)
            time.sleep(1.5)
            since = datetime.now(UTC).isoformat()
            known.done("events", timetable(count, changed), upsert, within=300)
            for how, asking in (
                ("from a bookmark", known),
                ("without one", server.google(sandbox)),
            ):
                records, calls, taken = downloaded(asking, sandbox, since)
                assert records == changed
                yield Figure(
                    f"{changed} of {count:,} events changed since {when}, downloaded {how}",
                    f"{calls} calls, {taken:.2f} s",
                    "1 call" if asking is known else "",
                )


def downloaded(server: Server, sandbox: Process, since: str = "") -> tuple[int, int, float]:
    """How many records a download gave, the calls that it took, and its seconds."""
    before, began = stats(sandbox)["calls"], time.monotonic()
    asked = {"objectName": "events", **({"from": since} if since else {})}
    status = server.finished(
        server.call("POST", "/bulk/download", json_body=asked).json["id"], within=300
    )
    return status["recordCount"], stats(sandbox)["calls"] - before, time.monotonic() - began
