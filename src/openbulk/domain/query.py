"""A query says which records to read; a page request says where in the answer to begin.

QUERY     object, fields, condition, order, limit, the service's own parameters, date of change
PAGE      some records of the answer, and the cursor to the rest
BOOKMARK  a place in a service's feed of changes: a later reading gets what was changed since
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from openbulk.domain.conditions import All, Comparison, Condition, conjuncts


@dataclass(frozen=True, slots=True)
class Order:
    """A field to sort by."""

    field: str
    """Dotted where it is nested."""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of one object to read, and in which order."""

    object: str
    """Its name, or one of its paths; a connector always gets the name."""
    fields: tuple[str, ...] = ()
    """The wanted fields, dotted; () for all of them. A service may leave out the others."""
    where: Condition | None = None
    """What has to hold of the records. A service that does not apply it (`Features.applies_where`)
    may still leave out records that it knows to be unwanted."""
    order: tuple[Order, ...] = ()
    """What to sort by, the first field first. A connector gets it only where its service sorts
    (`Features.sorts`)."""
    limit: int | None = None
    """Most records wanted. Connectors do not apply it: openbulk counts the records for which
    `where` holds."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The service's own query parameters, passed through."""
    changed_since: datetime | None = None
    """A hint for the service: it may leave out records that were last changed before. `where` says
    so, too."""

    def restrict_to(self, changes: "ChangedRange | None") -> "Query":
        """This query, for records changed within a range; for all records where it is None."""
        if changes is None:
            return self
        return replace(
            self,
            where=All((*conjuncts(self.where), *changes.conditions)),
            changed_since=changes.since if changes.is_known_to_service else None,
        )


@dataclass(frozen=True, slots=True)
class ChangedRange:
    """When the wanted records were last changed."""

    field: str
    """The field with the date of change."""
    since: datetime | None = None
    """Changed at this moment or later."""
    until: datetime | None = None
    """Changed at this moment or earlier."""
    before: datetime | None = None
    """Changed earlier than this moment."""
    is_known_to_service: bool = True
    """Whether the service dates changes by this field, too: then it can leave out older records."""

    @property
    def conditions(self) -> list[Comparison]:
        """The range as comparisons with the field."""
        bounds = ((">=", self.since), ("<=", self.until), ("<", self.before))
        return [
            Comparison(self.field, name, (moment.isoformat(),))
            for name, moment in bounds
            if moment is not None
        ]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Where in the answer to a query to begin, and how large its pages are."""

    size: int = 200
    """Most records a page may hold; a service may give fewer."""
    after: str | None = None
    """The cursor of an earlier page; reading begins behind it. None begins at the first page."""
    since: str | None = None
    """The text of a bookmark (`Features.has_changes`), to read only what was changed since."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A place in a service's feed of changes: a later reading gets what was changed since."""

    text: str
    """As the service wrote it."""
    taken_at: datetime
    """By the service's own clock, and not before the bookmark was taken: every later change is
    behind it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of an answer, and the cursor to the rest."""

    records: Sequence[Mapping[str, Any]]
    next: str | None
    """None on the last page."""
    bookmark: Bookmark | None = None
    """On the last page, where the service keeps a feed of changes for this query."""

    @property
    def is_pending(self) -> bool:
        """Whether the service still prepares the records."""
        return self.next is not None and not self.records
