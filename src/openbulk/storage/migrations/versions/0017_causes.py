"""Problems are grouped by their cause (storage/problems.py)."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from openbulk.domain.causes import cause_id
from openbulk.domain.records import OutcomeKind, Problem

revision = "0017"
down_revision = "0016"

READ_AT_ONCE = 10_000

problems = sa.table(
    "problems", *map(sa.column, ("job_id", "row", "kind", "problem", "field", "cause"))
)


def upgrade() -> None:
    """Add the column, and give the problems of earlier jobs their cause."""
    op.add_column("problems", sa.Column("cause", sa.String(16), nullable=False, server_default=""))
    place = (problems.c.job_id == sa.bindparam("job"), problems.c.row == sa.bindparam("number"))
    change = sa.update(problems).where(*place).values(cause=sa.bindparam("id"))
    for page in _pages():
        op.get_bind().execute(
            change,
            [{"job": row.job_id, "number": row.row, "id": _cause_of(row)} for row in page],
        )
    op.create_index("problems_by_cause", "problems", ["job_id", "cause", "row"])


def _cause_of(row: Any) -> str:
    return cause_id(OutcomeKind(row.kind), Problem(row.problem, row.field))


def _pages() -> Iterator[Sequence[Any]]:
    """All problems, some at a time: there may be more than memory holds."""
    place = sa.tuple_(problems.c.job_id, problems.c.row)
    ordered = sa.select(problems).order_by(problems.c.job_id, problems.c.row).limit(READ_AT_ONCE)
    question = ordered
    while page := op.get_bind().execute(question).all():
        yield page
        question = ordered.where(place > sa.tuple_(page[-1].job_id, page[-1].row))
