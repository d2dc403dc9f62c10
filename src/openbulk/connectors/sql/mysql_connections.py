"""Opens connections to MySQL and MariaDB: their session, TLS, and how the password is proved."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pymysql
from pymysql._auth import caching_sha2_password_auth
from pymysql.constants import CR, FIELD_TYPE
from pymysql.converters import conversions, convert_datetime, convert_time, escape_datetime
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from openbulk.connectors.sql.databases import (
    CONNECT_SECONDS,
    CONNECTIONS,
    RECONNECT_SECONDS,
    Resolve,
    server_of,
)
from openbulk.connectors.sql.mysql_driver import FOUND_ROWS, URL, ThreadedConnection
from openbulk.connectors.sql.mysql_errors import NO_TLS, REFUSED_METHOD
from openbulk.connectors.sql.tls import Tls

ANSWER_SECONDS = 75
"""A statement may take 60 seconds."""
_NO_KEY = b"no key"
"""In place of a public key: a server without TLS could send one of its own for the password."""
_SESSION = (
    # A value that a column does not take is an error, and never cut, rounded or replaced; 0 is a
    # number, and not the next one of AUTO_INCREMENT; a backslash is a character.
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_BACKSLASH_ESCAPES,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', "
    "time_zone = '+00:00', foreign_key_checks = 1, unique_checks = 1, sql_safe_updates = 0, "
    "sql_select_limit = DEFAULT, "
    # A lock of another session, or a trigger that hangs, must not hold a lane forever.
    "innodb_lock_wait_timeout = 10, lock_wait_timeout = 10 "
    # Only MariaDB reads the first comment (in seconds), and only MySQL the second one (in ms).
    "/*M!100100 , max_statement_time = 60 */ /*!80000 , max_execution_time = 60000 */"
)
# Whatever the server's default is: before a batch is logged, one look has to see what another
# process has committed since the transaction began.
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


def open_mysql(configuration: Mapping[str, str], resolve: Resolve) -> AsyncEngine:
    """An engine that connects when it is used, to an address that `resolve` allows.

    Raises BadInput for a configuration that names no server.
    """
    host, port = server_of(configuration, "3306", "MySQL")
    tls = Tls.of(configuration)
    options = {
        "user": configuration["username"],
        "password": configuration.get("password", "").encode(),
        "database": configuration["db.name"],
        "host": host,  # the name that the server's certificate is for
    }

    async def connect(*_args: Any, **_more: Any) -> ThreadedConnection:
        resolved = await resolve(host, port)
        how = {**options, **_tls_parameters(tls, resolved)}
        # A server that takes the connection may still say nothing.
        async with asyncio.timeout(2 * CONNECT_SECONDS):
            return await ThreadedConnection.open(partial(_connect, (resolved, port), how))

    return create_async_engine(
        URL,
        async_creator=connect,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_recycle=RECONNECT_SECONDS,
        # An idle connection may have been cut: find out before a batch is sent on it.
        pool_pre_ping=True,
    )


def _tls_parameters(tls: Tls, address: str) -> dict[str, Any]:
    """PyMySQL's parameters; without any, it uses TLS if the server offers it."""
    mode = tls.mode_at(address)
    if mode == "disable":
        return {"ssl_disabled": True}
    if mode in ("allow", "prefer"):
        return {}
    return {"ssl": tls.context(mode)}


def _connect(address: tuple[str, int], options: Mapping[str, Any]) -> Any:
    connection = pymysql.Connection(
        **options,
        charset="utf8mb4",
        conv=_CONVERSIONS,
        client_flag=FOUND_ROWS,
        # A server may ask for any file of the machine, if it is allowed to.
        local_infile=False,
        read_timeout=ANSWER_SECONDS,
        write_timeout=ANSWER_SECONDS,
        autocommit=False,
        program_name="openbulk",
        auth_plugin_map={
            **dict.fromkeys(_REFUSED_METHODS, _Refuse),
            "caching_sha2_password": _ProveByHash,
        },
        server_public_key=_NO_KEY,
        defer_connect=True,
    )
    # The address was checked; the name could have another one by now.
    connected = socket.create_connection(address, CONNECT_SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        connection.connect(connected)
        with connection.cursor() as cursor:
            cursor.execute(_SESSION)
            cursor.execute(_ISOLATION)
    except (ValueError, RuntimeError, LookupError, struct.error) as error:
        # A method that needs another library, or an answer that is not one of MySQL.
        connection._force_close()
        raise pymysql.InterfaceError(
            CR.CR_MALFORMED_PACKET, f"the server's answer cannot be used: {error}"
        ) from error
    return connection


class _Refuse:
    """A way to prove the password that shows it to the server, or next to that."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, _packet: Any) -> Any:
        """Refuse it."""
        raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, REFUSED_METHOD)


class _ProveByHash(_Refuse):
    """MySQL's own way: a hash proves the password. The first time it goes through TLS itself."""

    def authenticate(self, packet: Any) -> Any:
        """Answer the server. Without TLS, the password is not encrypted by a key that it sends."""
        try:
            return caching_sha2_password_auth(self._connection, packet)
        except ValueError as error:  # `_NO_KEY` is not a key
            raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, NO_TLS) from error


_REFUSED_METHODS = ("mysql_clear_password", "mysql_old_password", "sha256_password", "dialog")
"""The first and the last one send the password itself, whoever asks; the second one is broken;
`sha256_password` takes any server's key for it."""


def _convert_moment(text: str | bytes) -> Any:
    """A TIMESTAMP, which the session's zone shows in UTC; a text if Python has no such moment."""
    moment = convert_datetime(text)
    return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else moment


def _convert_time(text: str | bytes) -> Any:
    """A time of the day, or the text of another length of time."""
    converted = convert_time(text)
    if isinstance(converted, str) and "." in converted:
        return converted.rstrip("0").rstrip(".")
    return converted


def _convert_bits(bits: bytes) -> int:
    return int.from_bytes(bits, "big")


def _escape_moment(moment: datetime, mapping: Any = None) -> str:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return str(escape_datetime(moment, mapping))


_CONVERSIONS: Mapping[Any, Any] = {
    **conversions,
    FIELD_TYPE.TIMESTAMP: _convert_moment,
    FIELD_TYPE.TIME: _convert_time,
    FIELD_TYPE.BIT: _convert_bits,
    datetime: _escape_moment,
}
