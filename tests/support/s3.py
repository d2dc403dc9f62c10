"""An S3 server for the tests: that of moto, which keeps its objects in memory."""

import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from support.ports import free_port


@dataclass(frozen=True, slots=True)
class S3:
    """A running server."""

    endpoint: str

    def new_bucket(self) -> str:
        """Make a bucket. Returns its address, as OPENBULK_FILES_URL has it."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        made = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(made, timeout=60) as answer:
            assert answer.status == 200
        return f"s3://{name}/openbulk"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process finds the server; the tools of AWS use them, too."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "openbulk",
            "AWS_SECRET_ACCESS_KEY": "secret of tests",
            "AWS_REGION": "us-east-1",
        }


class Line:
    """A proxy before a server, which can be cut: open connections break, and new ones fail."""

    def __init__(self, endpoint: str) -> None:
        address = urlsplit(endpoint)
        self._server = (address.hostname or "", address.port or 0)
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._port = free_port()
        self.mend()

    @property
    def endpoint(self) -> str:
        """The address of the proxy."""
        return f"http://127.0.0.1:{self._port}"

    def mend(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Break all connections, and accept none."""
        assert self._listener is not None
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._server)
                self._open |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def running_s3() -> Iterator[S3]:
    """Start a server, and wait until it responds."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/moto-api/", server)
        yield S3(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(120)


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(3_000):
        assert server.poll() is None, "the S3 server did not start"
        try:
            urllib.request.urlopen(url, timeout=60).close()
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the S3 server did not answer within 300 s")
