"""A few seeds of the crash harness; `make crash` plays hundreds."""

import asyncio
import os
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from crash.checker import broken_promises
from crash.cluster import Cluster
from crash.drawing import scenario_of
from crash.run import play
from crash.seen import Seen
from support.postgres import binaries

ONE_PROCESS = (106, 696)
SHARED = (15, 247)
"""Seeds with a server and workers."""
STRUCK = {
    "kill server",
    "kill worker",
    "kill postgres",
    "kill sandbox",
    "freeze server",
    "freeze worker",
    "fill disk",
}


def test_the_seeds_below_have_every_kind_of_blow() -> None:
    """If scenarios are drawn in another way, choose other seeds."""
    one_process, shared = ([scenario_of(seed) for seed in seeds] for seeds in (ONE_PROCESS, SHARED))
    struck = {
        f"{blow.kind} {blow.target.partition(' ')[0]}"
        for one in one_process + shared
        for blow in one.blows
    }
    assert struck >= STRUCK
    for scenarios in (one_process, shared):
        assert all("fill" in {blow.kind for blow in one.blows} for one in scenarios)
        assert {one.with_keys for one in scenarios} == {True, False}
        uploads = [upload for one in scenarios for upload in one.uploads]
        assert {upload.is_retried for upload in uploads} == {True, False}
        assert {upload.is_applied for upload in uploads if upload.is_plan} >= {True}
        assert {upload.is_undone for upload in uploads} == {True, False}
        verified = [upload.foreign for upload in uploads if upload.foreign is not None]
        assert any(foreign.moved or foreign.deleted for foreign in verified)
        moments = {blow.when.after for one in scenarios for blow in one.blows}
        assert any(moment.startswith("undoing") for moment in moments)
        assert any(moment.startswith("verifying") for moment in moments)
    uploads = [upload for one in one_process + shared for upload in one.uploads]
    assert any(upload.foreign is not None and upload.foreign.doubled for upload in uploads)
    assert any(
        upload.cancelled and upload.is_retried
        for seed in SHARED
        for upload in scenario_of(seed).uploads
    )


@pytest.fixture
def clusters() -> Iterator[list[Cluster]]:
    """A PostgreSQL server for each shared seed, for it may be killed."""
    if binaries() is None and os.environ.get("CI") != "true":
        pytest.skip("PostgreSQL is not installed")
    with ExitStack() as ended, ThreadPoolExecutor() as threads:
        starting = [threads.submit(Cluster) for _ in SHARED]
        yield [ended.enter_context(closing(cluster.result())) for cluster in starting]


@pytest.mark.long
async def test_one_process_keeps_its_promises_over_kills(tmp_path: Path) -> None:
    await assert_no_promise_is_broken(
        *(play(scenario_of(seed), tmp_path / str(seed)) for seed in ONE_PROCESS)
    )


@pytest.mark.long
async def test_a_server_and_its_workers_keep_their_promises_over_kills(
    tmp_path: Path, clusters: list[Cluster]
) -> None:
    played = zip(SHARED, clusters, strict=True)
    await assert_no_promise_is_broken(
        *(play(scenario_of(seed), tmp_path / str(seed), cluster) for seed, cluster in played)
    )


async def assert_no_promise_is_broken(*runs: Awaitable[Seen]) -> None:
    for seen in await asyncio.gather(*runs):
        assert broken_promises(seen) == [], f"play it again: make crash SEED={seen.scenario.seed}"
