"""An event that tests expect to be absent exists: a renamed one would be absent forever."""

from pathlib import Path

import pytest

import openbulk
from support import log_events

EVENTS = {name: value for name, value in vars(log_events).items() if name.isupper()}


@pytest.mark.parametrize("name", EVENTS)
def test_openbulk_logs_each_event_whose_absence_tests_assert(name: str) -> None:
    sources = Path(openbulk.__path__[0]).rglob("*.py")
    assert any(f'"{EVENTS[name]}"' in source.read_text() for source in sources)
