"""Callback URLs are shown without the secrets in them."""

import pytest

from openbulk.api.wire.masking import mask_callbacks, mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/hooks/openbulk", "https://example.com/hooks/openbulk"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://example.com/h?token=s3cret&job=", "https://example.com/h?token=********&job="),
        ("https://example.com/h?s3cret", "https://example.com/h?********"),
        ("https://example.com/h#s3cret", "https://example.com/h#********"),
        (
            "https://hooks.example.com/services/T00000000/B00000000/XyXyXyXyXyXyXyXyXyXyXyXy",
            "https://hooks.example.com/services/T00000000/B00000000/********",
        ),
        (
            "https://example.com/some-quite-long-name-of-a-page",
            "https://example.com/some-quite-long-name-of-a-page",
        ),
        ("https://[::1/h", "********"),
    ],
)
def test_a_callback_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_the_callbacks_in_a_request_are_masked_wherever_they_stand() -> None:
    request = {
        "notificationUrl": "https://example.com/h?token=s3cret",
        "limit": 3,
        "steps": [{"NotificationURL": "https://example.com/h?token=s3cret"}],
        "name": None,
    }
    masked = "https://example.com/h?token=********"
    assert mask_callbacks(request) == {
        "notificationUrl": masked,
        "limit": 3,
        "steps": [{"NotificationURL": masked}],
        "name": None,
    }
