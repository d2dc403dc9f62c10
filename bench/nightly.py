"""What does a nightly download of changes take? 100 of 10,000 events have changed.

With a bookmark and without; where Google lists changes by date, and where the last night is too
long ago for that.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from changes import timetable
from figures import Figure, processes, stats
from support.harness import Process, Server


def measure(quick: bool) -> Iterator[Figure]:
    """The calls that the sandbox counts, and the seconds."""
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
            measure_download(known, sandbox)
            time.sleep(1.5)
            since = {"from": datetime.now(UTC).isoformat()}
            known.done("events", timetable(count, changed), upsert, within=300)
            new = server.google(sandbox)
            for how, caller in (("with a bookmark", known), ("without one", new)):
                records, calls, taken = measure_download(caller, sandbox, **since)
                assert records == changed
                yield Figure(
                    f"{changed} of {count:,} events changed since {when}, downloaded {how}",
                    f"{calls} calls, {taken:.2f} s",
                    "1 call" if caller is known else "",
                )


def measure_download(server: Server, sandbox: Process, **since: str) -> tuple[int, int, float]:
    """Download events. Returns the number of records, of calls, and of seconds."""
    before, began = stats(sandbox)["calls"], time.monotonic()
    body = {"objectName": "events", **since}
    job_id = server.call("POST", "/bulk/download", json_body=body).json["id"]
    status = server.finished(job_id, within=300)
    return status["recordCount"], stats(sandbox)["calls"] - before, time.monotonic() - began
