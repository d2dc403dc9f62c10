"""What `openbulk serve`, `openbulk worker` and `openbulk rotate-key` do."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn

from openbulk.app import FirstSecrets, is_for_many, master_key_file, running_server, running_worker, seal_anew
from openbulk.security import rotate_master_key
from openbulk.settings import CannotStart, Settings

GRACEFUL_SECONDS = 4
"""Requests under way are waited for so long when the server stops; its turns end meanwhile."""
BACKLOG = 2048
"""Connections that wait while the server is busy; as uvicorn has it."""


def serve(settings: Settings) -> None:
    """Answer requests and work on jobs, until a signal says to stop. Raises CannotStart."""
    _write_logs(settings.log_format)
    asyncio.run(_serve(settings))


def work(settings: Settings) -> None:
    """Work on jobs, until a signal says to stop. Raises CannotStart."""
    if not is_for_many(settings):
        raise CannotStart("a worker shares its database with a server; set OPENBULK_DATABASE_URL to postgresql://...")
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
    return asyncio.run(seal_anew(settings))


async def _work(settings: Settings) -> None:
    stopped = asyncio.Event()
    async with running_worker(settings):
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        print("openbulk works", flush=True)
        await stopped.wait()


async def _serve(settings: Settings) -> None:
    listener = _listen(settings.host, settings.port)
    async with running_server(settings) as server:
        listener.listen(BACKLOG)
        _greet(listener.getsockname(), server.first_secrets)
        config = uvicorn.Config(
            server.api, log_config=None, access_log=False, timeout_graceful_shutdown=GRACEFUL_SECONDS
        )
        await _Listening(config, server.drain).serve(sockets=[listener])


class _Listening(uvicorn.Server):
    """Uvicorn, except that a signal only ends the listening.

    Its own way is to raise the signal again when it has stopped to listen, and that would end the process before
    the engine has drained.
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    def _stop(self, number: int) -> None:
        self._drain()
        self.handle_exit(number, None)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop to listen and to work on SIGTERM and SIGINT; at the second one, without waiting for requests."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        yield


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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("openbulk").setLevel(logging.INFO)
