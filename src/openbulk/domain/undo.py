"""What a job did to a record, for the job that undoes it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from openbulk.domain.records import Before, Outcome, OutcomeKind, Problem


class Deed(StrEnum):
    """What a row did to its record."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


class Trace(NamedTuple):
    """What the write of a row has left behind."""

    row: int
    before: Before | None = None
    """What it has overwritten; None of a new record."""
    version: Any = None
    """The state of the record after it; None if it is deleted."""
    irreversible: str = ""
    """Why it cannot be undone, in a sentence."""
    restored: Any = None
    """Of a row of an undo, the state that the record is back at, as its job had seen it."""


class Reversal(NamedTuple):
    """A record to put back."""

    row: int
    """The row of the undo."""
    id: str
    deed: Deed
    values: Mapping[str, Any]
    """The values to put back, as `Before.values` has them; none of a created record."""
    version: Any
    """The state that the record must be in; None if it must be gone."""

    def as_reversed(self, *, before: Before | None = None, version: Any = None) -> Outcome:
        """It is put back. `before` and `version` are what this has overwritten, and left."""
        outcome = Outcome(self.row, OutcomeKind.REVERSED, self.id)
        return outcome._replace(before=before, version=version)

    def as_kept(self) -> Outcome:
        """It was left alone, as somebody has changed it since."""
        message = (
            f"the record {self.id!r} has been changed since the job wrote it, so it was left "
            'alone; an undo with {"kept": "overwrite"} puts back the fields that the job wrote'
        )
        return self._not_reversed(OutcomeKind.KEPT, message)

    def as_gone(self) -> Outcome:
        """Somebody has deleted it since."""
        message = f"the record {self.id!r} has been deleted since the job wrote it"
        return self._not_reversed(OutcomeKind.GONE_ALREADY, message)

    def as_irreversible(self, message: str) -> Outcome:
        """It cannot be put back."""
        return self._not_reversed(OutcomeKind.NOT_REVERSIBLE, message)

    def _not_reversed(self, kind: OutcomeKind, message: str) -> Outcome:
        return Outcome(self.row, kind, self.id, Problem(message))
