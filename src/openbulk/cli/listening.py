"""Why a program cannot listen on an address."""

import errno


def listening_problem(host: str, port: int, error: OSError) -> str:
    """What the system's error means, and what would be right."""
    problem = f"cannot listen on {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{problem}: another program uses this port; "
            "stop it, or choose another port with --port"
        )
    return f"{problem}: {error.strerror}"
