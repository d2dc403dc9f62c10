"""Queries that were made to hold a server."""

import pytest

from openbulk.api.wire.query_language import (
    MAX_CHARACTERS,
    field_list,
    order_list,
    parse,
    parse_where,
)
from openbulk.domain.errors import BadInput
from openbulk.domain.query import PageRequest, page_number
from support.bounds import chances, run_within_bounds


def refusal(text: str) -> str:
    """The sentence with which a query is refused."""

    def read() -> str:
        try:
            parse(text)
        except BadInput as error:
            return error.message
        return ""

    found = run_within_bounds(read)
    assert isinstance(found, str)
    return found


def where(condition: str) -> str:
    """A query with a condition."""
    return f"select * from e where {condition}"


@pytest.mark.parametrize(
    "text",
    [
        f"select {'.'.join(['a'] * 1_000)} from e",
        f"select {'.'.join(['a'] * 33)} from e",
        where(f"{'.'.join(['a'] * 8_000)} = 1"),
        f"select * from e order by {'.'.join(['a'] * 1_000)}",
        where("->".join(["a"] * 4_000) + " = 1"),
        f"select {'->'.join(['a'] * 4_000)} from e",
        where("a" + "::int" * 3_000 + " = 1"),
        where("a" + " div 1" * 2_500),
        where("(" * 5_000 + "a = 1" + ")" * 5_000),
        where("not " * 4_000 + "a = 1"),
        where("a = " + "- " * 8_000 + "1"),
        where("a" + "+1" * 8_000 + " = 1"),
        where("case when " * 1_500),
        where("f(" * 5_000),
        where("a" + "[" * 8_000),
        where(f"a in ({','.join(['1'] * 2_001)})"),
        where("'" * 16_001),
        where('"\\' * 8_000),
        where("`" * 16_001),
        where("/*" * 8_000),
        # The SQL parser tries each of these joins in two ways.
        where("a in join b " * 40),
        f"select * from e order by {'a.b in join ²' * 40}",
        where("a = 1e99999999"),
        where(f"a = {'9' * 16_000}"),
        f"select * from e limit {'9' * 10_000}",
        "select * from e limit ²",
        where("a = '\x00'"),
        where("a = '\ud800'"),
        "select a, a.b from e",
        "select " + "a" * (MAX_CHARACTERS + 1),
        "x" * 10_000_000,
    ],
)
def test_a_query_beyond_bounds_is_refused_with_a_short_sentence(text: str) -> None:
    said = refusal(text)
    assert said
    assert len(said) < 1_500


def test_many_fields_are_compared_in_one_pass() -> None:
    assert refusal(f"select {','.join(f'a{one}' for one in range(2_500))} from e") == ""


def test_usual_lists_and_nests_are_read() -> None:
    assert refusal(where(f"a in ({','.join(['1'] * 2_000)})")) == ""
    assert refusal(f"select {'.'.join(['a'] * 32)} from e") == ""


@pytest.mark.parametrize("token", ["", "x", "-1", "1.5", "9" * 5_000, "²", "x@y", '["a"]'])
def test_a_page_token_of_another_list_is_refused(token: str) -> None:
    with pytest.raises(BadInput, match="nextPage is not a token of this list"):
        page_number(token)


def test_the_token_of_a_numbered_page_is_its_number() -> None:
    assert PageRequest(after="40").number_after(0) == 40
    assert PageRequest().number_after(1) == 1


# --- what nobody has thought of ---

_PIECES = (
    *("select", "from", "where", "order by", "limit", "and", "or", "not", "in", "like", "between"),
    *(
        "is null",
        "case",
        "when",
        "interval",
        "union",
        "join",
        "exists",
        "cast",
        "distinct",
        "*",
        "a",
    ),
    *(
        "a.b",
        "`a`",
        "'x'",
        '"',
        "'",
        "`",
        "(",
        ")",
        ",",
        "=",
        "<>",
        "->",
        "::",
        "1",
        "1e400",
        "-",
        "@",
    ),
    *(
        "2026-01-01",
        "[",
        "]",
        "{",
        "}",
        ";",
        "--",
        "/*",
        "\\",
        "\x00",
        "ä",
        "²",
        "0x1",
        "nulls last",
    ),
)


def test_any_query_is_read_or_refused() -> None:
    for chance in chances():
        text = " ".join(chance.choices(_PIECES, k=chance.randrange(1, 30)))
        for read in (parse, parse_where, field_list, order_list):
            for one in (text, where(text)):
                _read_or_refuse(read, one * chance.choice([1, 1, 20]))


def _read_or_refuse(read: object, text: str) -> None:
    assert callable(read)
    try:
        read(text)
    except BadInput as error:
        assert error.message
