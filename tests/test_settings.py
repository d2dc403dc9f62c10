"""Settings that follow from others."""

import pytest
from pydantic import ValidationError

from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from openbulk.settings import Settings, misspelt_variables


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


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("OPENBULK_COMPATIBLITY", "OPENBULK_COMPATIBILITY"),
        ("OPENBULK_DATABSE_URL", "OPENBULK_DATABASE_URL"),
        ("OPENBULK_MASTER_KEYS", "OPENBULK_MASTER_KEY"),
        ("OPENBULK_COMPATIBILITY", None),
        ("openbulk_port", None),
        ("OPENBULK_SERVICE_HOST", None),
        ("OPENBULK_PORT_8080_TCP", None),
        ("HOME", None),
    ],
)
def test_a_variable_that_is_almost_a_setting_is_named(variable: str, meant: str | None) -> None:
    assert misspelt_variables([variable]) == ({variable: meant} if meant else {})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OPENBULK_PASSWORD", "eleven char", "a password needs at least 12 characters"),
        ("OPENBULK_USER", "ann", "it looks like ann@example.com"),
        ("OPENBULK_USER", "ann@example.com, bob@example.com", "it looks like ann@example.com"),
    ],
)
def test_a_user_and_a_password_that_cannot_sign_in_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    """The message does not show the password."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=says) as refusal:
        Settings()
    assert name != "OPENBULK_PASSWORD" or value not in str(refusal.value)


def test_networks_that_may_be_called_come_from_both_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().egress_networks == ()
    monkeypatch.setenv("OPENBULK_ALLOWED_NETWORKS", "10.1.0.0/16, 169.254.7.7")
    networks = Settings().egress_networks
    assert [str(network) for network in networks] == ["10.1.0.0/16", "169.254.7.7/32"]
    monkeypatch.setenv("OPENBULK_ALLOW_PRIVATE_ADDRESSES", "true")
    assert set(Settings().egress_networks) == {*networks, *LOOPBACK_AND_PRIVATE}
