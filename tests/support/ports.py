"""Ports for programs that are started again, or that cannot choose one themselves."""

import os
import random
import re
import socket
from contextlib import suppress

_FIRST, _LAST = 15_000, 32_000
"""Below the range from which Linux takes the ports of outgoing connections (32768 to 60999)."""
_WORKERS = 8
_taken: set[int] = set()


def free_port() -> int:
    """A port for one program alone, which stays free while the program is down.

    Processes of one run (pytest-xdist) choose from ranges of their own.
    """
    number = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % _WORKERS
    size = (_LAST - _FIRST) // _WORKERS
    while True:
        port = _FIRST + number * size + random.randrange(size)
        if port in _taken:
            continue
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _taken.add(port)
            return port
