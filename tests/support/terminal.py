"""A person in a terminal: a command of openbulk with a pseudo-terminal of its own."""

import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 120.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@dataclass
class Command:
    """A command that runs in a pseudo-terminal."""

    pid: int
    screen: int
    text: str = ""
    """What it has printed, without control sequences."""
    _seen: int = 0
    _code: int | None = None

    def expect(self, text: str) -> None:
        """Wait until it prints a text, behind those that were expected before."""
        deadline = time.monotonic() + SECONDS
        while (found := self.text.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} was not printed; this was:\n{self.text}"
        self._seen = found + len(text)

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        os.write(self.screen, f"{line}\n".encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self.screen, b"\x03")

    def wait(self) -> int:
        """Wait for its end. Returns the exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            pass
        assert time.monotonic() < deadline, f"it did not end; this was:\n{self.text}"
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def end(self) -> None:
        """Kill it if it still runs."""
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.screen)

    def _read(self, deadline: float) -> bool:
        """Read what is printed next. False at its end, and when the time is over."""
        ready, _, _ = select.select([self.screen], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            piece = os.read(self.screen, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # Linux says so at the end
                return False
            raise
        self.text += _CONTROL.sub("", piece.decode(errors="replace"))
        return bool(piece)


@dataclass
class Terminal:
    """Runs commands with one home directory."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    started: list[Command] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """That of a new user, with the settings."""
        left_out = ("OPENBULK_", "XDG_", "PYTHONDONTWRITEBYTECODE", "NO_COLOR")
        own = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        return {**own, "HOME": str(self.home), "TERM": "xterm", "COLUMNS": "200", **self.settings}

    @property
    def data(self) -> Path:
        """The data directory of the server on this machine."""
        return self.home / ".local" / "share" / "openbulk"

    def start(self, *arguments: str) -> Command:
        """Start a command in a pseudo-terminal, in the home directory."""
        pid, screen = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execve(sys.executable, [*_PROGRAM, *arguments], self.environment)
        command = Command(pid, screen)
        self.started.append(command)
        return command

    def run(self, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command without a terminal, as a script does."""
        return subprocess.run(
            [*_PROGRAM, *arguments],
            cwd=self.home,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints with `--json`."""
        done = self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def file(self, name: str, text: str) -> None:
        """Write a file into the home directory."""
        (self.home / name).write_text(text)


_PROGRAM = [sys.executable, "-m", "openbulk"]


@contextmanager
def new_terminal(home: Path, **settings: str) -> Iterator[Terminal]:
    """A terminal with an empty home. Ends its commands, and the server that they left running."""
    home.mkdir(exist_ok=True)
    terminal = Terminal(home, settings)
    try:
        yield terminal
    finally:
        for command in terminal.started:
            command.end()
        with suppress(OSError, ValueError):
            number, _, _ = (terminal.data / "started-by-terminal").read_text().partition(" ")
            os.kill(int(number), signal.SIGKILL)
