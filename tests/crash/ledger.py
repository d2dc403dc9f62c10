"""What the ledger's tables say in the end, read beside openbulk."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import create_engine, make_url, select

from crash.seen import LedgerJob
from openbulk.domain.records import OutcomeKind
from openbulk.storage.tables import jobs, outcomes


def jobs_in(url: str) -> list[LedgerJob]:
    """All jobs, with the kind of each record."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg") if url.startswith("postgresql") else url
    )
    try:
        with engine.connect() as connection:
            ended = connection.execute(select(outcomes)).all()
            return [
                _job(row, [outcome for outcome in ended if outcome.job_id == row.id])
                for row in connection.execute(select(jobs).order_by(jobs.c.id))
            ]
    finally:
        engine.dispose()


def _job(row: Any, ended: Sequence[Any]) -> LedgerJob:
    options = json.loads(row.options) if isinstance(row.options, str) else row.options
    return LedgerJob(
        id=row.id,
        tag=options["callback-payload"]["tag"],
        status=row.status,
        records=row.records,
        cursor=row.cursor,
        counts={kind.value: getattr(row, kind.value) for kind in OutcomeKind},
        kinds={outcome.row: outcome.kind for outcome in ended},
        problems={outcome.row: outcome.problem for outcome in ended if outcome.problem},
        error=row.error,
    )
