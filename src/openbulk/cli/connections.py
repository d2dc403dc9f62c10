"""The connections of callers: how many there are, and how long each may take.

An idle or slow connection costs a file and a few kilobytes, so their number and their time are
bounded. Uvicorn bounds neither, and asyncio logs a traceback for each connection without a file.
"""

import asyncio
import logging
import math
import resource
import time
from contextlib import suppress
from enum import Enum, auto
from typing import Any, cast

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

log = structlog.get_logger()

MAX_FILES = 65_536
"""openbulk opens no more files than this: the kernel holds memory for each."""
MAX_CONNECTIONS = 2_048
MAX_HEAD_BYTES = 32 * 1024
"""Of a head that has not arrived whole; api/http/middleware.py bounds those that have."""
RESERVED_FILES = 512
"""For databases, 200 connections to services, files and the connections that are being refused."""
ACCEPTED_AT_ONCE = 32
"""Connections that asyncio accepts before it serves the others; far less than what is reserved."""
HEAD_SECONDS = 15.0
"""The head of a request has this long to arrive."""
WINDOW_SECONDS = 30.0
WINDOW_BYTES = 15_000
"""A body brings at least this much in each window: 500 bytes a second. A modem does."""
REST_SECONDS = 30.0
"""A caller that still sends when its answer is complete has this long to notice."""
TAKING_SECONDS = 300.0
"""A caller takes something of its answer in this time. It is long, because the kernel buffers up to
4 MB, and says only once a third of it was taken."""
MAX_REFUSED = 64
REFUSED_SECONDS = 1.0
"""A caller that is refused has this long to read why."""
LOG_SECONDS = 60.0
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"content-type: application/json\r\nretry-after: 5\r\nconnection: close\r\n\r\n"
    b'{"message": "openbulk has as many connections as it can take; '
    b'send the request again shortly"}\n'
)


def raise_file_limit() -> int:
    """Raise the limit of open files to the system's, as far as useful. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MAX_FILES if soft == resource.RLIM_INFINITY else soft


def connections_for(files: int) -> int:
    """How many connections a process with this many files takes."""
    return min(MAX_CONNECTIONS, max(files - RESERVED_FILES, files // 2))


class Phase(Enum):
    """Whom a connection waits for, and for what."""

    HEAD = auto()
    """The caller: the head of a request."""
    REST = auto()
    """The caller: the rest of a request that has its answer."""
    TAKING = auto()
    """The caller, who takes its answer slowly."""
    OPEN_BODY = auto()
    """The caller, who is not known yet: the body of a request."""
    BODY = auto()
    """The caller, who is known: the body of a request."""
    SERVER = auto()
    """The server."""


_GIVES_WAY = (Phase.HEAD, Phase.REST, Phase.OPEN_BODY, Phase.TAKING)
"""The phases in which a connection is closed for a new one, in this order. Of the others, a caller
has half at most (api/http/under_way.py)."""


class Connections(ServerState):
    """All connections of a server."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.in_phase: dict[Phase, dict[BoundedConnection, None]] = {phase: {} for phase in Phase}
        """The connections in each phase, the longest first."""
        self.refused: set[BoundedConnection] = set()
        """Those that have their answer 503, and are about to be closed."""
        self._turned_away = 0
        self._logged_at = -LOG_SECONDS

    def make_room(self) -> bool:
        """Close the connection that gives way first. False if none does."""
        self._note_turned_away()
        for phase in _GIVES_WAY:
            for connection in tuple(self.in_phase[phase]):
                if connection.ends_in(phase):
                    return True
        return False

    def end_overdue(self, now: float) -> None:
        """End the connections that take too long. Call it about once a second."""
        for connection in [one for ones in self.in_phase.values() for one in ones]:
            connection.end_if_overdue(now)

    def _note_turned_away(self) -> None:
        self._turned_away += 1
        if time.monotonic() - self._logged_at >= LOG_SECONDS:
            log.warning("connections turned away", count=self._turned_away, limit=self.limit)
            self._turned_away, self._logged_at = 0, time.monotonic()


