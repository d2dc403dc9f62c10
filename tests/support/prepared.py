"""What the fork server prepares, and what its forks run.

It imports openbulk and makes the API, whose routes take FastAPI a third of a second. A server that
is forked gives the API its own services. The processes that read its files are forked, too: a new
interpreter for each would cost a fifth of a second.
"""

import asyncio
import faulthandler
import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import cast

from fastapi import FastAPI

from openbulk import app, cli
from openbulk.api import make_api, prepare_routes
from openbulk.api.http.under_way import RequestsUnderWay
from openbulk.api.services import Services
from openbulk.cli import server
from openbulk.reading import process, reader

_forks = multiprocessing.get_context("forkserver")
_OWNER_ALONE = 0o077
_api = make_api(cast(Services, None), RequestsUnderWay())
asyncio.run(prepare_routes(_api))
_preloaded = (server,)
# A collection of garbage in a fork would copy every page of what is prepared.
gc.freeze()


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], output: Path, errors: Path
) -> None:
    """Run a command of openbulk in this process, with this environment and no other."""
    for number, path in ((1, output), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    faulthandler.register(signal.SIGUSR1)
    _become(environment)
    sys.argv = ["openbulk", *arguments]
    app.make_api = _prepared_api  # type: ignore[attr-defined]
    reader.start_process = _Reader  # type: ignore[assignment]
    # This process asks its own fork server, and does not start another one.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    cli.main()


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None


def _prepared_api(services: Services, under_way: RequestsUnderWay) -> FastAPI:
    _api.state.services = services
    _api.state.under_way = under_way
    return _api


class _Reader:
    """A process that reads files, with the methods of `subprocess.Popen` that a server calls.

    It has what one started afresh has: limits that it sets itself, its socket and no other file,
    and nothing of the server that it reads for, which is not its parent.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._process = _forks.Process(
            target=_read, args=(connection, reader.environment()), daemon=True
        )
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def _read(connection: socket.socket, environment: Mapping[str, str]) -> None:
    os.setsid()
    os.chdir("/")
    os.umask(_OWNER_ALONE)
    os.dup2(connection.detach(), 0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    _become(environment)
    process.main()
    os._exit(0)
