"""Fields of a record from the Calendar API, which states them, leaves them out, or has null."""

from collections.abc import Mapping
from typing import Any


def field_of(record: Mapping[str, Any], name: str, default: Any) -> Any:
    """The field of that name; `default` if it is absent, null or empty."""
    return record.get(name) or default
