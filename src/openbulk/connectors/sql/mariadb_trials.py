"""Tries many rows in MariaDB, each alone: the server itself says which ones it refuses, and why.

A compound statement outside of a procedure (https://mariadb.com/kb/en/begin-end/) writes row by
row, and catches the errors of rows. It takes one parameter, the batch, and leaves the errors in a
variable of the session. MySQL has no such statement, and takes batches apart instead.
"""

from collections.abc import Iterator, Sequence

import orjson
import pymysql

from openbulk.connectors.sql.mysql_errors import IS_OF_ROWS, SUSPICIOUS_WARNINGS
from openbulk.connectors.sql.statements import NUMBER

LINE = "openbulk_row.openbulk_line"
"""The variable with a batch that has one row, in JSON."""
REFUSED = "@openbulk_refused"
"""The variable with the errors, in JSON."""
_CODES = sorted(SUSPICIOUS_WARNINGS.union(code for code, is_it in IS_OF_ROWS.items() if is_it))
"""Of errors of rows. Any other one ends the block: it may have ended the transaction, too."""


def trial_block(statements: Sequence[str]) -> str:
    """The block for a batch. Its parameter has, for each row, the place of its statement and LINE.

    Of a row that is refused, it notes all conditions: a warning may come before the error.
    """
    cases = " ".join(f"WHEN {place} THEN {one};" for place, one in enumerate(statements))
    return f"""
        BEGIN NOT ATOMIC
            DECLARE openbulk_count, openbulk_place, openbulk_code INT;
            DECLARE openbulk_message TEXT CHARACTER SET utf8mb4;
            SET {REFUSED} = '';
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
                            SET {REFUSED} = CONCAT({REFUSED}, JSON_ARRAY(
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


def encode_lines(statements: Sequence[int], lines: Sequence[str]) -> str:
    """The parameter of the block: for each row, the place of its statement, and its batch."""
    return orjson.dumps(list(zip(statements, lines, strict=True))).decode()


def read_errors(text: str) -> Iterator[tuple[int, pymysql.MySQLError]]:
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
