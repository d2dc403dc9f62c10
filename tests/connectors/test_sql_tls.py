"""A PostgreSQL server proves who it is, by the authorities of the machine or of the instance."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.sql import PostgresqlProvider
from openbulk.connectors.sql.tls import MAX_ROOT_CHARACTERS, Tls
from openbulk.domain.errors import BadInput, Refused
from support import forget
from support.certificates import Authority
from support.harness import until
from support.postgres import Cluster, Postgres, binaries, running_cluster

Configuration = dict[str, str]


AUTHORITY, OTHER_AUTHORITY, IMPOSTOR = Authority("Ann"), Authority("Bob"), Authority("Ann")
CERTIFICATES = {
    "localhost": AUTHORITY.certificate("localhost", "127.0.0.1"),
    "db.example.com": AUTHORITY.certificate("db.example.com"),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that speaks TLS."""
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with running_cluster(folder) as started:
        yield started


@pytest.fixture(scope="module")
def show(cluster: Cluster) -> Callable[[str], None]:
    """Lets the server show one of the certificates."""

    def show(name: str) -> None:
        file = cluster.folder / f"{name}.pem"
        file.write_text(CERTIFICATES[name])
        file.chmod(0o600)
        if file.stat().st_uid != (cluster.folder / "data").stat().st_uid:
            shutil.chown(file, "postgres")
        with cluster.postgres.connect() as connection:
            for setting in ("ssl_cert_file", "ssl_key_file"):
                connection.execute(f"ALTER SYSTEM SET {setting} = '{file}'".encode())
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("SELECT pg_reload_conf()")
        until(lambda: _shown(cluster.postgres) == str(file), 120, "the server's new certificate")

    return show


def _shown(postgres: Postgres) -> str | None:
    with postgres.connect() as connection:
        found = connection.execute(
            "SELECT current_setting('ssl_cert_file') WHERE (SELECT ssl FROM pg_stat_ssl WHERE pid ="
            " pg_backend_pid())"
        ).fetchone()
    return str(found[0]) if found else None


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine whose user has no authorities of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    return monkeypatch


async def resolve(host: str, port: int) -> str:
    return "127.0.0.1"


@asynccontextmanager
async def connected(postgres: Postgres, **more: str) -> AsyncIterator[Connector]:
    named = {f"db.{name.replace('_', '.')}": value for name, value in more.items()}
    configuration = {**postgres.configuration("postgres"), "db.host": "localhost", **named}
    http: Any = None
    connector = PostgresqlProvider(resolve).connect(ConnectionContext(configuration, http, forget))
    try:
        yield connector
    finally:
        await connector.close()


async def test_the_authority_of_the_instance_vouches_for_the_server(
    cluster: Cluster, show: Callable[[str], None]
) -> None:
    """Under a name or an address that the certificate has."""
    show("localhost")
    for host in ("localhost", "127.0.0.1"):
        async with connected(
            cluster.postgres, host=host, ssl_root_certificate=AUTHORITY.pem
        ) as connector:
            await connector.check()
    async with connected(
        cluster.postgres, ssl_root_certificate=OTHER_AUTHORITY.pem + AUTHORITY.pem
    ) as connector:
        await connector.check()


