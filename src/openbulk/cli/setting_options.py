"""Settings from the command line and the environment."""

from pathlib import Path
from typing import TYPE_CHECKING

from openbulk.domain.errors import CannotStart

if TYPE_CHECKING:
    from pydantic import ValidationError

    from openbulk.settings import Settings


def load_settings(**given: str | int | Path | None) -> "Settings":
    """Settings from the command line; those not given there come from the environment.

    Raises CannotStart.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from openbulk.settings import Settings  # noqa: PLC0415

    known = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**known)  # type: ignore[arg-type]
    except ValidationError as error:
        raise CannotStart(_settings_problem(error)) from error


def _settings_problem(error: "ValidationError") -> str:
    """The first problem of the settings. It shows no value that may be a secret."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    variable = f"OPENBULK_{name.upper()}"
    if name in _RIGHT_VALUES:
        return f"{variable} is {str(first['input'])!r}; it must be {_RIGHT_VALUES[name]}"
    return f"{variable}: {first['msg']}"


_RIGHT_VALUES = {
    "port": "a number from 0 to 65535",
    "allowed_networks": "networks and addresses with commas between them: 10.1.0.0/16,127.0.0.1",
    "allow_private_addresses": "true or false",
    "compatibility": "seed or live",
    "completed_status": "COMPLETE or COMPLETED",
    "max_upload_bytes": "a whole number above 0",
    "max_jobs": "a whole number above 0",
    "max_kept_bytes": "a whole number above 0",
    "max_calls_per_minute": "a whole number above 0",
    "keep_files_days": "a number above 0",
    "keep_jobs_days": "a number above 0",
    "keep_undo_days": "a number from 0",
    "keep_audit_days": "a number above 0",
    "log_format": "text or json",
}
"""What a setting takes. The settings that are missing here take any text; some are secrets."""
