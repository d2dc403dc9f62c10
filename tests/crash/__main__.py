"""Runs seeds, prints a line for each and a table at the end; ends with 1 where a promise was broken."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crash.actors import Disk
from crash.checker import broken_promises
from crash.cluster import Cluster
from crash.report import Table, line_of
from crash.run import play
from crash.scenario import Scenario, scenario_of
from crash.seen import Seen


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m crash", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one, and say what happens in it")
    parser.add_argument("--seeds", type=int, default=300, help="how many to play (300)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--step", type=int, default=1, help="2: only even or odd ones (1)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at one time (2)")
    parser.add_argument(
        "--keep", type=Path, help="folder for the logs of runs that failed (a temporary one)"
    )
    asked = parser.parse_args()
    if not Disk.is_possible():
        print(
            "no file system can be mounted here that could be filled (root can): the disk always has room"
        )
    seeds = (
        [asked.seed]
        if asked.seed is not None
        else range(asked.first, asked.first + asked.seeds * asked.step, asked.step)
    )
    if asked.seed is not None:
        _tell(scenario_of(asked.seed))
    table = Table()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # ends as Ctrl-C does: leaving nothing behind
    with suppress(KeyboardInterrupt):  # what was run until then is told, too
        asyncio.run(_Runs(iter(seeds), table, asked.keep).all(asked.jobs))
    print(f"\n{table}")
    for seed in table.failed:
        print(f"play it again: make crash SEED={seed}")
    return 1 if table.failed else 0


def _tell(scenario: Scenario) -> None:
    for part in (*scenario.works, *scenario.blows):
        print(f"  {part}")
    print(
        f"  faults {scenario.faults or 'none'}, latency {scenario.latency_ms} ms, hangs up {scenario.hangs_up}"
    )
    print(f"  requests for jobs {'with' if scenario.with_keys else 'without'} an Idempotency-Key")


class _Runs:
    """Seeds, played several at a time."""

    def __init__(self, seeds: Iterator[int], table: Table, keep: Path | None) -> None:
        self._seeds = seeds
        self._keep = keep or Path(tempfile.gettempdir(), "openbulk-crash")
        self._table = table

    async def all(self, jobs: int) -> None:
        """Play them all."""
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(self._some())

    async def _some(self) -> None:
        """Play one after another, with a PostgreSQL server of their own where they need it."""
        cluster: Cluster | None = None
        try:
            for seed in self._seeds:
                if cluster is None and scenario_of(seed).is_shared:
                    cluster = await asyncio.to_thread(Cluster)
                await self._one(seed, cluster)
        finally:
            if cluster is not None:
                await asyncio.to_thread(cluster.close)

    async def _one(self, seed: int, cluster: Cluster | None) -> None:
        scenario = scenario_of(seed)
        folder = Path(tempfile.mkdtemp(prefix=f"openbulk-crash-{seed}-"))
        try:
            seen = await play(scenario, folder, cluster)
        except Exception:
            seen = Seen(scenario, wrong=[f"the run itself failed:\n{traceback.format_exc()}"])
        broken = broken_promises(seen)
        self._table.add(seen, broken)
        print(line_of(seen, broken), flush=True)
        if broken:
            kept = self._keep / f"seed-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept)
            print(
                "\n".join(f"    {story}" for story in broken[:20]),
                f"\n    logs in {kept}",
                flush=True,
            )
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
