"""An instance: one signed-in account at one service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CallingInstance:
    """The instance whose token a request carries, without what it is configured with."""

    id: int
    organization_id: int
    element: str
    """Key of its connector, such as `googlecalendar`."""
    version: int | None = field(default=None, compare=False)
    """The version that it had when the request came; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as the ledger remembers it, its secrets unsealed. Never log one."""

    id: int
    organization_id: int
    element: str
    """Key of its connector, such as `googlecalendar`."""
    name: str
    configuration: Mapping[str, str]
    """The caller's settings, secrets included."""
    created_at: datetime
    tags: Sequence[str] = field(default_factory=tuple)
    disabled: bool = False
    token: str | None = field(default=None, repr=False, compare=False)
    """Its token, if that is kept to be shown again."""
    version: int = field(default=0, compare=False)
    """Raised by each change, also by other processes."""

    @property
    def calling(self) -> CallingInstance:
        """The instance that a request is about."""
        return CallingInstance(self.id, self.organization_id, self.element, self.version)