async def test_an_authority_of_the_machine_vouches_for_the_server(
    cluster: Cluster,
    show: Callable[[str], None],
    machine: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Of the machine's own store, or of libpq's file, which its administrator has put there."""
    show("localhost")
    file = tmp_path / "authorities.pem"
    file.write_text(AUTHORITY.pem)
    own = tmp_path / ".postgresql" / "root.crt"
    async with connected(cluster.postgres, ssl_mode="verify-full") as connector:
        with pytest.raises(Refused, match=r"vouches for it: put .* db\.ssl\.root\.certificate"):
            await connector.check()
        machine.setenv("SSL_CERT_FILE", str(file))
        await connector.check()
        await connector.close()
        own.parent.mkdir()
        own.write_text(OTHER_AUTHORITY.pem)
        with pytest.raises(Refused, match="vouches for it"):
            await connector.check()


async def test_a_server_that_is_not_the_right_one_is_refused_with_what_to_set(
    cluster: Cluster, show: Callable[[str], None], postgres: Postgres
) -> None:
    """A retry would not help."""
    show("localhost")
    for authority in (OTHER_AUTHORITY, IMPOSTOR):
        async with connected(cluster.postgres, ssl_root_certificate=authority.pem) as connector:
            with pytest.raises(Refused, match=r"vouches for it: .* set db\.ssl\.mode to require"):
                await connector.check()
    show("db.example.com")
    async with connected(cluster.postgres, ssl_root_certificate=AUTHORITY.pem) as connector:
        with pytest.raises(
            Refused, match=r"is for db\.example\.com, and db\.host is localhost: set db\.host"
        ):
            await connector.check()
    async with connected(
        cluster.postgres, ssl_root_certificate=AUTHORITY.pem, ssl_mode="verify-ca"
    ) as connector:
        await connector.check()
    async with connected(cluster.postgres, ssl_mode="REQUIRE") as connector:
        await connector.check()
    for mode in ("require", "verify-full"):
        async with connected(postgres, ssl_mode=mode) as connector:
            with pytest.raises(Refused, match=r"speaks no TLS, .* or set db\.ssl\.mode to disable"):
                await connector.check()


@pytest.mark.parametrize(
    ("address", "mode"),
    [
        ("127.0.0.1", "prefer"),
        ("::1", "prefer"),
        ("10.1.2.3", "prefer"),
        ("100.64.0.1", "prefer"),
        ("fd12::1", "prefer"),
        ("169.254.1.1", "prefer"),
        ("8.8.8.8", "verify-full"),
        ("2606:4700::1", "verify-full"),
        ("::ffff:8.8.8.8", "verify-full"),
        ("64:ff9b::808:808", "verify-full"),
    ],
)
def test_a_server_at_a_public_address_has_to_prove_who_it_is(address: str, mode: str) -> None:
    """Unless the instance says otherwise."""
    with Tls.of({}).parameters(address) as parameters:
        assert parameters["sslmode"] == mode
    with Tls.of({"db.ssl.mode": "prefer"}).parameters(address) as parameters:
        assert parameters == {"sslmode": "prefer"}
    with Tls.of({"db.ssl.root.certificate": AUTHORITY.pem}).parameters(address) as parameters:
        assert parameters["sslmode"] == "verify-full"


def test_the_authority_is_in_a_file_of_this_user_alone_as_long_as_it_is_needed() -> None:
    with Tls.of({"db.ssl.root.certificate": AUTHORITY.pem}).parameters("127.0.0.1") as parameters:
        file = Path(parameters["sslrootcert"])
        assert file.read_text() == AUTHORITY.pem
        assert file.stat().st_mode & 0o077 == 0
    assert not file.exists()


@pytest.mark.parametrize(
    ("root", "mode", "message"),
    [
        ("hello", "", "is not a certificate in PEM; one begins with -----BEGIN CERTIFICATE-----"),
        (AUTHORITY.pem.replace("M", "!", 5), "", "is not a certificate in PEM"),
        ("\N{SNOWMAN}", "", "is not a certificate in PEM"),
        (CERTIFICATES["localhost"], "", "has a private key in it"),
        (AUTHORITY.pem * 1_000, "", f"and may have {MAX_ROOT_CHARACTERS:,}"),
        (AUTHORITY.pem, "require", "set db.ssl.mode to verify-full, or leave it out"),
    ],
)
def test_an_authority_that_cannot_be_used_is_refused_at_once(
    root: str, mode: str, message: str
) -> None:
    with pytest.raises(BadInput) as refused:
        Tls.of({"db.ssl.root.certificate": root, "db.ssl.mode": mode})
    assert message in refused.value.message
