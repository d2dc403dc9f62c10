"""Lists in pages: how a caller requests one, and the headers that describe it."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import orjson
import structlog
from fastapi import Query, Response

from openbulk.api.http.parameters import parse_whole_number

log = structlog.get_logger()
T = TypeVar("T")
MAX_PAGE = 2_000
DEFAULT_PAGE = 200
_MAX_OFFSET = 2**62
"""Fits into the database's 64-bit integers together with a page."""
NEW_LIST = "leave it out to begin, and then take it from the header elements-next-page-token"
PageSize = Annotated[
    str,
    Query(
        alias="pageSize",
        description=f"Maximum number of items: {DEFAULT_PAGE} if empty, {MAX_PAGE} at most.",
        examples=["200"],
    ),
]
PageNumber = Annotated[
    str, Query(description="Number of the page, counted from 1.", examples=["1"])
]
NextPage = Annotated[
    str,
    Query(
        alias="nextPage",
        description="Value of the header `elements-next-page-token` of the previous page.",
        examples=[""],
    ),
]


def parse_page_size(text: str, default: int = DEFAULT_PAGE) -> int:
    """The maximum number of items on a page. Raises BadInput."""
    if not text:
        return default
    return min(parse_whole_number(text, "pageSize", minimum=1), MAX_PAGE)


def parse_offset(page: str, size: int) -> int:
    """The number of items before a page; pages count from 1. Raises BadInput."""
    if not page:
        return 0
    return min((parse_whole_number(page, "page", minimum=1) - 1) * size, _MAX_OFFSET)


def next_number(page: str) -> int:
    """The number of the page after `page`. Raises BadInput."""
    return parse_whole_number(page or "1", "page", minimum=1) + 1


def take_page(
    response: Response, found: Sequence[T], limit: int, token: Callable[[T], int | str]
) -> Sequence[T]:
    """The first `limit` items. Sets the page headers.

    There is a next page if more items were found; `token` makes its token from the last item.
    """
    page = found[:limit]
    next_page = token(page[-1]) if len(found) > limit else None
    set_page_headers(response, len(page), next_page)
    return page


def present_each(
    items: Sequence[T], present: Callable[[T], dict[str, Any]], kind: str
) -> list[dict[str, Any]]:
    """The shapes of items. An item that cannot be shown is logged with its id, and left out."""
    shapes = []
    for item in items:
        try:
            shape = present(item)
            orjson.dumps(shape)  # as the answer will be
        except Exception:
            log.exception("item cannot be shown", kind=kind, id=getattr(item, "id", None))
        else:
            shapes.append(shape)
    return shapes


def set_page_headers(response: Response, returned: int, next_page: int | str | None) -> None:
    """Set the headers with the number of items and, if there is a next page, its token."""
    response.headers["elements-returned-count"] = str(returned)
    if next_page is not None:
        response.headers["elements-next-page-token"] = str(next_page)
