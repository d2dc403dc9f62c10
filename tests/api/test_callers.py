"""Secrets stand in the Authorization header in any order, and no header breaks the parser."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.api.http.callers import Secrets, parse_authorization

PARTS = {"User": "us+er/1==", "Organization": "or+g/2==", "Element": "el+em/3=="}


@pytest.mark.parametrize("order", list(permutations(PARTS)))
def test_secrets_come_in_any_order(order: tuple[str, ...]) -> None:
    header = ", ".join(f"{kind} {PARTS[kind]}" for kind in order)
    assert parse_authorization(header) == Secrets("us+er/1==", "or+g/2==", "el+em/3==")


def test_blanks_and_case_do_not_matter_and_token_is_another_word_for_element() -> None:
    assert parse_authorization(" user a ,ORGANIZATION  b,Token c") == Secrets("a", "b", "c")


def test_an_empty_secret_is_a_missing_one() -> None:
    assert parse_authorization("Element , User ") == Secrets()


def test_a_secret_with_a_blank_in_it_is_wrong_and_not_missing() -> None:
    assert parse_authorization("User a, Element b c ") == Secrets("a", None, "b c")


@given(st.text())
def test_no_header_breaks_it(header: str) -> None:
    assert isinstance(parse_authorization(header), Secrets)
