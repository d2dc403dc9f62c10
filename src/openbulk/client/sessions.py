"""Which server a command speaks to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openbulk.client.api import Api, Credentials, connect
from openbulk.client.embedded import default_folder, embedded_server
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.profiles import find_profile, profile_at

SERVER_VARIABLE = "OPENBULK_SERVER"
KEY_VARIABLE = "OPENBULK_API_KEY"


@dataclass(frozen=True, slots=True)
class Place:
    """The server that the options of a command name; all None for that on this machine."""

    server: str | None = None
    profile: str | None = None
    data_dir: Path | None = None


@contextmanager
def open_api(place: Place) -> Iterator[Api]:
    """The API of the server that the options name.

    `--server`, `--data-dir` and `--profile` come first, in this order; then `OPENBULK_SERVER`, the
    profile that was signed in to last, and the server on this machine. Raises CommandFailed.
    """
    server = place.server
    if server is None and place.data_dir is None and place.profile is None:
        server = os.environ.get(SERVER_VARIABLE) or None
    if server is not None:
        yield connect(server, _credentials_for(server))
        return
    known = None if place.data_dir is not None else find_profile(place.profile)
    if known is not None:
        yield connect(known.url, known.credentials)
        return
    with embedded_server(place.data_dir or default_folder()) as api:
        yield api


def environment_credentials() -> Credentials | None:
    """The credentials in the environment; None without any."""
    key = os.environ.get(KEY_VARIABLE)
    if key:
        return Credentials(key=key)
    user = os.environ.get("OPENBULK_USER_SECRET")
    organization = os.environ.get("OPENBULK_ORGANIZATION_SECRET")
    if user and organization:
        return Credentials(user=user, organization=organization)
    return None


def _credentials_for(server: str) -> Credentials:
    found = environment_credentials()
    if found is not None:
        return found
    known = profile_at(server)
    if known is None:
        raise CommandFailed(
            f"you are not signed in to {server}; run openbulk login {server}, or set "
            f"{KEY_VARIABLE}",
            ExitCode.SIGN_IN,
        )
    return known.credentials
