"""Reading pages: the query that a connector gets, and the records that are wanted."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from openbulk.connectors.targets import ResolvedObject
from openbulk.domain.conditions import Condition, fields_of, holds
from openbulk.domain.job import Position
from openbulk.domain.query import Page, Query


def query_for_connector(
    query: Query, resolved: ResolvedObject, *, is_sorted_by_service: bool
) -> Query:
    """The query for a connector: with the object's name, and the fields that `where` reads."""
    fields = query.fields
    if fields:
        fields = (*fields, *fields_of(query.where))
    return replace(
        query,
        object=resolved.name,
        fields=fields,
        order=query.order if is_sorted_by_service else (),
        parameters={**resolved.path_parameters, **query.parameters},
    )


def take_wanted(
    page: Page, position: Position, condition: Condition | None, room: float
) -> tuple[list[Mapping[str, Any]], Position]:
    """The records of a page that match a condition, at most `room`, and the position after them.

    The page was read at `position`; its first `skip` records are left out.
    """
    taken: list[Mapping[str, Any]] = []
    for number, record in wanted_records(page, position, condition):
        if len(taken) >= room:
            return taken, replace(position, skip=number)
        taken.append(record)
    return taken, position_after(page, position)


def wanted_records(
    page: Page, position: Position, condition: Condition | None
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The records of a page that match a condition, each with the number of those before it."""
    for number, record in enumerate(page.records[position.skip :], position.skip):
        if holds(condition, record):
            yield number, record


def position_after(page: Page, position: Position) -> Position:
    """The position behind a page that was read at `position`."""
    return replace(
        position, after=page.next, skip=0, is_end=page.next is None, pages=position.pages + 1
    )
