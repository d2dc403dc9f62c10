"""Reads the ledger's tables at the end of a run, without openbulk."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import create_engine, make_url, select

from crash.seen import LedgerJob
from openbulk.domain.records import OutcomeKind
from openbulk.storage.tables import jobs, outcomes


def jobs_in(url: str) -> list[LedgerJob]:
    """All jobs, with the outcome of each record."""
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            by_job = defaultdict(list)
            for outcome in connection.execute(select(outcomes)):
                by_job[outcome.job_id].append(outcome)
            rows = connection.execute(select(jobs).order_by(jobs.c.id))
            return [_job(row, by_job[row.id]) for row in rows]
    finally:
        engine.dispose()


def _job(row: Any, outcomes: Sequence[Any]) -> LedgerJob:
    options = json.loads(row.options) if isinstance(row.options, str) else row.options
    return LedgerJob(
        id=row.id,
        tag=options["callback-payload"]["tag"],
        status=row.status,
        records=row.records,
        cursor=row.cursor,
        counts={kind.value: getattr(row, kind.value) for kind in OutcomeKind},
        kinds={outcome.row: outcome.kind for outcome in outcomes},
        problems={outcome.row: outcome.problem for outcome in outcomes if outcome.problem},
        error=row.error,
    )
