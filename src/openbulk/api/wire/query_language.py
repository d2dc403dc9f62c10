"""Parses the query language (CEQL, also OCNQL) of the service that openbulk replaces.

`select <* | field, nested.field> from <object> [where <condition>] [order by <field> [desc]] [limit
<n>]`, with AND, OR, NOT, parentheses, `=`, `!=`, `<`, `>`, `<=`, `>=`, `LIKE`, `IN`, `BETWEEN` and
`IS NULL`.

The language is SQL with four exceptions. They are rewritten before an SQL parser reads the text:
dates have no quotes, objects may be paths or have a hyphen, a limit may come before the condition,
and `orderby=` is `order by`.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import permutations
from math import isfinite
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from openbulk.domain.conditions import All, Comparison, Condition, Either, Not
from openbulk.domain.errors import BadInput
from openbulk.domain.query import Order, Query

EXAMPLE = "select * from events where status = 'confirmed' limit 100"
MAX_CHARACTERS = 16 * 1024
_SHOWN_CHARACTERS = len(EXAMPLE) * 3
"""A message shows at most this much of a refused query."""
_MAX_DEPTH = 200
_MAX_DIGITS = 18
"""A whole number with this many digits fits into 64 bits; a longer one becomes a float."""
_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)
    |(?P<date>(?<![\w.-])\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w.-]))
    |\bfrom\s+(?P<object>[^\s`'"(),;]+)
    |(?P<limit>\blimit\s+\d+)(?=\s+where\b)
    |(?P<nulls>\bnulls\s+(?:first|last)\b)
    |(?P<order>\borderby\s*=?\s*)""",
    re.IGNORECASE | re.VERBOSE,
)
_REWRITTEN = {
    "quoted": "{}",
    "date": "'{}'",
    "object": "from `{}`",
    "limit": "",
    "order": "order by ",
}
"""How each piece is written in SQL. Limits are removed here, and appended to the query."""
_TERMINAL_COLORS = re.compile(r"\x1b\[\d+m")
_CLAUSES = {
    "from_": "from",
    "expressions": "select",
    "where": "where",
    "limit": "limit",
    "joins": "join",
    "group": "group by",
    "having": "having",
    "distinct": "distinct",
    "offset": "offset",
    "with_": "with",
}
_KNOWN_CLAUSES = frozenset({"from_", "expressions", "where", "limit", "order", "kind"})
_KNOWN_PARTS = frozenset({"this", "expression", "expressions", "low", "high", "negate"})
"""Parts of a condition that this module reads. Ignoring another, such as `escape`, would change
the meaning."""


class _NotUnderstood(Exception):
    """The text is not understood. This module turns it into BadInput."""


def parse(text: str) -> Query:
    """The query in a text. Raises BadInput, whose message names the part at fault."""
    try:
        return _query(_parse_sql(text))
    except _NotUnderstood as reason:
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
        raise BadInput(
            f"the query {shown!r} is not understood: {reason}; it looks like: {EXAMPLE}"
        ) from None


def parse_where(text: str) -> Condition | None:
    """The condition in a text, with or without `where`; None for an empty text. Raises BadInput."""
    if not text:
        return None
    condition = re.sub(r"^\s*where\b", "", text, flags=re.IGNORECASE)
    return parse(f"select * from records where {condition}").where  # noqa: S608 - nobody runs it


def field_list(text: str) -> tuple[str, ...]:
    """Fields with commas between them. Raises BadInput."""
    if not text.strip():
        return ()
    return parse(f"select {text} from records").fields  # noqa: S608 - nobody runs it


def order_list(text: str) -> tuple[Order, ...]:
    """Fields to sort by, with commas between them: `start.date desc, summary`. Raises BadInput."""
    if not text.strip():
        return ()
    return parse(f"select * from records order by {text}").order  # noqa: S608 - nobody runs it


# --- SQL ---


def _parse_sql(text: str) -> exp.Select:
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"the query is longer than {MAX_CHARACTERS} characters; shorten it")
    try:
        # MySQL quotes as this language does: names in backticks, texts in either kind of quotes.
        statements: list[Any] = sqlglot.parse(_as_sql(text), dialect="mysql")
    except (SqlglotError, RecursionError) as error:
        raise _NotUnderstood(
            f"{_reason(error)}; put a name that is also a word of SQL in backticks"
        ) from None
    if len(statements) != 1 or statements[0] is None:
        raise _NotUnderstood("it is not one select")
    if not isinstance(statements[0], exp.Select):
        raise _NotUnderstood("it does not begin with select")
    return statements[0]


def _as_sql(text: str) -> str:
    # In SQL, the limit comes after the condition.
    limits = [piece["limit"] for piece in _PIECE.finditer(text) if piece["limit"]]
    return " ".join([_PIECE.sub(_rewrite, text), *limits])


def _rewrite(piece: re.Match[str]) -> str:
    kind = str(piece.lastgroup)
    if kind == "nulls":
        raise _NotUnderstood(
            f"{piece['nulls']} is not possible: absent values come last, and first in a desc order"
        )
    return _REWRITTEN[kind].format(piece[kind])


def _reason(error: Exception) -> str:
    lines = _TERMINAL_COLORS.sub("", str(error)).strip().splitlines()
    return lines[0].rstrip(".") if lines else "nested too deeply"


