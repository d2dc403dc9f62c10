"""Stored secrets stay with the host that they are for."""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlsplit

from openbulk.connectors.base import ConfigurationEntry
from openbulk.domain.errors import BadInput


def require_secrets_again(
    entries: Sequence[ConfigurationEntry],
    stored: Mapping[str, str],
    given: Mapping[str, str],
    renewed: Collection[str] = (),
) -> None:
    """Raise BadInput if stored secrets would go to a host that they were not stored for.

    A caller who may change an instance need not know its secrets: a new host gets only those that
    come in the same request. `renewed` are those that it exchanges for new ones.
    """
    moved = [
        entry.name
        for entry in entries
        if entry.receives_secrets
        and entry.name in given
        and _host_in(given[entry.name]) != _host_in(stored.get(entry.name, ""))
    ]
    kept = [
        entry.name
        for entry in entries
        if entry.secret and stored.get(entry.name) and entry.name not in {*given, *renewed}
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
