"""The statement that finds rows of a batch which refer to rows that do not exist."""

from openbulk.connectors.sql.schema import Reference, Table
from openbulk.connectors.sql.statements import NUMBER


def select_missing(batch: str, reference: tuple[str, list[str], list[str]], *, is_own: bool) -> str:
    """The places of the rows of `batch` that refer to rows that a table does not have.

    `reference` is that table, the columns that refer to it, and its own, quoted. Each place comes
    with the first place that has the key, if the reference is to the table of the batch. The two
    are matched by a window: a join of two batches can take the product of their sizes.
    """
    parent, columns, keys = reference
    names = [f"openbulk_key{number}" for number in range(len(columns))]
    values = ", ".join(f"{column} AS {name}" for column, name in zip(columns, names, strict=True))
    place = "NULL"
    source = f"SELECT 0 AS is_key, {NUMBER}, {values} FROM {batch}"
    if is_own:
        key_values = ", ".join(f"{key} AS {name}" for key, name in zip(keys, names, strict=True))
        # The first SELECT gives the values their types and collations.
        source = f"SELECT 1 AS is_key, {NUMBER}, {key_values} FROM {batch} UNION ALL {source}"
        partition = ", ".join(names)
        place = f"min(CASE is_key WHEN 1 THEN {NUMBER} END) OVER (PARTITION BY {partition})"
    is_same = " AND ".join(f"t.{key} = a.{name}" for key, name in zip(keys, names, strict=True))
    return (
        f"SELECT a.{NUMBER}, a.place FROM "
        f"(SELECT v.*, {place} AS place FROM ({source}) v) a "
        f"WHERE a.is_key = 0 AND {' AND '.join(f'a.{name} IS NOT NULL' for name in names)} "
        f"AND NOT EXISTS (SELECT 1 FROM {parent} t WHERE {is_same})"
    )


def reference_columns(table: Table, reference: Reference) -> list[str]:
    """The columns of a batch that a reference needs: those that refer, and its own keys."""
    is_own = reference.table is table.sql
    return list(dict.fromkeys([*reference.columns, *(reference.referred if is_own else ())]))
