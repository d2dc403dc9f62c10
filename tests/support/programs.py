"""openbulk's programs, forked from a process that has imported them already.

Each program is a process with arguments and environment, as from a shell. Its imports cost more
than a second of a processor: the fork server spends them once (`prepared`), instead of at each of
a thousand starts.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["support.programs", "support.prepared"])
# Starting a process looks after all others, too: an exit code is read once.
_one_at_a_time = threading.Lock()


class Forked:
    """A process that runs a command of openbulk, with the methods of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
    ) -> None:
        """Start it. It has this environment and no other.

        It writes to a file, and its errors to the same file unless there is another one for them.
        """
        self._process = _forks.Process(
            target=_run,
            args=(list(arguments), dict(environment), output, errors or output),
            daemon=True,
        )
        with _one_at_a_time:
            _start_fork_server()
            self._process.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code: None while it runs; negative where a signal ended it."""
        with _one_at_a_time:
            return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait for its end. Returns its exit code, or raises TimeoutExpired."""
        wait([self._process.sentinel], timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _start_fork_server() -> None:
    """Start it, unless it runs. It imports from where this process does."""
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if path is not None:
            os.environ["PYTHONPATH"] = path


def _run(*what: Any) -> None:
    from support.prepared import run_command  # noqa: PLC0415 - the fork server has imported it

    run_command(*what)
