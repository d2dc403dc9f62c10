"""The commands `openbulk serve`, `openbulk worker` and `openbulk rotate-key`."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvicorn

from openbulk.api import prepare_routes
from openbulk.app import (
    Server,
    Worker,
    is_shared_ledger,
    master_key_file,
    reseal,
    running_server,
    running_worker,
)
from openbulk.cli.connections import (
    ACCEPTED_AT_ONCE,
    MAX_HEAD_BYTES,
    BoundedConnection,
    Connections,
    OnceAMinute,
    connections_for,
    raise_file_limit,
)
from openbulk.cli.listening import listening_problem, local_address
from openbulk.cli.log_lines import escape_control_characters, write_traceback
from openbulk.data_directory import ADDRESS_FILE
from openbulk.domain.errors import CannotStart
from openbulk.domain.links import LinkPurpose, link_address
from openbulk.security import rotate_master_key
from openbulk.settings import Settings, misspelt_variables

log = structlog.get_logger()
Part = TypeVar("Part", Server, Worker)

LISTENING_SECONDS = 1.0
"""A stopping server still takes requests for this long; /readyz is 503, so callers go elsewhere."""
GRACEFUL_SECONDS = 2
"""Then running requests have this long to finish, while slices end. A server stops within 5 s."""
ANSWER_SECONDS = 1.0
"""Interrupted requests have this long to answer, and to delete their partial upload."""
_LOGGED_BY_US = (
    "Cancel %s running task(s), timeout graceful shutdown exceeded",
    "ASGI callable returned without completing response.",
)
"""Uvicorn's log lines for failed and interrupted requests; openbulk logs its own for each."""
_FOR_OWNER_ALONE = 0o077
"""The umask: no file that openbulk makes may be read by other users of the machine."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3), as malloc.h numbers them."""
_RETURNED_BYTES = 256 * 1024
_ARENAS = 2
BACKLOG = 2048
"""Connections that may wait to be accepted: uvicorn's default."""
MANY_FROM_CALLERS = (
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
    "No supported WebSocket library detected.",
    "socket.accept() out of system resource",
    "socket.send() raised exception.",
)
"""The beginnings of log lines of libraries, of which a caller can cause any number."""


def serve(settings: Settings) -> None:
    """Answer requests and work on jobs until SIGTERM or SIGINT. Raises CannotStart."""
    _prepare_process(settings)
    asyncio.run(_serve(settings))


def _prepare_process(settings: Settings) -> None:
    os.umask(_FOR_OWNER_ALONE)
    _return_freed_memory()
    _write_logs(settings.log_format)
    _warn_of_misspelt_variables()


def _return_freed_memory() -> None:
    """Have glibc return every large block to the system as soon as it is freed.

    By itself, it keeps blocks of up to 32 MB once one was freed, and some for each thread.
    """
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _RETURNED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _RETURNED_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)


def work(settings: Settings) -> None:
    """Work on jobs until SIGTERM or SIGINT. Raises CannotStart."""
    if not is_shared_ledger(settings):
        raise CannotStart(
            "a worker shares a PostgreSQL database with a server; "
            "set OPENBULK_DATABASE_URL to postgresql://..."
        )
    _prepare_process(settings)
    asyncio.run(_work(settings))


def _warn_of_misspelt_variables() -> None:
    for variable, meant in misspelt_variables(os.environ).items():
        log.warning("setting not known", variable=variable, meant=meant)


def rotate_key(settings: Settings) -> int:
    """Make a new master key, seal all credentials with it, and return the number of instances.

    Raises CannotStart.
    """
    if settings.master_key is not None:
        raise CannotStart(
            "OPENBULK_MASTER_KEY is set, but this command changes only the file master.key: "
            "set it to old,new in all processes, one after the other, then to new,old; "
            "the first that starts with new,old seals all credentials with the new key"
        )
    rotate_master_key(master_key_file(settings))
    return asyncio.run(reseal(settings))


async def _work(settings: Settings) -> None:
    raise_file_limit()
    async with _running("worker", running_worker(settings), settings) as (_, stopping):
        print("openbulk works", flush=True)
        await stopping.wait()


