"""What the numbers of MySQL's and MariaDB's errors mean.

https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html, and
https://mariadb.com/kb/en/mariadb-error-code-reference/
"""

from collections.abc import Mapping

import pymysql

from openbulk.connectors.sql.values import Column

TOO_SLOW = frozenset({1969, 3024})
"""A statement took longer than one may: MariaDB's and MySQL's."""
PACKET_TOO_LARGE = 1153
NO_VALUE = 1048
NO_TLS = "the server asks for the password itself, and speaks no TLS"
REFUSED_METHOD = "the server asks for the password in a way that shows it"
"""The messages for servers that a password does not go to."""
_VALUE_CODES = frozenset(
    {
        *(1264, 1265, 1292, 1366, 1406, 1411, 1416, 1525, 1690, 3140, 3141, 3156, 3616, 4036),
        *(1526, 1748),  # a partition that takes the value
    }
)
_INCORRECT_TEXT, _INCORRECT_MOMENT = 1366, 1292
_MISSING = frozenset({NO_VALUE, 1364})
_CHECKS = frozenset({1369, 3819, 4025})
_UNIQUE = frozenset({1062, 1169, 1586})
_REFERENCES = frozenset({1216, 1217, 1451, 1452})
_RAISED_CODES = frozenset({1643, 1644, 1645})
"""SIGNAL and RESIGNAL, in a trigger."""
_TEMPORARY = frozenset(
    {
        1205,  # another transaction has held a lock for too long
        *(1213, 1614, 1020, 1412),  # rolled back, or the table was changed meanwhile
        *(1040, 1203, 1226, 1129),  # connections
        *(1021, 1037, 1038, 1041, 1114),  # disk and memory
        *(1053, 1079, 1080, 1152, 1159, 1160, 1161, 1184, 1158, 1317, 1927, 4031),  # cut, stopped
        *(1290, 1836, 1792, 3100),  # read-only, as after a failover
        *(1047, 1180, 1637, 3101),  # a node of a cluster that is not ready, or has lost a race
        *(2002, 2003, 2004, 2005, 2006, 2013, 2014, 2055, 0),  # no answer
    }
)
ALONE = _VALUE_CODES | _MISSING | _CHECKS
"""Errors that no other row changes."""
NEW_ROW = _UNIQUE
"""Keys that another row has. A row that is only inserted never gets them back."""
SIGN_IN = frozenset({1045, 1698, 1820, 1862, 3118, 3879, 4151})
"""Credentials that the server does not take, a password that has expired, a locked account."""
GONE = frozenset({1146, 1054, 1051})
"""A table or a column that is gone."""
SUSPICIOUS_WARNINGS = frozenset({1048, *_VALUE_CODES, 1364})
"""Warnings of a value that was kept in another way than it was given."""
IS_OF_ROWS: Mapping[int, bool] = {
    **dict.fromkeys(_TEMPORARY, False),
    **dict.fromkeys(SIGN_IN | GONE | {1036, 1044, 1142, 1143, 1227}, False),
    **dict.fromkeys(ALONE | _UNIQUE | _REFERENCES | _RAISED_CODES | {PACKET_TOO_LARGE}, True),
}
VIOLATIONS: Mapping[int, str] = {
    **dict.fromkeys(_UNIQUE, "unique"),
    **dict.fromkeys(_REFERENCES, "foreign key"),
    **dict.fromkeys(_MISSING, "not null"),
    **dict.fromkeys({3819, 4025}, "check"),
}
"""By the names of `failures.Violation`."""


def mysql_code(error: BaseException | None) -> int | None:
    """The number of an error; None if it is not one of MySQL."""
    if not isinstance(error, pymysql.MySQLError):
        return None
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def is_temporary(code: int) -> bool:
    """Whether the error passes without anybody's doing."""
    return code in _TEMPORARY or code in TOO_SLOW


def hint_for(column: Column, error: BaseException | None) -> str:
    """What would be right, if MySQL's own message on a value does not say; else empty."""
    code = mysql_code(error)
    if code == _INCORRECT_TEXT and column.charset:
        return f"; its character set {column.charset} has no such character"
    if code == _INCORRECT_MOMENT and column.type_name == "timestamp":
        return (
            "; a TIMESTAMP ends in January 2038 (since MariaDB 11.5, in 2106): a DATETIME does not"
        )
    return ""
