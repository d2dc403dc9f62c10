"""A reading process: it reads files, one after another: `python -m openbulk.reading.process`.

Its standard input is the socket to the server (`messages`). It ends when the server's end closes.
"""

import errno
import os
import select
import signal
import socket
import sqlite3
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from openbulk.domain.errors import BadInput
from openbulk.formats import FORMATS
from openbulk.formats.base import read_batches
from openbulk.formats.packed import unpack
from openbulk.formats.recognition import INSPECTED_BYTES, inspect_rows, read_header
from openbulk.reading.limits import MemoryLimit, limited_time
from openbulk.reading.messages import Channel, Kind, Reason, Task, encode_rows
from openbulk.reading.packing import Packer, pack_row
from openbulk.reading.profile_task import Profile
from openbulk.storage.block_file import open_blocks

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(slots=True)
class _Reading:
    """One file that is read."""

    channel: Channel
    file: BinaryIO
    request: Mapping[str, Any]
    packer: Packer | Profile | None = None

    @property
    def row(self) -> int:
        """Number of the last row that was read."""
        return 0 if self.packer is None else self.packer.read

    def read(self) -> Any:
        """Send all rows of the file; return what its job has to know of them."""
        file_format = FORMATS[self.request["format"]]
        options, readable = self.request["options"], unpack(self.file)
        header = read_header(file_format, readable, options)
        readable.seek(0)
        rows = read_batches(file_format, readable, options)
        self.packer = Packer(rows, header.columns, header.delimiter)
        while part := self.packer.next_part():
            self.channel.send(Kind.ROWS, *encode_rows(part.records, part.content))
        return self.packer.summary().to_json()

    def inspect(self) -> Any:
        """Send the first rows of the file; return its format."""
        found = inspect_rows(
            self.file,
            self.request["format"],
            self.request["options"],
            self.request["count"],
            takes_events=self.request["takes_events"],
        )
        lines: list[bytes] = []
        size = 0
        for row in found.rows:
            lines.append(pack_row(row)[1])
            size += len(lines[-1])
            if size >= INSPECTED_BYTES:
                break
        self.channel.send(Kind.ROWS, *encode_rows(len(lines), b"\n".join(lines)))
        return {
            "format": found.format.name,
            "is_whole": found.is_whole and len(lines) == len(found.rows),
            "source": found.source,
            "header": found.header,
        }

    def profile(self) -> Any:
        """Send the rows of the file, or its first ones; return what they show."""
        profile = Profile(self.file, self.request)
        self.packer = profile
        while part := profile.next_part():
            self.channel.send(Kind.ROWS, *encode_rows(part.records, part.content))
        return profile.to_json()


_TASKS: Mapping[str, Callable[[_Reading], Any]] = {
    Task.READ: _Reading.read,
    Task.INSPECT: _Reading.inspect,
    Task.PROFILE: _Reading.profile,
}


def main() -> None:
    """Read files until the server closes the socket."""
    # A terminal and a service manager send these to the whole group; the server drains first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=os.dup(0))
    _end_with(connection)
    channel, memory = Channel(connection), MemoryLimit()
    while not memory.is_spent():
        _serve(channel, memory)


def _end_with(connection: socket.socket) -> None:
    """End this process when the server's end of the socket closes, whatever it is doing then."""

    def wait() -> None:
        poll = select.poll()
        poll.register(connection, 0)  # a hang-up alone
        poll.poll()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def _serve(channel: Channel, memory: MemoryLimit) -> None:
    """Read one file. What it does to this process alone goes no further."""
    request = channel.request()
    file = cast(BinaryIO, open_blocks(channel.block, request["size"]))
    reading = _Reading(channel, file, request)
    try:
        with limited_time(request["seconds"], channel):
            answer = _TASKS[request["task"]](reading)
    except BaseException as error:
        reason, message = _reason_of(error)
        failure = {"reason": reason, "message": message, "row": reading.row}
        channel.send_json(Kind.FAILED, {**failure, "is_last": memory.is_spent()})
    else:
        channel.send_json(Kind.DONE, {"answer": answer, "is_last": memory.is_spent()})


def _reason_of(error: BaseException) -> tuple[Reason, str]:
    """Why a file could not be read, and what else there is to say."""
    match error:
        case BadInput():
            return Reason.INPUT, error.message
        case MemoryError():
            return Reason.MEMORY, ""
        case TimeoutError():
            return Reason.TIME, ""
        case OSError() if error.errno in _FULL:
            return Reason.STORAGE, ""
        case sqlite3.OperationalError() if "disk is full" in str(error):
            return Reason.STORAGE, ""
    return Reason.UNEXPECTED, "".join(traceback.format_exception(error))


if __name__ == "__main__":
    main()
