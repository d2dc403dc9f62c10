"""Parses the query language (CEQL, also OCNQL) of the service that openbulk replaces.

`select <* | field, nested.field> from <object> [where <condition>] [order by <field> [desc]] [limit
<n>]`, with AND, OR, NOT, parentheses, `=`, `!=`, `<`, `>`, `<=`, `>=`, `LIKE`, `IN`, `BETWEEN` and
`IS NULL`.

`sql_queries.py` parses it, and is loaded for the first query.
"""

import re
from dataclasses import replace

from openbulk.api.wire.query_texts import EXAMPLE, shorten
from openbulk.domain.conditions import Condition
from openbulk.domain.errors import BadInput
from openbulk.domain.query import Order, Query

_WHOLE = Query("records")
"""The query around a part that is parsed by itself."""


def parse(text: str) -> Query:
    """The query in a text. Raises BadInput, whose message names the part at fault."""
    return _parse(text, "query", text, EXAMPLE)


def _parse_part(part: str, query: str, kind: str, text: str, example: str) -> Query:
    """The query that has one part from a text. Raises BadInput if the text brings another part."""
    parsed = _parse(query, kind, text, example)
    if replace(parsed, **{part: getattr(_WHOLE, part)}) != _WHOLE:
        raise BadInput(
            f"the {kind} {shorten(text)!r} has more than a {kind}; it looks like: {example}"
        )
    return parsed


def _parse(query: str, kind: str, text: str, example: str) -> Query:
    """The query that a text is, or is a part of. Messages show the text, and an example of it."""
    from openbulk.api.wire.sql_queries import NotUnderstood, parse_sql  # noqa: PLC0415 - sqlglot

    try:
        return parse_sql(query)
    except NotUnderstood as reason:
        place = reason.place.strip("`")
        # The caller knows no word that this module added.
        where = f" at {shorten(place)!r}" if place and place in text else ""
        raise BadInput(
            f"the {kind} {shorten(text)!r} is not understood{where}: {reason}; "
            f"it looks like: {example}"
        ) from None


def parse_where(text: str) -> Condition | None:
    """The condition in a text, with or without `where`; None for an empty text. Raises BadInput."""
    if not text:
        return None
    condition = re.sub(r"^\s*where\b", "", text, flags=re.IGNORECASE)
    query = f"select * from records where {condition}"  # noqa: S608 - nobody runs it
    return _parse_part("where", query, "condition", text, "status = 'confirmed'").where


def field_list(text: str) -> tuple[str, ...]:
    """Fields with commas between them. Raises BadInput."""
    if not text.strip():
        return ()
    query = f"select {text} from records"  # noqa: S608 - nobody runs it
    return _parse_part("fields", query, "list of fields", text, "summary, start.date").fields


def order_list(text: str) -> tuple[Order, ...]:
    """Fields to sort by, with commas between them: `start.date desc, summary`. Raises BadInput."""
    if not text.strip():
        return ()
    query = f"select * from records order by {text}"  # noqa: S608 - nobody runs it
    return _parse_part("order", query, "order", text, "start.date desc, summary").order
