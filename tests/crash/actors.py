"""The processes of a run: each can be killed, frozen, and started again at its address."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from crash.programs import EndedAtStart, Program
from crash.scenario import Blow
from support.log_events import SLICE_FAILED

STOP_SECONDS = 20.0
START_SECONDS = 20.0
AGAIN_SECONDS = 0.5
_MOUNT = ("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs")


class Actor:
    """A program that is started again."""

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
        """What went wrong without a blow."""

    async def start(self) -> None:
        """Start it, and wait until it is ready.

        Its database may be down: then it ends, and is started again, as by a machine's supervisor.
        """
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
        """Take a blow, and recover. A program that has ended for good takes none."""
        async with self._one_at_a_time:
            self.note_end()
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

    def note_end(self) -> None:
        """Note it as wrong if the program has ended by itself."""
        if self._program is not None and self._program.exit_code is not None:
            self._note_exit("ended")
            self._program = None

    def failed_slices(self) -> list[str]:
        """The lines of its logs about failed slices.

        There are none: a slice waits for whatever is down, and spends no attempt on it.
        """
        logs = "".join(log.read_text() for log in sorted(self._folder.glob("*.log")))
        return [f"{self.name}: {line}" for line in logs.splitlines() if SLICE_FAILED in line]

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
            self._program.send(signal.SIGUSR1)  # writes the stacks of all threads to the log
            self._program.wait(1.0)
            self.wrong.append(f"{self.name} did not stop within {STOP_SECONDS:g} s of SIGTERM")
            self._kill()
        elif self._program.exit_code != 0:
            self._note_exit("stopped")

    def _note_exit(self, how: str) -> None:
        assert self._program is not None
        code, log = self._program.exit_code, self._program.log()
        self.wrong.append(f"{self.name} {how} with {code}:\n{log[-2000:]}")


class Disk:
    """A small file system for openbulk's files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        subprocess.run([*_MOUNT, folder], check=True, capture_output=True)

    async def take(self, blow: Blow) -> None:
        """Be full for a time."""
        ballast = self.folder / "ballast"
        await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(blow.seconds)
        ballast.unlink()

    def end(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", self.folder], check=True)

    @staticmethod
    @cache
    def is_possible() -> bool:
        """Whether it can be mounted. Only root can, and not in every container."""
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
