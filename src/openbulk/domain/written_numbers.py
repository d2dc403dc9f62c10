"""Numbers as people write them: `1.234,50` and `1,234.50` are one number."""

import re
from collections.abc import Mapping

POINT, COMMA = ".", ","
SIGNS: Mapping[str, str] = {POINT: "1,234.50", COMMA: "1.234,50"}
"""The decimal signs, each with an example."""
WORDS: Mapping[str, str] = {POINT: "point", COMMA: "comma"}
_BLANKS = "'\u2019 \u00a0\u202f"
_PATTERNS = {
    sign: re.compile(
        rf"(?P<whole>[+-]?(?:[0-9]{{1,3}}(?:[{re.escape(other)}{_BLANKS}][0-9]{{3}})+|[0-9]+))"
        rf"(?:{re.escape(sign)}(?P<fraction>[0-9]+))?"
    )
    for sign, other in ((POINT, COMMA), (COMMA, POINT))
}


OPEN_NUMBER = re.compile(r"[+-]?[0-9]{1,3}[.,][0-9]{3}")
"""One mark, and three digits behind it: two numbers."""


def readings_of(text: str) -> Mapping[str, str]:
    """What a number of OPEN_NUMBER is with each decimal sign: `1.234` is 1.234 or 1234."""
    return {sign: plain_number(text, sign) for sign in SIGNS}


def plain_number(text: str, sign: str) -> str:
    """A number as programs write it, like 1234.50. `sign` is the decimal sign of the text.

    Raises ValueError; its message is half a sentence.
    """
    found = _PATTERNS[sign].fullmatch(text.strip())
    if found is None:
        raise ValueError(f"is not a number with a decimal {WORDS[sign]}, like {SIGNS[sign]}")
    whole = re.sub(rf"[.,{_BLANKS}]", "", found["whole"])
    return whole if found["fraction"] is None else f"{whole}.{found['fraction']}"
