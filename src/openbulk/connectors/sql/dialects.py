"""What the databases have of their own: the statements of a table, and how records become rows."""

from collections.abc import Callable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.mariadb_trials import MariadbStatements
from openbulk.connectors.sql.mysql_statements import MysqlStatements
from openbulk.connectors.sql.postgresql_trials import TryingPostgresqlStatements
from openbulk.connectors.sql.rows import RowMapper
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.sqlite_statements import SqliteStatements
from openbulk.connectors.sql.statements import Statements
from openbulk.domain.records import Target

_STATEMENTS: Mapping[str, Callable[[AsyncConnection, Table], Statements]] = {
    "postgresql": TryingPostgresqlStatements,
    "sqlite": SqliteStatements,
    "mysql": MysqlStatements,
    "mariadb": MariadbStatements,
}


def statements_of(connection: AsyncConnection, table: Table) -> Statements:
    """The statements that write into a table."""
    is_mariadb = getattr(connection.dialect, "is_mariadb", False)
    return _STATEMENTS["mariadb" if is_mariadb else connection.dialect.name](connection, table)


def mapper_of(table: Table, target: Target, dialect: str) -> RowMapper:
    """What makes rows of a target's records. Raises FieldError if it fits no record at all."""
    is_sqlite, is_mysql = dialect == "sqlite", dialect == "mysql"
    return RowMapper.of(table, target, is_sqlite=is_sqlite, is_mysql=is_mysql)
