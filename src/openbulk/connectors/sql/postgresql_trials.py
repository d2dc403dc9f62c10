"""Tries many rows in PostgreSQL, each alone: the server itself says which ones it refuses, and why.

An anonymous block of PL/pgSQL (https://www.postgresql.org/docs/15/sql-do.html) writes row by row,
and catches each error. It takes no parameters and returns nothing: the batch comes, and the errors
go, in settings of the transaction. Who may not use PL/pgSQL has its batches taken apart instead.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import orjson

from openbulk.domain.errors import OpenbulkError

BATCH = "openbulk.column"
"""The settings with the columns of the batch, each an array of texts, with a number behind it."""
REFUSED = "openbulk.refused"
"""The setting with the errors, in JSON."""
ROW = "openbulk_row"
"""The variable with a row of the batch."""
DOCUMENT = f"{ROW}.column0"
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


class TrialError(OpenbulkError):
    """An error of PostgreSQL for one row, with what psycopg's own error would have of it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(fields["message_primary"])
        self.sqlstate = fields["sqlstate"]
        known: dict[str, Any] = {name: value or None for name, value in fields.items()}
        context = next(iter(fields["context"].splitlines()), "")
        source = "exec_stmt_raise" if _RAISED.search(context) else None
        self.diag = SimpleNamespace(**known, source_function=source)


def trial_block(statements: Sequence[str], columns: int) -> str | None:
    """The block for a batch with so many columns. None if the statements cannot be in it.

    The last column of the batch says by which statement a row is written.
    """
    variables = [name for name, _ in _FIELDS]
    cases = " ".join(f"WHEN '{place}' THEN {one};" for place, one in enumerate(statements))
    names = [f"column{place}" for place in range(columns)]
    arrays = ", ".join(f"CAST(current_setting('{BATCH}{n}') AS text[])" for n in range(columns))
    body = f"""
        #variable_conflict use_column
        DECLARE
            {ROW} record;
            openbulk_errors text[] := '{{}}';
            {" ".join(f"openbulk_{name} text;" for name in variables)}
        BEGIN
            FOR {ROW} IN
                SELECT * FROM unnest({arrays}) WITH ORDINALITY AS batch({", ".join(names)}, place)
            LOOP
                BEGIN
                    CASE {ROW}.{names[-1]} {cases} END CASE;
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS
                        {", ".join(f"openbulk_{name} = {item}" for name, item in _FIELDS)};
                    openbulk_errors := array_append(openbulk_errors, CAST(json_build_array(
                        {ROW}.place, {", ".join(f"openbulk_{name}" for name in variables)}
                    ) AS text));
                END;
            END LOOP;
            PERFORM set_config('{REFUSED}', array_to_string(openbulk_errors, chr(10)), true);
        END
    """
    return None if _TAG in body else f"DO {_TAG}{body}{_TAG}"


def fault_block(probes: Mapping[str, str]) -> str | None:
    """The block that finds, for each row of a batch, the first column that a probe refuses.

    The batch has one column, DOCUMENT, with a list of one row in JSON. `probes` are statements by
    the names of columns. None if they cannot be in it. `read_faults` reads what it finds.
    """
    steps = "".join(
        f"""
                IF openbulk_place IS NULL AND (CAST({DOCUMENT} AS json) -> 0 -> {_literal(name)})
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
            {ROW} record;
            openbulk_place int;
            openbulk_places text[] := '{{}}';
        BEGIN
            FOR {ROW} IN
                SELECT * FROM unnest(CAST(current_setting('{BATCH}0') AS text[])) AS batch(column0)
            LOOP
                openbulk_place := NULL;{steps}
                openbulk_places := array_append(
                    openbulk_places, CAST(coalesce(openbulk_place, -1) AS text)
                );
            END LOOP;
            PERFORM set_config('{REFUSED}', array_to_string(openbulk_places, ' '), true);
        END
    """
    return None if _TAG in body else f"DO {_TAG}{body}{_TAG}"


def read_faults(text: str, names: Sequence[str]) -> list[str | None]:
    """The columns in the setting, one a row; None for a row of which each value is taken."""
    return [None if place < 0 else names[place] for place in map(int, text.split())]


def _literal(text: str) -> str:
    """A text in SQL. A backslash is a character in it, whatever the session's settings are."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def read_errors(text: str) -> Iterator[tuple[int, TrialError]]:
    """The errors in the setting, with the places of their rows."""
    for line in text.splitlines():
        place, *values = orjson.loads(line)
        yield place, TrialError(dict(zip([name for name, _ in _FIELDS], values, strict=True)))
