"""The query language of the service that we replace (CEQL, also OCNQL), parsed into the domain's words.

`select <* | field, nested.field> from <object> [where <condition>] [order by <field> [desc]] [limit <n>]`, with AND,
OR, NOT, parentheses, `=`, `!=`, `<`, `>`, `<=`, `>=`, `LIKE`, `IN`, `BETWEEN` and `IS NULL`. It is SQL but for what is
settled before the parser sees it: dates without quotes, objects named by a path or with a hyphen, and a limit before
the condition.
"""

import re
from dataclasses import dataclass
from math import isfinite
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from openbulk.domain.errors import BadInput
from openbulk.domain.query import All, Comparison, Condition, Either, Not, Order

EXAMPLE = "select * from events where status = 'confirmed' limit 100"
MAX_CHARACTERS = 16 * 1024
_MAX_DEPTH = 200
_MAX_DIGITS = 18
_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)
    |(?P<date>(?<![\w.-])\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w.-]))
    |\bfrom\s+(?P<object>[^\s`'"(),;]+)
    |(?P<limit>\blimit\s+\d+)(?=\s+where\b)
    |(?P<nulls>\bnulls\s+(?:first|last)\b)
    |(?P<order>\borderby\s*=?\s*)""",
    re.IGNORECASE | re.VERBOSE,
)
_OPERATORS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.GT: ">",
    exp.LTE: "<=",
    exp.GTE: ">=",
    exp.Like: "like",
}
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
_PARTS = frozenset({"this", "expression", "expressions", "low", "high", "negate"})
"""Of a condition. Whatever else the parser finds in one would change what it means."""
_UNDERSTOOD = frozenset({"from_", "expressions", "where", "limit", "order", "kind"})


@dataclass(frozen=True, slots=True)
class Select:
    """A query in parts."""

    object: str
    fields: tuple[str, ...]
    """Dotted; none for `*`."""
    where: Condition | None
    limit: int | None
    order: tuple[Order, ...] = ()


def parse(text: str) -> Select:
    """A whole query. Raises BadInput, saying which part is not understood."""
    select = _parsed(text)
    if not isinstance(select, exp.Select):
        raise _bad("it does not begin with select", text)
    for name, clause in select.args.items():
        if clause and name not in _UNDERSTOOD:
            raise _bad(f"{_CLAUSES.get(name, name)} is not possible in a query", text)
    table = select.args.get("from_")
    if table is None or not isinstance(table.this, exp.Table):
        raise _bad("it names no object behind from", text)
    where = select.args.get("where")
    return Select(
        object=table.this.name,
        fields=_fields(select.expressions, text),
        where=None if where is None else _Conditions(text).of(where.this),
        limit=_limit(select.args.get("limit"), text),
        order=_order(select.args.get("order"), text),
    )


def parse_where(text: str) -> Condition:
    """A condition alone, with or without the word where before it. Raises BadInput."""
    condition = re.sub(r"^\s*where\b", "", text, flags=re.IGNORECASE)
    where = parse(f"select * from records where {condition}").where  # noqa: S608 - nobody runs it
    assert where is not None
    return where


def field_list(text: str) -> tuple[str, ...]:
    """Fields with commas between them. Raises BadInput."""
    return parse(f"select {text} from records").fields if text.strip() else ()  # noqa: S608 - nobody runs it


def order_list(text: str) -> tuple[Order, ...]:
    """Fields to sort by, with commas between them: `start.date desc, summary`. Raises BadInput."""
    return parse(f"select * from records order by {text}").order if text.strip() else ()  # noqa: S608 - nobody runs it


def _parsed(text: str) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"the query is longer than {MAX_CHARACTERS} characters; shorten it")
    try:
        statements = sqlglot.parse(_as_sql(text), dialect="mysql")
    except (SqlglotError, RecursionError) as error:
        reason = (
            re.sub(r"\x1b\[\d+m", "", str(error)).strip().splitlines()[0]
            if str(error)
            else "nested too deeply"
        )
        raise _bad(
            f"{reason.rstrip('.')}; a name that is also a word of SQL belongs in backticks", text
        ) from None
    if len(statements) != 1 or statements[0] is None:
        raise _bad("it is not one select", text)
    return statements[0]


def _as_sql(text: str) -> str:
    limits: list[str] = []

    def settled(piece: re.Match[str]) -> str:
        match piece.lastgroup:
            case "date":
                return f"'{piece['date']}'"
            case "object":
                return f"from `{piece['object']}`"
            case "limit":
                limits.append(piece["limit"])
                return ""
            case "order":
                return "order by "
            case "nulls":
                raise _bad(
                    f"{piece['nulls']} is not possible: what is absent comes last, and first in a desc order",
                    text,
                )
            case _:
                return piece[0]

    return " ".join([_PIECE.sub(settled, text), *limits])


def _fields(expressions: list[Any], text: str) -> tuple[str, ...]:
    if any(isinstance(one, exp.Star) for one in expressions):
        if len(expressions) > 1:
            raise _bad("there is a field beside the *", text)
        return ()
    names = tuple(_name(one, text) for one in expressions)
    for name in names:
        if any(other.startswith(f"{name}.") for other in names):
            raise _bad(f"{name} is asked for as a whole and in parts; keep one of them", text)
    if len(set(names)) < len(names):
        raise _bad("a field is asked for twice", text)
    return names


def _limit(limit: Any, text: str) -> int | None:
    if limit is None:
        return None
    if not isinstance(limit.expression, exp.Literal) or not limit.expression.this.isdecimal():
        raise _bad("limit is not a whole number", text)
    return int(limit.expression.this)


def _order(order: Any, text: str) -> tuple[Order, ...]:
    if order is None:
        return ()
    return tuple(
        Order(_name(one.this, text), bool(one.args.get("desc"))) for one in order.expressions
    )


def _name(node: Any, text: str) -> str:
    """A field's name, dotted where it is nested."""
    if isinstance(node, exp.Column):
        return ".".join(part.name for part in node.parts)
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        return f"{_name(node.this, text)}.{node.expression.name}"
    raise _bad(f"{node.sql(dialect='mysql')} is not the name of a field", text)


class _Conditions:
    """Turns the parser's tree into conditions."""

    def __init__(self, text: str) -> None:
        self._text = text

    def of(self, node: Any, depth: int = 0) -> Condition:
        """Raises BadInput for what is no condition."""
        if depth > _MAX_DEPTH:
            raise _bad("its condition is nested too deeply", self._text)
        if any(value and name not in _PARTS for name, value in node.args.items()):
            raise _bad(f"{node.sql(dialect='mysql')} is no condition", self._text)
        if node.args.get("negate"):
            plain = node.copy()
            plain.set("negate", None)
            return Not(self.of(plain, depth + 1))
        match node:
            case exp.Paren():
                return self.of(node.this, depth + 1)
            case exp.Not():
                return Not(self.of(node.this, depth + 1))
            case exp.And():
                return All(tuple(self.of(one, depth + 1) for one in node.flatten()))
            case exp.Or():
                return Either(tuple(self.of(one, depth + 1) for one in node.flatten()))
            case exp.Is() if isinstance(node.expression, exp.Null):
                return Comparison(_name(node.this, self._text), "is null")
            case exp.In() if node.expressions:
                values = tuple(map(self._value, node.expressions))
                return Comparison(_name(node.this, self._text), "in", values)
            case exp.Between():
                name = _name(node.this, self._text)
                low, high = self._value(node.args["low"]), self._value(node.args["high"])
                return All((Comparison(name, ">=", (low,)), Comparison(name, "<=", (high,))))
        operator = _OPERATORS.get(type(node))
        if operator is None:
            raise _bad(f"{node.sql(dialect='mysql')} is no condition", self._text)
        return Comparison(_name(node.this, self._text), operator, (self._value(node.expression),))

    def _value(self, node: Any) -> Any:
        match node:
            case exp.Literal(is_string=True):
                return node.this
            case exp.Literal():
                return self._number(node.this)
            case exp.Neg() if isinstance(node.this, exp.Literal) and not node.this.is_string:
                return -self._number(node.this.this)
            case exp.Boolean():
                return bool(node.this)
        raise _bad(
            f"{node.sql(dialect='mysql')} is not a value; a text belongs in quotes", self._text
        )

    def _number(self, digits: str) -> int | float:
        number = int(digits) if digits.isdecimal() and len(digits) <= _MAX_DIGITS else float(digits)
        if not isfinite(number):
            raise _bad(f"the number {digits} is too large", self._text)
        return number


def _bad(reason: str, text: str) -> BadInput:
    shown = text if len(text) <= len(EXAMPLE) * 3 else f"{text[: len(EXAMPLE) * 3]}..."
    return BadInput(f"the query {shown!r} is not understood: {reason}; it looks like: {EXAMPLE}")
