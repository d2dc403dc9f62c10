"""The methods of a path, for the header `Allow` that belongs to a 405 (RFC 9110, 15.5.6)."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from fastapi import FastAPI

from openbulk.api.http.openapi import document_of

_METHODS: Mapping[str, Sequence[str]] = {
    "read": ("GET",),
    "create": ("POST",),
    "update": ("PATCH", "PUT"),
    "delete": ("DELETE",),
}
"""The methods of each ability of an object or a record."""

_PARAMETERS = {"job_id": r"\d+", "object": ".+", "path": ".+"}
"""Patterns of path parameters; others match one segment. `/bulk/7` is a job, `/bulk/7a` is not."""


def allow_header(methods: Collection[str]) -> dict[str, str]:
    """The header `Allow` for these methods, and for HEAD beside GET."""
    implied = {"HEAD"} if "GET" in methods else set()
    return {"Allow": ", ".join(sorted(implied.union(methods)))}


def methods_of_abilities(can: Collection[str]) -> Collection[str]:
    """The methods for some of read, create, update and delete."""
    return [method for ability in can for method in _METHODS[ability]]


async def methods_of_path(api: FastAPI, path: str) -> Collection[str]:
    """The methods that the OpenAPI document has for a path; none if it does not have the path.

    If several templates match, the most specific one counts. The router cannot answer this: its
    first matching route refuses the request, and knows only its own method.
    """
    templates = (await document_of(api))["paths"]
    matching = [template for template in templates if _pattern(template).fullmatch(path)]
    if not matching:
        return ()
    return [method.upper() for method in templates[max(matching, key=_specificity)]]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parameter = re.compile(r"\\{(\w+)\\}")  # braces as `re.escape` writes them
    return re.compile(
        parameter.sub(lambda match: _PARAMETERS.get(match[1], "[^/]+"), re.escape(template))
    )


def _specificity(template: str) -> tuple[int, bool]:
    return len(re.sub(r"\{\w+\}", "", template)), "{job_id}" in template
