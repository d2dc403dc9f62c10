"""What a file holds, column by column, as far as its values show it."""

from dataclasses import dataclass
from typing import Literal

ValueType = Literal[
    "date", "time", "datetime", "number", "email", "phone", "url", "yesNo", "list", "text"
]
"""What the values of a column look like. `text` is what looks like nothing else."""


@dataclass(frozen=True, slots=True)
class LikelyType:
    """A type that values of a column have."""

    type: ValueType
    share: float
    """The share of the filled cells that have it, from 0 to 1."""
    detail: str | None = None
    """Of dates their order (`DMY`, `MDY`, `YMD`), of numbers their decimal sign (`.`, `,`)."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column of a file."""

    name: str
    filled: float
    """The share of the rows that have a value here, from 0 to 1."""
    distinct: int
    """How many different values there are, estimated."""
    samples: tuple[str, ...] = ()
    """Up to three values, as the file has them."""
    types: tuple[LikelyType, ...] = ()
    """The types of the filled cells, the most frequent first."""
    open_number: str | None = None
    """A number like 1.234, if no cell of the column shows its decimal sign."""
