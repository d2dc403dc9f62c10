"""A reading process, as the server sees it: started, given a file, and ended."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from openbulk.domain.errors import BadInput, DiskFull, ReaderUnavailable
from openbulk.reading.limits import MEMORY_BYTES
from openbulk.reading.messages import (
    COUNT,
    HEAD,
    MAX_MESSAGE_BYTES,
    Kind,
    Reason,
    decode_rows,
)
from openbulk.reading.packing import Packed
from openbulk.storage.files import FileStore

log = structlog.get_logger()

FIRST_SECONDS = 5.0
SECONDS_PER_MB = 20.0
"""Processor time for a file. A CSV takes about 1 second per MB, a packed file 10."""
SILENT_SECONDS = 120.0
"""A process that sends nothing for so long hangs: it waits for something else than a processor."""
PROGRAM = ("-m", "openbulk.reading.process")
LOWEST_PRIORITY = 19
_END_SECONDS = 5.0
_END_POLL_SECONDS = 0.005
_PASSED_ON = ("TMPDIR", "PYTHONHOME", "LD_LIBRARY_PATH")
"""Variables that Python itself may need. The settings, and the secrets in them, are not passed on.
"""
_REMEDY = "send it in several smaller files, or save it again with another program"


class _Ended(Exception):
    """The process has closed its end of the socket."""


class Reader:
    """A reading process: it reads one file at a time."""

    def __init__(self, *, in_background: bool = False) -> None:
        """Start the process. One in the background gives way to all others. Raises OSError."""
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._process = start_process(theirs)
        if in_background:
            _lower_priority(self._process.pid)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def send(self, kind: Kind, content: bytes) -> None:
        """Send a message. The process may have ended: then `receive` says so."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._socket, HEAD.pack(kind, len(content)))
            await loop.sock_sendall(self._socket, content)
        except (BrokenPipeError, ConnectionResetError):
            return

    async def receive(self) -> tuple[Kind, bytearray]:
        """The next message of the process. Raises _Ended, ValueError and TimeoutError."""
        async with asyncio.timeout(SILENT_SECONDS):
            kind, length = HEAD.unpack(await self._receive_exactly(HEAD.size))
            if length > MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {length} bytes")
            return Kind(kind), await self._receive_exactly(length)

    async def _receive_exactly(self, length: int) -> bytearray:
        content = bytearray(length)
        place = memoryview(content)
        while place:
            try:
                count = await asyncio.get_running_loop().sock_recv_into(self._socket, place)
            except ConnectionResetError:
                count = 0
            if not count:
                raise _Ended
            place = place[count:]
        return content

    async def wait_for_end(self) -> int:
        """The exit code of a process that has closed its end of the socket."""
        for _ in range(int(_END_SECONDS / _END_POLL_SECONDS)):
            if not self.is_alive:
                break
            await asyncio.sleep(_END_POLL_SECONDS)
        return await self.end()

    async def end(self) -> int:
        """End the process, whatever it does; return its exit code."""
        self._socket.close()
        self._process.kill()
        while (code := self._process.poll()) is None:  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(_END_POLL_SECONDS)
        return code


def _lower_priority(process: int) -> None:
    """Give a process the lowest priority, in its session and among sessions."""
    with suppress(OSError):  # it may have ended
        os.setpriority(os.PRIO_PROCESS, process, LOWEST_PRIORITY)
    # Linux may share the processor among sessions, and then asks their priority alone (sched(7),
    # "The autogroup feature").
    with suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text(str(LOWEST_PRIORITY))


def start_process(connection: socket.socket) -> "subprocess.Popen[bytes]":
    """Start a process that reads what comes over this socket. Raises OSError."""
    return subprocess.Popen(  # noqa: S603 - no word of it is a caller's
        [sys.executable, "-P", *PROGRAM],
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        cwd="/",
        start_new_session=True,
    )


def environment() -> dict[str, str]:
    """The environment of a process that reads: nothing secret is in it."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # The modules of this process, also where they are not installed.
    return {**passed_on, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the file store."""

    name: str
    size: int

    @property
    def seconds(self) -> float:
        """The processor time that reading it may take."""
        return FIRST_SECONDS + SECONDS_PER_MB * self.size / 2**20


