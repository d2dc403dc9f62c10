"""Reads the ledger's tables at the end of a run, without openbulk."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import create_engine, make_url, select

from crash.seen import LedgerJob
from openbulk.domain.records import OutcomeKind
from openbulk.storage.outcome_blocks import outcomes_in
from openbulk.storage.tables import jobs, outcome_blocks, plan_parts, problems


def jobs_in(url: str) -> list[LedgerJob]:
    """All jobs, with the outcome of each record."""
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            kinds: dict[int, dict[int, str]] = defaultdict(dict)
            for block in connection.execute(select(outcome_blocks)):
                for outcome in outcomes_in(block):
                    assert outcome.row not in kinds[block.job_id], "a row has two outcomes"
                    kinds[block.job_id][outcome.row] = outcome.kind.value
            reasons: dict[int, dict[int, str]] = defaultdict(dict)
            for problem in connection.execute(select(problems)):
                reasons[problem.job_id][problem.row] = problem.problem
            plans: dict[int, list[Any]] = defaultdict(list)
            for part in connection.execute(select(plan_parts)):
                plans[part.job_id].append(part)
            rows = connection.execute(select(jobs).order_by(jobs.c.id))
            return [_job(row, kinds[row.id], reasons[row.id], plans[row.id]) for row in rows]
    finally:
        engine.dispose()


def _job(
    row: Any, kinds: Mapping[int, str], reasons: Mapping[int, str], parts: Sequence[Any]
) -> LedgerJob:
    planned: Counter[int] = Counter()
    planned_kinds: Counter[str] = Counter()
    for part in parts:
        for first, last in part.ranges or [(part.first_row, part.last_row)]:
            planned.update(range(first, last + 1))
        planned_kinds.update(part.summary["kinds"])
    options = json.loads(row.options) if isinstance(row.options, str) else row.options
    return LedgerJob(
        id=row.id,
        tag=options["callback-payload"]["tag"],
        status=row.status,
        records=row.records,
        cursor=row.cursor,
        counts={kind.value: getattr(row, kind.value) for kind in OutcomeKind},
        kinds=kinds,
        problems=reasons,
        error=row.error,
        retry_of=row.retry_of,
        undo_of=row.undo_of,
        verify_of=row.verify_of,
        planned=planned,
        planned_kinds=planned_kinds,
    )
