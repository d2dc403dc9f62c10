"""A file in numbered blocks, as a stream that can be read from anywhere."""

import io
import os
from collections.abc import Callable

BLOCK_BYTES = 1024 * 1024
"""Plain bytes in a block; the last one may have fewer."""
READ_BYTES = 256 * 1024


def open_blocks(block: Callable[[int], bytes], size: int) -> io.BufferedReader:
    """Open a file of `size` bytes. `block` returns the bytes of a block, and may block."""
    return io.BufferedReader(BlockFile(block, size), READ_BYTES)


class BlockFile(io.RawIOBase):
    """A seekable binary stream. It holds one block."""

    def __init__(self, block: Callable[[int], bytes], size: int) -> None:
        super().__init__()
        self._read_block = block
        self._size = size
        self._position = 0
        self._index = -1
        self._block = b""

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The offset of the next read, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset in the file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill the buffer as far as the current block goes."""
        if self._position >= self._size:
            return 0
        index, offset = divmod(self._position, BLOCK_BYTES)
        if index != self._index:
            self._block = self._read_block(index)
            self._index = index
        piece = self._block[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
