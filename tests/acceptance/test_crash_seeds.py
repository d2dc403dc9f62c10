"""A few seeds of the crash harness; `make crash` plays hundreds."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from crash.checker import broken_promises
from crash.cluster import Cluster
from crash.run import play
from crash.scenario import scenario_of

ONE_PROCESS = (4, 10, 14)
SHARED = (5, 7, 9)
"""With server and workers; in one of them, PostgreSQL is killed."""


@pytest.fixture
def clusters() -> Iterator[list[Cluster]]:
    """A PostgreSQL server for each seed: one that is killed would be missed by the others."""
    with ExitStack() as ended:
        yield [ended.enter_context(closing(Cluster())) for _ in SHARED]


async def test_one_process_keeps_its_promises_whatever_is_killed(tmp_path: Path) -> None:
    runs = [play(scenario_of(seed), tmp_path / str(seed)) for seed in ONE_PROCESS]
    for seen in await asyncio.gather(*runs):
        assert broken_promises(seen) == [], f"play it again: make crash SEED={seen.scenario.seed}"


async def test_a_server_and_its_workers_keep_their_promises_whatever_is_killed(
    tmp_path: Path, clusters: list[Cluster]
) -> None:
    runs = [
        play(scenario_of(seed), tmp_path / str(seed), cluster) for seed, cluster in zip(SHARED, clusters, strict=True)
    ]
    for seen in await asyncio.gather(*runs):
        assert broken_promises(seen) == [], f"play it again: make crash SEED={seen.scenario.seed}"
