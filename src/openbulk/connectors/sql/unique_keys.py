"""The columns of a table whose values, taken together, only one of its rows may have."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A primary key, a unique constraint or a unique index."""

    columns: tuple[str, ...]
    """Empty if it is unique in something else: in an expression, or by an exclusion constraint."""
    has_equal_nulls: bool = False
    """Whether a row without a value is like another one without it."""
    name: str = field(default="", compare=False)
    """The name of its index, if messages of the database have it in place of columns."""


UniqueKeys = Mapping[str, Sequence[UniqueKey]]
"""By the names of tables."""


def unique_keys(connection: sa.Connection, schema: str | None) -> UniqueKeys:
    """The unique keys of all tables of a schema of PostgreSQL."""
    found: defaultdict[str, list[UniqueKey]] = defaultdict(list)
    for table, columns, has_equal_nulls in connection.execute(_POSTGRESQL, {"schema": schema}):
        found[table].append(UniqueKey(tuple(columns), has_equal_nulls))
    return found


def no_unique_keys(_connection: sa.Connection, _schema: str | None) -> UniqueKeys:
    """SQLite has one writer at a time, so that nobody asks for the keys of its tables."""
    return {}


# https://www.postgresql.org/docs/15/catalog-pg-index.html. A column number of 0 is an expression.
# Columns that a server may lack are looked up in JSON: `indnullsnotdistinct` is one of
# PostgreSQL 15, and `collisdeterministic` one of PostgreSQL 12.
_POSTGRESQL = sa.text(
    """
    SELECT c.relname,
           CASE WHEN i.indisexclusion OR 0 = ANY(CAST(i.indkey AS int2[])) OR EXISTS (
                    SELECT FROM pg_collation o WHERE o.oid = ANY(CAST(i.indcollation AS oid[]))
                    AND NOT coalesce(CAST(to_jsonb(o) ->> 'collisdeterministic' AS boolean), true)
                ) THEN ARRAY[]::text[]
                ELSE ARRAY(
                    SELECT CAST(a.attname AS text)
                    FROM unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY AS k(number, place)
                    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                    WHERE k.place <= i.indnkeyatts ORDER BY k.place
                ) END,
           coalesce(CAST(to_jsonb(i) ->> 'indnullsnotdistinct' AS boolean), false)
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = :schema
    WHERE i.indisunique OR i.indisexclusion
    """
)
