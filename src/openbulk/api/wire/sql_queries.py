"""Parses the query language as SQL.

It is SQL with four exceptions. They are rewritten before an SQL parser reads the text: dates have
no quotes, objects may be paths or have a hyphen, a limit may come before the condition, and
`orderby=` is `order by`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate, chain
from math import isfinite
from typing import Any

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.parsers.mysql import MySQLParser

from openbulk.api.wire.query_texts import shorten
from openbulk.domain.conditions import All, Comparison, Condition, Either, Not
from openbulk.domain.errors import BadInput, OpenbulkError
from openbulk.domain.field_paths import MAX_STEPS
from openbulk.domain.query import Order, Query

MAX_CHARACTERS = 16 * 1024
_MAX_DEPTH = 200
_MAX_VALUES = 2_000
"""Of a list behind `in`: each record is compared with each of them."""
_STEPS_A_WORD = 8
"""A query takes two steps a word at most. Texts that are none can take any number: joins in joins
double it with each of them."""
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")
_MAX_DIGITS = 18
"""A whole number with this many digits fits into 64 bits; a longer one becomes a float."""
_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)
    |(?P<date>(?<![\w.-])\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w.-]))
    |(?P<open>['"`].*)
    |\bfrom\s+(?P<object>[^\s`'"(),;]+)
    |(?P<limit>\blimit\s+\d+)(?=\s+where\b)
    |(?P<nulls>\bnulls\s+(?:first|last)\b)
    |(?P<order>\borderby\s*=?\s*)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_REWRITTEN = {
    "quoted": "{}",
    "open": "{}",
    "date": "'{}'",
    "object": "from `{}`",
    "limit": "",
    "order": "order by ",
}
"""How each piece is written in SQL. Limits are removed here, and appended to the query."""
_FIRST_WORD = re.compile(r"\s*(\w+)")
_OPEN_QUOTE = re.compile(r"['\"`]")
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


_NOTHING_BEFORE = (
    None,
    TokenType.SELECT,
    TokenType.ORDER_BY,
    TokenType.L_PAREN,
    TokenType.COMMA,
)
_NOTHING_AFTER = (
    None,
    TokenType.FROM,
    TokenType.WHERE,
    TokenType.ORDER_BY,
    TokenType.LIMIT,
    TokenType.R_PAREN,
    TokenType.COMMA,
)
"""Beside these, a comma separates nothing; None is the beginning or the end."""


class NotUnderstood(OpenbulkError):
    """A text is no query.

    `place` is the text's own word at fault, where it is known.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.place = place


def parse_sql(text: str) -> Query:
    """The query in a text. Raises NotUnderstood, and BadInput if the text is too long."""
    try:
        return _query(_parse_sql(text))
    except (NotUnderstood, RecursionError) as error:
        raise _explain(error, text) from None


# --- SQL ---


def _parse_sql(text: str) -> exp.Select:
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"the query is longer than {MAX_CHARACTERS} characters; shorten it")
    if _NO_CHARACTER.search(text):
        raise NotUnderstood(
            "it has a NUL or half of a surrogate pair in it, which is not a character"
        )
    try:
        # MySQL quotes as this language does: names in backticks, texts in either kind of quotes.
        sql = _as_sql(text)
        tokens = sqlglot.tokenize(sql, read="mysql")
        _require_full_lists(tokens)
        statements: list[Any] = _BoundedParser(len(tokens)).parse(tokens, sql)
    except SqlglotError as error:
        raise _explain(error, text) from None
    if len(statements) != 1 or statements[0] is None:
        raise NotUnderstood("it is not one select")
    if not isinstance(statements[0], exp.Select):
        raise NotUnderstood("it does not begin with select")
    return statements[0]


class _BoundedParser(MySQLParser):
    """Gives up on a text that it would try to understand in more and more ways."""

    def __init__(self, words: int) -> None:
        super().__init__(dialect="mysql")
        self._steps_left = _STEPS_A_WORD * (words + 20)

    def _advance(self, times: int = 1) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            # No ParseError: the parser would catch it, and go on with its next try.
            raise NotUnderstood("it is not a select as SQL knows it")
        super()._advance(times)


def _require_full_lists(tokens: Iterable[Token]) -> None:
    """Raise NotUnderstood for a comma without a neighbor, which the SQL parser would skip."""
    types = [None, *(token.token_type for token in tokens), None]
    for before, token, after in zip(types, types[1:], types[2:], strict=False):
        if token is TokenType.COMMA and (before in _NOTHING_BEFORE or after in _NOTHING_AFTER):
            raise NotUnderstood("something is missing next to a comma", ",")


def _as_sql(text: str) -> str:
    # In SQL, the limit comes after the condition.
    limits = [piece["limit"] for piece in _PIECE.finditer(text) if piece["limit"]]
    return " ".join([_PIECE.sub(_rewrite, text), *limits])


def _rewrite(piece: re.Match[str]) -> str:
    kind = str(piece.lastgroup)
    if kind == "nulls":
        raise NotUnderstood(
            f"{piece['nulls']} is not possible: absent values come last, and first in a desc order"
        )
    return _REWRITTEN[kind].format(piece[kind])