class _PatientTransport:
    """A transport that is closed once the rest of the present request has arrived, too.

    To close while bytes arrive resets the connection, and the caller may lose its answer (RFC 9112,
    section 9.6).
    """

    def __init__(self, transport: Any, connection: "BoundedConnection") -> None:
        self._transport = transport
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close it now, or when the rest is here."""
        if not self._connection.discard_rest():
            self._transport.close()


class BoundedConnection(H11Protocol):
    """Uvicorn's connection, within bounds of time."""

    server_state: Connections

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._phase = Phase.SERVER
        self._since = 0.0
        """When the phase began; in a body, its window; while the caller takes, its last bytes."""
        self._received = 0
        """Bytes of the body in the present window."""
        self._untaken = 0
        """Bytes of the answer that the caller has not taken."""
        self._discards_rest = False

    def connection_made(self, transport: Any) -> None:
        """Serve a connection, or refuse it if there are too many."""
        state = self.server_state
        if len(state.connections) >= state.limit and not state.make_room():
            self.transport = transport
            self._refuse()
            return
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _PatientTransport(transport, self))
        self._enter(Phase.HEAD)

    def _refuse(self) -> None:
        """Answer 503, and close."""
        refused = self.server_state.refused
        self.transport.write(_FULL)
        if len(refused) < MAX_REFUSED:
            # To close while its request arrives would reset the connection, and lose the answer.
            refused.add(self)
            self.transport.write_eof()
            self.loop.call_later(REFUSED_SECONDS, self.transport.abort)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.server_state.refused.discard(self)
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, unless the connection was refused."""
        if self.transport.is_closing() or self.flow is None:
            return
        self._received += len(data)
        if self.timeout_keep_alive_task is not None and self._phase is Phase.HEAD:
            self._enter(Phase.HEAD)  # another request begins
        if self._discards_rest:
            self._unset_keepalive_if_required()
            self._discard(data)
        else:
            super().data_received(data)
        self._note_phase()

    def discard_rest(self) -> bool:
        """Say that nothing more is sent, and read the rest of the request before the connection is
        closed. False if there is no rest, or if the caller already knows."""
        has_rest = self.conn.their_state is h11.SEND_BODY
        if self._discards_rest or not has_rest or self.conn.they_are_waiting_for_100_continue:
            return False
        self._discards_rest = True
        self.transport.write_eof()
        return True

    def _discard(self, data: bytes) -> None:
        with suppress(h11.RemoteProtocolError):
            self.conn.receive_data(data)
            while type(self.conn.next_event()) is h11.Data:
                pass
        if self.conn.their_state is not h11.SEND_BODY:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        super().on_response_complete()
        self._note_phase()

    def pause_writing(self) -> None:
        """The caller takes its answer more slowly than it comes."""
        super().pause_writing()
        self._note_phase()

    def resume_writing(self) -> None:
        """The caller has taken most of what was buffered."""
        super().resume_writing()
        self._note_phase()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP, unless another answer has begun."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def end_if_overdue(self, now: float) -> None:
        """End the connection if its caller takes too long."""
        self._note_phase()
        if self._phase is Phase.TAKING:
            self._note_taken(now)
        if now - self._since < _SECONDS[self._phase]:
            return
        if self._phase in _BODIES and self._received >= WINDOW_BYTES:
            self._since, self._received = now, 0
        else:
            self.end()

    def ends_in(self, phase: Phase) -> bool:
        """Close the connection if it is still in a phase. False if it is not."""
        self._note_phase()
        if self._phase is not phase:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Close the connection at once, whatever is buffered."""
        self._leave()
        self.server_state.connections.discard(self)
        self.transport.abort()

    def _note_taken(self, now: float) -> None:
        untaken = self.transport.get_write_buffer_size()
        if untaken < self._untaken:
            self._since = now
        self._untaken = untaken

    def _note_phase(self) -> None:
        phase = self._present_phase()
        if phase is not self._phase:
            self._enter(phase)

    def _enter(self, phase: Phase) -> None:
        self._leave()
        self._phase, self._since, self._received = phase, time.monotonic(), 0
        self._untaken = self.transport.get_write_buffer_size()
        if self in self.server_state.connections:
            self.server_state.in_phase[phase][self] = None

    def _leave(self) -> None:
        self.server_state.in_phase[self._phase].pop(self, None)

    def _present_phase(self) -> Phase:
        if self.transport.is_closing() or self.flow.write_paused:
            return Phase.TAKING
        if self.conn.their_state is h11.IDLE:
            return Phase.HEAD
        if self.conn.their_state is not h11.SEND_BODY or self._is_held_back:
            return Phase.SERVER
        if self.cycle.response_complete:
            return Phase.REST
        return Phase.BODY if "caller" in self.scope["state"] else Phase.OPEN_BODY

    @property
    def _is_held_back(self) -> bool:
        """Whether the caller waits with its body for the server."""
        return self.flow.read_paused or self.conn.they_are_waiting_for_100_continue


_BODIES = (Phase.OPEN_BODY, Phase.BODY)
_SECONDS = {
    Phase.HEAD: HEAD_SECONDS,
    Phase.REST: REST_SECONDS,
    Phase.TAKING: TAKING_SECONDS,
    Phase.OPEN_BODY: WINDOW_SECONDS,
    Phase.BODY: WINDOW_SECONDS,
    Phase.SERVER: math.inf,
}


class OnceAMinute(logging.Filter):
    """Lets each message of a library through once a minute: callers decide how often it occurs."""

    def __init__(self, *beginnings: str) -> None:
        super().__init__()
        self._beginnings = beginnings
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        message = record.getMessage()
        known = next((text for text in self._beginnings if message.startswith(text)), None)
        if known is None:
            return True
        now = time.monotonic()
        if now - self._logged_at.get(known, -LOG_SECONDS) < LOG_SECONDS:
            return False
        self._logged_at[known] = now
        return True
