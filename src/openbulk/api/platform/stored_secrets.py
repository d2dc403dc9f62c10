"""Stored secrets stay with the host that they are for."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from openbulk.connectors.auth import REFRESH_TOKEN
from openbulk.connectors.base import Provider
from openbulk.domain.errors import BadInput


def require_secrets_again(
    provider: Provider, stored: Mapping[str, str], given: Mapping[str, str], *, has_code: bool
) -> None:
    """Raise BadInput if stored secrets would go to a host that they were not stored for.

    Whoever may change an instance need not know its secrets: a new host gets only those that come
    in the same request. `has_code`: the request has a code, which is exchanged for a new refresh
    token.
    """
    moved = [
        setting.name
        for setting in provider.settings
        if setting.receives_secrets
        and setting.name in given
        and _host_in(given[setting.name]) != _host_in(stored.get(setting.name, ""))
    ]
    renewed = {*given, REFRESH_TOKEN} if has_code else set(given)
    left = [
        setting.name
        for setting in provider.settings
        if setting.secret and stored.get(setting.name) and setting.name not in renewed
    ]
    if moved and left:
        raise BadInput(
            f"{' and '.join(moved)} would send the stored {' and '.join(left)} to another host; "
            f"send {'it' if len(left) == 1 else 'them'} again in the same request"
        )


def _host_in(address: str) -> tuple[str, ...]:
    """What a host or URL says about where it leads: the path and the query do not matter."""
    try:
        parts = urlsplit(address)
        return (parts.scheme, (parts.hostname or parts.path).casefold(), str(parts.port))
    except ValueError:  # a malformed URL, which is refused later
        return (address,)