async def _serve(settings: Settings) -> None:
    limit = connections_for(raise_file_limit())
    listener = _listen(settings.host, settings.port)
    async with (
        _running("server", running_server(settings, limit), settings) as (server, stopping),
        asyncio.TaskGroup() as tasks,
    ):
        listener.listen(BACKLOG)
        _note_address(settings.data_dir, listener.getsockname())
        _greet(listener.getsockname(), server.first_secrets, server.welcome_code)
        http = _Http(
            uvicorn.Config(
                server.application,
                http=BoundedConnection,
                ws="none",
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                backlog=ACCEPTED_AT_ONCE,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACEFUL_SECONDS,
            ),
            Connections(limit),
        )
        tasks.create_task(http.serve(sockets=[listener]))
        tasks.create_task(prepare_routes(server.api))
        await stopping.wait()
        server.drain()
        (settings.data_dir / ADDRESS_FILE).unlink(missing_ok=True)
        await asyncio.sleep(LISTENING_SECONDS)
        http.should_exit = True


@asynccontextmanager
async def _running(
    role: str, running: AbstractAsyncContextManager[Part], settings: Settings
) -> AsyncIterator[tuple[Part, asyncio.Event]]:
    """Run a server or worker, log its start and end, and set an event at SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    stopping_since = 0.0

    def stop(number: signal.Signals) -> None:
        nonlocal stopping_since
        if not stopping.is_set():
            log.info("stopping", signal=number.name)
            stopping_since = time.monotonic()
            stopping.set()

    async with running as part:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        database = "postgresql" if is_shared_ledger(settings) else "sqlite"
        log.info(
            "started", version=version("openbulk"), role=role, name=part.name, database=database
        )
        yield part, stopping
    log.info("stopped", seconds=round(time.monotonic() - stopping_since, 1))


class _Http(uvicorn.Server):
    """Uvicorn with bounded connections, and without its signal handlers.

    It waits for the requests that it interrupts.
    """

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.server_state = connections
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        # Asyncio has one number for what it accepts at once, and for what may wait.
        for listener in sockets or ():
            listener.listen(BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections. Uvicorn calls it ten times a second."""
        if counter % 10 == 0:
            self._connections.end_overdue(time.monotonic())
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing: uvicorn would raise the signals again before the engine has drained."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, wait for requests, and cancel those that take too long."""
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=ANSWER_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise CannotStart(listening_problem(host, port, error)) from error
    return listener


def _note_address(folder: Path, address: tuple[Any, ...]) -> None:
    """Write where the server listens, for commands on this machine that use its data directory."""
    draft = folder / f"{ADDRESS_FILE}.new"
    draft.write_text(local_address(address[0], address[1]))
    draft.replace(folder / ADDRESS_FILE)


def _greet(address: tuple[Any, ...], first_secrets: Path | None, welcome_code: str | None) -> None:
    """Print the server's address, and before it where a first start wrote its secrets.

    The link for the first user is printed, too: it holds once, and for a day.
    """
    lines = []
    if first_secrets is not None:
        lines.append(f"First start. The secrets for your calls are in {first_secrets}")
    if welcome_code is not None:
        base = local_address(address[0], address[1])
        link = link_address(base, LinkPurpose.WELCOME, welcome_code)
        lines.append(f"Open this link once, within a day, to begin in a browser: {link}")
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    lines.append(f"openbulk listens on http://{host}:{address[1]}")
    print("\n".join(lines), flush=True)


def _write_logs(form: str) -> None:
    """Log to standard error: one line for each event, and for each warning of a library."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        escape_control_characters,
    ]
    rendering = _render_json() if form == "json" else _render_text()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("openbulk").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg not in _LOGGED_BY_US)
    seldom = OnceAMinute(*MANY_FROM_CALLERS)
    for library in ("uvicorn.error", "asyncio"):
        logging.getLogger(library).addFilter(seldom)
    # It logs parts of queries that it does not understand; their callers get a sentence.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


def _render_json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _render_text() -> list[structlog.typing.Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=write_traceback
        )
    ]
