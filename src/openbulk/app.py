"""The only place where parts meet: settings in, a running server or worker out."""

import asyncio
import fcntl
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
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
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from openbulk import security
from openbulk.api import make_api
from openbulk.api.http.under_way import RequestsUnderWay
from openbulk.api.password_sign_in import CallersSecrets, PasswordSignIn
from openbulk.api.readiness import Readiness
from openbulk.api.services import Services
from openbulk.api.wire.jobs import notification_body
from openbulk.connectors import providers, providers_on_offer
from openbulk.console.app import with_console
from openbulk.data_directory import ADDRESS_FILE, FIRST_SECRETS_FILE, LOCK_FILE, read_first_secrets
from openbulk.domain.audit import ChainCheck
from openbulk.domain.errors import (
    CannotStart,
    Conflict,
    FileStoreUnavailable,
    KeyMissing,
    SealBroken,
    Unavailable,
    WrongFiles,
    WrongKey,
)
from openbulk.domain.job import Job
from openbulk.domain.links import LinkPurpose
from openbulk.engine.applies import Applies
from openbulk.engine.approvals import PlanApprovals
from openbulk.engine.connections import Connections
from openbulk.engine.elements import Elements
from openbulk.engine.engine import Engine
from openbulk.engine.file_profiles import FileProfiles
from openbulk.engine.limits import LimitCheck
from openbulk.engine.mending import Mending
from openbulk.engine.plans import PlanReader
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.dbos_queue import WAITING, LaneQueue
from openbulk.engine.queue.dead_workers import Watch
from openbulk.engine.queue.heartbeat import LEASE_SECONDS, Heartbeat, new_name
from openbulk.engine.queue.lease import Lease
from openbulk.engine.quota.governor import Governor
from openbulk.engine.retries import Retries
from openbulk.engine.row_pages import RowPages
from openbulk.engine.slices.undo.keeping import UndoStores
from openbulk.engine.undoing import Undoing
from openbulk.engine.verifications import VerificationReader
from openbulk.formats import FORMATS
from openbulk.identity.oidc import OpenIdConnect
from openbulk.identity.oidc_sign_in import OidcSignIn
from openbulk.identity.passwords import Passwords
from openbulk.identity.sign_in import SignIn
from openbulk.notify.egress import allowed_address, guarded_connector
from openbulk.reading.readers import Readers
from openbulk.settings import Settings, secrets_in
from openbulk.storage.accounts import Accounts
from openbulk.storage.approvals import Approvals
from openbulk.storage.audit import AuditLog
from openbulk.storage.budgets import Budgets
from openbulk.storage.credentials import Credentials
from openbulk.storage.custom_elements import CustomElements
from openbulk.storage.database import (
    is_shared,
    migrate,
    open_lane_engine,
    open_ledger_engine,
    open_shared_lane_engine,
    require_current,
)
from openbulk.storage.deleted_jobs import DeletedJobs
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.file_store_identity import FileStoreIdentity
from openbulk.storage.files import FileStore, open_store
from openbulk.storage.identities import Identities
from openbulk.storage.identity_providers import IdentityProviders
from openbulk.storage.key_check import MasterKeyCheck
from openbulk.storage.known_secrets import KnownSecrets
from openbulk.storage.ledger import Ledger
from openbulk.storage.limits import OrganizationLimits
from openbulk.storage.links import Links
from openbulk.storage.mappings import Mappings
from openbulk.storage.mends import Mends
from openbulk.storage.outlook import Outlooks, OwnOutlooks, SharedOutlooks
from openbulk.storage.people import People
from openbulk.storage.plans import Plans
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules
from openbulk.storage.sessions import Sessions
from openbulk.storage.transformations import Transformations
from openbulk.storage.undo import BeforeImageStore, Undos
from openbulk.storage.uploaded_files import UploadedFiles
from openbulk.storage.workers import Workers

log = structlog.get_logger()

