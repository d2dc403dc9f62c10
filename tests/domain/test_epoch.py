"""A time that was kept is never later than it was, and is in the same second."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from openbulk.domain.epoch import milliseconds_of, moment_at

MOMENTS = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 - the zones follow
    datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)


@given(MOMENTS)
def test_a_part_of_a_millisecond_is_cut_off(moment: datetime) -> None:
    kept = moment_at(milliseconds_of(moment))
    assert kept == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert moment_at(milliseconds_of(kept)) == kept


def test_the_end_of_a_second_stays_in_it() -> None:
    moment = datetime(2026, 11, 30, 18, 20, 9, 999_900, tzinfo=UTC)
    assert moment_at(milliseconds_of(moment)).second == 9
