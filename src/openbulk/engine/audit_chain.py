"""Chains the audit log soon after its deeds, and deletes what is old."""

import asyncio
from datetime import timedelta

import structlog

from openbulk.engine.queue.clock import Clock
from openbulk.storage.audit import ABANDONED_AFTER, AuditLog

log = structlog.get_logger()

GATHER_SECONDS = 1.0
"""Deeds of this time are chained together: one lock and one commit for many."""


class AuditChain:
    """Looks after the audit log of this process, and after what dead ones have left."""

    def __init__(self, audit: AuditLog, clock: Clock, *, keep: timedelta) -> None:
        self._audit = audit
        self._now = clock.now
        self._keep = keep

    async def start_alone(self) -> None:
        """Close the deeds of the last process: no other one uses this ledger."""
        await self._close_abandoned(timedelta(0))

    async def chain(self) -> None:
        """Chain what has an outcome."""
        await self._audit.write_late()
        await self._audit.chain_all()

    async def until_due(self) -> None:
        """Wait until there is something to chain, and a moment more."""
        await self._audit.has_news.wait()
        await asyncio.sleep(GATHER_SECONDS)

    async def sweep(self) -> None:
        """Chain what dead processes have left, and delete what is old."""
        await self._close_abandoned(ABANDONED_AFTER)
        await self.chain()
        if deleted := await self._audit.prune(self._keep, self._now()):
            log.info("old audit entries deleted", entries=deleted)

    async def _close_abandoned(self, after: timedelta) -> None:
        if closed := await self._audit.close_abandoned(self._now() - after):
            log.warning("audited requests had no answer: their server ended", requests=closed)
