"""What an address takes, for the header `Allow` that belongs to a 405 (RFC 9110, 15.5.6)."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from fastapi import FastAPI

METHODS: Mapping[str, Sequence[str]] = {
    "read": ("GET",),
    "create": ("POST",),
    "update": ("PATCH", "PUT"),
    "delete": ("DELETE",),
}
"""By which methods something is done with an object or a record."""

_BLANKS = {"job_id": r"\d+", "object": ".+", "path": ".+"}
"""What stands in a blank, where that is not one step of any kind: `/bulk/7` is a job, `/bulk/events` an object."""


def allow(methods: Collection[str]) -> dict[str, str]:
    """The header."""
    return {"Allow": ", ".join(sorted(methods))}


def methods_for(can: Collection[str]) -> Collection[str]:
    """By which methods is done what can be done."""
    return [method for done in can for method in METHODS[done]]


def methods_at(api: FastAPI, address: str) -> Collection[str]:
    """What the document says of an address; nothing where it does not have it. Of several paths that fit, the one that
    says most: the router asks them in turn, and the one that refuses first knows only its own method."""
    paths = api.openapi()["paths"]
    fitting = [path for path in paths if _pattern(path).fullmatch(address)]
    if not fitting:
        return ()
    return [method.upper() for method in paths[max(fitting, key=_says)]]


@cache
def _pattern(path: str) -> re.Pattern[str]:
    steps = re.split(r"\{(\w+)\}", path)
    blanks = [_BLANKS.get(name, "[^/]+") for name in steps[1::2]]
    return re.compile(
        "".join(map("".join, zip(map(re.escape, steps[::2]), [*blanks, ""], strict=True)))
    )


def _says(path: str) -> tuple[int, bool]:
    return len(re.sub(r"\{\w+\}", "", path)), "{job_id}" in path
