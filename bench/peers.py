"""How fast is openbulk beside other clients? Events into the Google sandbox, 100 ms away, no quota.

openbulk is measured end to end: from the first byte of the upload to the status of a finished job.
The others (clients.py) are measured from the first row that they read to the last answer. Each run
has a new sandbox and the same rows. The client by hand runs with several numbers of connections;
then its best and openbulk alternate, and the medians count.
"""

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Figure, lessons, processes, stats
from support.harness import Process, request

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "peers-requirements.txt"
ENVIRONMENT = HERE.parent / ".venv" / "peers"
CONCURRENCIES = (64, 128, 256, 512, 1_024)


def measure(quick: bool) -> Iterator[Figure]:
    """Events per second of each, and openbulk's ratio to it."""
    many, few, times = (1_000, 50, 1) if quick else (10_000, 200, 3)
    python = install_peers()
    by_concurrency = {
        at_once: client(python, "by_hand", many, at_once) for at_once in CONCURRENCIES
    }
    best = max(by_concurrency, key=lambda at_once: by_concurrency[at_once])
    ours, theirs = [], []
    for _ in range(times):
        ours.append(openbulk(many))
        theirs.append(client(python, "by_hand", many, best))
    rate = statistics.median(ours)
    yield Figure(
        f"openbulk, {many:,} events end to end, 100 ms away ({times} times)", spread(many, ours)
    )
    tried = ", ".join(f"{at_once}: {found:,.0f}/s" for at_once, found in by_concurrency.items())
    yield beside(
        rate,
        f"asyncio and aiohttp by hand, {many:,} events ({times} times)",
        many,
        theirs,
        0.9,
        f"; {tried}",
    )
    batches = [client(python, "batches", many)]
    yield beside(
        rate, f"google-api-python-client, batches of 50, {many:,} events", many, batches, 3
    )
    for way, name in (("one_by_one", "google-api-python-client"), ("gcsa", "gcsa")):
        single = [client(python, way, few)]
        yield beside(rate, f"{name}, one by one, {few} events", few, single, 10)


def spread(count: int, rates: Sequence[float]) -> str:
    """A median rate, and how far the rates varied."""
    median = statistics.median(rates)
    digits = 0 if median > 100 else 1
    varied = f" ({min(rates):,.0f} to {max(rates):,.0f})" if len(rates) > 1 else ""
    return f"{median:,.{digits}f} events/s{varied}, {count / median:.1f} s"


def beside(
    ours: float, what: str, count: int, rates: Sequence[float], target: float, more: str = ""
) -> Figure:
    """The rate of another client, and openbulk's ratio to it."""
    ratio = ours / statistics.median(rates)
    return Figure(
        what,
        f"{spread(count, rates)}{more}; openbulk is {ratio:.2f}x as fast",
        f"openbulk {target:g}x",
    )


def openbulk(count: int) -> float:
    """Events per second by openbulk, end to end."""
    with processes() as started:
        sandbox = started.sandbox("google", "--latency-ms", "100")
        server = started.server().google(sandbox)
        began = time.monotonic()
        status = server.done("events", lessons(count), within=300, every=0.1)
        taken = time.monotonic() - began
        assert (status["recordsCount"], status["recordsFailedCount"]) == (count, 0), status
        check(sandbox, count)
    return count / taken


def client(python: Path, way: str, count: int, concurrency: int = 1) -> float:
    """Events per second in one of the ways of clients.py."""
    with processes() as started:
        sandbox = started.sandbox("google", "--latency-ms", "100")
        tokens = request(
            "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
        ).json
        file = started.folder / "events.csv"
        file.write_bytes(lessons(count))
        task = [sandbox.url, tokens["access_token"], file, str(concurrency)]
        command = [python, HERE / "clients.py", way, *task]
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900)
        check(sandbox, count)
    return count / float(ended.stdout)


def check(sandbox: Process, count: int) -> None:
    """Every event is in the calendar."""
    assert stats(sandbox)["inserted"] == count


def install_peers() -> Path:
    """The Python of the other clients. Makes its environment if it is missing or out of date."""
    python, made_from = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "requirements.txt"
    if not made_from.exists() or made_from.read_text() != REQUIREMENTS.read_text():
        options = ("--quiet", "--disable-pip-version-check", "--require-hashes")
        pip = (python, "-m", "pip", "install", *options)
        subprocess.run(["python3", "-m", "venv", "--clear", ENVIRONMENT], check=True)
        subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
        made_from.write_text(REQUIREMENTS.read_text())
    return python
