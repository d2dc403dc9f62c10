"""Masks the secrets in answers: entries of configurations, and callback URLs.

A callback URL may have a token in its query or in its path.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from openbulk.connectors.base import ConfigurationEntry

MASK = "********"
"""Stands for a secret in every answer."""
_SOUNDS_SECRET = re.compile(
    r"secret|password|passwd|token|key|credential|private|auth", re.IGNORECASE
)
_SECRET_LENGTH = 16
"""A word of a path that is as long as this may be a secret: those of chat services have 24."""
_WORD = re.compile(r"[^/.]+")


def mask_configuration(
    configuration: Mapping[str, str], entries: Iterable[ConfigurationEntry]
) -> dict[str, str]:
    """A configuration whose secrets are masked, as the entries of its service declare them."""
    is_secret = {entry.name: entry.secret for entry in entries}
    # For an undeclared entry, its name decides. Rather mask one too many.
    return {
        name: MASK if is_secret.get(name, _SOUNDS_SECRET.search(name) is not None) else value
        for name, value in configuration.items()
    }


def mask_url(url: str) -> str:
    """A URL whose values in the query, and long words in the path, are masked.

    A caller who may see a job need not be allowed to call its receiver.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # it is no URL, and was not called
        return MASK
    path = _WORD.sub(_mask_long_word, parts.path)
    pairs = [pair.partition("=") for pair in parts.query.split("&") if pair]
    query = "&".join(
        f"{name}={value and MASK}" if equals else MASK for name, equals, value in pairs
    )
    return urlunsplit((parts.scheme, parts.netloc, path, query, parts.fragment and MASK))


def _mask_long_word(match: re.Match[str]) -> str:
    word = match[0]
    is_plain = word.replace("-", "").replace("_", "").isalpha() and word.islower()
    return word if is_plain or len(word) < _SECRET_LENGTH else MASK


def mask_callbacks(request: Any) -> Any:
    """A request as JSON, its callback URLs masked."""
    if isinstance(request, list):
        return [mask_callbacks(item) for item in request]
    if not isinstance(request, Mapping):
        return request
    return {
        name: mask_url(value) if _is_callback(name, value) else mask_callbacks(value)
        for name, value in request.items()
    }


def _is_callback(name: str, value: Any) -> bool:
    return name.casefold() == "notificationurl" and isinstance(value, str)
