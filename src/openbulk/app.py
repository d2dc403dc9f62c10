"""The only place where parts meet: settings in, a running server out."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp
import structlog
from fastapi import FastAPI
from obstore.store import LocalStore
from pydantic import SecretStr
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk import security
from openbulk.api import make_api, shapes
from openbulk.api.services import Services
from openbulk.connectors import providers
from openbulk.domain.job import Job
from openbulk.engine.connections import Connections
from openbulk.engine.engine import Engine
from openbulk.engine.governor import Governor
from openbulk.engine.lanes import Lanes
from openbulk.formats import FORMATS
from openbulk.notify.egress import allowed_address, guarded_connector
from openbulk.settings import Settings
from openbulk.storage.accounts import Accounts
from openbulk.storage.budgets import Budgets
from openbulk.storage.database import migrate, open_lane_engine, open_ledger_engine
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules

log = structlog.get_logger()

CONNECTIONS_AT_ONCE = 200
"""Most connections to services and callback addresses that are open at one time."""
FIRST_USER = "admin@localhost"


class CannotStart(Exception):
    """The server cannot start as it is set; the message says what to change."""


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """Secrets that were made at the first start, to be shown to its person once; None where they were set."""

    user: str | None
    organization: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, less the listening."""

    api: FastAPI
    first_secrets: FirstSecrets | None


def sealer_of(settings: Settings) -> security.Sealer:
    """The sealer under the master keys that are set, else under those in the data directory."""
    try:
        if settings.master_key is not None:
            return security.Sealer(security.parse_master_keys(settings.master_key.get_secret_value()))
        return security.Sealer(security.load_or_make_master_keys(master_key_file(settings)))
    except ValueError as error:
        raise CannotStart(f"the master key cannot be used: {error}") from error


def master_key_file(settings: Settings) -> Path:
    """Where the master keys are kept that are not set from outside."""
    return settings.data_dir / "master.key"


def ledger_url(settings: Settings) -> str:
    """The address of the ledger's database."""
    return settings.database_url or f"sqlite:///{settings.data_dir / 'ledger.db'}"


def _ledger_engine(settings: Settings) -> AsyncEngine:
    try:
        return open_ledger_engine(ledger_url(settings))
    except (ValueError, ArgumentError) as error:
        raise CannotStart(f"the database cannot be used: {error}") from error


@asynccontextmanager
async def running_server(settings: Settings) -> AsyncIterator[Server]:
    """Start every part, in order; drain and stop them in the other."""
    with _owned(settings.data_dir):
        sealer = sealer_of(settings)
        engine = _ledger_engine(settings)
        connector = guarded_connector(allow_private=settings.allow_private_addresses, limit=CONNECTIONS_AT_ONCE)
        try:
            await migrate(engine)
            accounts = Accounts(engine, sealer)
            first_secrets = await _first_start(accounts, settings)
            async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
                services = _services(settings, accounts, engine, sealer, http)
                await services.engine.delete_orphans()
                await services.engine.start()
                try:
                    yield Server(make_api(services), first_secrets)
                finally:
                    await services.engine.stop()
                    await services.connections.close()
        finally:
            await engine.dispose()


def _services(
    settings: Settings, accounts: Accounts, database: AsyncEngine, sealer: security.Sealer, http: aiohttp.ClientSession
) -> Services:
    ledger, runs, schedules = Ledger(database), Runs(database), Schedules(database)
    files = FileStore(LocalStore(settings.data_dir / "files", mkdir=True), sealer)
    resolve = partial(allowed_address, allow_private=settings.allow_private_addresses)
    known = providers(resolve, settings.sqlite_folder)
    connections = Connections(accounts, known, http, Governor(Budgets(database)))

    def present(job: Job) -> bytes:
        return shapes.notification(job, settings.completed_status)

    engine = Engine(
        ledger=ledger,
        deliveries=Deliveries(database),
        runs=runs,
        schedules=schedules,
        files=files,
        formats=FORMATS,
        accounts=accounts,
        connections=connections,
        lanes=Lanes(open_lane_engine(settings.data_dir / "lanes.db")),
        http=http,
        present=present,
        keep_files=timedelta(days=settings.keep_files_days),
    )
    return Services(
        accounts=accounts,
        sealer=sealer,
        ledger=ledger,
        runs=runs,
        schedules=schedules,
        files=files,
        engine=engine,
        connections=connections,
        providers=known,
        formats=FORMATS,
        http=http,
        allow_private_addresses=settings.allow_private_addresses,
        completed_status=settings.completed_status,
        max_upload_bytes=settings.max_upload_bytes,
    )


async def _first_start(accounts: Accounts, settings: Settings) -> FirstSecrets | None:
    """Make the first user and organization; at later starts, take over secrets that are set from outside."""
    user, organization = _text(settings.user_secret), _text(settings.organization_secret)
    if not await accounts.is_empty():
        await accounts.replace_secrets(organization, user)
        return None
    made = FirstSecrets(
        user=None if user else security.new_secret(),
        organization=None if organization else security.new_secret(),
    )
    await accounts.add_organization(str(organization or made.organization), FIRST_USER, str(user or made.user))
    return made


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


@contextmanager
def _owned(data_dir: Path) -> Iterator[None]:
    """Keep a second process out of a data directory; the lock ends with the process, however it ends."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"another openbulk works in {data_dir}; stop it, or set another data directory"
            ) from error
        yield


@asynccontextmanager
async def opened_accounts(settings: Settings) -> AsyncIterator[Accounts]:
    """The accounts alone, for a server that is not running."""
    with _owned(settings.data_dir):
        engine = _ledger_engine(settings)
        try:
            await migrate(engine)
            yield Accounts(engine, sealer_of(settings))
        finally:
            await engine.dispose()
