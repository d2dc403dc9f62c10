"""Settings that follow from others."""

import pytest

from openbulk.settings import Settings


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "COMPLETE"),
        ({"OPENBULK_COMPATIBILITY": "seed"}, "COMPLETE"),
        ({"OPENBULK_COMPATIBILITY": "live"}, "COMPLETED"),
        ({"OPENBULK_COMPLETED_STATUS": "COMPLETED"}, "COMPLETED"),
        (
            {"OPENBULK_COMPATIBILITY": "live", "OPENBULK_COMPLETED_STATUS": "COMPLETE"},
            "COMPLETE",
        ),
    ],
)
def test_a_finished_job_is_spelled_as_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], word: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert Settings().completed_word == word
