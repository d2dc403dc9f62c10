"""Streams long answers piece by piece, within one byte budget.

A caller may take its answer slowly. So an answer holds one piece at a time, and each piece has to
be taken in time. The pieces that callers have not taken yet share one byte budget.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from traceback import clear_frames

import structlog
from fastapi.responses import StreamingResponse
from starlette.types import Send

from openbulk.byte_budget import ByteBudget
from openbulk.domain.errors import OpenbulkError

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
"""A piece is taken in this time."""
_GIVES_WAY_SECONDS = 15.0
_LOOK_SECONDS = 0.25
"""While a piece waits for memory, those that were not taken in this time give way one by one."""
_memory = ByteBudget(ANSWERS_BYTES)
_making = asyncio.Semaphore(MADE_AT_ONCE)
_sending: dict[asyncio.Timeout, float] = {}
"""When each piece that is being sent gives way to others, the longest first."""

MakePiece = Callable[[], Awaitable[bytes]]


def next_piece(written: Iterator[bytes]) -> bytes:
    """The next piece of a file that is written bit by bit; after the last one, nothing."""
    pieces: list[bytes] = []
    size = 0
    for piece in written:
        pieces.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            break
    return b"".join(pieces)


class StreamedAnswer(StreamingResponse):
    """An answer of pieces, each of which is held until the caller has taken it."""

    def __init__(
        self, pieces: AsyncGenerator[bytes], first: bytes, headers: Mapping[str, str]
    ) -> None:
        """`pieces` comes from `stream_pieces`; `first` was taken from it before."""
        super().__init__(pieces, headers=headers)
        self._pieces = pieces
        self._first = first

    async def stream_response(self, send: Send) -> None:
        """Send the pieces. Break the connection if the caller is too slow, or they end early."""
        try:
            await self._send_pieces(send)
        except TimeoutError as error:
            log.warning("answer not taken in time")
            clear_frames(error.__traceback__)
        except OpenbulkError as error:
            # Whoever takes it sees that it is cut: its last piece is missing.
            log.warning("answer cut off", reason=error.message)
            clear_frames(error.__traceback__)
        except BaseException as error:
            # Otherwise their frames keep what they hold until the garbage collector comes.
            clear_frames(error.__traceback__)
            raise

    async def _send_pieces(self, send: Send) -> None:
        """Raises TimeoutError."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with aclosing(self._pieces) as pieces:
            await send(start)
            piece, self._first = self._first, b""
            while piece:
                await _send_in_time(send, piece)
                piece = await anext(pieces, b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_in_time(send: Send, piece: bytes) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(_FIRST_SECONDS + len(piece) / _BYTES_PER_SECOND) as time_left:
        _sending[time_left] = asyncio.get_running_loop().time() + _GIVES_WAY_SECONDS
        try:
            await _send(send, piece)
        finally:
            _sending.pop(time_left, None)


async def _send(send: Send, piece: bytes) -> None:
    view = memoryview(piece)
    for begin in range(0, len(piece), _SENT_BYTES):
        body = bytes(view[begin : begin + _SENT_BYTES])
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def stream_pieces(make: MakePiece) -> AsyncGenerator[bytes]:
    """The pieces that `make` makes until it makes an empty one. Each is held until the next."""
    while True:
        await _making.acquire()
        making = asyncio.create_task(_make_held(make))
        try:
            piece = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_forget)
            raise
        try:
            if not piece:
                return
            yield piece
        finally:
            _memory.give_back(len(piece))


async def _make_held(make: MakePiece) -> bytes:
    """Make a piece, and take its memory. It is not cancelled: a thread works on to its end."""
    try:
        piece = await make()
        # Not before it is made: nobody knows its size. So few are made at once.
        taking = asyncio.create_task(_memory.take(len(piece)))
        while not (await asyncio.wait({taking}, timeout=_LOOK_SECONDS))[0]:
            _end_slowest()
        return piece
    finally:
        _making.release()


def _forget(making: asyncio.Task[bytes]) -> None:
    """Give back what was made for a caller who is gone."""
    if not making.cancelled() and making.exception() is None:
        _memory.give_back(len(making.result()))


def _end_slowest() -> None:
    """Break the answer whose caller has had most time for its piece, if that was long enough."""
    now = asyncio.get_running_loop().time()
    slowest, gives_way = next(iter(_sending.items()), (None, now))
    if slowest is not None and gives_way < now:
        del _sending[slowest]
        slowest.reschedule(now)
