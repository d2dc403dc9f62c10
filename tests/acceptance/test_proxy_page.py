"""The configurations of docs/how-to/behind-a-proxy.md, in real nginx and Caddy."""

import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acceptance.pages import ROOT, blocks_of
from support.harness import BASE_PATH, Processes, Server, multipart
from support.ports import free_port

BLOCKS = {
    block.language: block.text
    for block in blocks_of(ROOT / "docs" / "how-to" / "behind-a-proxy.md")
}
ROWS = 20_000
FILE = b"name,text\n" + b"".join(b"name %d,%s\n" % (number, b"x" * 200) for number in range(ROWS))
"""More than nginx takes by default, and more than it keeps in memory."""


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A proxy in the foreground, until it is no longer needed."""
    log = folder / "proxy.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=folder) as proxy,
    ):
        try:
            deadline = time.monotonic() + 120
            while True:
                assert proxy.poll() is None and time.monotonic() < deadline, log.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except OSError:
                    time.sleep(0.05)
                else:
                    break
            yield
        finally:
            proxy.terminate()
            proxy.wait(120)


def call(
    method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    """One request over TLS, to the test's own certificate: status and body."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})
    )
    try:
        with opener.open(
            urllib.request.Request(url, body, headers or {}, method=method), timeout=60
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def promises(server: Server, url: str) -> None:
    """Large uploads and downloads, slashes, and no operator endpoints for the internet."""
    body, content_type = multipart(FILE, {})
    headers = {"Authorization": server.authorization, "Content-Type": content_type}
    status, answer = call("POST", f"{url}{BASE_PATH}/bulk/records", headers, body)
    assert status == 200, answer
    assert server.finished("1")["recordsCount"] == ROWS
    assert server.call("POST", "/bulk/query?q=select+*+from+records").status == 200
    server.finished("2")
    status, result = call(
        "GET", f"{url}{BASE_PATH}/bulk/2/records", {"Authorization": server.authorization}
    )
    assert (status, result.count(b"\n")) == (200, ROWS + 1)
    # A path with a slash too many means the one without.
    headers = {"Authorization": server.authorization, "Content-Type": "application/json"}
    status, answer = call(
        "POST", f"{url}{BASE_PATH}/instances/", headers, b'{"element": {"key": "memory"}}'
    )
    assert status == 200, answer
    for path in ("/metrics", "/healthz", "/readyz"):
        assert call("GET", url + path)[0] == 404


@pytest.fixture
def server(processes: Processes) -> Server:
    return processes.server().instance("memory", {"keep": "true"})


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_nginx(server: Server, tmp_path: Path) -> None:
    port = free_port()
    certificate = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            *certificate,
        ],
        check=True,
        capture_output=True,
    )
    site = (
        BLOCKS["nginx"]
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("/etc/ssl/openbulk.crt", str(tmp_path / "certificate.pem"))
        .replace("/etc/ssl/openbulk.key", str(tmp_path / "key.pem"))
        .replace("http://127.0.0.1:8080", server.process.url)
    )
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log warn;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    command = ["nginx", "-p", str(tmp_path), "-c", str(configuration)]
    with running(command, port, tmp_path):
        promises(server, f"https://127.0.0.1:{port}")
    assert "buffered to a temporary file" not in (tmp_path / "error.log").read_text()


@pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed")
def test_caddy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    site = (
        BLOCKS["caddy"]
        .replace("openbulk.example.com {", f"https://127.0.0.1:{port} {{\n    tls internal")
        .replace("127.0.0.1:8080", server.process.url.removeprefix("http://"))
    )
    configuration = tmp_path / "Caddyfile"
    configuration.write_text(
        "{\n    admin off\n    auto_https disable_redirects\n    skip_install_trust\n}\n" + site
    )
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with running(command, port, tmp_path):
        promises(server, f"https://127.0.0.1:{port}")
