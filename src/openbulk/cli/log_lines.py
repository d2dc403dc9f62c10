"""Log lines that nothing from outside can forge."""

import traceback
from typing import Any, TextIO

import structlog

_INDENT = "    "


def escape_control_characters(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Show control characters as escapes: a name from outside must not write a line of its own."""
    return {
        name: _printable(value) if isinstance(value, str) else value
        for name, value in event.items()
    }


def write_traceback(lines: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Write a traceback below its log line, indented: the error may quote what a caller sent.

    It shows no local variables, which hold secrets and records.
    """
    for line in "".join(traceback.format_exception(*exc_info)).rstrip("\n").split("\n"):
        lines.write(f"\n{_INDENT}{_printable(line)}")


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
