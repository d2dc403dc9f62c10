"""The audit log in a SQLite file and in PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import IdempotencyKeyTaken
from openbulk.domain.job import IdempotencyKey, Upload
from openbulk.domain.records import Action, Target
from openbulk.security import Sealer
from openbulk.storage.audit import AuditLog
from openbulk.storage.database import open_ledger_engine
from openbulk.storage.ledger import Ledger
from support.audit_suite import KEY, AuditTests, deed, targets
from support.people import add_organization

SEALER = Sealer([KEY])
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class TestAuditLog(AuditTests):
    @pytest.fixture
    async def audit(self, engine: AsyncEngine) -> AuditLog:
        return AuditLog(engine, SEALER)

    @pytest.fixture
    async def other(self, engine: AsyncEngine, url: str) -> AsyncIterator[AuditLog]:
        opened = open_ledger_engine(url)
        yield AuditLog(opened, SEALER)
        await opened.dispose()


async def test_a_job_and_its_entry_are_written_together_or_not_at_all(engine: AsyncEngine) -> None:
    await add_organization(engine)
    ledger, audit = Ledger(engine), AuditLog(engine, SEALER)

    async def add(file: str) -> Any:
        return await ledger.add_job(
            Upload(Target("things", Action.CREATE), file, 7, "csv"),
            organization_id=1,
            instance_id=1,
            request_id="r",
            now=NOW,
            idempotency_key=IdempotencyKey("key", "digest"),
            deed=lambda job_id: deed(f"job {job_id}"),
        )

    job = await add("a")
    with pytest.raises(IdempotencyKeyTaken):
        await add("b")
    await audit.chain_all()
    assert await targets(audit) == [f"job {job.id}"]
