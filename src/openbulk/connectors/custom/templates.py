"""Addresses with values in them. No value changes the host, or the number of steps in a path."""

import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from openbulk.domain.errors import BadInput

PLACEHOLDER = re.compile(r"\{(?P<name>[^{}]{1,200})\}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?")
_HOST_AND_PORT = re.compile(rf"{_HOST.pattern}(?::\d{{1,5}})?")
_PORT = re.compile(r"\d{1,5}")
_PATH = re.compile(r"(?:/[^/?#\s\\]*)*")

ValueOf = Callable[[str], str]
"""The value of a placeholder. Raises an error if it has none."""


def placeholders_in(template: str) -> tuple[str, ...]:
    """The names in braces, in their order."""
    return tuple(match["name"] for match in PLACEHOLDER.finditer(template))


def problem_of_base(template: str) -> str | None:
    """What is wrong with the template of a base URL, as the end of a sentence; None if nothing."""
    # A placeholder may stand for a port.
    plain = PLACEHOLDER.sub("1", template)
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError:
        return "is malformed"
    if parts.scheme not in {"http", "https"}:
        return "begins with neither https:// nor http://"
    if not parts.hostname or parts.username is not None or port == 0:
        return "has no host, or a user name in it"
    if parts.query or parts.fragment or not is_path(parts.path):
        return "has more than a scheme, a host and a path"
    return None


def problem_of_address(template: str, *, has_query: bool) -> str | None:
    """What is wrong with the template of an address; with `has_query`, a query may be behind it."""
    address, _, query = template.partition("?") if has_query else (template, "", "")
    if placeholders_in(query):
        return "has an entry behind its question mark; openbulk fills in the address before it"
    if not query.isprintable() or " " in query:
        return "has a blank or a control character in it"
    return problem_of_base(address)


def is_path(template: str) -> bool:
    """Whether a template is a path: steps after slashes, none of which is `.` or `..`."""
    plain = PLACEHOLDER.sub("x", template)
    steps = plain.split("/")
    return bool(_PATH.fullmatch(plain)) and not {".", ".."} & set(steps) and plain.isprintable()


def fill_base(template: str, value_of: ValueOf) -> str:
    """The base URL for an instance, without a slash at its end. Raises BadInput."""
    scheme, _, rest = template.partition("://")
    netloc, slash, path = rest.partition("/")
    filled = PLACEHOLDER.sub(lambda match: _host_value(match, netloc, value_of), netloc)
    return f"{scheme}://{filled}{fill_path(slash + path, value_of)}".rstrip("/")


def _host_value(match: re.Match[str], netloc: str, value_of: ValueOf) -> str:
    name = match["name"]
    value = value_of(name)
    pattern = _HOST
    if match.group() == netloc:
        pattern = _HOST_AND_PORT
    elif netloc[: match.start()].endswith(":"):
        pattern = _PORT
    if not pattern.fullmatch(value):
        raise BadInput(
            f"{name} is {value[:80]!r}, which cannot be part of an address: it has letters, "
            "digits, dots and hyphens alone"
        )
    return value


def fill_path(template: str, value_of: ValueOf) -> str:
    """A path with its values. Raises BadInput for a value that is no step of a path."""
    return PLACEHOLDER.sub(
        lambda match: quote_step(match["name"], value_of(match["name"])), template
    )


def quote_step(name: str, value: str) -> str:
    """A value as one step of a path. Raises BadInput if it cannot be one."""
    if not value:
        raise BadInput(f"{name} has no value; it is part of the path")
    # Dots are steps of their own, and clients resolve them, however they are written (RFC 3986,
    # section 5.2.4).
    if value in {".", ".."} or not value.isprintable():
        raise BadInput(f"{name} is {value[:80]!r}, which cannot be part of a path")
    return quote(value, safe="")


def host_of(template: str | None) -> str:
    """What the template of an address says about where it leads; the path does not matter."""
    scheme, mark, rest = (template or "").partition("://")
    return f"{scheme}{mark}{rest.partition('/')[0]}".casefold()
