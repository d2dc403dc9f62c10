"""MariaDB for the tests.

The server that OPENBULK_TEST_MARIADB_URL names, which may be MySQL, too; without that, one that the
tests start from the programs that are installed.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql

from support.certificates import Authority
from support.harness import until
from support.ports import free_port

PASSWORD = "secret of tests"
NAMED_MARIADB = "OPENBULK_TEST_MARIADB_URL"
_PROGRAMS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True)
class Mariadb:
    """A running server."""

    port: int
    host: str = "127.0.0.1"
    user: str = "openbulk"
    password: str = PASSWORD
    authority: str = ""
    """The certificate of the authority of its own, which is for `localhost`; empty if unknown."""

    def configuration(self, database: str, **more: str) -> dict[str, str]:
        """The configuration of an instance."""
        named = {"db.host": self.host, "db.port": str(self.port), "db.name": database}
        return {**named, "username": self.user, "password": self.password, **more}

    def connect(self, database: str | None = None) -> Any:
        """Connect as the owner."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            autocommit=True,
        )

    def execute(self, database: str | None, *statements: str) -> Sequence[Sequence[Any]]:
        """Run statements; the rows of the last one."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if statements else ()

    def new_database(self, *statements: str) -> str:
        """Make a database, and run the statements in it. Returns its name."""
        name = f"test_{os.urandom(6).hex()}"
        self.execute(None, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self.execute(name, *statements)
        return name


WAITING = (
    "SELECT id FROM information_schema.processlist WHERE db = '{database}' AND command = 'Query' "
    "AND id <> CONNECTION_ID() AND (state LIKE 'Waiting for table%' OR id IN (SELECT "
    "trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'))"
)
"""The connections that wait for a lock."""


def wait_for_who_waits(mariadb: Mariadb, database: str) -> None:
    """Wait until a connection waits for a lock."""
    waiting = WAITING.format(database=database)
    until(lambda: mariadb.execute(None, waiting), 60, "a connection waits")


def named_mariadb() -> Mariadb | None:
    """The server that OPENBULK_TEST_MARIADB_URL names; None without it."""
    address = os.environ.get(NAMED_MARIADB)
    if not address:
        return None
    url = urlsplit(address)
    return Mariadb(
        url.port or 3306,
        url.hostname or "127.0.0.1",
        unquote(url.username or "root"),
        unquote(url.password or ""),
    )


def installed_mariadb() -> bool:
    """Whether the programs of a server are installed."""
    return all(shutil.which(name, path=_PROGRAMS) for name in ("mariadbd", "mariadb-install-db"))


@contextmanager
def running_mariadb(*options: str) -> Iterator[Mariadb]:
    """A server whose data is removed at the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:  # MariaDB does not run as root
            shutil.chown(folder, "mysql")
        authority = Authority("MariaDB of the tests")
        server, port = _start(folder, authority, options)
        try:
            _wait(server, port)
            yield Mariadb(port, authority=authority.pem)
        finally:
            server.kill()
            server.wait(120)


def _start(
    folder: Path, authority: Authority, options: Sequence[str]
) -> tuple["subprocess.Popen[bytes]", int]:
    data = f"--datadir={folder / 'data'}"
    how = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
    install = [*_as_user(), _program("mariadb-install-db"), "--no-defaults", data, *how]
    subprocess.run(install, check=True, capture_output=True)
    first = folder / "first.sql"
    first.write_text(
        f"CREATE USER openbulk@'%' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON *.* TO openbulk@'%' WITH GRANT OPTION;\nDROP USER root@localhost;\n"
    )
    first.chmod(0o644)
    shown = folder / "server.pem"
    shown.write_text(authority.certificate("localhost"))
    shown.chmod(0o644)
    port = free_port()
    settings = [
        *("--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1"),
        *(f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"),
        *(f"--ssl-cert={shown}", f"--ssl-key={shown}"),
        *(f"--init-file={first}", "--skip-name-resolve", "--max-connections=300"),
        # It is fast, and survives no power cut.
        *("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--sync-frm=0"),
        *("--innodb-doublewrite=0", "--innodb-buffer-pool-size=64M"),
        *("--innodb-log-file-size=16M", "--performance-schema=off", "--max-allowed-packet=2M"),
    ]
    command = [*_as_user(), _program("mariadbd"), *settings, *options]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return server, port


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(3_000):
        assert server.poll() is None, "MariaDB did not start"
        try:
            Mariadb(port).connect().close()
        except pymysql.Error:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("MariaDB did not take connections within 300 s")


def _program(name: str) -> str:
    found = shutil.which(name, path=_PROGRAMS)
    assert found is not None, name
    return found


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=mysql", "--regid=mysql", "--init-groups"]
