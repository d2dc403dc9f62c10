"""A program of a run: started once it is ready."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.harness import START_SECONDS
from support.programs import Forked

_READY = re.compile("listens on http|openbulk works")


class EndedAtStart(Exception):
    """A program ended before it was ready."""


class Program:
    """A process that runs a command of openbulk."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> None:
        """Start it, and wait until it is ready."""
        self._output = output
        own = {
            name: value for name, value in os.environ.items() if not name.startswith("OPENBULK_")
        }
        self._process = Forked(arguments, {**own, **environment}, output)
        deadline = time.monotonic() + START_SECONDS
        while not _READY.search(self.log()):
            if self.exit_code is not None:
                raise EndedAtStart(
                    f"{arguments} ended at its start with {self.exit_code}:\n{self.log()[-3000:]}"
                )
            assert time.monotonic() < deadline, f"{arguments} did not start:\n{self.log()}"
            time.sleep(0.02)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end. Returns whether it came in time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log(self) -> str:
        """Its output so far."""
        return self._output.read_text() if self._output.exists() else ""
