"""A few seeds of the crash harness; `make crash` plays hundreds."""

import asyncio
import os
from collections.abc import Awaitable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from crash.checker import broken_promises
from crash.cluster import Cluster
from crash.run import play
from crash.scenario import scenario_of
from crash.seen import Seen
from postgres import binaries

ONE_PROCESS = (4, 8, 10)
SHARED = (5, 13)
"""With server and workers."""
WITHOUT_DATABASE = 23
"""In this one PostgreSQL is killed: the others would miss theirs."""


@pytest.fixture
def clusters() -> Iterator[list[Cluster]]:
    """A PostgreSQL server that is left alone, and one that is not."""
    if binaries() is None and os.environ.get("CI") != "true":
        pytest.skip("PostgreSQL is not installed")
    with ExitStack() as ended, ThreadPoolExecutor() as threads:
        starting = [threads.submit(Cluster) for _ in range(2)]
        yield [ended.enter_context(closing(cluster.result())) for cluster in starting]


async def test_one_process_keeps_its_promises_whatever_is_killed(tmp_path: Path) -> None:
    await all_is_well(play(scenario_of(seed), tmp_path / str(seed)) for seed in ONE_PROCESS)


async def test_a_server_and_its_workers_keep_their_promises_whatever_is_killed(
    tmp_path: Path, clusters: list[Cluster]
) -> None:
    calm, killed = clusters
    await all_is_well(
        play(scenario_of(seed), tmp_path / str(seed), killed if seed == WITHOUT_DATABASE else calm)
        for seed in (*SHARED, WITHOUT_DATABASE)
    )


async def all_is_well(runs: Iterable[Awaitable[Seen]]) -> None:
    for seen in await asyncio.gather(*runs):
        assert broken_promises(seen) == [], f"play it again: make crash SEED={seen.scenario.seed}"
