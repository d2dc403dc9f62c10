"""Guesses which row of a batch an error is about, so that few statements are needed to find it.

PostgreSQL writes values of the row into most of its errors: `Failing row contains (7, Ann, -1)`,
`Key (email)=(ann@example.com) already exists`, `invalid input syntax for type inet: "here"`. It is
a guess, as other rows may have these values, too. A wrong one costs time: nothing is refused that
the database has not refused alone.
"""

import re
from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from openbulk.connectors.sql.failures import detail_of, message_of
from openbulk.connectors.sql.rows import Row

_VALUES = re.compile(r'[^()",„“”«»]+')
"""The parts of a message, in any language of the server."""
_QUOTED = re.compile("'(.*)' for ")
"""The value in a message of MySQL: `Duplicate entry 'ann@example.com' for key 'email'`."""


def cut_at_suspect(rows: Sequence[Row], error: DBAPIError) -> list[Sequence[Row]]:
    """The rows before the one that an error speaks of, that row, and the rows behind it.

    They keep their order. Of two rows with the same key the second one is refused. Nothing if the
    error speaks of no row more than of the others.
    """
    text = f"{message_of(error)} {detail_of(error) or ''}"
    said = {part.strip() for part in [*_VALUES.findall(text), *_QUOTED.findall(text)]}
    scores = [len(said.intersection(map(str, row.values.values()))) for row in rows]
    highest = max(scores)
    if not highest or scores.count(highest) > 2:
        return []
    place = len(scores) - 1 - scores[::-1].index(highest)
    pieces = (rows[:place], rows[place : place + 1], rows[place + 1 :])
    return [piece for piece in pieces if piece]
