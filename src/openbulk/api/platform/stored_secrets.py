"""Stored secrets stay with the host that they are for."""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlsplit

from openbulk.connectors.base import Setting
from openbulk.domain.errors import BadInput


def require_secrets_again(
    settings: Sequence[Setting],
    stored: Mapping[str, str],
    given: Mapping[str, str],
    renewed: Collection[str] = (),
) -> None:
    """Raise BadInput if stored secrets would go to a host that they were not stored for.

    A caller who may change an instance need not know its secrets: a new host gets only those that
    come in the same request. `renewed` are those that it exchanges for new ones.
    """
    moved = [
        setting.name
        for setting in settings
        if setting.receives_secrets
        and setting.name in given
        and _host_in(given[setting.name]) != _host_in(stored.get(setting.name, ""))
    ]
    kept = [
        setting.name
        for setting in settings
        if setting.secret and stored.get(setting.name) and setting.name not in {*given, *renewed}
    ]
    if moved and kept:
        raise BadInput(
            f"{' and '.join(moved)} would send the stored {' and '.join(kept)} to another host; "
            f"send {'it' if len(kept) == 1 else 'them'} again in the same request"
        )


def _host_in(address: str) -> tuple[str, ...]:
    """What a host or URL says about where it leads: the path and the query do not matter."""
    try:
        parts = urlsplit(address)
        return (parts.scheme, (parts.hostname or parts.path).casefold(), str(parts.port))
    except ValueError:  # a malformed URL, which is refused later
        return (address,)
