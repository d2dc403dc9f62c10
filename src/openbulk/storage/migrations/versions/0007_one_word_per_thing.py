"""Columns and keys get the words that the code uses (docs/decisions/0024).

A process of an earlier version cannot work beside this one: CHANGELOG.md says that this version is
started alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from openbulk.storage.migrations.steps import stop_earlier_processes

revision = "0007"
down_revision = "0006"

RENAMED_COLUMNS = (
    ("outcomes", "fate", "kind"),
    ("budgets", "slots", "buckets"),
    ("runs", "progress", "status"),
    ("transfers", "progress", "status"),
    ("workers", "beat", "heartbeat_at"),
    ("idempotency_keys", "content", "digest"),
    ("mark", "word", "identity"),
    ("mark", "place", "location"),
    ("transfers", "plan", "spec"),
    ("schedules", "plans", "specs"),
)

Document = Mapping[str, Any]


def upgrade() -> None:
    """Rename columns, a table and an index, and the keys of two kinds of JSON documents.

    Raises CannotStart while processes of an earlier version work on the ledger.
    """
    stop_earlier_processes("beat")
    for table, old, new in RENAMED_COLUMNS:
        # Alembic would copy the table to rename a column on SQLite; both databases know the
        # statement.
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    op.rename_table("mark", "file_store")
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER INDEX mark_pkey RENAME TO file_store_pkey")
    op.drop_index("runs_by_progress", table_name="runs")
    op.create_index("runs_by_status", "runs", ["status"], unique=False)
    _rewrite("jobs", "position", lambda position: _rename_key(position, "anew", "restarts"))
    _rewrite("transfers", "spec", _current_spec)
    _rewrite("schedules", "specs", lambda specs: [_current_spec(spec) for spec in specs])


def _rewrite(table: str, column: str, change: Callable[[Any], Any]) -> None:
    """Change a JSON column of each row that has a value there."""
    rows = sa.table(table, sa.column("id"), sa.column(column, sa.JSON(none_as_null=True)))
    connection = op.get_bind()
    found = connection.execute(sa.select(rows).where(rows.c[column].is_not(None))).all()
    for row_id, document in found:
        if document is not None:
            change_row = rows.update().where(rows.c.id == row_id)
            connection.execute(change_row.values({column: change(document)}))


def _rename_key(document: Document, old: str, new: str) -> Document:
    return {new if key == old else key: value for key, value in document.items()}


def _current_spec(spec: Document) -> Document:
    download = spec["download"]
    position = download.get("position")
    if position is not None:
        download = {**download, "position": _rename_key(position, "anew", "restarts")}
    return _rename_key({**spec, "download": download}, "told", "request")
