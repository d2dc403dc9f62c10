"""Rows of one file that refer to one another, such as people and the people they report to."""

from collections.abc import Iterator, Sequence

from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Table

_Key = tuple[str, ...]


def in_reference_order(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Rows in an order in which each comes after the rows that it refers to, if there is one.

    Then half of the rows can be written without the other half. Rows with the same identity keep
    their order. Values are compared as texts: the database decides what is equal, and this is only
    the order in which it is asked.
    """
    if not table.refers_to_itself:
        return list(rows)
    before = [list(places) for places in _references(table, rows)]
    ordered: list[Row] = []
    is_placed = [False] * len(rows)
    is_entered = [False] * len(rows)
    for begin in range(len(rows)):
        path = [begin]
        while path:
            place = path[-1]
            is_entered[place] = True
            waits_for = [one for one in before[place] if not is_entered[one]]
            if waits_for:
                before[place] = waits_for
                path.append(waits_for[0])
                continue
            path.pop()
            if not is_placed[place]:
                is_placed[place] = True
                ordered.append(rows[place])
    return ordered


def _references(table: Table, rows: Sequence[Row]) -> Iterator[set[int]]:
    """For each row, the places of the rows that have to come before it."""
    links = table.links_to_itself
    places: dict[tuple[_Key, _Key], int] = {}
    for place, row in enumerate(rows):
        for _, referred in links:
            if (key := _key(row, referred)) is not None:
                places.setdefault((referred, key), place)
    last: dict[_Key, int] = {}
    for place, row in enumerate(rows):
        keys = ((referred, _key(row, columns)) for columns, referred in links)
        before = {places[key] for key in keys if key in places}
        if row.identity:
            identity = tuple(map(str, row.identity))
            before |= {last[identity]} if identity in last else set()
            last[identity] = place
        yield before - {place}


def _key(row: Row, columns: _Key) -> _Key | None:
    """A row's values of columns, as texts; None if one is missing."""
    values = [row.values.get(name) for name in columns]
    return None if None in values else tuple(map(str, values))
