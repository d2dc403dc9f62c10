"""A slice of a job that verifies an earlier one: it reads what that job has recorded."""

from collections.abc import Mapping
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.job import Status
from openbulk.domain.row_kinds import RowChoice
from openbulk.storage.outcome_blocks import RecordedOutcome, recorded_outcomes
from openbulk.storage.plans import PlanLedger
from openbulk.storage.retries import rows_of_retry


class VerificationLedger(PlanLedger):
    """A slice of a verification: it records how rows compare, as a plan what they would do."""

    ends_as = Status.VERIFIED

    @property
    def verified_id(self) -> int:
        """The id of the earlier job."""
        verification = self.job.verification
        assert verification is not None
        return verification.of

    async def own_rows(self) -> RowChoice | None:
        """The rows of the earlier job; None if they are all rows of its file."""
        return await self.read(partial(rows_of_retry, job_id=self.verified_id))

    async def outcomes_between(self, first: int, last: int) -> Mapping[int, RecordedOutcome]:
        """What became of the rows from `first` to `last` in the earlier job, by row."""

        async def read(connection: AsyncConnection) -> dict[int, RecordedOutcome]:
            found = await recorded_outcomes(connection, self.verified_id, first, last)
            return {outcome.row: outcome for outcome in found}

        return await self.read(read)
