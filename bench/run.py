"""Measures real processes from outside, prints each figure, and writes RESULTS.md (`make bench`).

.venv/bin/python bench/run.py [--quick] [NAME ...]

With names or --quick (small numbers, to check that everything runs) it writes nothing.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import changes  # noqa: E402
import databases  # noqa: E402
import download  # noqa: E402
import forecast  # noqa: E402
import forgetting  # noqa: E402
import growth  # noqa: E402
import idle  # noqa: E402
import ingest  # noqa: E402
import jobs  # noqa: E402
import mapping  # noqa: E402
import nightly  # noqa: E402
import peers  # noqa: E402
import plans  # noqa: E402
import profiles  # noqa: E402
import quota  # noqa: E402
import recovery  # noqa: E402
import sizes  # noqa: E402
import ten_rows  # noqa: E402
import worst  # noqa: E402
from figures import Figure  # noqa: E402

MEASURES: Mapping[str, Callable[[bool], Iterator[Figure]]] = {
    "peers": peers.measure,
    "quota": quota.measure,
    "changes": changes.measure,
    "nightly": nightly.measure,
    "sizes": sizes.measure,
    "ten_rows": ten_rows.measure,
    "jobs": jobs.measure,
    "recovery": recovery.measure,
    "ingest": ingest.measure,
    "download": download.measure,
    "growth": growth.measure,
    "idle": idle.measure,
    "databases": databases.measure,
    "worst": worst.measure,
    "mapping": mapping.measure,
    "plans": plans.measure,
    "profiles": profiles.measure,
    "forecast": forecast.measure,
    "forgetting": forgetting.measure,
}


def main() -> None:
    """Measure the names given, or all of them; write the table after all."""
    arguments = argparse.ArgumentParser(description="Measure openbulk.")
    arguments.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(MEASURES)}; default: all"
    )
    arguments.add_argument(
        "--quick", action="store_true", help="small numbers, to check that everything runs"
    )
    options = arguments.parse_args()
    if unknown := set(options.names) - set(MEASURES):
        arguments.error(f"there is no {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    began = time.monotonic()
    figures = {name: list(print_figures(name, options.quick)) for name in options.names or MEASURES}
    if not options.names and not options.quick:
        write(figures, time.monotonic() - began)


def print_figures(name: str, quick: bool) -> Iterator[Figure]:
    """The figures of one name; prints each as soon as it is known."""
    for figure in MEASURES[name](quick):
        target = f" (target: {figure.target})" if figure.target else ""
        print(f"{name}: {figure.what}: {figure.measured}{target}", flush=True)
        yield figure


def write(figures: Mapping[str, list[Figure]], seconds: float) -> None:
    """Write RESULTS.md."""
    python = f"Python {platform.python_version()}"
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {python}"
    lines = [
        "# What `make bench` measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}. Servers, workers, PostgreSQL, sandbox and",
        f"caller share this machine. One run of {seconds / 60:.0f} minutes, on SQLite unless a",
        "line says otherwise. [README.md](README.md) explains each name;",
        "`.venv/bin/python bench/run.py NAME` measures one name again.",
        "",
        "| name | what | measured | target |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {figure.what} | {figure.measured} | {figure.target} |"
            for name, found in figures.items()
            for figure in found
        ),
        "",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
