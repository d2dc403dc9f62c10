"""Addresses that a program listens on, and why it cannot."""

import errno

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - a name


def local_address(host: str, port: int) -> str:
    """The address of a server for a browser on its own machine."""
    host = _EVERY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listening_problem(host: str, port: int, error: OSError) -> str:
    """What the system's error means, and what would be right."""
    problem = f"cannot listen on {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{problem}: another program uses this port; "
            "stop it, or choose another port with --port"
        )
    return f"{problem}: {error.strerror}"
