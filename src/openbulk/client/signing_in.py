"""Signs in to a server, and keeps its key."""

import getpass
import sys

from openbulk.client.api import Credentials, connect
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.output import is_interactive, notes, plain, print_list
from openbulk.client.profiles import Profile, list_profiles, save_profile
from openbulk.client.sessions import environment_credentials
from openbulk.security import KEY_BEGINNING


def sign_in(url: str, name: str) -> None:
    """Ask for a key, try it, and keep it. Raises CommandFailed if the server does not take it."""
    api = connect(url, environment_credentials() or _ask_for_key())
    user = api.get("/organizations/users/me")
    where = save_profile(Profile(name, api.url, api.credentials))
    notes().print(
        f"Signed in to {plain(api.url)} as {plain(user.get('email'))}; the key is in {plain(where)}"
    )


def _ask_for_key() -> Credentials:
    """The key that a person types, or that standard input has."""
    if is_interactive():
        notes().print("Make a key in the console (My account, Your keys), and paste it here.")
        key = getpass.getpass("API key: ").strip()
    else:
        key = sys.stdin.readline().strip()
    if not key.startswith(KEY_BEGINNING):
        raise CommandFailed(
            f"this is no API key: a key begins with {KEY_BEGINNING}", ExitCode.SIGN_IN
        )
    return Credentials(key=key)


def print_profiles(*, as_json: bool) -> None:
    """Print the profiles, without their keys."""
    print_list(
        list_profiles(),
        ("", "name", "server"),
        lambda one: ("*" if one["current"] else "", one["name"], one["url"]),
        "You are signed in to no server; commands use the one on this machine.",
        as_json=as_json,
    )
