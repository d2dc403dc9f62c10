"""`openbulk serve`: the server, in one process."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
import uvicorn

from openbulk.app import CannotStart, FirstSecrets, running_server
from openbulk.settings import Settings

BACKLOG = 2048
"""Connections that wait while the server is busy; as uvicorn has it."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any.", show_default="8080")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept.", show_default="./openbulk-data")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="The ledger's database.", show_default="a SQLite file in the data directory")
    ] = None,
) -> None:
    """Run the server. Every option is also an environment variable: OPENBULK_PORT, OPENBULK_DATA_DIR, ..."""
    given = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    _write_logs(settings.log_format)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    listener = _listen(settings.host, settings.port)
    async with running_server(settings) as server:
        listener.listen(BACKLOG)
        _greet(listener.getsockname(), server.first_secrets)
        config = uvicorn.Config(server.api, log_config=None, access_log=False, timeout_graceful_shutdown=5)
        await _Listening(config).serve(sockets=[listener])


class _Listening(uvicorn.Server):
    """Uvicorn, except that a signal only ends the listening.

    Its own way is to raise the signal again when it has stopped to listen, and that would end the process before
    the engine has drained.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop to listen on SIGTERM and SIGINT; at the second one, without waiting for requests."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
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
