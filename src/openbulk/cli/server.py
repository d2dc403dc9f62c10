"""What `openbulk serve`, `openbulk worker` and `openbulk rotate-key` do."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any, TypeVar

import structlog
import uvicorn

from openbulk.app import (
    FirstSecrets,
    Server,
    Worker,
    is_for_many,
    master_key_file,
    reseal,
    running_server,
    running_worker,
)
from openbulk.domain.errors import CannotStart
from openbulk.security import rotate_master_key
from openbulk.settings import Settings

log = structlog.get_logger()
Part = TypeVar("Part", Server, Worker)

LISTENING_SECONDS = 1.0
"""A server that is told to stop goes on to take requests for so long, while /readyz already sends callers elsewhere."""
GRACEFUL_SECONDS = 2
"""Requests under way are waited for so long after that; the turns end meanwhile. In all, stopping takes 5 s at most."""
ANSWER_SECONDS = 1.0
"""And at most so long for those that were broken off to be told so, and to delete what they have of a file."""
_SAID_OTHERWISE = (
    "Cancel %s running task(s), timeout graceful shutdown exceeded",
    "ASGI callable returned without completing response.",
)
"""What uvicorn says of requests that failed or were broken off: the log has a line of our own for each."""
BACKLOG = 2048
"""Connections that wait while the server is busy; as uvicorn has it."""


def serve(settings: Settings) -> None:
    """Answer requests and work on jobs, until a signal says to stop. Raises CannotStart."""
    _write_logs(settings.log_format)
    asyncio.run(_serve(settings))


def work(settings: Settings) -> None:
    """Work on jobs, until a signal says to stop. Raises CannotStart."""
    if not is_for_many(settings):
        raise CannotStart(
            "a worker shares its database with a server; set OPENBULK_DATABASE_URL to postgresql://..."
        )
    _write_logs(settings.log_format)
    asyncio.run(_work(settings))


def rotate_key(settings: Settings) -> int:
    """Make a new master key and seal all credentials with it; of how many instances. Raises CannotStart."""
    if settings.master_key is not None:
        raise CannotStart(
            "OPENBULK_MASTER_KEY is set, and this command changes the file master.key only: set it to old,new in all "
            "processes, one after the other, then to new,old; the first that starts so seals all credentials anew"
        )
    rotate_master_key(master_key_file(settings))
    return asyncio.run(reseal(settings))


async def _work(settings: Settings) -> None:
    async with _running("worker", running_worker(settings), settings) as (_, told_to_stop):
        print("openbulk works", flush=True)
        await told_to_stop.wait()


async def _serve(settings: Settings) -> None:
    listener = _listen(settings.host, settings.port)
    async with (
        _running("serve", running_server(settings), settings) as (server, told_to_stop),
        asyncio.TaskGroup() as tasks,
    ):
        listener.listen(BACKLOG)
        _greet(listener.getsockname(), server.first_secrets)
        http = _Http(
            uvicorn.Config(
                server.api,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACEFUL_SECONDS,
            )
        )
        tasks.create_task(http.serve(sockets=[listener]))
        await told_to_stop.wait()
        server.drain()
        await asyncio.sleep(LISTENING_SECONDS)
        http.should_exit = True


@asynccontextmanager
async def _running(
    who: str, running: AbstractAsyncContextManager[Part], settings: Settings
) -> AsyncIterator[tuple[Part, asyncio.Event]]:
    """Something whose start and end are in the log, and what is set when SIGTERM or SIGINT tells it to stop."""
    told_to_stop, told_at = asyncio.Event(), 0.0

    def stop(number: signal.Signals) -> None:
        nonlocal told_at
        if not told_to_stop.is_set():
            log.info("stopping", signal=number.name)
            told_at = time.monotonic()
            told_to_stop.set()

    async with running as part:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        database = "postgresql" if is_for_many(settings) else "sqlite"
        log.info("started", version=version("openbulk"), who=who, name=part.name, database=database)
        yield part, told_to_stop
    log.info("stopped", seconds=round(time.monotonic() - told_at, 1))


class _Http(uvicorn.Server):
    """Uvicorn, except that it leaves signals to us, and ends only when requests that it broke off have ended, too."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Its own way is to raise a signal again when it listens no more: before the engine has drained."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, wait for requests, and break off those that take too long."""
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
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _greet(address: tuple[Any, ...], secrets: FirstSecrets | None) -> None:
    """Say where the server is, and at the first start, once, the secrets that were made."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    lines = []
    if secrets is not None and (secrets.user or secrets.organization):
        lines.append("First start. These secrets are shown this once; keep them:")
        lines += [f"  User secret          {secrets.user}"] if secrets.user else []
        lines += [f"  Organization secret  {secrets.organization}"] if secrets.organization else []
    lines.append(f"openbulk listens on http://{host}:{address[1]}")
    print("\n".join(lines), flush=True)


def _write_logs(form: str) -> None:
    """One line an event, with fields, on standard error; the libraries' own warnings in the same form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            # The default prints the values of local variables, and among those are secrets and records.
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    last = [structlog.processors.format_exc_info] if form == "json" else []
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
                *last,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("openbulk").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg not in _SAID_OTHERWISE)
