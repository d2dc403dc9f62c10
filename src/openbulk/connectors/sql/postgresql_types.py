"""Reads PostgreSQL's values without loss: what Python's types do not hold stays text."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.types import TypeInfo
from psycopg.types.datetime import (
    DateLoader,
    TimeLoader,
    TimestampLoader,
    TimestamptzLoader,
    TimetzLoader,
)
from psycopg.types.hstore import register_hstore
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader

from openbulk.exact_json import decode_stored_json


async def use_exact_types(connection: psycopg.AsyncConnection[Any]) -> None:
    """Register the loaders for one connection."""
    for name, loader in _LOADERS.items():
        connection.adapters.register_loader(name, loader)
    set_json_loads(decode_stored_json, connection)
    hstore = await TypeInfo.fetch(connection, "hstore")
    if hstore is not None:
        register_hstore(hstore, connection)
    await connection.rollback()


def _or_text(loader: type[Loader]) -> type[Loader]:
    """A loader that returns the text of a value that `loader` cannot hold.

    Such as infinity, the years before 1 and after 9999, and 24:00:00.
    """

    class OrText(loader):  # type: ignore[misc, valid-type]
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    return OrText


_RANGES = ("int4", "int8", "num", "date", "ts", "tstz")
_LOADERS: Mapping[str, type[Loader]] = {
    "date": _or_text(DateLoader),
    "time": _or_text(TimeLoader),
    "timetz": _or_text(TimetzLoader),
    "timestamp": _or_text(TimestampLoader),
    "timestamptz": _or_text(TimestamptzLoader),
    # Python has no months, and psycopg makes 30 days of each.
    "interval": TextLoader,
    # psycopg and SQLAlchemy write ranges in two ways, and PostgreSQL in a third.
    **{f"{name}{kind}": TextLoader for name in _RANGES for kind in ("range", "multirange")},
}