def _explain(error: Exception, text: str) -> NotUnderstood:
    """Why a text is no SQL, in the text's own words and not in those of the SQL parser."""
    if isinstance(error, NotUnderstood):
        return error
    first_word = _FIRST_WORD.match(text)
    if first_word is not None and first_word[1].lower() != "select":
        return NotUnderstood("it does not begin with select", first_word[1])
    match error:
        case RecursionError():
            return NotUnderstood("it is nested too deeply")
        case TokenError():
            return _explain_token_error(text)
        case ParseError(errors=[{"description": str(problem), "highlight": str(place)}, *_]):
            return _explain_parse_error(problem, place)
    return NotUnderstood("it is not a select as SQL knows it")


def _explain_token_error(text: str) -> NotUnderstood:
    # A quote that is left over when all quoted texts are blanked out has no second one.
    unquoted = _PIECE.sub(lambda piece: " " * len(piece[0]) if piece["quoted"] else piece[0], text)
    quote = _OPEN_QUOTE.search(unquoted)
    if quote is None:
        return NotUnderstood("it has a character that does not belong there")
    return NotUnderstood(f"the quote {quote[0]} is not closed", text[quote.start() :])


def _explain_parse_error(problem: str, place: str) -> NotUnderstood:
    hint = "put a name that is also a word of SQL in backticks"
    if problem.startswith("Expecting )"):
        return NotUnderstood("a closing parenthesis is missing after it", place)
    if problem.startswith("Required keyword"):
        return NotUnderstood(f"something is missing next to it; {hint}", place)
    return NotUnderstood(f"it does not belong there; {hint}", place)


# --- clauses ---


def _query(select: exp.Select) -> Query:
    for name, clause in select.args.items():
        if clause and name not in _KNOWN_CLAUSES:
            raise NotUnderstood(f"{_CLAUSES.get(name, name)} is not possible in a query")
    table = select.args.get("from_")
    if table is None or not isinstance(table.this, exp.Table):
        raise NotUnderstood("it does not name an object after from")
    alias = table.this.alias
    if alias:
        raise NotUnderstood("the object's name is followed by a word that is not a clause", alias)
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
            raise NotUnderstood("it selects a field in addition to *")
        return ()
    names = tuple(map(_name, expressions))
    known = frozenset(names)
    if len(known) < len(names):
        raise NotUnderstood("a field is selected twice")
    for whole in filter(known.__contains__, chain.from_iterable(map(_names_around, names))):
        raise NotUnderstood(f"{whole} is selected as a whole and in parts; keep one of them")
    return names


def _names_around(name: str) -> Iterator[str]:
    """The names of the fields that a nested field is in."""
    return accumulate(name.split(".")[:-1], "{}.{}".format)


def _limit(limit: Any) -> int | None:
    if limit is None:
        return None
    literal = limit.expression
    if not isinstance(literal, exp.Literal) or not literal.this.isdecimal():
        raise NotUnderstood("limit is not a whole number")
    if len(literal.this) > _MAX_DIGITS:
        raise NotUnderstood(f"limit has more than {_MAX_DIGITS} digits")
    return int(literal.this)


def _order(order: Any) -> tuple[Order, ...]:
    if order is None:
        return ()
    return tuple(Order(_name(one.this), bool(one.args.get("desc"))) for one in order.expressions)


def _name(node: Any) -> str:
    """A field's name, dotted if the field is nested."""
    inner: list[str] = []
    while isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        inner.insert(0, node.expression.name)
        node = node.this
    if isinstance(node, exp.Column):
        steps = [*(part.name for part in node.parts), *inner]
        if len(steps) > MAX_STEPS:
            raise NotUnderstood(f"the name of a field has more than {MAX_STEPS} steps", steps[0])
        return ".".join(steps)
    raise NotUnderstood(f"{_sql(node)} is not the name of a field")


def _sql(node: Any) -> str:
    try:
        return shorten(str(node.sql(dialect="mysql")))
    except RecursionError:
        return "a part that is nested too deeply"


# --- conditions ---


def _condition(node: Any, depth: int = 0) -> Condition:
    if depth > _MAX_DEPTH:
        raise NotUnderstood("its condition is nested too deeply")
    read = _CONDITIONS.get(type(node))
    if read is None or any(value and part not in _KNOWN_PARTS for part, value in node.args.items()):
        raise NotUnderstood(f"{_sql(node)} is not a condition")
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
        raise NotUnderstood(f"{_sql(node)} is not a condition")
    return Comparison(_name(node.this), "is null")


def _in(node: Any, _depth: int) -> Condition:
    if not node.expressions:
        raise NotUnderstood(f"{_sql(node)} is not a condition")
    if len(node.expressions) > _MAX_VALUES:
        raise NotUnderstood(f"a list has more than {_MAX_VALUES:,} values")
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
    raise NotUnderstood(f"{_sql(node)} is not a value; put a text in quotes")


def _number(digits: str) -> int | float:
    if digits.isdecimal() and len(digits) <= _MAX_DIGITS:
        return int(digits)
    number = float(digits)
    if not isfinite(number):
        raise NotUnderstood(f"the number {shorten(digits)} is too large")
    return number