# --- clauses ---


def _query(select: exp.Select) -> Query:
    for name, clause in select.args.items():
        if clause and name not in _KNOWN_CLAUSES:
            raise _NotUnderstood(f"{_CLAUSES.get(name, name)} is not possible in a query")
    table = select.args.get("from_")
    if table is None or not isinstance(table.this, exp.Table):
        raise _NotUnderstood("it does not name an object after from")
    where = select.args.get("where")
    return Query(
        table.this.name,
        fields=_fields(select.expressions),
        where=None if where is None else _condition(where.this),
        order=_order(select.args.get("order")),
        limit=_limit(select.args.get("limit")),
    )


def _fields(expressions: list[Any]) -> tuple[str, ...]:
    if any(isinstance(one, exp.Star) for one in expressions):
        if len(expressions) > 1:
            raise _NotUnderstood("it selects a field in addition to *")
        return ()
    names = tuple(map(_name, expressions))
    for name, other in permutations(names, 2):
        if name == other:
            raise _NotUnderstood("a field is selected twice")
        if other.startswith(f"{name}."):
            raise _NotUnderstood(f"{name} is selected as a whole and in parts; keep one of them")
    return names


def _limit(limit: Any) -> int | None:
    if limit is None:
        return None
    if not isinstance(limit.expression, exp.Literal) or not limit.expression.this.isdecimal():
        raise _NotUnderstood("limit is not a whole number")
    return int(limit.expression.this)


def _order(order: Any) -> tuple[Order, ...]:
    if order is None:
        return ()
    return tuple(Order(_name(one.this), bool(one.args.get("desc"))) for one in order.expressions)


def _name(node: Any) -> str:
    """A field's name, dotted if the field is nested."""
    if isinstance(node, exp.Column):
        return ".".join(part.name for part in node.parts)
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        return f"{_name(node.this)}.{node.expression.name}"
    raise _NotUnderstood(f"{_sql(node)} is not the name of a field")


def _sql(node: Any) -> str:
    return str(node.sql(dialect="mysql"))


# --- conditions ---


def _condition(node: Any, depth: int = 0) -> Condition:
    if depth > _MAX_DEPTH:
        raise _NotUnderstood("its condition is nested too deeply")
    read = _CONDITIONS.get(type(node))
    if read is None or any(value and part not in _KNOWN_PARTS for part, value in node.args.items()):
        raise _NotUnderstood(f"{_sql(node)} is not a condition")
    if node.args.get("negate"):
        plain = node.copy()
        plain.set("negate", None)
        return Not(_condition(plain, depth + 1))
    return read(node, depth + 1)


def _inner(node: Any, depth: int) -> Condition:
    return _condition(node.this, depth)


def _not(node: Any, depth: int) -> Condition:
    return Not(_condition(node.this, depth))


def _group(kind: type[All | Either], node: Any, depth: int) -> Condition:
    return kind(tuple(_condition(one, depth) for one in node.flatten()))


def _is_null(node: Any, _depth: int) -> Condition:
    if not isinstance(node.expression, exp.Null):
        raise _NotUnderstood(f"{_sql(node)} is not a condition")
    return Comparison(_name(node.this), "is null")


def _in(node: Any, _depth: int) -> Condition:
    if not node.expressions:
        raise _NotUnderstood(f"{_sql(node)} is not a condition")
    return Comparison(_name(node.this), "in", tuple(map(_value, node.expressions)))


def _between(node: Any, _depth: int) -> Condition:
    name = _name(node.this)
    low, high = _value(node.args["low"]), _value(node.args["high"])
    return All((Comparison(name, ">=", (low,)), Comparison(name, "<=", (high,))))


def _comparison(operator: str, node: Any, _depth: int) -> Condition:
    return Comparison(_name(node.this), operator, (_value(node.expression),))


_CONDITIONS: Mapping[type, Callable[[Any, int], Condition]] = {
    exp.Paren: _inner,
    exp.Not: _not,
    exp.And: partial(_group, All),
    exp.Or: partial(_group, Either),
    exp.Is: _is_null,
    exp.In: _in,
    exp.Between: _between,
    exp.EQ: partial(_comparison, "="),
    exp.NEQ: partial(_comparison, "!="),
    exp.LT: partial(_comparison, "<"),
    exp.GT: partial(_comparison, ">"),
    exp.LTE: partial(_comparison, "<="),
    exp.GTE: partial(_comparison, ">="),
    exp.Like: partial(_comparison, "like"),
}


def _value(node: Any) -> Any:
    match node:
        case exp.Literal(is_string=True):
            return node.this
        case exp.Literal():
            return _number(node.this)
        case exp.Neg(this=exp.Literal(is_string=False)):
            return -_number(node.this.this)
        case exp.Boolean():
            return bool(node.this)
    raise _NotUnderstood(f"{_sql(node)} is not a value; put a text in quotes")


def _number(digits: str) -> int | float:
    if digits.isdecimal() and len(digits) <= _MAX_DIGITS:
        return int(digits)
    number = float(digits)
    if not isfinite(number):
        raise _NotUnderstood(f"the number {digits} is too large")
    return number
