"""Tries many rows in MariaDB, each alone: the server itself says which ones it refuses, and why.

A compound statement outside of a procedure (https://mariadb.com/kb/en/begin-end/) writes row by
row, and catches the errors of rows. It takes one parameter, the batch, and leaves the errors in a
variable of the session. MySQL has no such statement, and takes batches apart instead.
"""

from collections.abc import Iterator, Mapping, Sequence

import orjson
import pymysql
from sqlalchemy.exc import DBAPIError

from openbulk.connectors.sql.mysql_batches import batch_source, encode_batch
from openbulk.connectors.sql.mysql_errors import IS_OF_ROWS, SUSPICIOUS_WARNINGS
from openbulk.connectors.sql.mysql_statements import MysqlStatements
from openbulk.connectors.sql.statements import (
    MAX_SHAPES,
    NUMBER,
    Deed,
    RowWrite,
    Shape,
    shape_of,
)

_LINE = "openbulk_row.openbulk_line"
"""The variable with a batch that has one row, in JSON."""
_REFUSED = "@openbulk_refused"
"""The variable with the errors, in JSON."""
_CODES = sorted(SUSPICIOUS_WARNINGS.union(code for code, is_it in IS_OF_ROWS.items() if is_it))
"""Of errors of rows. Any other one ends the block: it may have ended the transaction, too."""


class MariadbStatements(MysqlStatements):
    """The statements of MariaDB, which can also try rows."""

    async def find_refused(
        self, writes: Sequence[RowWrite], identifiers: Sequence[str]
    ) -> Mapping[int, DBAPIError]:
        """The errors of the rows that the database refuses, by the rows' numbers."""
        refused: dict[int, DBAPIError] = {}
        tried: list[RowWrite] = []
        for write in map(self._without_made_key, writes):
            try:
                self._require_moments([write.row])
            except DBAPIError as error:
                refused[write.row.number] = error
            else:
                tried.append(write)
        return {**refused, **await self._try_each(tried, identifiers)}

    def _without_made_key(self, write: RowWrite) -> RowWrite:
        """A row to insert without a NULL for the key that the database makes."""
        is_made = any(self._table.columns[name].has_default for name in self._table.key)
        if write.deed is not Deed.INSERT or not is_made:
            return write
        row = self._without_null_key(write.row)
        return RowWrite(row, Deed.INSERT, tuple(row.values))

    async def _try_each(
        self, writes: Sequence[RowWrite], identifiers: Sequence[str]
    ) -> Mapping[int, DBAPIError]:
        shapes = {shape: place for place, shape in enumerate(dict.fromkeys(map(shape_of, writes)))}
        if not 0 < len(shapes) <= MAX_SHAPES:
            return {}
        block = _trial_block([self._trial_of(shape, identifiers) for shape in shapes])
        lines = [
            encode_batch(self._table, _names_of(shape_of(one), identifiers), [one.row])
            for one in writes
        ]
        batch = _encode_lines([shapes[shape_of(one)] for one in writes], lines)
        await self._require_packet(block, (batch,))
        await self._connection.exec_driver_sql(block, (batch,))
        result = await self._connection.exec_driver_sql(f"SELECT {_REFUSED}")
        return {
            writes[place - 1].row.number: DBAPIError(block, None, error)
            for place, error in _read_errors(str(result.scalar_one()))
        }

    def _trial_of(self, shape: Shape, identifiers: Sequence[str]) -> str:
        """The statement that writes one row."""
        deed, columns = shape
        names = _names_of(shape, identifiers)
        compared = () if deed is Deed.INSERT else identifiers
        source = batch_source(self._table, names, compared, self._quote, _LINE)
        if deed is Deed.UPDATE:
            return self._update_from(source, identifiers, columns)
        if deed is Deed.DELETE:
            return self._delete_from(source, identifiers)
        if not columns:
            return f"INSERT INTO {self._name} () VALUES ()"
        return self._insert_from(source, columns)


def _names_of(shape: Shape, identifiers: Sequence[str]) -> list[str]:
    """The columns that a statement needs of its row."""
    deed, columns = shape
    return list(dict.fromkeys([*(() if deed is Deed.INSERT else identifiers), *columns]))


def _trial_block(statements: Sequence[str]) -> str:
    """The block for a batch. Its parameter has, for each row, the place of its statement and _LINE.

    Of a row that is refused, it notes all conditions: a warning may come before the error.
    """
    cases = " ".join(f"WHEN {place} THEN {one};" for place, one in enumerate(statements))
    return f"""
        BEGIN NOT ATOMIC
            DECLARE openbulk_count, openbulk_place, openbulk_code INT;
            DECLARE openbulk_message TEXT CHARACTER SET utf8mb4;
            SET {_REFUSED} = '';
            FOR openbulk_row IN (
                SELECT * FROM JSON_TABLE(%s, '$[*]' COLUMNS (
                    {NUMBER} FOR ORDINALITY,
                    openbulk_statement INT PATH '$[0]',
                    openbulk_line LONGTEXT CHARACTER SET utf8mb4 PATH '$[1]'
                )) AS openbulk_batch
            ) DO
                SAVEPOINT openbulk_row;
                BEGIN
                    DECLARE EXIT HANDLER FOR {", ".join(map(str, _CODES))} BEGIN
                        GET DIAGNOSTICS openbulk_count = NUMBER;
                        SET openbulk_place = 1;
                        WHILE openbulk_place <= openbulk_count DO
                            GET DIAGNOSTICS CONDITION openbulk_place
                                openbulk_code = MYSQL_ERRNO,
                                openbulk_message = MESSAGE_TEXT;
                            SET {_REFUSED} = CONCAT({_REFUSED}, JSON_ARRAY(
                                openbulk_row.{NUMBER}, openbulk_code, openbulk_message
                            ), CHAR(10));
                            SET openbulk_place = openbulk_place + 1;
                        END WHILE;
                        ROLLBACK TO SAVEPOINT openbulk_row;
                    END;
                    CASE openbulk_row.openbulk_statement {cases} END CASE;
                END;
                RELEASE SAVEPOINT openbulk_row;
            END FOR;
        END
    """


def _encode_lines(statements: Sequence[int], lines: Sequence[str]) -> str:
    """The parameter of the block: for each row, the place of its statement, and its batch."""
    return orjson.dumps(list(zip(statements, lines, strict=True))).decode()


def _read_errors(text: str) -> Iterator[tuple[int, pymysql.MySQLError]]:
    """The errors in the variable, with the places of their rows."""
    conditions: dict[int, list[tuple[int, str]]] = {}
    for line in text.splitlines():
        place, code, message = orjson.loads(line)
        conditions.setdefault(int(place), []).append((int(code), message))
    for place, found in conditions.items():
        yield place, _error_of(found)


def _error_of(conditions: Sequence[tuple[int, str]]) -> pymysql.MySQLError:
    """The error of a row: the last one, or the first warning that a value was changed.

    Behind an error, notes say where in a trigger it was.
    """
    known = [one for one in conditions if one[0] in _CODES]
    changed = [one for one in known if one[0] in SUSPICIOUS_WARNINGS]
    if changed[-1:] == known[-1:]:
        return pymysql.DataError(*changed[0])
    return pymysql.OperationalError(*known[-1])
