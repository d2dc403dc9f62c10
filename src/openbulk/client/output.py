"""What commands print: answers on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_UNSHOWN = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127, *range(128, 160))}
"""Control characters of files and services: a terminal would obey them."""
_MAX_CELL = 200
_Item = TypeVar("_Item")


def answers() -> Console:
    """Standard output. Rich takes colours away where it is no terminal, and with NO_COLOR."""
    return Console(highlight=False, soft_wrap=True)


def notes() -> Console:
    """Standard error: progress, questions, and what to do next."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def is_interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def plain(value: object) -> str:
    """A value of a file or a service as a text for a terminal, without markup."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    cut = text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}…"
    return escape(cut.translate(_UNSHOWN))


def print_json(value: Any) -> None:
    """Print an answer as JSON."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print rows as a table; a sentence on standard error if there are none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    if table.row_count == 0:
        notes().print(empty)
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 1_000  # a pipe wraps no lines
        console.print(table)


def print_list(
    found: Iterable[_Item],
    columns: Sequence[str],
    row_of: Callable[[_Item], Sequence[object]],
    empty: str,
    *,
    as_json: bool,
) -> None:
    """Print a list of the API, as it is or as a table."""
    if as_json:
        print_json(list(found))
    else:
        print_table(columns, map(row_of, found), empty)


def counts_text(counts: Mapping[str, Any], *, leave_out: Iterable[str] = ()) -> str:
    """Counts by their kind, those above zero: `3 created, 1 failed`."""
    hidden = set(leave_out)
    parts = [
        f"{count:,} {_KINDS.get(kind, kind)}"
        for kind, count in counts.items()
        if count and kind not in hidden
    ]
    return ", ".join(parts) or "none"


_KINDS = {
    "notFound": "not found",
    "notReached": "not reached",
    "notCompared": "not compared",
    "goneAlready": "gone already",
    "notReversible": "not reversible",
    "notChecked": "not checked",
}
