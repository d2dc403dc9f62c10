"""Cells that a spreadsheet would run as formulas."""

import re
from typing import Any

# CSV injection, OWASP: https://owasp.org/www-community/attacks/CSV_Injection
_BEGINNINGS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?%?")


def guard(cell: Any) -> Any:
    """A cell with an apostrophe in front if a spreadsheet would run it. Numbers stay."""
    if not isinstance(cell, str) or not cell.startswith(_BEGINNINGS) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"
