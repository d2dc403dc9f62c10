"""What is in the data directory of a server, for the server and for commands beside it."""

from pathlib import Path

LOCK_FILE = "lock"
"""A server with a SQLite ledger holds its lock as long as it runs."""
ADDRESS_FILE = "address"
"""Where the server listens, as long as it takes requests."""
FIRST_SECRETS_FILE = "first-secrets"
"""The secrets that the first start has made."""


def read_first_secrets(folder: Path) -> dict[str, str]:
    """The secrets that the first start has made, by their settings; none without their file."""
    try:
        lines = (folder / FIRST_SECRETS_FILE).read_text().splitlines()
    except (OSError, ValueError):
        return {}
    return {name: secret for name, _, secret in (line.partition("=") for line in lines)}
