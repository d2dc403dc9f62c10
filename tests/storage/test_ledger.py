"""The ledger in a SQLite file and in PostgreSQL."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.records import Outcome, OutcomeKind
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.ledger import Ledger
from openbulk.storage.outcome_blocks import AlreadyRecorded
from support.ledger_suite import LedgerTests
from support.people import add_organization


class TestLedger(LedgerTests):
    @pytest.fixture
    async def ledger(self, engine: AsyncEngine) -> Ledger:
        await add_organization(engine)
        return Ledger(engine)

    @pytest.fixture
    async def deliveries(self, engine: AsyncEngine) -> Deliveries:
        return Deliveries(engine)

    async def test_a_record_that_has_an_outcome_gets_no_other_and_the_cursor_stays(
        self, ledger: Ledger
    ) -> None:
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        await begun.record_outcomes([Outcome(1, OutcomeKind.CREATED)], cursor=1, lines={})
        before = await self.now(ledger, job.id)
        with pytest.raises(AlreadyRecorded, match="row 1 "):
            await begun.record_outcomes(
                [Outcome(2, OutcomeKind.CREATED), Outcome(1, OutcomeKind.FAILED)],
                cursor=2,
                lines={},
            )
        assert await self.now(ledger, job.id) == before
        assert (await begun.rows_to_send())[1] == [(1, 1)]
