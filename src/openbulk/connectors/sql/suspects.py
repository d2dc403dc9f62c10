"""Guesses which row of a batch an error is about, so that few statements are needed to find it.

PostgreSQL writes values of the row into most of its errors: `Failing row contains (7, Ann, -1)`,
`Key (email)=(ann@example.com) already exists`, `invalid input syntax for type inet: "here"`. It is
a guess, as other rows may have these values, too. A wrong one costs time: nothing is refused that
the database has not refused alone. It is for databases that cannot try each row alone at once.
"""

import re
from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from openbulk.connectors.sql.failures import detail_of, message_of
from openbulk.connectors.sql.rows import Row

_UNQUOTED = re.compile(r'[^()",„“”«»]+')
"""The parts of a message, in any language of the server."""
_QUOTED = re.compile("'(.*)' for ")
"""The value in a message of MySQL: `Duplicate entry 'ann@example.com' for key 'email'`."""


def cut_at_suspect(rows: Sequence[Row], error: DBAPIError) -> list[Sequence[Row]]:
    """The rows before the one that an error speaks of, that row, and the rows behind it.

    They keep their order. Of two rows with the same key the second one is refused. Nothing if the
    error speaks of no row more than of the others.
    """
    text = f"{message_of(error)} {detail_of(error) or ''}"
    said = {part.strip() for part in [*_UNQUOTED.findall(text), *_QUOTED.findall(text)]}
    place = _suspect(said, rows, _places_of_keys(said, rows), at_least=2)
    if place is None:
        place = _suspect(said, rows, range(len(rows)), at_least=1)
    if place is None:
        return []
    pieces = (rows[:place], rows[place : place + 1], rows[place + 1 :])
    return [piece for piece in pieces if piece]


def _suspect(
    said: set[str], rows: Sequence[Row], places: Sequence[int], at_least: int
) -> int | None:
    """The place of the row with most of the values that an error says; None if it is not clear."""
    scores = [len(said.intersection(map(str, rows[place].values.values()))) for place in places]
    highest = max(scores, default=0)
    if highest < at_least or scores.count(highest) > 2:
        return None
    return places[len(scores) - 1 - scores[::-1].index(highest)]


def _places_of_keys(said: set[str], rows: Sequence[Row]) -> list[int]:
    """The places of the rows whose key an error says, which is much quicker than all values."""
    return [place for place, row in enumerate(rows) if not said.isdisjoint(map(str, row.identity))]
