"""Problems are grouped by their cause (storage/problems.py)."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from openbulk.domain.causes import cause_id
from openbulk.domain.records import OutcomeKind, Problem
from openbulk.storage.migrations.steps import pages_of

revision = "0017"
down_revision = "0016"

problems = sa.table(
    "problems", *map(sa.column, ("job_id", "row", "kind", "problem", "field", "cause"))
)


def upgrade() -> None:
    """Add the column, and give the problems of earlier jobs their cause."""
    op.add_column("problems", sa.Column("cause", sa.String(16), nullable=False, server_default=""))
    place = (problems.c.job_id == sa.bindparam("job"), problems.c.row == sa.bindparam("number"))
    change = sa.update(problems).where(*place).values(cause=sa.bindparam("id"))
    for page in pages_of(problems):
        op.get_bind().execute(
            change,
            [{"job": row.job_id, "number": row.row, "id": _cause_of(row)} for row in page],
        )
    op.create_index("problems_by_cause", "problems", ["job_id", "cause", "row"])


def _cause_of(row: Any) -> str:
    return cause_id(OutcomeKind(row.kind), Problem(row.problem, row.field))
