"""Servers that a person has signed in to, and where the keys to them are.

`~/.config/openbulk/profiles.json` has the addresses. A key is in the keyring of the system if the
package `keyring` is installed and works, else in that file, which only its owner may read.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from openbulk.client.api import Credentials
from openbulk.client.exit_codes import CommandFailed
from openbulk.security import write_private

_KEYRING = "openbulk"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server, and what to show it."""

    name: str
    url: str
    credentials: Credentials


def profiles_file() -> Path:
    """Where the profiles are kept."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "openbulk" / "profiles.json"


def save_profile(profile: Profile) -> str:
    """Keep a profile, and use it from now on. Returns where its key is kept."""
    kept = _read()
    secret = json.dumps(asdict(profile.credentials))
    in_keyring = _keep_in_keyring(profile.name, secret)
    entry = {"url": profile.url, **({} if in_keyring else {"credentials": secret})}
    profiles = {**kept.get("profiles", {}), profile.name: entry}
    _write({"current": profile.name, "profiles": profiles})
    return "the keyring of the system" if in_keyring else str(profiles_file())


def forget_profile(name: str) -> None:
    """Delete a profile and its key. Raises CommandFailed if there is none."""
    kept = _read()
    profiles = dict(kept.get("profiles", {}))
    if profiles.pop(name, None) is None:
        raise CommandFailed(_no_such_profile(name, kept))
    keyring = _keyring()
    if keyring is not None:
        with suppress(Exception):  # it has no key of this profile
            keyring.delete_password(_KEYRING, name)
    current = kept.get("current")
    _write({"current": None if current == name else current, "profiles": profiles})


def find_profile(name: str | None) -> Profile | None:
    """A profile by its name; without one, the profile that is used now. None without any.

    Raises CommandFailed for a name that is not known.
    """
    kept = _read()
    chosen = name or kept.get("current")
    if chosen is None:
        return None
    entry = kept.get("profiles", {}).get(chosen)
    if entry is None:
        raise CommandFailed(_no_such_profile(chosen, kept))
    return Profile(chosen, entry["url"], _credentials(chosen, entry))


def profile_at(url: str) -> Profile | None:
    """The first profile of a server; None if there is none."""
    for name, entry in _read().get("profiles", {}).items():
        if entry["url"] == url.rstrip("/"):
            return Profile(name, entry["url"], _credentials(name, entry))
    return None


def list_profiles() -> list[dict[str, Any]]:
    """The profiles, without their keys."""
    kept = _read()
    return [
        {"name": name, "url": entry["url"], "current": name == kept.get("current")}
        for name, entry in kept.get("profiles", {}).items()
    ]


def _credentials(name: str, entry: dict[str, Any]) -> Credentials:
    secret = entry.get("credentials")
    keyring = _keyring()
    if secret is None and keyring is not None:
        with suppress(Exception):  # a keyring that is locked or gone
            secret = keyring.get_password(_KEYRING, name)
    if secret is None:
        raise CommandFailed(
            f"the key of the profile {name!r} is not in the keyring any more; "
            f"sign in again: openbulk login {entry['url']} --profile {name}"
        )
    return Credentials(**json.loads(secret))


def _keep_in_keyring(name: str, secret: str) -> bool:
    keyring = _keyring()
    if keyring is None:
        return False
    try:
        keyring.set_password(_KEYRING, name, secret)
        return bool(keyring.get_password(_KEYRING, name) == secret)
    except Exception:  # each keyring raises errors of its own
        return False


def _keyring() -> Any:
    try:
        return import_module("keyring")
    except ImportError:
        return None


def _no_such_profile(name: str, kept: dict[str, Any]) -> str:
    known = ", ".join(kept.get("profiles", {})) or "none"
    return f"there is no profile {name!r}; there are: {known}. openbulk login URL makes one"


def _read() -> dict[str, Any]:
    file = profiles_file()
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise CommandFailed(f"{file} cannot be read ({error}); mend it, or delete it") from error
    if not isinstance(content, dict):
        raise CommandFailed(f"{file} has no profiles in it; delete it, and sign in again")
    return content


def _write(content: dict[str, Any]) -> None:
    file = profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(file, json.dumps(content, indent=2))
