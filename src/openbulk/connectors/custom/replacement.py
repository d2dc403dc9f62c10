"""Checks an export that replaces another: it must not send secrets of instances elsewhere."""

from openbulk.connectors.custom.description import Description
from openbulk.connectors.custom.templates import host_of


def problem_of_replacement(before: Description, after: Description) -> str | None:
    """Why an export cannot replace one that has instances; None if it can.

    The author of an export need not know the secrets of its instances. They stay with their hosts,
    and stay secret.
    """
    for key, entry in before.entries.items():
        now = after.entries.get(key)
        if entry.is_secret and now is not None and not now.is_secret:
            return f"{key} would not be secret any more"
        if entry.names_host and host_of(entry.default) != host_of(now.default if now else None):
            return f"{key} would send their secrets to another host"
    added = [
        key
        for key, entry in after.entries.items()
        if entry.names_host and entry.default and key not in before.entries
    ]
    if added:
        return f"{added[0]} would send their secrets to another host"
    return None
