"""Finds the end of an element that is not JSON, and the list in an object that is around it."""

import json
import re

_BRACKETS = re.compile(r"[\[\]{},]")
_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_BRACKETS_OUTSIDE_QUOTES = re.compile(rf"{_QUOTED}|[\[\]{{}},]", re.DOTALL)
_NEXT_OBJECT = re.compile(r"\s*,\s*(?=\{\s*\")")
_END_OF_ARRAY = re.compile(r"\s*\]\s*\Z")
_LEVELS = {"{": 1, "[": 1, "}": -1, "]": -1}
_TOKENS = re.compile(rf"{_QUOTED}|[\[\]{{}}:,]", re.DOTALL)
_OBJECT = re.compile(r"\s*\{")


def find_element_end(text: str, start: int, *, is_whole: bool) -> tuple[int | None, int]:
    """The position of the comma or bracket behind a broken element of an array; None if unclear.

    Also the number of characters that were searched. Brackets are matched with and without regard
    to quotes, since the broken thing may be a quote. An end with a whole object or the end of the
    array behind it is the best one, then one with the beginning of an object. If no more text is to
    come (`is_whole`), any end will do.
    """
    outside_quotes = _match_brackets(text, start, _BRACKETS_OUTSIDE_QUOTES)
    everywhere = _match_brackets(text, start, _BRACKETS)
    searched = max(outside_quotes, everywhere) - start
    ends = [end for end in (outside_quotes, everywhere) if end < len(text)]
    best = [end for end in ends if _is_followed_by_object_or_end(text, end)]
    good = [end for end in ends if _NEXT_OBJECT.match(text, end)]
    any_end = ends[:1] * is_whole
    return min(best or good or any_end, default=None), searched


def _match_brackets(text: str, start: int, pattern: re.Pattern[str]) -> int:
    """Where the element ends at the bracket around it, or at a comma; else the end of the text."""
    depth = 0
    for token in pattern.finditer(text, start):
        mark = token.group()
        if depth == 0 and mark in {",", "]"}:
            return token.start()
        depth = max(0, depth + _LEVELS.get(mark, 0))
    return len(text)


def _is_followed_by_object_or_end(text: str, end: int) -> bool:
    following = _NEXT_OBJECT.match(text, end)
    if following is None:
        return _END_OF_ARRAY.match(text, end) is not None
    try:
        json.JSONDecoder().raw_decode(text, following.end())
    except (ValueError, RecursionError):
        return False
    return True


def find_list(text: str) -> str | None:
    """The dotted name of the first list of objects in a JSON object, which may be cut off.

    None if it has none.
    """
    path: list[str] = []
    name = ""
    previous = ""
    for token in _TOKENS.finditer(text):
        mark = token.group()
        if mark in {"{", "["}:
            path.append(name if previous == ":" else "")
            if mark == "[" and _OBJECT.match(text, token.end()):
                return ".".join(filter(None, path))
        elif mark in {"}", "]"}:
            path = path[:-1]
        elif mark.startswith('"'):
            name = mark[1:-1]
        previous = mark
    return None
