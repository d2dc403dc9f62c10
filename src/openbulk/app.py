"""The only place where parts meet: settings in, a running server or worker out."""

import asyncio
import fcntl
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import structlog
from fastapi import FastAPI
from obstore.store import LocalStore, ObjectStore
from pydantic import SecretStr
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk import security
from openbulk.api import make_api
from openbulk.api.services import Services
from openbulk.api.wire.jobs import notification_body
from openbulk.connectors import providers
from openbulk.domain.errors import (
    CannotStart,
    FileStoreUnavailable,
    KeyMissing,
    SealBroken,
    Unavailable,
    WrongFiles,
    WrongKey,
)
from openbulk.domain.job import Job
from openbulk.engine.connections import Connections
from openbulk.engine.engine import Engine
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.heartbeat import LEASE_SECONDS, Heartbeat, new_name
from openbulk.engine.queue.lease import Lease
from openbulk.engine.quota.governor import Governor
from openbulk.formats import FORMATS
from openbulk.notify.egress import allowed_address, guarded_connector
from openbulk.settings import Settings
from openbulk.storage.accounts import Accounts
from openbulk.storage.budgets import Budgets
from openbulk.storage.database import (
    is_shared,
    migrate,
    open_lane_engine,
    open_ledger_engine,
    open_shared_lane_engine,
)
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.file_store_identity import FileStoreIdentity
from openbulk.storage.files import FileStore, open_store
from openbulk.storage.ledger import Ledger
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules
from openbulk.storage.seal import Seal
from openbulk.storage.workers import Workers

log = structlog.get_logger()

