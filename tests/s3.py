"""An S3 server of the tests' own: moto's, a process that speaks the protocol and forgets everything when it ends."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class S3:
    """A running server."""

    endpoint: str

    def new_bucket(self) -> str:
        """The address of an empty bucket, as OPENBULK_FILES_URL has it."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        made = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(made, timeout=10) as answer:
            assert answer.status == 200
        return f"s3://{name}/openbulk"

    @property
    def environment(self) -> dict[str, str]:
        """How a process finds it: the variables that the service's own tools use."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "openbulk",
            "AWS_SECRET_ACCESS_KEY": "secret of tests",
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def running_s3() -> Iterator[S3]:
    """Start a server, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
        server.wait(20)


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert server.poll() is None, "the S3 server did not start"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the S3 server did not answer within 30 s")
