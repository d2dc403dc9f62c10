"""PostgreSQL for the tests.

The server that OPENBULK_TEST_POSTGRES_URL names; without that, a cluster that the tests start from
the programs that are installed.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psycopg

from support.ports import free_port

PASSWORD = "secret of tests"
NAMED = "OPENBULK_TEST_POSTGRES_URL"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    port: int
    host: str = "127.0.0.1"
    user: str = "openbulk"
    password: str = PASSWORD
    maintenance: str = "postgres"
    locales: Path | None = None
    """Where it looks for locales that its machine does not have."""

    def configuration(self, database: str, **more: str) -> dict[str, str]:
        """The configuration of an instance."""
        named = {"db.host": self.host, "db.port": str(self.port), "db.name": database}
        return {**named, "username": self.user, "password": self.password, **more}

    def url(self, database: str) -> str:
        """The address of a database, as OPENBULK_DATABASE_URL has it."""
        secrets = f"{quote(self.user)}:{quote(self.password)}"
        return f"postgresql://{secrets}@{self.host}:{self.port}/{database}"

    def connect(self, database: str | None = None) -> psycopg.Connection:
        """Connect as the owner."""
        name = database or self.maintenance
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=name,
            user=self.user,
            password=self.password,
            autocommit=True,
        )

    def new_database(self, *statements: str) -> str:
        """Make a database, and run the statements in it. Returns its name."""
        name = f"test_{os.urandom(6).hex()}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        with self.connect(name) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database; this ends its connections."""
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def make_locale(self, name: str) -> bool:
        """Make a locale such as de_DE.UTF-8; False if this machine cannot."""
        if self.locales is None or shutil.which("localedef") is None:
            return False
        folder = self.locales / name
        source, _, encoding = name.partition(".")
        command = ["localedef", "--no-archive", "-i", source, "-f", encoding, str(folder)]
        if not folder.exists():
            subprocess.run(command, check=False, capture_output=True)
        return folder.exists()


def named_postgres() -> Postgres | None:
    """The server that OPENBULK_TEST_POSTGRES_URL names; None without it."""
    address = os.environ.get(NAMED)
    if not address:
        return None
    url = urlsplit(address)
    return Postgres(
        url.port or 5432,
        url.hostname or "127.0.0.1",
        unquote(url.username or "postgres"),
        unquote(url.password or ""),
        url.path.strip("/") or "postgres",
    )


def binaries() -> Path | None:
    """The folder of initdb and postgres; None where they are not installed."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@dataclass
class Cluster:
    """A server that can be killed, and started again on its data."""

    binaries: Path
    folder: Path
    port: int
    fsync: bool
    _server: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def postgres(self) -> Postgres:
        """The running server."""
        return Postgres(self.port, locales=self.folder / "locales")

    def initialize(self) -> None:
        """Make the data directory."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        (self.folder / "locales").mkdir(exist_ok=True)
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            shutil.chown(self.folder, "postgres")
            shutil.chown(password, "postgres")
        how = ["-U", "openbulk", "--auth=scram-sha-256", "-E", "UTF8", f"--pwfile={password}"]
        self._run("initdb", "-D", str(self.folder / "data"), *how)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        place = ["-D", str(self.folder / "data"), "-k", str(self.folder)]
        address = ["-h", "127.0.0.1", "-p", str(self.port)]
        settings = ["-c", "max_connections=300", "-c", f"fsync={'on' if self.fsync else 'off'}"]
        self._server = subprocess.Popen(
            [*self._as_user(), str(self.binaries / "postgres"), *place, *address, *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LOCPATH": str(self.folder / "locales")},
        )
        for _ in range(3_000):
            assert self._server.poll() is None, "PostgreSQL did not start"
            try:
                self.postgres.connect().close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("PostgreSQL did not take connections within 300 s")

    def crash(self) -> None:
        """Stop it at once, as a power cut does: `pg_ctl stop -m immediate`."""
        self._stop(signal.SIGQUIT)

    def kill(self) -> None:
        """kill -9 all its processes."""
        assert self._server is not None
        processes = self.processes()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._server.wait(120)
        self._server = None
        while any(Path(f"/proc/{process}").exists() for process in processes):
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """The ids of its processes; that of the parent comes first."""
        assert self._server is not None
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text()
        return [self._server.pid, *map(int, children.split())]

    def stop(self) -> None:
        """Stop it; this ends its connections."""
        if self._server is not None:
            self._stop(signal.SIGINT)

    def _stop(self, how: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(how)
        try:
            self._server.wait(60)
        except subprocess.TimeoutExpired:  # seen once, under load, while it took connections
            self.kill()
        self._server = None

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user(), str(self.binaries / program), *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


@contextmanager
def running_cluster(folder_of_binaries: Path, *, fsync: bool = False) -> Iterator[Cluster]:
    """A cluster, removed at the end.

    Without fsync it is fast. It then survives the kill of its processes, but no power cut.
    """
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder_of_binaries, Path(folder), free_port(), fsync)
        cluster.initialize()
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def running_postgres(folder_of_binaries: Path) -> Iterator[Postgres]:
    """A server whose data is removed at the end."""
    with running_cluster(folder_of_binaries) as cluster:
        yield cluster.postgres
