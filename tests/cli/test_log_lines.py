"""Nothing from outside writes a log line of its own."""

import asyncio
import io
import logging
import socket

import pytest

from openbulk.cli.connections import OnceAMinute
from openbulk.cli.log_lines import escape_control_characters, write_traceback
from openbulk.cli.server import MANY_FROM_CALLERS

EVIL = "a\n2026-11-30T00:00:00Z [info] forged\r\x1b[31m\u2028\x85\x00\ud800"


def test_control_characters_of_a_value_are_escaped() -> None:
    event = escape_control_characters(None, "info", {"name": EVIL, "job": 1, "event": "Zoë"})
    assert event == {
        "name": r"a\n2026-11-30T00:00:00Z [info] forged\r\x1b[31m\u2028\x85\x00\ud800",
        "job": 1,
        "event": "Zoë",
    }


def test_each_line_of_a_traceback_is_indented_and_printable() -> None:
    written = io.StringIO()
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        write_traceback(written, (type(error), error, error.__traceback__))
    lines = written.getvalue().split("\n")[1:]
    assert lines[0] == "    Traceback (most recent call last):"
    assert any("forged" in line for line in lines)
    assert all(line.startswith("    ") and line.isprintable() for line in lines)


async def test_a_caller_who_is_gone_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Asyncio warns of each piece of an answer that nobody takes any more."""
    of_asyncio, seldom = logging.getLogger("asyncio"), OnceAMinute(*MANY_FROM_CALLERS)
    of_asyncio.addFilter(seldom)
    ours, callers = socket.socketpair()
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=ours
        )
        callers.close()
        for _ in range(50):
            transport.write(b"x")
        transport.abort()
    finally:
        of_asyncio.removeFilter(seldom)
    warned = [record for record in caplog.records if record.name == "asyncio"]
    assert len(warned) == 1
