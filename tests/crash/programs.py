"""openbulk's programs, forked from a process that has imported them already.

Each program is a process with arguments and environment, as from a shell. Its imports cost two
seconds of a processor: the fork server spends them once, instead of at each of a thousand starts.
"""

import faulthandler
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.harness import START_SECONDS

_READY = re.compile("listens on http|openbulk works")
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["openbulk.cli", "openbulk.cli.server", "crash.programs"])


class EndedAtStart(Exception):
    """A program ended before it was ready."""


class Program:
    """A process that runs a command of openbulk."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> None:
        """Start it, and wait until it is ready."""
        self._output = output
        self._process = _forks.Process(
            target=_run, args=(list(arguments), dict(environment), output), daemon=True
        )
        self._process.start()
        deadline = time.monotonic() + START_SECONDS
        while not _READY.search(self.log()):
            if not self._process.is_alive():
                raise EndedAtStart(
                    f"{arguments} ended at its start with {self.exit_code}:\n{self.log()[-3000:]}"
                )
            assert time.monotonic() < deadline, f"{arguments} did not start:\n{self.log()}"
            time.sleep(0.02)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end. Returns whether it came in time."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def log(self) -> str:
        """Its output so far."""
        return self._output.read_text() if self._output.exists() else ""


def _run(arguments: list[str], environment: Mapping[str, str], output: Path) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.register(signal.SIGUSR1)
    for name in [name for name in os.environ if name.startswith("OPENBULK_")]:
        del os.environ[name]
    os.environ.update(environment)
    sys.argv = ["openbulk", *arguments]
    from openbulk.cli import main  # noqa: PLC0415 - the fork server has imported it

    main()
