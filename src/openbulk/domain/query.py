"""A query says which records to read; a page request says where in the answer to begin.

QUERY     object, fields, condition, order, limit, the service's own parameters, date of change
PAGE      some records of the answer, and the page token for the rest
BOOKMARK  a place in a service's feed of changes: a later reading returns the changes since
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from openbulk.domain.conditions import All, Comparison, Condition, conjuncts, rename_fields
from openbulk.domain.errors import BadInput
from openbulk.domain.transformation import Transformation


@dataclass(frozen=True, slots=True)
class Order:
    """A field to sort by."""

    field: str
    """Its dotted name, if it is nested."""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """The caller's names for what a query reads."""

    transformation: Transformation
    fields: tuple[str, ...] = ()
    """The selected fields; () for all of them."""
    order: tuple[Order, ...] = ()
    """The fields to sort by."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of one object to read, and in which order."""

    object: str
    """Its name, or one of its paths; a connector always gets the name."""
    fields: tuple[str, ...] = ()
    """The wanted fields, dotted; () for all of them. A service may leave out the others."""
    where: Condition | None = None
    """The condition on the records. A service that does not apply it (`Features.applies_where`) may
    still leave out records that cannot match."""
    order: tuple[Order, ...] = ()
    """The fields to sort by, the most significant first. A connector gets them only if its service
    sorts (`Features.sorts`)."""
    limit: int | None = None
    """Maximum number of records. Connectors ignore it: openbulk counts the records that match
    `where`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The service's own query parameters, passed through."""
    changed_since: datetime | None = None
    """A hint for the service: it may leave out records last changed before this time; `where` has
    the same condition."""
    view: View | None = None
    """The caller's names of the object and of its fields, if they are not the service's. The other
    parts of the query have the service's names. A connector gets none."""

    @property
    def name(self) -> str:
        """The object's name as the caller knows it."""
        return self.object if self.view is None else self.view.transformation.name

    @property
    def shown_fields(self) -> tuple[str, ...]:
        """The selected fields as the caller knows them."""
        return self.fields if self.view is None else self.view.fields

    @property
    def shown_order(self) -> tuple[Order, ...]:
        """The fields to sort by as the caller knows them."""
        return self.order if self.view is None else self.view.order

    def name_shown(self, field: str) -> str:
        """The name of a service's field as the caller knows it."""
        return field if self.view is None else self.view.transformation.name_of(field)

    def restrict_to(self, changes: "ChangedRange | None") -> "Query":
        """This query, restricted to records changed within a range; unchanged if it is None."""
        if changes is None:
            return self
        return replace(
            self,
            where=All((*conjuncts(self.where), *changes.conditions)),
            changed_since=changes.since if changes.is_known_to_service else None,
        )

    def rename_field(self, old: str, new: str) -> "Query":
        """This query with another field in place of one."""

        def rename(name: str) -> str:
            return new if name == old else name

        return replace(
            self,
            fields=tuple(map(rename, self.fields)),
            where=self.where and rename_fields(self.where, rename),
            order=tuple(replace(one, field=rename(one.field)) for one in self.order),
        )


@dataclass(frozen=True, slots=True)
class ChangedRange:
    """The time range in which the wanted records were last changed."""

    field: str
    """The field with the date of change."""
    since: datetime | None = None
    """Changed at this time or later."""
    until: datetime | None = None
    """Changed at this time or earlier."""
    before: datetime | None = None
    """Changed before this time."""
    is_known_to_service: bool = True
    """Whether the service dates changes by this field, and so can leave out older records."""

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
    """Maximum records in a page; a service may return fewer."""
    after: str | None = None
    """Page token; reading starts after that page. None starts at the first page."""
    since: str | None = None
    """The text of a bookmark (`Features.has_changes`), to read only the changes since."""

    def number_after(self, default: int) -> int:
        """The page token of a connector whose tokens are numbers; `default` for the first page.

        Raises BadInput for the token of another list.
        """
        if not self.after:
            return default
        return page_number(self.after)


def not_a_page_token() -> BadInput:
    """The error for a page token that no answer of this list has had."""
    return BadInput(
        "nextPage is not a token of this list; take it from the header elements-next-page-token of "
        "a page, and send the other parameters unchanged"
    )


def page_number(token: str) -> int:
    """The number that a page token is. Raises BadInput for the token of another list."""
    if not _PAGE_NUMBER.fullmatch(token):
        raise not_a_page_token()
    return int(token)


_PAGE_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A place in a service's feed of changes: a later reading returns the changes since."""

    text: str
    """The service's own text."""
    taken_at: datetime
    """Service time, no earlier than the bookmark: reading from it returns all changes after this
    time."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of an answer, and the page token for the rest."""

    records: Sequence[Mapping[str, Any]]
    next: str | None
    """Page token; None on the last page."""
    bookmark: Bookmark | None = None
    """On the last page, if the service keeps a feed of changes for this query."""

    listed: int | None = None
    """The records on the service's own page, if the connector has left some out, or read others for
    them."""

    @property
    def is_pending(self) -> bool:
        """Whether the service still prepares the records."""
        return self.next is not None and not self.records
