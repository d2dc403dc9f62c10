"""The statements that describe the tables of a database of MySQL or MariaDB."""

import sqlalchemy as sa

_HERE = "table_schema = DATABASE() AND CAST(table_schema AS BINARY) = CAST(DATABASE() AS BINARY)"
"""The first condition is fast, and takes `club` and `Club` for one
database."""
COLUMNS = sa.text(
    f"""
    SELECT table_name AS table_name, column_name AS column_name, data_type AS data_type,
           column_type AS column_type, is_nullable AS is_nullable,
           column_default AS column_default, extra AS extra, column_key AS column_key,
           column_comment AS column_comment, character_set_name AS character_set_name,
           collation_name AS collation_name, datetime_precision AS datetime_precision,
           generation_expression AS generation_expression,
           character_octet_length AS character_octet_length
    FROM information_schema.columns WHERE {_HERE} ORDER BY table_name, ordinal_position
    """
)
JSON_CHECKS = sa.text(
    """
    SELECT table_name, check_clause FROM information_schema.check_constraints
    WHERE constraint_schema = DATABASE() AND check_clause LIKE 'json_valid(%'
    """
)
"""MariaDB's JSON is a text with a check (https://mariadb.com/kb/en/json-data-type/)."""
TABLES = sa.text(
    f"""
    SELECT t.table_name, t.engine, coalesce(e.transactions, 'NO') = 'YES'
    FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine
    WHERE {_HERE} AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    """
)
TRIGGERS = sa.text(
    f"""
    SELECT event_object_table, action_statement
    FROM information_schema.triggers
    WHERE {_HERE.replace("table_schema", "event_object_schema")}
    """
)
NOT_ROLLED_BACK = sa.text(
    """
    SELECT t.table_name
    FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine
    WHERE t.table_type = 'BASE TABLE' AND coalesce(e.transactions, 'NO') <> 'YES'
        AND t.table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
    UNION
    SELECT routine_name FROM information_schema.routines WHERE routine_schema <> 'sys'
    """
)
"""What a trigger may do that stays when its transaction is rolled back: tables without transactions
keep what is written into them, and a routine may write into them."""
REFERENCES = sa.text(
    f"""
    SELECT constraint_name, table_name, column_name,
           CASE WHEN referenced_table_schema = table_schema THEN ''
                ELSE referenced_table_schema END,
           referenced_table_name, referenced_column_name
    FROM information_schema.key_column_usage
    WHERE {_HERE} AND referenced_table_name IS NOT NULL
    ORDER BY table_name, constraint_name, ordinal_position
    """
)
UNIQUE = sa.text(
    f"""
    SELECT table_name, index_name, column_name, sub_part FROM information_schema.statistics
    WHERE {_HERE} AND non_unique = 0 ORDER BY table_name, index_name, seq_in_index
    """
)
VERSION = sa.text(
    f"""
    SELECT (SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(CRC32(CONCAT_WS('|', table_name, column_name,
                column_type, is_nullable, column_default, extra, column_comment, collation_name,
                generation_expression, ordinal_position, column_key))), 0))
            FROM information_schema.columns WHERE {_HERE}),
           (SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(CRC32(CONCAT_WS('|', table_name,
                constraint_name, column_name, referenced_table_name, referenced_column_name))), 0))
            FROM information_schema.key_column_usage WHERE {_HERE}),
           (SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(CRC32(CONCAT(table_name, engine))), 0))
            FROM information_schema.tables WHERE {_HERE})
    """
)
