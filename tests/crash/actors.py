"""The processes of a run: each can be killed, frozen, woken and started again at the same address."""

import asyncio
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from crash.programs import EndedAtStart, Program
from crash.scenario import Blow

STOP_SECONDS = 20.0
START_SECONDS = 20.0
AGAIN_SECONDS = 0.5
_MOUNT = ("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs")
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody else is given, outside the range from which the kernel takes those of outgoing connections: it
    stays free while its program is down."""
    while True:
        port = random.randint(15_000, 32_000)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


class Actor:
    """A program that comes back."""

    def __init__(
        self, name: str, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        folder.mkdir(parents=True)
        self.name = name
        self._folder = folder
        self._arguments = arguments
        self._environment = environment
        self._starts = 0
        self._program: Program | None = None
        self._one_at_a_time = asyncio.Lock()
        self.wrong: list[str] = []
        """What it did that nobody made it do."""

    async def start(self) -> None:
        """Start it, and wait until it says that it is ready. Where that fails, what it needs may be down: it is started
        again, as the supervisor of a machine does."""
        until = time.monotonic() + START_SECONDS
        while True:
            self._starts += 1
            output = self._folder / f"{self._starts}.log"
            try:
                self._program = await asyncio.to_thread(
                    Program, self._arguments, self._environment, output
                )
                return
            except EndedAtStart as ended:
                if time.monotonic() > until:
                    self.wrong.append(str(ended))
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    async def take(self, blow: Blow) -> None:
        """Suffer a blow, and recover from it; nothing happens where it is gone."""
        async with self._one_at_a_time:
            self.look()
            if self._program is None:
                return
            if blow.kind == "freeze":
                self._program.send(signal.SIGSTOP)
                await asyncio.sleep(blow.seconds)
                self._program.send(signal.SIGCONT)
                return
            await asyncio.to_thread(self._stop if blow.kind == "stop" else self._kill)
            self._program = None
            if not blow.for_good:
                await asyncio.sleep(blow.seconds)
                await self.start()

    def look(self) -> None:
        """Notice where it has ended by itself."""
        if self._program is not None and self._program.exit_code is not None:
            self.wrong.append(
                f"{self.name} ended with {self._program.exit_code}:\n{self._program.log()[-2000:]}"
            )
            self._program = None

    def failed_turns(self) -> list[str]:
        """What its logs say of turns that failed: whatever is down is waited for, and costs no attempt."""
        lines = [
            line
            for log in sorted(self._folder.glob("*.log"))
            for line in log.read_text().splitlines()
        ]
        return [f"{self.name}: {line}" for line in lines if "slice failed" in line]

    def end(self) -> None:
        """End it for good."""
        if self._program is not None and self._program.exit_code is None:
            self._kill()

    def _kill(self) -> None:
        assert self._program is not None
        self._program.send(signal.SIGKILL)
        assert self._program.wait(10)

    def _stop(self) -> None:
        """SIGTERM, as an operator does."""
        assert self._program is not None
        self._program.send(signal.SIGTERM)
        if not self._program.wait(STOP_SECONDS):
            self._program.send(signal.SIGUSR1)  # its log says what it is at
            self._program.wait(1.0)
            self.wrong.append(f"{self.name} did not stop within {STOP_SECONDS:g} s of SIGTERM")
            self._kill()
        elif self._program.exit_code != 0:
            self.wrong.append(
                f"{self.name} stopped with {self._program.exit_code}:\n{self._program.log()[-2000:]}"
            )


class Disk:
    """A small file system of its own for openbulk's files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        subprocess.run([*_MOUNT, folder], check=True, capture_output=True)

    async def take(self, blow: Blow) -> None:
        """Have no space left for a time."""
        ballast = self.folder / "ballast"
        await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(blow.seconds)
        ballast.unlink()

    def end(self) -> None:
        """Give it back."""
        subprocess.run(["umount", "-l", self.folder], check=True)

    @staticmethod
    @cache
    def is_possible() -> bool:
        """Whether it can be mounted: by root, and not in every container."""
        with TemporaryDirectory() as folder:
            try:
                Disk(Path(folder, "disk")).end()
            except (FileNotFoundError, subprocess.CalledProcessError):
                return False
        return True


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
