"""Tries many rows in PostgreSQL, each alone: the server itself says which ones it refuses, and why.

An anonymous block of PL/pgSQL (https://www.postgresql.org/docs/15/sql-do.html) writes row by row,
and catches each error. It takes no parameters and returns nothing: the batch comes, and the errors
go, in settings of the transaction. Who may not use PL/pgSQL has its batches taken apart instead.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.array_literals import encode_document, quote_text
from openbulk.connectors.sql.failures import is_of_a_type
from openbulk.connectors.sql.postgresql_statements import (
    CELLS,
    EncodedRows,
    PostgresqlStatements,
    element_type,
    unescape,
)
from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.statements import (
    MAX_SHAPES,
    ROWS,
    Deed,
    RowWrite,
    Shape,
    columns_of,
    shape_of,
)
from openbulk.domain.errors import OpenbulkError

_BATCH = "openbulk.column"
"""The settings with the columns of the batch, each an array of texts, with a number behind it."""
_REFUSED = "openbulk.refused"
"""The setting with the errors, in JSON."""
_ROW = "openbulk_row"
"""The variable with a row of the batch."""
_DOCUMENT = f"{_ROW}.column0"
_TAG = "$openbulk$"
_FIELDS = (
    ("sqlstate", "RETURNED_SQLSTATE"),
    ("message_primary", "MESSAGE_TEXT"),
    ("message_detail", "PG_EXCEPTION_DETAIL"),
    ("table_name", "TABLE_NAME"),
    ("column_name", "COLUMN_NAME"),
    ("constraint_name", "CONSTRAINT_NAME"),
    ("datatype_name", "PG_DATATYPE_NAME"),
    ("context", "PG_EXCEPTION_CONTEXT"),
)
"""What PostgreSQL says of an error, by the names of psycopg's `Diagnostic`
(https://www.postgresql.org/docs/15/plpgsql-control-structures.html#PLPGSQL-EXCEPTION-DIAGNOSTICS).
"""
_RAISED = re.compile(r"\bRAISE\b")
"""In the first line of a context, in any language of the server: a function raised the error."""


class TryingPostgresqlStatements(PostgresqlStatements):
    """Statements that can try rows: what the connector writes with."""

    def __init__(self, connection: AsyncConnection, table: Table) -> None:
        super().__init__(connection, table)
        self._faults: dict[int, str | None] = {}
        """The columns at fault of rows that were tried, by the rows' numbers."""

    async def find_refused(
        self, writes: Sequence[RowWrite], identifiers: Sequence[str]
    ) -> Mapping[int, DBAPIError]:
        """The errors of the rows that the database refuses, by the rows' numbers."""
        names = columns_of(self._table, [write.row for write in writes])
        shapes = {shape: place for place, shape in enumerate(dict.fromkeys(map(shape_of, writes)))}
        if not 0 < len(shapes) <= MAX_SHAPES:
            return {}
        statements = [self._trial_of(shape, names, identifiers) for shape in shapes]
        block = _trial_block([unescape(one) for one in statements], len(names) + 1)
        if block is None:
            return {}
        rows = [write.row for write in writes]
        encoded = EncodedRows(self._table, rows)
        arrays = [encoded.array(name, slice(None)) for name in names]
        arrays.append(_array([str(shapes[shape_of(write)]) for write in writes]))
        await self.check_constraints()
        text = await self._run_block(block, arrays)
        refused = {
            rows[place - 1].number: DBAPIError(statements[0], None, error)
            for place, error in _read_errors(text)
        }
        await self._find_faults([one for one in rows if one.number in refused], refused)
        return refused

    async def _find_faults(self, rows: Sequence[Row], refused: Mapping[int, DBAPIError]) -> None:
        """Look for the columns at fault of all rows that a type may have refused."""
        rows = [row for row in rows if is_of_a_type(refused[row.number])]
        names = columns_of(self._table, rows)
        probes = {name: unescape(self._probe(name, _DOCUMENT)) for name in names}
        block = _fault_block(probes)
        if not rows or block is None:
            return
        documents = [quote_text(encode_document([row.values])) for row in rows]
        faults = _read_faults(await self._run_block(block, [f"{{{','.join(documents)}}}"]), names)
        self._faults.update(zip((row.number for row in rows), faults, strict=True))

    async def _run_block(self, block: str, arrays: Sequence[str]) -> str:
        """Run a block on a batch, whose columns are these arrays, and return what it leaves."""
        settings = ", ".join(
            f"set_config('{_BATCH}{place}', %(column{place})s, true)"
            for place in range(len(arrays))
        )
        await self._connection.exec_driver_sql(
            f"SELECT length(concat({settings}))",
            {f"column{place}": array for place, array in enumerate(arrays)},
        )
        await self._connection.exec_driver_sql(block)
        result = await self._connection.exec_driver_sql(f"SELECT current_setting('{_REFUSED}')")
        return str(result.scalar_one())

    def _trial_of(self, shape: Shape, names: Sequence[str], identifiers: Sequence[str]) -> str:
        """The statement that writes one row of a batch with these columns."""
        deed, columns = shape
        used = columns if deed is Deed.INSERT else (*identifiers, *columns)
        source = self._source_of_one(dict.fromkeys(used), names)
        if deed is Deed.INSERT:
            return self._insert_from(source, columns)
        if deed is Deed.UPDATE:
            return self._update_from(source, identifiers, columns)
        return self._delete_from(source, identifiers)

    def _source_of_one(self, used: Iterable[str], names: Sequence[str]) -> str:
        """These columns of the block's variable as a table, in which every value is a text."""
        columns = [self._table.columns[name] for name in used]
        cells = ", ".join(
            f"CAST({_ROW}.column{names.index(column.name)} AS {element_type(column)}) "
            f"AS {self._quote(column.name)}"
            for column in columns
        )
        values = ", ".join(map(self._cell, columns))
        return f"(SELECT {values} FROM (SELECT {cells}) AS {CELLS}) AS {ROWS}"

    async def column_at_fault(self, row: Row) -> str | None:
        """The column whose type does not take its value; None if it is none alone."""
        if row.number in self._faults:
            return self._faults[row.number]
        return await super().column_at_fault(row)


class TrialError(OpenbulkError):
    """An error of PostgreSQL for one row, with what psycopg's own error would have of it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(fields["message_primary"])
        self.sqlstate = fields["sqlstate"]
        known: dict[str, Any] = {name: value or None for name, value in fields.items()}
        context = next(iter(fields["context"].splitlines()), "")
        source = "exec_stmt_raise" if _RAISED.search(context) else None
        self.diag = SimpleNamespace(**known, source_function=source)


def _trial_block(statements: Sequence[str], columns: int) -> str | None:
    """The block for a batch with so many columns. None if the statements cannot be in it.

    The last column of the batch says by which statement a row is written.
    """
    variables = [name for name, _ in _FIELDS]
    cases = " ".join(f"WHEN '{place}' THEN {one};" for place, one in enumerate(statements))
    names = [f"column{place}" for place in range(columns)]
    arrays = ", ".join(f"CAST(current_setting('{_BATCH}{n}') AS text[])" for n in range(columns))
    body = f"""
        #variable_conflict use_column
        DECLARE
            {_ROW} record;
            openbulk_errors text[] := '{{}}';
            {" ".join(f"openbulk_{name} text;" for name in variables)}
        BEGIN
            FOR {_ROW} IN
                SELECT * FROM unnest({arrays}) WITH ORDINALITY AS batch({", ".join(names)}, place)
            LOOP
                BEGIN
                    CASE {_ROW}.{names[-1]} {cases} END CASE;
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS
                        {", ".join(f"openbulk_{name} = {item}" for name, item in _FIELDS)};
                    openbulk_errors := array_append(openbulk_errors, CAST(json_build_array(
                        {_ROW}.place, {", ".join(f"openbulk_{name}" for name in variables)}
                    ) AS text));
                END;
            END LOOP;
            PERFORM set_config('{_REFUSED}', array_to_string(openbulk_errors, chr(10)), true);
        END
    """
    return None if _TAG in body else f"DO {_TAG}{body}{_TAG}"


def _fault_block(probes: Mapping[str, str]) -> str | None:
    """The block that finds, for each row of a batch, the first column that a probe refuses.

    The batch has one column, _DOCUMENT, with a list of one row in JSON. `probes` are statements by
    the names of columns. None if they cannot be in it. `_read_faults` reads what it finds.
    """
    steps = "".join(
        f"""
                IF openbulk_place IS NULL AND (CAST({_DOCUMENT} AS json) -> 0 -> {_literal(name)})
                    IS NOT NULL
                THEN
                    BEGIN
                        PERFORM * FROM ({probe}) AS openbulk_probe;
                    EXCEPTION WHEN OTHERS THEN
                        openbulk_place := {place};
                    END;
                END IF;"""
        for place, (name, probe) in enumerate(probes.items())
    )
    body = f"""
        #variable_conflict use_column
        DECLARE
            {_ROW} record;
            openbulk_place int;
            openbulk_places text[] := '{{}}';
        BEGIN
            FOR {_ROW} IN
                SELECT * FROM unnest(CAST(current_setting('{_BATCH}0') AS text[])) AS batch(column0)
            LOOP
                openbulk_place := NULL;{steps}
                openbulk_places := array_append(
                    openbulk_places, CAST(coalesce(openbulk_place, -1) AS text)
                );
            END LOOP;
            PERFORM set_config('{_REFUSED}', array_to_string(openbulk_places, ' '), true);
        END
    """
    return None if _TAG in body else f"DO {_TAG}{body}{_TAG}"


def _read_faults(text: str, names: Sequence[str]) -> list[str | None]:
    """The columns in the setting, one a row; None for a row of which each value is taken."""
    return [None if place < 0 else names[place] for place in map(int, text.split())]


def _literal(text: str) -> str:
    """A text in SQL. A backslash is a character in it, whatever the session's settings are."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _read_errors(text: str) -> Iterator[tuple[int, TrialError]]:
    """The errors in the setting, with the places of their rows."""
    for line in text.splitlines():
        place, *values = orjson.loads(line)
        yield place, TrialError(dict(zip([name for name, _ in _FIELDS], values, strict=True)))


def _array(texts: Sequence[str]) -> str:
    """An array of texts that need no quotes."""
    return f"{{{','.join(texts)}}}"
