"""How long a job waits before it tries again."""

from hypothesis import given
from hypothesis import strategies as st

from openbulk.engine.backoff import MAX_BACKOFF, wait_before_retry

chances = st.floats(0, 1)


@given(chances)
def test_a_time_that_the_service_asked_for_is_never_undercut(chance: float) -> None:
    assert 10 <= wait_before_retry(3, 10.0, chance) <= 11


@given(st.integers(0, 10_000), chances)
def test_waits_are_bounded(waits: int, chance: float) -> None:
    assert 0.5 <= wait_before_retry(waits, None, chance) <= MAX_BACKOFF


def test_waits_double_until_the_bound() -> None:
    waits = [wait_before_retry(number, None, 0.0) for number in range(8)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_credentials_that_a_person_has_to_renew_are_tried_less_and_less_often() -> None:
    assert wait_before_retry(20, None, 0.0, max_wait=300) == 300
