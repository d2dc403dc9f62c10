"""The governor shares out the calls that a service allows, and remembers them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.connectors.pace import OF_JOB, Budget, Throttle
from openbulk.domain.errors import CallWithdrawn, RetryLater
from openbulk.engine.queue.lease import Lease
from openbulk.engine.quota.governor import Governor, InstancePace
from openbulk.engine.quota.reservations import RESERVATION_SECONDS
from openbulk.storage.budgets import Budgets, Change, T
from openbulk.storage.database import migrate, open_ledger_engine

USER = Budget("user", "user", 100, 60.0, "one user has 100 calls a minute")
NOW = 1_800_000_000.0


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await migrate(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def budgets(ledger: AsyncEngine) -> Budgets:
    return Budgets(ledger)


async def permits_of(pace: InstancePace, calls: int, budget: Budget = USER) -> int:
    """How many of so many calls got a permit at once."""
    answers = await asyncio.gather(
        *(pace.take([budget]) for _ in range(calls)), return_exceptions=True
    )
    return sum(not isinstance(answer, BaseException) for answer in answers)


async def test_calls_are_granted_until_the_budget_is_used_up(budgets: Budgets) -> None:
    """Then the error says how long to wait, and why."""
    pace = InstancePace(Governor(budgets, Clock()))
    assert await permits_of(pace, 150) == 100
    with pytest.raises(RetryLater, match="100 calls a minute") as busy:
        await pace.take([USER])
    assert busy.value.after is not None
    assert 60 < busy.value.after < 62


async def test_what_was_spent_outlives_the_process(budgets: Budgets) -> None:
    """Another governor on the same ledger continues where the first one stopped."""
    assert await permits_of(InstancePace(Governor(budgets, Clock())), 96) == 96
    assert await permits_of(InstancePace(Governor(budgets, Clock())), 50) <= 4


async def test_two_governors_never_grant_a_call_twice(budgets: Budgets) -> None:
    """As two machines on one ledger."""
    clock = Clock()
    both = [InstancePace(Governor(budgets, clock)) for _ in range(2)]
    assert sum(await asyncio.gather(*(permits_of(pace, 80) for pace in both))) <= 100


async def test_a_slow_ledger_is_not_called_for_every_call(ledger: AsyncEngine) -> None:
    """A reservation is good for its time once it is recorded, however long that took."""
    clock, asked = Clock(), 0

    class Slow(Budgets):
        async def change(self, scopes: Sequence[str], change: Change[T]) -> T:
            nonlocal asked
            asked += 1
            result = await super().change(scopes, change)
            clock.now += 1.0
            return result

    pace = InstancePace(Governor(Slow(ledger), clock))
    assert await permits_of(pace, 64) == 64
    assert asked < 5


async def test_the_next_reservation_arrives_before_the_last_one_is_used_up(
    ledger: AsyncEngine,
) -> None:
    """Only the first calls, before reservations have grown, wait for the ledger.

    On a busy machine the ledger may be slower than calls are made: one of three tries is enough.
    """

    class Slow(Budgets):
        async def change(self, scopes: Sequence[str], change: Change[T]) -> T:
            await asyncio.sleep(0.02)
            return await super().change(scopes, change)

    async def waiting_calls(budget: Budget) -> int:
        waiting = 0
        governor = Governor(Slow(ledger), Clock())
        for _ in range(400):
            call = asyncio.create_task(governor.take([budget]))
            await asyncio.sleep(0.001)
            waiting += not call.done()
            await call
        governor.close()
        return waiting

    for number in range(3):
        waiting = await waiting_calls(replace(USER, scope=f"user {number}", calls=100_000))
        if waiting < 5:
            return
    pytest.fail(f"{waiting} calls have waited")


async def test_no_call_waits_for_a_reservation_that_another_call_has_received(
    ledger: AsyncEngine,
) -> None:
    """A caller that finds no call left fetches, also while another fetches ahead."""

    class Slow(Budgets):
        async def change(self, scopes: Sequence[str], change: Change[T]) -> T:
            await asyncio.sleep(0.005)
            return await super().change(scopes, change)

    many = replace(USER, calls=1_000_000)
    governor = Governor(Slow(ledger))

    async def call() -> None:
        for _ in range(40):
            await governor.report_answer(await governor.take([many]))

    async with asyncio.timeout(120):
        await asyncio.gather(*(call() for _ in range(300)))
    governor.close()


async def test_the_rest_of_a_reservation_is_given_back(budgets: Budgets) -> None:
    """Also without another fetch: a moment later other processes have it."""
    governor = Governor(budgets)
    assert await permits_of(InstancePace(governor), 70) == 70
    other, left = InstancePace(Governor(budgets)), 30
    async with asyncio.timeout(50):  # after a minute there are new ones
        while left := left - await permits_of(other, left):  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(RESERVATION_SECONDS)
    governor.close()


async def test_a_slice_takes_its_share(budgets: Budgets) -> None:
    """With two jobs, half of the budget; the other half is for the other job."""
    pace = InstancePace(Governor(budgets, Clock()))
    for _ in range(2):
        pace.begin_slice(2)
        assert await permits_of(pace, 80) == 50
    pace.begin_slice(2)
    assert await permits_of(pace, 1) == 0


async def test_a_job_makes_no_more_calls_than_its_caller_lets_it(budgets: Budgets) -> None:
    """Whatever the service takes, and also of a service without a limit."""
    governor = Governor(budgets, Clock())
    pace = InstancePace(governor)
    own = Budget("job/7", OF_JOB, 30, 60.0, "the caller lets this job make 30 calls a minute")
    pace.begin_slice(2, own)
    assert await permits_of(pace, 80) == 30
    with pytest.raises(RetryLater, match="lets this job make 30 calls a minute"):
        await pace.take([])
    # The calls count for the service, too: the slice of the other job has the rest.
    pace.begin_slice(1)
    assert await permits_of(pace, 80) == 70


async def test_a_slice_that_was_taken_over_gets_no_permit(budgets: Budgets) -> None:
    """Connectors pass the refusal on: it is a ServiceError."""
    lease = Lease()
    pace = InstancePace(Governor(budgets, Clock(), lease))
    with lease.slice():
        await pace.take([USER])
        lease.lose()
        with pytest.raises(CallWithdrawn):
            await pace.take([USER])


async def test_a_usage_limit_stops_all_calls_until_it_is_lifted(budgets: Budgets) -> None:
    """Also those of another process, without a call."""
    clock = Clock()
    pace = InstancePace(Governor(budgets, clock))
    permit = await pace.take([USER])
    await pace.report_refusal(
        permit, Throttle("too many events were made", label="user", after=3_600.0)
    )
    other = InstancePace(Governor(budgets, clock))
    with pytest.raises(RetryLater, match="too many events") as busy:
        await other.take([USER])
    assert busy.value.after == 3_600.0
    clock.now += 3_601
    await other.take([USER])


async def test_one_call_finds_out_whether_there_is_more_and_the_others_wait_for_it(
    budgets: Budgets,
) -> None:
    """A refusal costs one call; after an answer, the others continue."""
    probed = Budget("user", "user", 100, 60.0, "one user has 100 calls a minute", may_probe=True)
    pace = InstancePace(Governor(budgets, Clock()))
    permits = [await pace.take([probed]) for _ in range(100)]
    probe = await pace.take([probed])
    assert [permit.probes for permit in (permits[-1], probe)] == [(), ("user",)]
    waiting = asyncio.create_task(permits_of(pace, 20, probed))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await pace.report_answer(probe)
    assert await waiting == 20
