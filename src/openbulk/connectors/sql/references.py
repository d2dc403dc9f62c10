"""Rows of one file that refer to one another, such as people and the people they report to."""

from collections.abc import Iterator, Sequence

from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Table

_Key = tuple[str, ...]


def halves(table: Table, rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Rows in two halves, of which the first refers to nothing in the second, if that is possible.

    Each row comes after the rows that it refers to, and rows that refer to one another in a ring
    stay together. Rows with the same identity keep their order. Values are compared as texts: the
    database decides what is equal, and this is only the order of its statements.
    """
    middle = len(rows) // 2
    if not table.refers_to_itself:
        return rows[:middle], rows[middle:]
    rings = list(_Rings(_references(table, rows)).find())
    if len(rings) == 1:
        # It has to be cut.
        return rows[:middle], rows[middle:]
    first = sorted(rings[0])
    second: list[int] = []
    for ring in rings[1:-1]:
        half = first if len(first) < middle else second
        half += sorted(ring)
    second += sorted(rings[-1])
    return [rows[place] for place in first], [rows[place] for place in second]


def in_order_of_references(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """Rows, each after the rows that it refers to, if that is possible."""
    rings = _Rings(_references(table, rows)).find()
    return [rows[place] for ring in rings for place in sorted(ring)]


def _references(table: Table, rows: Sequence[Row]) -> list[list[int]]:
    """For each row, the places of the rows that have to come before it."""
    links = [(one.columns, one.referred) for one in table.own_references]
    places: dict[tuple[_Key, _Key], int] = {}
    for place, row in enumerate(rows):
        for _, referred in links:
            if (key := _key(row, referred)) is not None:
                places.setdefault((referred, key), place)
    before: list[list[int]] = []
    last: dict[_Key, int] = {}
    for place, row in enumerate(rows):
        keys = ((referred, _key(row, columns)) for columns, referred in links)
        earlier = {places[key] for key in keys if key in places}
        if row.identity:
            identity = tuple(map(str, row.identity))
            earlier.add(last.get(identity, place))
            last[identity] = place
        before.append([*(earlier - {place})])
    return before


def _key(row: Row, columns: _Key) -> _Key | None:
    """A row's values of columns, as texts; None if one is missing."""
    values = [row.values.get(name) for name in columns]
    if None in values:
        return None
    return tuple(map(str, values))


class _Rings:
    """Finds places that refer to one another, each group after those that it refers to.

    These are the strongly connected components of a graph, by Tarjan's algorithm
    (https://doi.org/10.1137/0201010), without recursion: a chain can be as long as the file.
    """

    def __init__(self, before: Sequence[Sequence[int]]) -> None:
        self._before = before
        self._index: dict[int, int] = {}
        self._lowest: dict[int, int] = {}
        self._waiting: list[int] = []
        """Places whose ring is not complete."""
        self._path: list[tuple[int, Iterator[int]]] = []

    def find(self) -> Iterator[list[int]]:
        """The rings; most have one place."""
        for root in range(len(self._before)):
            if root not in self._index:
                self._enter(root)
            while self._path:
                place, others = self._path[-1]
                other = next(others, None)
                if other is not None:
                    self._follow(place, other)
                elif ring := self._leave(place):
                    yield ring

    def _enter(self, place: int) -> None:
        self._index[place] = self._lowest[place] = len(self._index)
        self._waiting.append(place)
        self._path.append((place, iter(self._before[place])))

    def _follow(self, place: int, other: int) -> None:
        if other not in self._index:
            self._enter(other)
        else:
            # A ring that is complete has been given an index beyond all others.
            self._lowest[place] = min(self._lowest[place], self._index[other])

    def _leave(self, place: int) -> list[int]:
        """The ring that ends with a place; none if the place belongs to a larger ring."""
        self._path.pop()
        if self._path:
            parent = self._path[-1][0]
            self._lowest[parent] = min(self._lowest[parent], self._lowest[place])
        if self._lowest[place] < self._index[place]:
            return []
        ring: list[int] = []
        while place not in ring[-1:]:
            ring.append(self._waiting.pop())
            self._index[ring[-1]] = len(self._before)
        return ring
