"""A PostgreSQL server that is not the right one learns no password."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.sql import PostgresqlProvider
from openbulk.domain.errors import BadInput, ServiceError, SignInAgain

# The numbers of authentication requests: https://www.postgresql.org/docs/current/protocol-message-formats.html
ASKS: dict[str, tuple[int, bytes]] = {
    "nothing": (0, b""),
    "a password in clear": (3, b""),
    "an MD5 hash": (5, b"salt"),
}
Heard = asyncio.Queue[bytes]
PASSWORD = "s3cret-password"


@asynccontextmanager
async def server_that_asks(method: int, more: bytes, heard: Heard) -> AsyncIterator[int]:
    """Listens on a port as a PostgreSQL server, and keeps what clients send to it afterwards."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, code = struct.unpack("!II", await reader.readexactly(8))
        if code == 80877103:  # SSLRequest
            writer.write(b"N")
            length, _ = struct.unpack("!II", await reader.readexactly(8))
        await reader.readexactly(length - 8)
        writer.write(b"R" + struct.pack("!II", 8 + len(more), method) + more)
        await heard.put(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def resolve(host: str, port: int) -> str:
    return "127.0.0.1"


async def remember(changes: Any) -> None:
    pass


def connector(port: int, **more: str) -> Connector:
    configuration = {
        "db.host": "127.0.0.1",
        "db.port": str(port),
        "db.name": "club",
        "username": "ann",
        "password": PASSWORD,
        **{name.replace("_", "."): value for name, value in more.items()},
    }
    http: Any = None
    return PostgresqlProvider(resolve).connect(ConnectionContext(configuration, http, remember))


@pytest.mark.parametrize("asks", ASKS)
async def test_a_server_that_does_not_prove_that_it_knows_the_password_gets_nothing_of_it(
    asks: str,
) -> None:
    heard: Heard = asyncio.Queue()
    async with server_that_asks(*ASKS[asks], heard) as port:
        with pytest.raises(SignInAgain, match=r"by scram-sha-256; .*db\.auth\.method"):
            await connector(port).check()
        assert await asyncio.wait_for(heard.get(), 60) == b""


async def test_an_old_server_gets_the_hash_that_its_instance_allows() -> None:
    heard: Heard = asyncio.Queue()
    async with server_that_asks(*ASKS["an MD5 hash"], heard) as port:
        with pytest.raises(Exception, match="database"):
            await connector(port, db_auth_method="md5").check()
        said = await asyncio.wait_for(heard.get(), 60)
    assert said.startswith(b"p")
    assert PASSWORD.encode() not in said


def test_a_password_is_sent_in_clear_over_tls_alone() -> None:
    with pytest.raises(BadInput, match=r"db\.ssl\.mode to verify-full"):
        connector(1, db_auth_method="password")
    connector(1, db_auth_method="password", db_ssl_mode="require")


async def test_a_password_of_the_servers_user_is_sent_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libpq would look for one in ~/.pgpass, or in this file."""
    file = tmp_path / "passwords"
    file.write_text(f"*:*:*:*:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    heard: Heard = asyncio.Queue()
    async with server_that_asks(*ASKS["a password in clear"], heard) as port:
        with pytest.raises(ServiceError):
            await connector(port, password="").check()
        assert await asyncio.wait_for(heard.get(), 30) == b""
