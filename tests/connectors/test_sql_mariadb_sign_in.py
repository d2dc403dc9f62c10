"""A MySQL server that is not the right one learns no password, and reads no file."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.sql import MysqlProvider
from openbulk.domain.errors import Refused, ServiceError
from support import forget
from support.mariadb import Mariadb

PASSWORD = "s3cret-password"
SALT = b"12345678", b"901234567890\0"
# https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
CAPABILITIES = 0x200 | 0x8000 | 0x80000 | 8
FULL_SIGN_IN = b"\x01\x04"
DONE = b"\x00\x00\x00\x02\x00\x00\x00"
WANTS_A_FILE = b"\xfb/etc/passwd"


def switch(method: bytes) -> bytes:
    return b"\xfe" + method + b"\0" + b"".join(SALT)


ASKS: dict[str, tuple[bytes, bytes]] = {
    "a password in clear": (b"mysql_native_password", switch(b"mysql_clear_password")),
    "a dialog": (b"mysql_native_password", switch(b"dialog") + b"\x04Password: "),
    "a broken hash": (b"mysql_native_password", switch(b"mysql_old_password")),
    "a password for its own key": (b"mysql_native_password", switch(b"sha256_password")),
    "a password for MySQL's key": (b"caching_sha2_password", FULL_SIGN_IN),
}


class Liar:
    """Listens as a MySQL server, and keeps what its clients say after they have signed in."""

    def __init__(self, method: bytes, *answers: bytes) -> None:
        self._method = method
        self._answers = answers
        self.heard = b""
        self.is_done = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        low, high = struct.pack("<I", CAPABILITIES)[:2], struct.pack("<I", CAPABILITIES)[2:]
        greeting = b"\x0a8.0.0\0" + struct.pack("<I", 1) + SALT[0] + b"\0" + low + b"\x2d\x02\0"
        greeting += high + b"\x15" + bytes(10) + SALT[1] + self._method + b"\0"
        await self._send(writer, 0, greeting)
        await self._read(reader)
        for number, answer in enumerate(self._answers):
            await self._send(writer, 2 if number == 0 else 1, answer)
            self.heard += await self._read(reader)
        writer.close()
        self.is_done.set()

    async def _send(self, writer: asyncio.StreamWriter, number: int, payload: bytes) -> None:
        writer.write(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)
        await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readexactly(4)
            return await reader.readexactly(int.from_bytes(head[:3], "little"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


@asynccontextmanager
async def listening(liar: Liar) -> AsyncIterator[int]:
    server = await asyncio.start_server(liar.answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def resolve(host: str, port: int) -> str:
    return "127.0.0.1"


def connector(configuration: dict[str, str]) -> Connector:
    http: Any = None
    return MysqlProvider(resolve).connect(ConnectionContext(configuration, http, forget))


def to_liar(port: int) -> Connector:
    return connector(Mariadb(port, user="ann", password=PASSWORD).configuration("club"))


@pytest.mark.parametrize("asks", ASKS)
async def test_a_server_that_asks_for_the_password_itself_gets_nothing_of_it(asks: str) -> None:
    liar = Liar(*ASKS[asks])
    async with listening(liar) as port:
        with pytest.raises(Refused, match="asks for the password"):
            await to_liar(port).check()
        await asyncio.wait_for(liar.is_done.wait(), 60)
    assert liar.heard == b""


async def test_a_server_that_asks_for_a_file_gets_none() -> None:
    """MySQL's protocol lets it: LOAD DATA LOCAL."""
    liar = Liar(b"mysql_native_password", DONE, DONE, DONE, WANTS_A_FILE)
    async with listening(liar) as port:
        with pytest.raises(ServiceError, match="LOAD_LOCAL"):
            await to_liar(port).check()
        await asyncio.wait_for(liar.is_done.wait(), 60)
    assert b"SET SESSION sql_mode" in liar.heard
    assert b"root:" not in liar.heard


async def test_a_server_that_is_no_mysql_is_refused_in_words() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        with pytest.raises(ServiceError, match=r"database"):
            await to_liar(server.sockets[0].getsockname()[1]).check()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"db.host": "localhost", "db.ssl.mode": "verify-full", "root": "its own"}, ""),
        ({"db.ssl.mode": "verify-ca", "root": "its own"}, ""),
        ({"db.ssl.mode": "verify-full", "root": "its own"}, "certificate is not for db.host"),
        ({"db.host": "localhost", "db.ssl.mode": "verify-full"}, "no authority that is trusted"),
        ({"db.ssl.mode": "require"}, ""),
        ({"db.ssl.mode": "prefer"}, ""),
        ({"db.ssl.mode": "disable"}, ""),
    ],
)
async def test_a_server_proves_who_it_is_if_it_has_to(
    mariadb: Mariadb, more: dict[str, str], problem: str
) -> None:
    """By a certificate for its name, of an authority of the machine or of the instance."""
    if not mariadb.authority:
        pytest.skip("the authority of this server is not known")
    configuration = mariadb.configuration("mysql", **more)
    if configuration.pop("root", ""):
        configuration["db.ssl.root.certificate"] = mariadb.authority
    made = connector(configuration)
    if problem:
        with pytest.raises(Refused, match=problem):
            await made.check()
    else:
        await made.check()
    await made.close()


async def test_a_server_without_tls_is_refused_where_it_has_to_have_it() -> None:
    liar = Liar(b"mysql_native_password", DONE)
    async with listening(liar) as port:
        named = Mariadb(port, user="ann", password=PASSWORD).configuration("club")
        with pytest.raises(Refused, match="speaks no TLS"):
            await connector({**named, "db.ssl.mode": "require"}).check()
    assert liar.heard == b""
