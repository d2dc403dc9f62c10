"""Lists in pages: how a caller requests one, and the headers that describe it."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query, Response

from openbulk.api.http.parameters import parse_whole_number

T = TypeVar("T")
MAX_PAGE = 2_000
DEFAULT_PAGE = 200
_MAX_OFFSET = 2**62
"""What fits into the database's integers, with room for a page behind it."""
PageSize = Annotated[
    str,
    Query(
        alias="pageSize",
        description=f"Most items to return: {DEFAULT_PAGE} if empty, {MAX_PAGE} at most.",
        examples=["200"],
    ),
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
    """How many items a page has at most. Raises BadInput."""
    if not text:
        return default
    return min(parse_whole_number(text, "pageSize", least=1), MAX_PAGE)


def parse_offset(page: str, size: int) -> int:
    """How many items come before a page, for a caller who counts pages from 1. Raises BadInput."""
    if not page:
        return 0
    return min((parse_whole_number(page, "page", least=1) - 1) * size, _MAX_OFFSET)


def take_page(
    response: Response, found: Sequence[T], limit: int, token: Callable[[T], int | str]
) -> Sequence[T]:
    """The first `limit` items; with the headers that say how many, and the token of the next page.

    There is a next page if more were found. `token` makes its token of the last item.
    """
    page = found[:limit]
    next_page = token(page[-1]) if len(found) > limit else None
    set_page_headers(response, len(page), next_page)
    return page


def set_page_headers(response: Response, returned: int, next_page: int | str | None) -> None:
    """Say how many items a page has, and the token of the next page if there is one."""
    response.headers["elements-returned-count"] = str(returned)
    if next_page is not None:
        response.headers["elements-next-page-token"] = str(next_page)
