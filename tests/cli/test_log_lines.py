"""Nothing from outside writes a log line of its own."""

import io

from openbulk.cli.log_lines import escape_control_characters, write_traceback

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
