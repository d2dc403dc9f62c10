"""The methods of a path, for the header `Allow` that belongs to a 405 (RFC 9110, 15.5.6)."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from fastapi import FastAPI

_METHODS: Mapping[str, Sequence[str]] = {
    "read": ("GET",),
    "create": ("POST",),
    "update": ("PATCH", "PUT"),
    "delete": ("DELETE",),
}
"""The methods of each thing that can be done with an object or a record."""

_PARAMETERS = {"job_id": r"\d+", "object": ".+", "path": ".+"}
"""Parameters that are not one step of any kind: `/bulk/7` is a job, `/bulk/events` an object."""


def allow_header(methods: Collection[str]) -> dict[str, str]:
    """The header `Allow` for these methods."""
    return {"Allow": ", ".join(sorted(methods))}


def methods_of_abilities(can: Collection[str]) -> Collection[str]:
    """The methods for some of read, create, update and delete."""
    return [method for ability in can for method in _METHODS[ability]]


def methods_of_path(api: FastAPI, path: str) -> Collection[str]:
    """The methods that the OpenAPI document has for a path; none if it does not have the path.

    If several templates fit, the most specific one counts. The router does not help here: the first
    route that fits refuses the request, and it knows only its own method.
    """
    templates = api.openapi()["paths"]
    fitting = [template for template in templates if _pattern(template).fullmatch(path)]
    if not fitting:
        return ()
    return [method.upper() for method in templates[max(fitting, key=_specificity)]]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parameter = re.compile(r"\\{(\w+)\\}")  # as `re.escape` leaves it
    return re.compile(
        parameter.sub(lambda match: _PARAMETERS.get(match[1], "[^/]+"), re.escape(template))
    )


def _specificity(template: str) -> tuple[int, bool]:
    return len(re.sub(r"\{\w+\}", "", template)), "{job_id}" in template
