"""A PostgreSQL server of the tests' own, from the binaries that are installed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

PASSWORD = "secret of tests"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    port: int

    def configuration(self, database: str, **more: str) -> dict[str, str]:
        """What an instance is configured with."""
        named = {"db.host": "127.0.0.1", "db.port": str(self.port), "db.name": database}
        return {**named, "username": "openbulk", "password": PASSWORD, **more}

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """As its owner."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user="openbulk", password=PASSWORD, autocommit=True
        )

    def new_database(self, *statements: str) -> str:
        """An empty database, and what the statements make in it."""
        name = f"test_{os.urandom(6).hex()}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        with self.connect(name) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return name


def binaries() -> Path | None:
    """Where initdb and postgres are."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextmanager
def running_postgres(folder_of_binaries: Path) -> Iterator[Postgres]:
    """Start a server that forgets everything when it stops."""
    with tempfile.TemporaryDirectory() as folder:
        data, password = Path(folder, "data"), Path(folder, "password")
        password.write_text(PASSWORD)
        as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            shutil.chown(folder, "postgres")
            shutil.chown(password, "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        how = ["-U", "openbulk", "--auth=scram-sha-256", "-E", "UTF8", f"--pwfile={password}"]
        initdb = [*as_user, str(folder_of_binaries / "initdb"), "-D", str(data), *how]
        subprocess.run(initdb, check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", folder, "-c", "fsync=off"]
        server = subprocess.Popen(
            [*as_user, folder_of_binaries / "postgres", "-D", data, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        postgres = Postgres(port)
        try:
            _wait_for(postgres, server)
            yield postgres
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for those who are connected
            server.wait(20)


def _wait_for(postgres: Postgres, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert server.poll() is None, "PostgreSQL did not start"
        try:
            postgres.connect().close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("PostgreSQL did not take connections within 20 s")
