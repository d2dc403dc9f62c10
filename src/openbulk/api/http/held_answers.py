"""Answers that take memory: piece by piece, and all of them within one budget.

A caller may take its answer slowly. So an answer holds one piece at a time, a caller takes a piece
in time, and the pieces that all callers have not taken yet share one budget.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing

import structlog
from fastapi.responses import StreamingResponse
from starlette.types import Send

from openbulk.byte_budget import ByteBudget

log = structlog.get_logger()

ANSWERS_BYTES = 32 * 1024 * 1024
PIECE_BYTES = 512 * 1024
"""A piece is made of as many records as have so many bytes, or of a larger one."""
MADE_AT_ONCE = 2
"""Pieces that are made at the same time. Each takes several times the bytes of its largest record,
and waits for its place in the budget."""
_SENT_BYTES = 64 * 1024
_FIRST_SECONDS = 60.0
_BYTES_PER_SECOND = 5_000
"""A piece is taken in this time. Others wait for its memory."""
_memory = ByteBudget(ANSWERS_BYTES)
_making = asyncio.Semaphore(MADE_AT_ONCE)

MakePiece = Callable[[], Awaitable[bytes]]


class HeldAnswer(StreamingResponse):
    """An answer of pieces, each of which is held until the caller has taken it."""

    def __init__(
        self, pieces: AsyncGenerator[bytes], first: bytes, headers: Mapping[str, str]
    ) -> None:
        """`pieces` comes from `held_pieces`; `first` was taken from it before."""
        super().__init__(pieces, headers=headers)
        self._pieces = pieces
        self._first = first

    async def stream_response(self, send: Send) -> None:
        """Send the pieces. If the caller is too slow, break the connection."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async with aclosing(self._pieces) as pieces:
            piece = self._first
            while piece:
                try:
                    async with asyncio.timeout(_FIRST_SECONDS + len(piece) / _BYTES_PER_SECOND):
                        await _send(send, piece)
                except TimeoutError:
                    log.warning("answer not taken in time", bytes=len(piece))
                    return
                self._first = b""
                piece = await anext(pieces, b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, piece: bytes) -> None:
    view = memoryview(piece)
    for begin in range(0, len(piece), _SENT_BYTES):
        body = bytes(view[begin : begin + _SENT_BYTES])
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def held_pieces(make: MakePiece) -> AsyncGenerator[bytes]:
    """The pieces that `make` makes until it makes an empty one. Each is held until the next."""
    while True:
        async with _making:
            piece = await make()
            # Not before it is made: nobody knows its size. So few are made at once.
            await _memory.take(len(piece))
        try:
            if not piece:
                return
            yield piece
        finally:
            _memory.give_back(len(piece))