CONNECTIONS_AT_ONCE = 200
CONNECTIONS_TO_ONE = 100
"""Maximum number of open connections to services and callback URLs together."""
READERS, INSPECTORS = 4, 3
"""Processes that read files at the same time: for jobs, and for callers who wait. Each may take
`reading.limits.MEMORY_BYTES`."""
START_PAUSES = (1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
"""Seconds between the attempts of a start while the database or the file store is unavailable."""
_FOR_OTHERS = stat.S_IRWXO
FIRST_USER = "admin@localhost"
WELCOME_LIFETIME = timedelta(days=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _FirstSecrets:
    """The secrets that a first start makes; None for a secret that is set."""

    user: str | None
    organization: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """A running server that does not listen yet."""

    api: FastAPI
    application: ASGIApp
    """The API, and the console beside it unless that is off."""
    name: str
    """The name of this process among those that share its ledger."""
    first_secrets: Path | None
    """The file of the secrets that this start, the first one, has made; None for a later one."""
    welcome_code: str | None
    """The code of the link with which the first user chooses a password; None without need."""
    drain: Callable[[], None]
    """Stops taking up work; running slices finish their calls."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A running worker."""

    name: str
    """The name of this process among those that share its ledger."""


def sealer_of(settings: Settings) -> security.Sealer:
    """The sealer with the keys of OPENBULK_MASTER_KEY, else with those of the data directory.

    Raises CannotStart for keys that cannot be used.
    """
    try:
        if settings.master_key is not None:
            return security.Sealer(
                security.parse_master_keys(settings.master_key.get_secret_value())
            )
        return security.Sealer(security.load_or_make_master_keys(master_key_file(settings)))
    except ValueError as error:
        raise CannotStart(f"the master key cannot be used: {error}") from error


def master_key_file(settings: Settings) -> Path:
    """The file of the master keys. It is used if OPENBULK_MASTER_KEY is not set."""
    return settings.data_dir / "master.key"


def ledger_url(settings: Settings) -> str:
    """The URL of the ledger's database."""
    return settings.database_url or f"sqlite:///{settings.data_dir / 'ledger.db'}"


def is_shared_ledger(settings: Settings) -> bool:
    """Whether several processes may share the ledger. Raises CannotStart for a malformed URL."""
    try:
        return is_shared(ledger_url(settings))
    except ArgumentError as error:
        raise CannotStart(f"the database cannot be used: {error}") from error


def _ledger_engine(settings: Settings) -> AsyncEngine:
    """The engine of the ledger. Raises CannotStart for a malformed URL."""
    try:
        return open_ledger_engine(ledger_url(settings))
    except (ValueError, ArgumentError) as error:
        raise CannotStart(f"the database cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class _Ledger:
    """An open ledger, with the sealer of its credentials."""

    engine: AsyncEngine
    sealer: security.Sealer
    resealed: int
    """Number of instances whose credentials this start sealed again with the first key."""

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.engine, self.sealer)

    @property
    def people(self) -> People:
        return People(self.engine)


@asynccontextmanager
async def running_server(settings: Settings, requests_at_once: int) -> AsyncIterator[Server]:
    """Start every part of a server; on exit, drain and stop them in reverse order."""
    under_way = RequestsUnderWay(requests_at_once)
    secrets = _make_first_secrets(settings)
    with _lock_data_dir(settings):
        start = partial(_start_server, settings, secrets, under_way)
        async with _retry_start(start) as server:
            yield server


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[Worker]:
    """Start every part of a worker. It has no API, and neither makes nor changes secrets."""
    with _lock_data_dir(settings):
        async with _retry_start(lambda parts: _start_worker(settings, parts)) as worker:
            yield worker


async def reseal(settings: Settings) -> int:
    """Seal all credentials with the first master key; return the number of resealed instances.

    The server must be stopped.
    """
    with _lock_data_dir(settings):
        async with _retry_start(lambda parts: _open_ledger(settings, parts)) as ledger:
            return ledger.resealed


@asynccontextmanager
async def current_ledger(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database of the ledger, beside a server that may run.

    Raises CannotStart if it is missing, or of another version.
    """
    engine = _ledger_engine(settings)
    try:
        await require_current(engine)
        yield engine
    finally:
        await engine.dispose()


async def verify_audit(settings: Settings) -> Mapping[int, ChainCheck]:
    """Check the audit log of each organization, by its number. The server may run meanwhile.

    Raises CannotStart if there is no ledger of this version.
    """
    if not master_key_file(settings).exists() and settings.master_key is None:
        raise CannotStart(
            f"there is no master key in {settings.data_dir}; name the server's data directory with "
            "--data-dir, or set OPENBULK_MASTER_KEY as it has"
        )
    async with current_ledger(settings) as engine:
        audit = AuditLog(engine, sealer_of(settings))
        return {one: await audit.verify(one) for one in await audit.organizations()}


@asynccontextmanager
async def _retry_start(start: Callable[[AsyncExitStack], Awaitable[T]]) -> AsyncIterator[T]:
    """Start parts, and stop them on exit.

    If the database or the file store is unavailable at any step, stop the parts that have started
    and start again after a pause. Raises CannotStart after the last of START_PAUSES.
    """
    pauses = iter(START_PAUSES)
    while True:
        async with AsyncExitStack() as parts:
            try:
                started = await start(parts)
            except Unavailable as error:
                pause = next(pauses, None)
                if pause is None:
                    raise CannotStart(_outage(error)) from error
                log.warning("start waits", reason=_outage(error), seconds=pause)
            else:
                yield started
                return
        await asyncio.sleep(pause)


def _outage(error: Unavailable) -> str:
    if isinstance(error, FileStoreUnavailable):
        return str(error)
    return f"the database cannot be reached: {error.__cause__}"


async def _open_ledger(settings: Settings, parts: AsyncExitStack) -> _Ledger:
    engine = _ledger_engine(settings)
    parts.push_async_callback(engine.dispose)
    await migrate(engine)
    return _Ledger(engine, *await _checked_sealer(settings, MasterKeyCheck(engine)))


async def _start_server(
    settings: Settings,
    secrets: _FirstSecrets,
    under_way: RequestsUnderWay,
    parts: AsyncExitStack,
) -> Server:
    """Start a server. An earlier attempt may have taken any of these steps before it failed."""
    ledger, files = await _open(settings, parts)
    first_secrets = await _first_start(ledger.people, settings, secrets)
    sign_in = await _password_sign_in(settings, ledger)
    services = await _start_services(settings, ledger, files, parts, sign_in)
    await services.inspectors.start()
    api = make_api(services, under_way)
    return Server(
        api,
        with_console(api, services) if settings.console else api,
        services.engine.name,
        first_secrets,
        await _welcome_code(settings, ledger, is_first=first_secrets is not None),
        services.engine.drain,
    )


async def _start_worker(settings: Settings, parts: AsyncExitStack) -> Worker:
    ledger, files = await _open(settings, parts)
    services = await _start_services(settings, ledger, files, parts, _no_sign_in(ledger))
    return Worker(services.engine.name)


async def _open(settings: Settings, parts: AsyncExitStack) -> tuple[_Ledger, FileStore]:
    ledger = await _open_ledger(settings, parts)
    if ledger.resealed:
        log.info("credentials sealed with the first master key", instances=ledger.resealed)
    files = FileStore(_store(settings), ledger.sealer)
    await _require_right_files(settings, FileStoreIdentity(ledger.engine, files))
    return ledger, files


async def _start_services(
    settings: Settings,
    ledger: _Ledger,
    files: FileStore,
    parts: AsyncExitStack,
    sign_in: PasswordSignIn,
) -> Services:
    connector = guarded_connector(
        allowed=settings.egress_networks, limit=CONNECTIONS_AT_ONCE, of_one=CONNECTIONS_TO_ONE
    )
    http = await parts.enter_async_context(
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    )
    readers = Readers(files, READERS)
    parts.push_async_callback(readers.stop)
    await readers.start()
    services = _services(settings, ledger, files, readers, http, sign_in)
    parts.push_async_callback(services.inspectors.stop)
    parts.push_async_callback(services.connections.close)
    parts.push_async_callback(services.engine.stop)
    await services.engine.start()
    return services


async def _checked_sealer(
    settings: Settings, key_check: MasterKeyCheck
) -> tuple[security.Sealer, int]:
    """The sealer, and the number of instances that it has sealed again. Raises CannotStart."""
    # Read the ledger first. Another process that starts in the same folder writes its key before it
    # seals: a sealed ledger without a key in the folder is then an error, and never a race.
    is_sealed = await key_check.is_set()
    has_key = settings.master_key is not None or master_key_file(settings).exists()
    if is_sealed and not has_key:
        raise CannotStart(
            "the ledger is sealed with a master key, and this machine has none; "
            "set OPENBULK_MASTER_KEY as on the other machines, "
            f"or copy the file master.key of the first to {master_key_file(settings)}"
        )
    sealer = sealer_of(settings)
    try:
        return sealer, await key_check.renew(sealer)
    except WrongKey as error:
        raise CannotStart(
            "the ledger is sealed with a master key that this machine does not have; "
            "set OPENBULK_MASTER_KEY on all machines to the key in the first one's master.key, "
            f"or copy that file to {master_key_file(settings)}. Change a key in three steps: "
            "old,new in all processes, then new,old, then new"
        ) from error
    except KeyMissing as error:
        raise CannotStart(
            f"the {error}; add that key after the first one "
            f"(OPENBULK_MASTER_KEY=new,old, or a line of {master_key_file(settings)}): "
            "openbulk then seals all credentials with the first one"
        ) from error
    except SealBroken as error:
        raise CannotStart(
            f"the {error}, so it cannot be sealed with the first master key; "
            "restore its row in the table 'instances' from a backup, or delete that row"
        ) from error


async def _require_right_files(settings: Settings, identity: FileStoreIdentity) -> None:
    """Raise CannotStart if the file store belongs to another ledger."""
    try:
        await identity.compare(_location_of_files(settings))
    except WrongFiles as error:
        raise CannotStart(str(error)) from error


def _location_of_files(settings: Settings) -> str:
    """The location of the files for messages: folder and machine, or a URL without secrets."""
    url = urlsplit(settings.files_url or f"file://{(settings.data_dir / 'files').absolute()}")
    if url.scheme == "file":
        return f"{url.path} on {socket.gethostname()}"
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _services(
    settings: Settings,
    opened: _Ledger,
    files: FileStore,
    readers: Readers,
    http: aiohttp.ClientSession,
    sign_in: PasswordSignIn,
) -> Services:
    database, accounts = opened.engine, opened.accounts
    ledger, runs, schedules = Ledger(database), Runs(database), Schedules(database)
    deliveries, mends = Deliveries(database), Mends(database, opened.sealer)
    draining = asyncio.Event()
    clock, name = Clock(), new_name()
    queue = _lane_queue(settings, name)
    membership = _membership(settings, database, schedules, queue, name, clock)
    resolve = partial(allowed_address, allowed=settings.egress_networks)
    known_providers = providers(
        resolve, settings.sqlite_folder, has_memory=settings.memory_connector
    )
    budgets = Budgets(database, draining)
    governor = Governor(budgets, clock.time, membership.lease)
    custom_elements = CustomElements(database, opened.sealer)
    elements = Elements(known_providers, providers_on_offer(known_providers), custom_elements)
    connections = Connections(accounts, elements, http, governor, draining)

    uploaded_files, audit = UploadedFiles(database), AuditLog(database, opened.sealer)
    inspectors = Readers(files, INSPECTORS)
    file_profiles = FileProfiles(
        uploaded_files, files, inspectors, Readers(files, 1, in_background=True), clock
    )

    def present(job: Job) -> bytes:
        return notification_body(job, settings.completed_word)

    undos = Undos(database, files)
    undo = UndoStores(undos, BeforeImageStore(opened.sealer), is_kept=settings.keep_undo_days > 0)

    limits = LimitCheck(OrganizationLimits(database), settings.limits, clock.time)
    engine = Engine(
        ledger=ledger,
        deliveries=deliveries,
        runs=runs,
        limits=limits,
        schedules=schedules,
        files=files,
        mends=mends,
        undo=undo,
        readers=readers,
        formats=FORMATS,
        accounts=accounts,
        connections=connections,
        queue=queue,
        http=http,
        present=present,
        deleted_jobs=DeletedJobs(database),
        uploaded_files=uploaded_files,
        file_profiles=file_profiles,
        audit=audit,
        keep_files=timedelta(days=settings.keep_files_days),
        keep_jobs=timedelta(days=settings.keep_jobs_days),
        keep_undos=timedelta(days=settings.keep_undo_days),
        keep_audit=timedelta(days=settings.keep_audit_days),
        draining=draining,
        outlooks=membership.outlooks,
        heartbeat=membership.heartbeat,
        watch=membership.watch,
        lease=membership.lease,
        clock=clock,
        name=name,
    )
    keep_plans = timedelta(hours=settings.keep_plans_hours)
    plan_reader = PlanReader(
        Plans(database), files, budgets, connections, clock, keep_plans=keep_plans
    )
    undoing = Undoing(undos, ledger, connections)
    plan_approvals = PlanApprovals(
        Approvals(database), plan_reader, opened.people, clock, keep_plans=keep_plans
    )
    applies = Applies(
        Plans(database), plan_reader, plan_approvals, undoing, ledger, accounts, queue, clock
    )
    sessions, credentials = Sessions(database), Credentials(database, opened.sealer)
    passwords = Passwords()
    password_and_code = SignIn(credentials, sessions, passwords, opened.sealer)
    identity_providers = IdentityProviders(database, opened.sealer)
    identities = Identities(database)
    oidc_sign_in = OidcSignIn(
        OpenIdConnect(http),
        identity_providers,
        identities,
        opened.people,
        sessions,
        password_and_code,
        opened.sealer,
    )
    return Services(
        accounts=accounts,
        people=opened.people,
        limits=limits,
        known_secrets=KnownSecrets(database),
        audit=audit,
        sessions=sessions,
        credentials=credentials,
        links=Links(database),
        passwords=passwords,
        sign_in=password_and_code,
        identity_providers=identity_providers,
        identities=identities,
        oidc_sign_in=oidc_sign_in,
        sealer=opened.sealer,
        ledger=ledger,
        deliveries=deliveries,
        runs=runs,
        schedules=schedules,
        transformations=Transformations(database),
        mappings=Mappings(database),
        mends=mends,
        files=files,
        uploaded_files=uploaded_files,
        file_profiles=file_profiles,
        inspectors=inspectors,
        engine=engine,
        intake=engine.intake,
        completion=engine.completion,
        job_controls=engine.job_controls,
        job_deletion=engine.job_deletion,
        mending=Mending(ledger, files, mends),
        row_pages=RowPages(ledger, files, mends),
        retries=Retries(ledger, files, mends),
        undoing=undoing,
        plans=plan_reader,
        approvals=plan_approvals,
        applies=applies,
        verifications=VerificationReader(Plans(database), files),
        workflows=engine.workflows,
        connections=connections,
        elements=elements,
        custom_elements=custom_elements,
        formats=FORMATS,
        http=http,
        allowed_networks=settings.egress_networks,
        password_sign_in=sign_in,
        live_compatible=settings.live_compatible,
        completed_status=settings.completed_word,
        max_upload_bytes=settings.max_upload_bytes,
        readiness=Readiness({"database": opened.people.is_empty, "files": files.check}),
        metrics_tokens=secrets_in(settings.metrics_token),
    )


@dataclass(frozen=True, slots=True)
class _Membership:
    """What a process needs to work beside others on one ledger."""

    lease: Lease
    outlooks: Outlooks
    heartbeat: Heartbeat | None = None
    watch: Watch | None = None


def _membership(
    settings: Settings,
    database: AsyncEngine,
    schedules: Schedules,
    queue: LaneQueue,
    name: str,
    clock: Clock,
) -> _Membership:
    if not is_shared_ledger(settings):
        # Alone on its ledger, a process never loses its lease and needs no heartbeat.
        return _Membership(Lease(), OwnOutlooks(queue.read_what_waits, schedules))
    lease, workers = Lease(LEASE_SECONDS), Workers(database)
    return _Membership(
        lease,
        SharedOutlooks(database, name, WAITING),
        Heartbeat(name, workers, queue, lease, clock),
        Watch(name, workers, queue),
    )


def _store(settings: Settings) -> ObjectStore:
    if settings.files_url is None:
        return LocalStore(settings.data_dir / "files", mkdir=True)
    try:
        return open_store(settings.files_url)
    except (ValueError, OSError) as error:
        raise CannotStart(f"OPENBULK_FILES_URL cannot be used: {error}") from error


def _lane_queue(settings: Settings, name: str) -> LaneQueue:
    if is_shared_ledger(settings):
        return LaneQueue(open_shared_lane_engine(ledger_url(settings)), name)
    return LaneQueue(open_lane_engine(settings.data_dir / "lanes.db"))


def _make_first_secrets(settings: Settings) -> _FirstSecrets:
    """New secrets in place of those that are not set. Only a first start uses them."""
    return _FirstSecrets(
        user=None if secrets_in(settings.user_secret) else security.new_secret(),
        organization=None if secrets_in(settings.organization_secret) else security.new_secret(),
    )


async def _first_start(people: People, settings: Settings, made: _FirstSecrets) -> Path | None:
    """Add the first user and organization, and give them the secrets that are set.

    A first start writes the secrets that it makes into a file, and returns its path. They are not
    printed: what a service prints ends in a journal that others read.
    """
    # Before the ledger has them: they cannot be had from there.
    file = _write_first_secrets(settings, made) if await people.is_empty() else None
    user, organization = secrets_in(settings.user_secret), secrets_in(settings.organization_secret)
    (user_secret, *_) = user or [str(made.user)]
    (organization_secret, *_) = organization or [str(made.organization)]
    is_first = await people.add_first_organization(organization_secret, FIRST_USER, user_secret)
    for owner in await people.set_secrets(organization, user):
        log.warning(
            f"an earlier {owner} secret has ended, because it is not set any more; "
            "callers must send one that is set"
        )
    if settings.user is not None:
        await _set_email(people, settings.user)
    if file is not None and not is_first:
        # Another process was faster; its secrets are in its own file.
        file.unlink()
    path = settings.data_dir / FIRST_SECRETS_FILE
    return path if is_first and path.exists() else None


async def _welcome_code(settings: Settings, ledger: _Ledger, *, is_first: bool) -> str | None:
    """The code of a link for the first user, until one was used.

    Whoever sets a secret or a password has no need of it.
    """
    if not settings.console or settings.user_secret is not None or settings.password is not None:
        return None
    links = Links(ledger.engine)
    if not is_first and not await links.is_welcome_open():
        return None
    code = security.new_code()
    user = await ledger.people.first_user()
    await links.add_for_user(LinkPurpose.WELCOME, user, code, WELCOME_LIFETIME)
    return code


async def _set_email(people: People, email: str) -> None:
    """Give the first user the address of the settings. Raises CannotStart."""
    try:
        await people.set_email(email)
    except Conflict as error:
        raise CannotStart(f"OPENBULK_USER cannot be used: {error}") from error


async def _password_sign_in(settings: Settings, ledger: _Ledger) -> PasswordSignIn:
    """The password of the first user, and the secrets that a sign-in opens.

    These are the ones that are set, else those in the file of the first start, if they still hold.
    """
    if settings.password is None:
        return _no_sign_in(ledger)
    kept = read_first_secrets(settings.data_dir)
    user = next(iter(secrets_in(settings.user_secret)), kept.get("OPENBULK_USER_SECRET"))
    organization = next(
        iter(secrets_in(settings.organization_secret)), kept.get("OPENBULK_ORGANIZATION_SECRET")
    )
    email, secrets = settings.user or FIRST_USER, None
    if user and organization:
        caller = await KnownSecrets(ledger.engine).identify(user, organization, None)
        if caller is not None and caller.knows_organization:
            email, secrets = caller.user.email, CallersSecrets(user, organization)
    return PasswordSignIn(email, settings.password.get_secret_value(), secrets, ledger.sealer)


def _no_sign_in(ledger: _Ledger) -> PasswordSignIn:
    """Nobody signs in with a password."""
    return PasswordSignIn(FIRST_USER, None, None, ledger.sealer)


def _write_first_secrets(settings: Settings, made: _FirstSecrets) -> Path | None:
    """Write the secrets that a first start makes; None if it makes none."""
    lines = [
        f"{variable}={secret}\n"
        for variable, secret in (
            ("OPENBULK_USER_SECRET", made.user),
            ("OPENBULK_ORGANIZATION_SECRET", made.organization),
        )
        if secret is not None
    ]
    if not lines:
        return None
    file = settings.data_dir / FIRST_SECRETS_FILE
    security.write_private(file, "".join(lines))
    return file


def _make_private(folder: Path) -> None:
    """Make the data directory, or close it to other users of the machine. Raises CannotStart."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not folder.stat().st_mode & _FOR_OTHERS:
        return
    try:
        folder.chmod(folder.stat().st_mode & ~_FOR_OTHERS)
    except OSError as error:
        raise CannotStart(
            f"every user of this machine may look into {folder}, which holds records and the "
            f"master key, and this user may not close it: run 'chmod o= {folder}' as its owner, "
            f"or set OPENBULK_DATA_DIR={folder}/openbulk, a folder that openbulk makes for itself"
        ) from error
    log.warning("data directory closed to other users", folder=str(folder))


@contextmanager
def _lock_data_dir(settings: Settings) -> Iterator[None]:
    """Keep other processes out of the data directory of a SQLite ledger.

    The lock ends with the process, even if that is killed.
    """
    data_dir = settings.data_dir
    _make_private(data_dir)
    if is_shared_ledger(settings):
        yield
        return
    with (data_dir / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"another openbulk process uses {data_dir}; stop it, or set another data directory"
            ) from error
        # An earlier process may have been killed before it could.
        (data_dir / ADDRESS_FILE).unlink(missing_ok=True)
        yield
