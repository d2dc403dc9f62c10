"""Reads the rows of a list. A row that cannot be read is left out, and its neighbours stay."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import structlog
from sqlalchemy import Row

from openbulk.domain.errors import Unavailable

log = structlog.get_logger()
T = TypeVar("T")


def read_each(rows: Iterable[Row[Any]], read: Callable[[Row[Any]], T], kind: str) -> list[T]:
    """Read rows one by one; log the id of each that cannot be read, and leave it out."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(read(row))
        except Unavailable:
            raise
        except Exception:
            log.exception("ledger row cannot be read", kind=kind, id=row.id)
    return found
