"""Ids that we make are legal, the same for the same key, and of one life of an event."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from openbulk.connectors.googlecalendar.identity import event_id, identity_of, occurrence_of
from openbulk.domain.records import Action, Target

LEGAL = re.compile(r"[a-v0-9]{5,1024}")
KEYS = st.text(st.characters(codec="utf-8"), max_size=200)
LIVES = st.integers(0, 10**6)


@given(KEYS, LIVES)
def test_any_key_makes_a_legal_id(key: str, life: int) -> None:
    """By the rule of the field `id` of events.insert; each time the same."""
    assert LEGAL.fullmatch(event_id(key, life))
    assert event_id(key, life) == event_id(key, life)


@given(st.lists(st.tuples(KEYS, LIVES), unique=True, max_size=20))
def test_other_keys_and_other_lives_have_other_ids(pairs: list[tuple[str, int]]) -> None:
    """None is taken for another."""
    assert len({event_id(key, life) for key, life in pairs}) == len(pairs)


@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=200),
)
def test_an_event_is_identified_by_the_column_that_the_caller_names(field: str, value: str) -> None:
    """Whatever it is called, but for Google's own two."""
    target = Target("events", Action.UPSERT, field)
    identity = identity_of({field: value}, {}, target, is_occurrence=False)
    assert identity is not None
    assert identity.value == value
    assert identity.is_property == (field not in {"id", "iCalUID"})


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["Europe/Berlin", "America/New_York"]),
)
def test_an_occurrence_is_the_moment_at_which_it_was_to_begin(local: datetime, zone: str) -> None:
    """In whichever zone the row writes it."""
    moment = local.replace(microsecond=0, tzinfo=UTC)
    shown = moment.astimezone(ZoneInfo(zone)).isoformat()
    assert occurrence_of({"originalStartTime": {"dateTime": shown}}) == moment.strftime(
        "%Y%m%dT%H%M%SZ"
    )
