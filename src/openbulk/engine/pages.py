"""Reads pages from a connector: which query it gets, and which of its records are wanted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openbulk.connectors.targets import ResolvedObject
from openbulk.domain.conditions import Condition, fields_of, holds
from openbulk.domain.job import Position
from openbulk.domain.query import Page, Query


def query_for_connector(
    query: Query, resolved: ResolvedObject, *, is_sorted_by_service: bool
) -> Query:
    """A query as a connector gets it: with the object's name, and the fields that `where` reads."""
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
    """The records of a page for which a condition holds, at most `room`, and the position behind.

    `position` is that at which the page was read; its first `skip` records are left out.
    """
    taken: list[Mapping[str, Any]] = []
    for number, record in enumerate(page.records[position.skip :], position.skip):
        if len(taken) >= room:
            return taken, replace(position, skip=number)
        if holds(condition, record):
            taken.append(record)
    behind = replace(
        position, after=page.next, skip=0, is_end=page.next is None, pages=position.pages + 1
    )
    return taken, behind