CONNECTIONS_AT_ONCE = 200
"""Most connections to services and callback addresses that are open at one time."""
START_PAUSES = (1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
"""Seconds. After each of them, a start that found the database or the place for files away is attempted again."""
FIRST_USER = "admin@localhost"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """Secrets that were made at the first start, to be shown to its person once; None where they were set."""

    user: str | None
    organization: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, less the listening."""

    api: FastAPI
    name: str
    """That of this process among those that share its ledger."""
    first_secrets: FirstSecrets | None
    drain: Callable[[], None]
    """Begins to stop working, while what is under way is finished."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A running worker."""

    name: str
    """That of this process among those that share its ledger."""


def sealer_of(settings: Settings) -> security.Sealer:
    """The sealer under the master keys that are set, else under those in the data directory."""
    try:
        if settings.master_key is not None:
            return security.Sealer(
                security.parse_master_keys(settings.master_key.get_secret_value())
            )
        return security.Sealer(security.load_or_make_master_keys(master_key_file(settings)))
    except ValueError as error:
        raise CannotStart(f"the master key cannot be used: {error}") from error


def master_key_file(settings: Settings) -> Path:
    """Where the master keys are kept that are not set from outside."""
    return settings.data_dir / "master.key"


def ledger_url(settings: Settings) -> str:
    """The address of the ledger's database."""
    return settings.database_url or f"sqlite:///{settings.data_dir / 'ledger.db'}"


def is_for_many(settings: Settings) -> bool:
    """Whether processes on several machines may share the ledger. Raises CannotStart where its address is none."""
    try:
        return is_shared(ledger_url(settings))
    except ArgumentError as error:
        raise CannotStart(f"the database cannot be used: {error}") from error


def _ledger_engine(settings: Settings) -> AsyncEngine:
    try:
        return open_ledger_engine(ledger_url(settings))
    except (ValueError, ArgumentError) as error:
        raise CannotStart(f"the database cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class _Ledger:
    """An opened ledger, and what opens what is sealed in it."""

    engine: AsyncEngine
    sealer: security.Sealer
    resealed: int
    """So many instances had their credentials sealed anew with the first master key."""

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.engine, self.sealer)


@asynccontextmanager
async def running_server(settings: Settings) -> AsyncIterator[Server]:
    """Start every part, in order; drain and stop them in the other."""
    secrets = _first_secrets(settings)
    with _owned(settings):
        async with _patiently(lambda parts: _start_server(settings, secrets, parts)) as server:
            yield server


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[Worker]:
    """The same for a process that nobody calls: it makes no secrets for callers, and changes none."""
    with _owned(settings):
        async with _patiently(lambda parts: _start_worker(settings, parts)) as worker:
            yield worker


async def reseal(settings: Settings) -> int:
    """Seal all credentials with the first master key, for a server that is not running; of how many instances."""
    with _owned(settings):
        async with _patiently(lambda parts: _open_ledger(settings, parts)) as ledger:
            return ledger.resealed


@asynccontextmanager
async def _patiently(start: Callable[[AsyncExitStack], Awaitable[T]]) -> AsyncIterator[T]:
    """What is started, and stopped in the end. Where the database or the files do not answer, at whatever step of the
    start, what was started is stopped, and after a moment everything begins again."""
    pauses = iter(START_PAUSES)
    while True:
        async with AsyncExitStack() as parts:
            try:
                started = await start(parts)
            except Unavailable as error:
                said = (
                    error
                    if isinstance(error, FileStoreUnavailable)
                    else f"the database cannot be reached: {error.__cause__}"
                )
                if (pause := next(pauses, None)) is None:
                    raise CannotStart(str(said)) from error
                log.warning("the start waits", reason=str(said), seconds=pause)
            else:
                yield started
                return
        await asyncio.sleep(pause)


async def _open_ledger(settings: Settings, parts: AsyncExitStack) -> _Ledger:
    engine = _ledger_engine(settings)
    parts.push_async_callback(engine.dispose)
    await migrate(engine)
    return _Ledger(engine, *await _right_sealer(settings, Seal(engine)))


async def _start_server(settings: Settings, secrets: FirstSecrets, parts: AsyncExitStack) -> Server:
    """Every step may have been taken before, by an attempt that was broken off."""
    ledger, files = await _open(settings, parts)
    is_first = await _first_start(ledger.accounts, settings, secrets)
    services = await _start_services(settings, ledger, files, parts)
    return Server(
        make_api(services),
        services.engine.name,
        secrets if is_first else None,
        services.engine.drain,
    )


async def _start_worker(settings: Settings, parts: AsyncExitStack) -> Worker:
    ledger, files = await _open(settings, parts)
    services = await _start_services(settings, ledger, files, parts)
    return Worker(services.engine.name)


async def _open(settings: Settings, parts: AsyncExitStack) -> tuple[_Ledger, FileStore]:
    ledger = await _open_ledger(settings, parts)
    if ledger.resealed:
        log.info(
            "credentials were sealed anew with the first master key", instances=ledger.resealed
        )
    files = FileStore(_store(settings), ledger.sealer)
    await _compare(settings, FileStoreIdentity(ledger.engine, files))
    return ledger, files


async def _start_services(
    settings: Settings, ledger: _Ledger, files: FileStore, parts: AsyncExitStack
) -> Services:
    connector = guarded_connector(
        allow_private=settings.allow_private_addresses, limit=CONNECTIONS_AT_ONCE
    )
    http = await parts.enter_async_context(
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    )
    services = _services(settings, ledger.accounts, ledger.engine, ledger.sealer, files, http)
    parts.push_async_callback(services.connections.close)
    parts.push_async_callback(services.engine.stop)
    await services.engine.start()
    return services


async def _right_sealer(settings: Settings, seal: Seal) -> tuple[security.Sealer, int]:
    """The sealer under the keys that the ledger is sealed with, on whatever machine they were made; of how many
    instances it has sealed the credentials anew."""
    # Asked in this order: another process that starts on the same folder writes its key before it seals.
    is_sealed = await seal.is_set()
    is_here = settings.master_key is not None or master_key_file(settings).exists()
    if is_sealed and not is_here:
        raise CannotStart(
            "the ledger is sealed with a master key, and none is set here; set OPENBULK_MASTER_KEY as on the other "
            f"machines, or copy the file master.key of the first to {master_key_file(settings)}"
        )
    sealer = sealer_of(settings)
    try:
        return sealer, await seal.renew(sealer)
    except WrongKey as error:
        raise CannotStart(
            "the ledger is sealed with another master key than this machine's; set OPENBULK_MASTER_KEY on all machines "
            f"to the one in the file master.key of the first, or copy that file to {master_key_file(settings)}. "
            "A new key takes the place of an old one in steps: old,new in all processes, then new,old, then new"
        ) from error
    except KeyMissing as error:
        raise CannotStart(
            f"the {error}; put that key back behind the first (OPENBULK_MASTER_KEY=new,old, or a line of "
            f"{master_key_file(settings)}): all credentials are then sealed anew with the first"
        ) from error
    except SealBroken as error:
        raise CannotStart(
            f"the {error}, and cannot be sealed anew; restore its row in the table 'instances' from a backup, or "
            "delete that row"
        ) from error


async def _compare(settings: Settings, mark: FileStoreIdentity) -> None:
    """Whether the files are where this process is told to look for them."""
    try:
        await mark.compare(_place_of_files(settings))
    except WrongFiles as error:
        raise CannotStart(str(error)) from error


def _place_of_files(settings: Settings) -> str:
    """Where the files are, as a person is told: a folder belongs to a machine, and what may be secret is left out."""
    url = urlsplit(settings.files_url or f"file://{(settings.data_dir / 'files').absolute()}")
    if url.scheme == "file":
        return f"{url.path} on {socket.gethostname()}"
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _services(
    settings: Settings,
    accounts: Accounts,
    database: AsyncEngine,
    sealer: security.Sealer,
    files: FileStore,
    http: aiohttp.ClientSession,
) -> Services:
    ledger, runs, schedules = Ledger(database), Runs(database), Schedules(database)
    draining = asyncio.Event()
    clock, name = Clock(), new_name()
    shared = is_for_many(settings)
    lease = Lease(LEASE_SECONDS) if shared else Lease()
    queue = _lane_queue(settings, name)
    resolve = partial(allowed_address, allow_private=settings.allow_private_addresses)
    known = providers(resolve, settings.sqlite_folder)
    governor = Governor(Budgets(database, draining), clock.time, lease)
    connections = Connections(accounts, known, http, governor, draining)

    def present(job: Job) -> bytes:
        return notification_body(job, settings.completed_status)

    engine = Engine(
        ledger=ledger,
        deliveries=Deliveries(database),
        runs=runs,
        schedules=schedules,
        files=files,
        formats=FORMATS,
        accounts=accounts,
        connections=connections,
        queue=queue,
        http=http,
        present=present,
        keep_files=timedelta(days=settings.keep_files_days),
        draining=draining,
        heartbeat=Heartbeat(name, Workers(database), queue, lease, clock) if shared else None,
        lease=lease,
        clock=clock,
        name=name,
    )
    return Services(
        accounts=accounts,
        sealer=sealer,
        ledger=ledger,
        runs=runs,
        schedules=schedules,
        files=files,
        engine=engine,
        intake=engine.intake,
        completion=engine.completion,
        workflows=engine.workflows,
        connections=connections,
        providers=known,
        formats=FORMATS,
        http=http,
        allow_private_addresses=settings.allow_private_addresses,
        completed_status=settings.completed_status,
        max_upload_bytes=settings.max_upload_bytes,
    )


def _store(settings: Settings) -> ObjectStore:
    if settings.files_url is None:
        return LocalStore(settings.data_dir / "files", mkdir=True)
    try:
        return open_store(settings.files_url)
    except (ValueError, OSError) as error:
        raise CannotStart(f"OPENBULK_FILES_URL cannot be used: {error}") from error


def _lane_queue(settings: Settings, name: str) -> LaneQueue:
    if is_for_many(settings):
        return LaneQueue(open_shared_lane_engine(ledger_url(settings)), name)
    return LaneQueue(open_lane_engine(settings.data_dir / "lanes.db"))


def _first_secrets(settings: Settings) -> FirstSecrets:
    """What the first start makes, if this is the first: secrets that are not set from outside."""
    return FirstSecrets(
        user=None if _text(settings.user_secret) else security.new_secret(),
        organization=None if _text(settings.organization_secret) else security.new_secret(),
    )


async def _first_start(accounts: Accounts, settings: Settings, made: FirstSecrets) -> bool:
    """Make the first user and organization; at later starts, take over secrets that are set from outside."""
    user, organization = _text(settings.user_secret), _text(settings.organization_secret)
    if await accounts.add_first_organization(
        str(organization or made.organization), FIRST_USER, str(user or made.user)
    ):
        return True
    for whose in await accounts.replace_secrets(organization, user):
        log.warning(
            f"the {whose} secret was replaced by the one that is set; callers need that one from now on"
        )
    return False


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


@contextmanager
def _owned(settings: Settings) -> Iterator[None]:
    """Keep a second process out of a data directory, where its database is for one process; the lock ends with the
    process, however it ends."""
    data_dir = settings.data_dir
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_for_many(settings):
        yield
        return
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"another openbulk works in {data_dir}; stop it, or set another data directory"
            ) from error
        yield
