"""A file that was sent to be looked at, and to be uploaded once or several times."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """What is known of a file once it has arrived."""

    file: str
    """Its name in the file store: random, and never used twice."""
    name: str
    """As its owner calls it; "" if nobody says."""
    size: int
    digest: str
    """SHA-256 of its bytes."""
    options: Mapping[str, Any]
    """The keys of `metaData` that say how it is read."""
    file_format: str
    records: int | None = None
    """Rows in it; None until it was read to its end."""
    problem: str | None = None
    """Why it cannot be read to its end, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile(NewFile):
    """A file of `POST /files`."""

    id: int
    organization_id: int
    instance_id: int | None
    """The instance whose token came with the file; None if it belongs to the organization."""
    created_at: datetime
    used_at: datetime
    """When it was sent, or used by the last job."""
    takes_events: bool
    """Whether the columns of Google Calendar's CSV are recognized in it."""
    reading: str = ""
    """Names what was read of it; another one if its owner says that it is read in another way."""

    @property
    def read_as(self) -> str:
        """Where its profile and its rows are in the file store."""
        return f"{self.file}/{self.reading}" if self.reading else self.file

    @property
    def is_read(self) -> bool:
        """Whether it was read to its end, as far as it can be read."""
        return self.records is not None or self.problem is not None
