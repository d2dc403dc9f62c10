"""Plays seeds; prints a line for each, and a table. Exits with 1 if a promise was broken."""

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
from crash.drawing import scenario_of
from crash.report import Table, line_of
from crash.run import play
from crash.scenario import Scenario
from crash.seen import Seen


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m crash", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one, and print its scenario")
    parser.add_argument("--seeds", type=int, default=300, help="how many to play (300)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--step", type=int, default=1, help="2: only even or only odd ones (1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many to play at the same time (2)")
    parser.add_argument(
        "--keep", type=Path, help="folder for the logs of broken runs (a temporary one)"
    )
    options = parser.parse_args()
    if not Disk.is_possible():
        print("the disk is never full: only root can mount a small file system to fill")
    seeds = range(options.first, options.first + options.seeds * options.step, options.step)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
        _print_scenario(scenario_of(options.seed))
    table = Table()
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_Runs(iter(seeds), table, options.keep).play_all(options.jobs))
    print(f"\n{table}")
    for seed in table.failed:
        print(f"play it again: make crash SEED={seed}")
    return int(bool(table.failed))


def _print_scenario(scenario: Scenario) -> None:
    for part in (*scenario.works, *scenario.blows):
        print(f"  {part}")
    print(f"  faults: {scenario.faults or 'none'}; latency: {scenario.latency_ms} ms")
    print(f"  callers that hang up, by work: {scenario.hangs_up}")
    print(f"  Idempotency-Key: {'yes' if scenario.with_keys else 'no'}")


class _Runs:
    """Seeds, played several at a time."""

    def __init__(self, seeds: Iterator[int], table: Table, keep: Path | None) -> None:
        self._seeds = seeds
        self._keep = keep or Path(tempfile.gettempdir(), "openbulk-crash")
        self._table = table

    async def play_all(self, at_once: int) -> None:
        """Play them all, so many at the same time.

        SIGTERM is as Ctrl-C: each run ends its processes, and the table shows what was played.
        """
        own = asyncio.current_task()
        assert own is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._play_some())

    async def _play_some(self) -> None:
        """Play one after another, on one PostgreSQL server where seeds need one."""
        cluster: Cluster | None = None
        try:
            for seed in self._seeds:
                if cluster is None and scenario_of(seed).is_shared:
                    cluster = await asyncio.to_thread(Cluster)
                await self._play(seed, cluster)
        finally:
            if cluster is not None:
                await asyncio.to_thread(cluster.close)

    async def _play(self, seed: int, cluster: Cluster | None) -> None:
        scenario = scenario_of(seed)
        folder = Path(tempfile.mkdtemp(prefix=f"openbulk-crash-{seed}-"))
        try:
            seen = await play(scenario, folder, cluster)
        except Exception as error:
            if _is_cut_off():
                raise asyncio.CancelledError from error
            seen = Seen(scenario, wrong=[f"the run itself failed:\n{traceback.format_exc()}"])
        broken = broken_promises(seen)
        self._table.add(seen, broken)
        print(line_of(seen, broken), flush=True)
        if broken:
            kept = self._keep / f"seed-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept)
            stories = "\n".join(f"    {story}" for story in broken[:20])
            print(f"{stories}\n    logs in {kept}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)


def _is_cut_off() -> bool:
    """Whether the run was to end early: then its processes may have ended before it."""
    own = asyncio.current_task()
    return own is not None and own.cancelling() > 0


if __name__ == "__main__":
    sys.exit(main())
