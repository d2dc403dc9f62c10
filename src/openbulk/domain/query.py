"""What a caller wants to read, and how it comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of one object to read."""

    object: str
    page_size: int = 200
    """Most records a page may hold; a service may give fewer."""
    after: str | None = None
    """The cursor of an earlier page: go on behind it."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The service's own query parameters, passed through."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of an answer, and the cursor to the rest."""

    records: Sequence[Mapping[str, Any]]
    next: str | None
    """None on the last page."""
