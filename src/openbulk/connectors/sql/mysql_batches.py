"""A batch as one parameter of MySQL: a list in JSON, of which JSON_TABLE makes a table.

https://dev.mysql.com/doc/refman/8.0/en/json-table-functions.html, and
https://mariadb.com/kb/en/json_table/. Values come as texts, of which the database makes values of
the columns' types, so that every digit arrives. Columns that are compared have their types there,
and their collations: only then does the database use an index.
"""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from openbulk.connectors.sql.mysql_tables import GEOMETRY
from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.statements import NUMBER, ROWS
from openbulk.connectors.sql.values import Column, Kind
from openbulk.exact_json import encode_json

EMPTY_BATCH = "[]"


def encode_batch(table: Table, names: Sequence[str], rows: Sequence[Row]) -> str:
    """The columns of a batch, as a list of lists."""
    if not names:
        return orjson.dumps([()] * len(rows)).decode()
    columns = [_encode_column(table.columns[name], rows) for name in names]
    return orjson.dumps(list(zip(*columns, strict=True))).decode()


def _encode_column(column: Column, rows: Sequence[Row]) -> list[Any]:
    values = [row.values.get(column.name) for row in rows]
    write = _WRITERS.get(column.kind)
    if write is None:
        return values
    return [None if value is None else write(value) for value in values]


def encode_value(column: Column, value: Any) -> Any:
    """A value as a parameter of its own."""
    write = _WRITERS.get(column.kind)
    return value if value is None or write is None else write(value)


def _write_moment(value: datetime | str) -> str:
    # A row that has waited has its key as a text.
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(" ")


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _write_document(value: Any) -> str:
    return encode_json(value).decode()


_WRITERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.BOOLEAN: int,
    Kind.NUMBER: str,
    Kind.DATE: str,
    Kind.TIME: str,
    Kind.MOMENT: _write_moment,
    Kind.BINARY: _write_bytes,
    Kind.JSON: _write_document,
}
"""How values are written that are no text, and no whole number."""


def batch_source(
    table: Table,
    names: Sequence[str],
    compared: Collection[str],
    quote: Callable[[str], str],
    batch: str = "%s",
) -> str:
    """The batch, a parameter, as a table with these columns, and the place of each row."""
    columns = "".join(
        f", {quote(name)} {_type_of(table.columns[name], is_compared=name in compared)} "
        f"PATH '$[{place}]' NULL ON EMPTY ERROR ON ERROR"
        for place, name in enumerate(names)
    )
    return f"JSON_TABLE({batch}, '$[*]' COLUMNS ({NUMBER} FOR ORDINALITY{columns})) AS {ROWS}"


def batch_value(column: Column, sql: str) -> str:
    """A value of a batch in the type of its column."""
    if column.kind is Kind.BINARY:
        return f"FROM_BASE64({sql})"
    if column.type_name == "bit":
        return f"CAST({sql} AS UNSIGNED)"
    if column.type_name == GEOMETRY:
        # Of a text that is no shape, MySQL's function makes NULL; its bytes are refused.
        return f"COALESCE(ST_GeomFromText({sql}), CAST({sql} AS BINARY))"
    return sql


def written_value(column: Column, sql: str) -> str:
    """A value of a batch as it is written into its column.

    It is no column of the batch itself: of one that is longer than the written column takes,
    MariaDB keeps a part without a warning.
    """
    if column.type_name.endswith("text"):
        return f"CONVERT({sql} USING utf8mb4)"
    return batch_value(column, sql)


_TEXT = "LONGTEXT CHARACTER SET utf8mb4"
_LONGEST_KEY = 768
"""An index has at most 3,072 bytes, and a character up to 4 of them."""


def _type_of(column: Column, *, is_compared: bool) -> str:
    if not is_compared or column.kind is Kind.BINARY:
        return _TEXT
    if column.kind is Kind.TEXT and column.charset:
        length = column.length or (255 if column.choices else 0)
        type_ = f"VARCHAR({length})" if 0 < length <= _LONGEST_KEY else "LONGTEXT"
        return f"{type_} CHARACTER SET {column.charset} COLLATE {column.collation}"
    if column.kind in (Kind.INTEGER, Kind.BOOLEAN):
        is_unsigned = column.type_name == "bit" or "unsigned" in column.full_type_name
        return "BIGINT UNSIGNED" if is_unsigned else "BIGINT"
    if column.kind is Kind.NUMBER:
        return column.full_type_name.replace(" zerofill", "").replace(" unsigned", "")
    if column.kind is Kind.MOMENT:
        return f"DATETIME({column.second_digits})"
    return {Kind.DATE: "DATE", Kind.TIME: f"TIME({column.second_digits})"}.get(column.kind, _TEXT)
