"""What the server and a reading process send each other, over one socket.

A message is a kind, the length of its content, and the content. The server begins with REQUEST. The
process asks for the blocks of the file (WANTED, answered by BLOCK), sends packed rows (ROWS) while
it reads, and ends with DONE or FAILED. Contents are JSON and packed rows: neither side runs what
the other one sends.
"""

import os
import socket
import struct
from enum import IntEnum, StrEnum
from typing import Any

from openbulk.exact_json import decode_json, encode_json

HEAD = struct.Struct(">BI")
COUNT = struct.Struct(">I")
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""A part has at most one row of 8 MiB; the rest is what the columns show."""


class Kind(IntEnum):
    """What a message is."""

    REQUEST = 1
    BLOCK = 2
    WANTED = 3
    ROWS = 4
    DONE = 5
    FAILED = 6


class Task(StrEnum):
    """What a REQUEST wants."""

    INSPECT = "inspect"
    READ = "read"
    PROFILE = "profile"


class Reason(StrEnum):
    """Why reading FAILED."""

    INPUT = "input"
    """The file is wrong, and the message says how."""
    MEMORY = "memory"
    TIME = "time"
    STORAGE = "storage"
    """There is no room for temporary files."""
    UNEXPECTED = "unexpected"


def encode_rows(records: int, content: bytes) -> tuple[bytes, bytes]:
    """The content of ROWS, in pieces."""
    return COUNT.pack(records), content


def decode_rows(content: bytes | bytearray) -> tuple[int, bytes]:
    """The number of rows and the packed rows of ROWS."""
    (records,) = COUNT.unpack_from(content)
    return records, bytes(memoryview(content)[COUNT.size :])


class Channel:
    """The process's end of the socket. The process ends with the server's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.is_talking = False
        """Whether a message is half sent or received, so that nothing may interrupt it."""

    def request(self) -> Any:
        """Wait for the next request."""
        return decode_json(self._receive())

    def block(self, index: int) -> bytes:
        """Ask for a block of the file."""
        self.send(Kind.WANTED, COUNT.pack(index))
        return self._receive()

    def send_json(self, kind: Kind, value: Any) -> None:
        """Send a message whose content is JSON."""
        self.send(kind, encode_json(value))

    def send(self, kind: Kind, *pieces: bytes) -> None:
        """Send a message."""
        self.is_talking = True
        try:
            self._connection.sendall(HEAD.pack(kind, sum(map(len, pieces))))
            for piece in pieces:
                self._connection.sendall(piece)
        except OSError:
            os._exit(0)  # the server is gone, and nobody waits for this file
        self.is_talking = False

    def _receive(self) -> bytes:
        self.is_talking = True
        _, length = HEAD.unpack(self._receive_exactly(HEAD.size))
        content = self._receive_exactly(length)
        self.is_talking = False
        return content

    def _receive_exactly(self, length: int) -> bytes:
        content = bytearray(length)
        place = memoryview(content)
        while place:
            try:
                count = self._connection.recv_into(place)
            except OSError:
                count = 0
            if not count:
                os._exit(0)
            place = place[count:]
        return bytes(content)
