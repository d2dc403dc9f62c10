"""Rows of a ledger in SQLite, for tests that need many of them."""

import sqlite3


def copy_first_row(ledger: sqlite3.Connection, table: str, times: int, **changed: str) -> None:
    """Copy the first row, with SQL for the columns that change; `n` counts from 1."""
    names = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changed.get(name, name) for name in names)
    ledger.execute(
        f"WITH RECURSIVE counted(n) AS "
        f"(SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {times}) "
        f"INSERT INTO {table} SELECT {values} "
        f"FROM counted, (SELECT * FROM {table} LIMIT 1)"
    )
