"""The query language: every text means what it says, or is refused with the part that fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.api.wire.query_language import field_list, parse, parse_where
from openbulk.domain.conditions import All, Comparison, Condition, Either, Not
from openbulk.domain.errors import BadInput
from openbulk.domain.query import Order, Query


def equals(name: str, value: object) -> Condition:
    return Comparison(name, "=", (value,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select * from contacts", Query("contacts")),
        ("SELECT * FROM leads LIMIT 100", Query("leads", limit=100)),
        (
            "select Name, Parent.Name from Account where Name='x'",
            Query("Account", fields=("Name", "Parent.Name"), where=equals("Name", "x")),
        ),
        ("select * from x limit 100 where id = 12", Query("x", where=equals("id", 12), limit=100)),
        (
            "select * from x order by a.b desc, c limit 3",
            Query("x", limit=3, order=(Order("a.b", descending=True), Order("c"))),
        ),
        ("select * from x orderby=a", Query("x", order=(Order("a"),))),
        ("select * from access-control-list", Query("access-control-list")),
        (
            "select * from calendars/ann@x.y/events limit 5",
            Query("calendars/ann@x.y/events", limit=5),
        ),
        (
            "select `a field`, a.b.c.d.e from `my things`",
            Query("my things", fields=("a field", "a.b.c.d.e")),
        ),
        (
            'select * from x where display_name = "X"',
            Query("x", where=equals("display_name", "X")),
        ),
        (
            """select * from x where query = '(properties["$created"]  > "2011-01-01")'""",
            Query("x", where=equals("query", '(properties["$created"]  > "2011-01-01")')),
        ),
        (
            "select * from customers where `metaData.lastUpdateTime` > 2015-01-06T09:31:38-07:00",
            Query(
                "customers",
                where=Comparison("metaData.lastUpdateTime", ">", ("2015-01-06T09:31:38-07:00",)),
            ),
        ),
    ],
)
def test_queries_from_the_wild_are_understood(text: str, expected: Query) -> None:
    """As the clients of the live service send them."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a = 1 and b != 'x' or c < 2.5",
            Either(
                (All((equals("a", 1), Comparison("b", "!=", ("x",)))), Comparison("c", "<", (2.5,)))
            ),
        ),
        (
            "a = 1 and (b = 2 or c = 3)",
            All((equals("a", 1), Either((equals("b", 2), equals("c", 3))))),
        ),
        ("where activityTypeIds in (1,12)", Comparison("activityTypeIds", "in", (1, 12))),
        ("a not in ('x')", Not(Comparison("a", "in", ("x",)))),
        ("a like 'Sm%'", Comparison("a", "like", ("Sm%",))),
        ("a not like 'Sm%'", Not(Comparison("a", "like", ("Sm%",)))),
        (
            "a is null and b is not null",
            All((Comparison("a", "is null"), Not(Comparison("b", "is null")))),
        ),
        ("not a = -1", Not(equals("a", -1))),
        (
            "a >= 2026-05-30 and a <= 2026-06-01",
            All((Comparison("a", ">=", ("2026-05-30",)), Comparison("a", "<=", ("2026-06-01",)))),
        ),
        ("a between 1 and 2", All((Comparison("a", ">=", (1,)), Comparison("a", "<=", (2,))))),
        ("ok = true", equals("ok", True)),
        ("name = 'it''s 2026-05-30'", equals("name", "it's 2026-05-30")),
    ],
)
def test_conditions_mean_what_they_mean_in_sql(text: str, expected: Condition) -> None:
    """With its precedence."""
    assert parse_where(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "it is not one select"),
        ("select * from a; select * from b", "it is not one select"),
        ("delete from x", "it does not begin with select"),
        ("select *", "it does not name an object after from"),
        ("select count(*) from x", r"COUNT\(\*\) is not the name of a field"),
        ("select a, a from x", "a field is selected twice"),
        ("select a, a.b from x", "a is selected as a whole and in parts"),
        ("select *, a from x", r"it selects a field in addition to \*"),
        ("select distinct a from x", "distinct is not possible"),
        ("select a from x group by a", "group by is not possible"),
        ("select a from x join y", "join is not possible"),
        ("select * from x order by a nulls first", "nulls first is not possible"),
        ("select * from x order by count(a)", r"COUNT\(a\) is not the name of a field"),
        ("select * from x limit -1", "limit is not a whole number"),
        ("select key from x", "put a name that is also a word of SQL in backticks"),
        ("select * from x where a = b", "b is not a value; put a text in quotes"),
        ("select * from x where a = null", "NULL is not a value"),
        ("select * from x where a like 'x' escape '!'", "is not a condition"),
        ("select * from x where a in (select 1)", "is not a condition"),
        ("select * from x where a <=> 1", "is not a condition"),
        ("select * from x where a", "a is not a condition"),
        ("select * from x where a = 1e999", "is too large"),
        ("select * from x where " + "(" * 3000 + "a=1" + ")" * 3000, "recursion|nested"),
    ],
)
def test_what_is_not_understood_is_said_and_never_left_out(text: str, part: str) -> None:
    """A query that silently returned something else would be worse than none."""
    with pytest.raises(BadInput, match=part):
        parse(text)


def test_lists_of_fields_stand_alone_too() -> None:
    """As `selectFields` has them."""
    assert field_list("a, b.c") == ("a", "b.c")
    assert field_list(" ") == ()


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    """And nothing else is raised."""
    for wrapped in (text, f"select * from x where {text}", f"select {text} from x"):
        try:
            parse(wrapped)
        except BadInput as error:
            assert error.message
