"""An OpenID provider that others wrote, as a process, and a person at it."""

import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.harness import request, until
from support.ports import free_port


@contextmanager
def oidc_provider(folder: Path, *people: Mapping[str, Any]) -> Iterator[str]:
    """Run a provider that knows these people by their claims. Yields its issuer."""
    port = free_port()
    users = [word for person in people for word in ("--user-claims", json.dumps(person))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *users]
    with (folder / "provider.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
    issuer = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(issuer), 120, "the provider answers")
        yield issuer
    finally:
        process.kill()
        process.wait(60)


def _answers(issuer: str) -> bool:
    try:
        return request("GET", f"{issuer}/.well-known/openid-configuration").status == 200
    except OSError:
        return False


def agree(address: str, subject: str) -> dict[str, str]:
    """Sign in at the provider as a person does. Returns the query of the address that follows."""
    body = urllib.parse.urlencode({"sub": subject}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = request("POST", address, body=body, headers=headers)
    assert reply.status in {302, 303}, reply.body
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(reply.headers["location"]).query))