class Reading:
    """The reading of one file by a process."""

    def __init__(self, files: FileStore, file: StoredFile, reader: Reader) -> None:
        self._files = files
        self._file = file
        self._reader = reader
        self._rows = 0
        self.answer: Any = None
        """What the process says at the end, behind the last rows."""
        self.is_clean = False
        """Whether the process can read another file."""

    async def begin(self, request: Mapping[str, Any]) -> None:
        """Ask the process to read the file."""
        details = {"size": self._file.size, "seconds": self._file.seconds}
        await self._reader.send(Kind.REQUEST, orjson.dumps({**request, **details}))

    async def next_rows(self) -> Packed | None:
        """The next rows; None after the last ones, when `answer` is known.

        Raises BadInput if the file cannot be read or takes too much, ReaderUnavailable if somebody
        killed the process, DiskFull, and what the file store raises.
        """
        kind, content = await self._next_message()
        if kind is Kind.ROWS:
            rows = Packed(*decode_rows(content))
            self._rows += rows.records
            return rows
        end = orjson.loads(content)
        if kind is Kind.DONE:
            self.answer = end["answer"]
            self.is_clean = not end["is_last"]
            return None
        self.is_clean = end["reason"] == Reason.INPUT and not end["is_last"]
        raise self._failure(Reason(end["reason"]), end["message"], end["row"])

    async def _next_message(self) -> tuple[Kind, bytearray]:
        """The next message, but for requests for blocks, which are answered."""
        try:
            while True:
                kind, content = await self._reader.receive()
                if kind is not Kind.WANTED:
                    return kind, content
                (index,) = COUNT.unpack(content)
                block = await self._files.block(self._file.name, index, self._file.size)
                await self._reader.send(Kind.BLOCK, block)
        except _Ended:
            raise self._failure_of_end(await self._reader.wait_for_end()) from None
        except TimeoutError:
            raise self._too_much(f"did nothing for {SILENT_SECONDS:.0f} s") from None
        except ValueError as error:
            log.exception("reading a file failed", file=self._file.name)
            raise self._unreadable() from error

    # --- what became of it, in sentences ---

    def _failure(self, reason: Reason, message: str, row: int) -> Exception:
        self._rows = max(self._rows, row)
        match reason:
            case Reason.INPUT:
                return BadInput(message)
            case Reason.MEMORY:
                return self._out_of_memory()
            case Reason.TIME:
                return self._out_of_time()
            case Reason.STORAGE:
                return DiskFull("temporary files")
            case Reason.UNEXPECTED:
                log.error("reading a file failed", file=self._file.name, traceback=message)
                return self._unreadable()

    def _failure_of_end(self, code: int) -> Exception:
        if code == -signal.SIGXCPU:
            return self._out_of_time()
        log.error("reading process died", file=self._file.name, exit_code=code)
        if code in (-signal.SIGKILL, -signal.SIGTERM, 0):
            return ReaderUnavailable(
                "the process that reads the file was killed, by a person or because the machine "
                f"has too little memory, {self._place}"
            )
        # Libraries in C and Rust end the process if they get no memory.
        return self._too_much(
            f"broke down, as it does if it needs more than {MEMORY_BYTES // 2**20} MB of memory"
        )

    def _out_of_memory(self) -> BadInput:
        return self._too_much(f"takes more than {MEMORY_BYTES // 2**20} MB of memory")

    def _out_of_time(self) -> BadInput:
        return self._too_much(
            f"takes more than {self._file.seconds:.1f} s of processor time, much more than other "
            "files of its size"
        )

    def _too_much(self, what: str) -> BadInput:
        return BadInput(f"the file cannot be read: reading it {what}, {self._place}; {_REMEDY}")

    def _unreadable(self) -> BadInput:
        return BadInput(
            f"the file cannot be read: openbulk failed on it, {self._place}, and the log of the "
            f"server says how; {_REMEDY}"
        )

    @property
    def _place(self) -> str:
        return f"after row {self._rows}" if self._rows else "before the end of its first row"
