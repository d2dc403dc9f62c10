"""Which encodings a text may be in whose bytes do not show it: ranked, for a person to choose."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from openbulk.domain.file_questions import Choice
from openbulk.formats.encodings import ENCODING_NAMES

MAX_CANDIDATES = 8
SHOWN_CHARACTERS = 60
"""Of a line, around its first byte in question."""
_CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "gb18030", "cp932", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("big5hkscs", "cp949", "cp1257", "cp1258", "euc_jp", "cp874"),
    *(
        "iso8859_2",
        "koi8_r",
        "koi8_u",
        "mac_roman",
        "cp866",
        "iso8859_5",
        "iso8859_7",
        "iso8859_15",
    ),
)
"""Those that files of today have; of two that fit equally well, the first is more frequent."""
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_POINTS = {"L": 1, "M": 0, "C": -20}
"""By the first letter of a character's category; the others are signs, which are rare."""
_SIGN, _COMMON_SIGN = -1, 0
_COMMON_SIGNS = frozenset("€„“”\u201a\u2018\u2019\u2013\u2014…«»°§©®™²³½·")
_TWO_SCRIPTS, _CAPITAL_INSIDE, _ROW_OF_ACCENTS, _HALFWIDTH = -3, -2, -2, -1
_ACCENTS_IN_A_ROW = re.compile("[\u00c0-\u024f]{3,}")


def rank_encodings(lines: Sequence[bytes]) -> Sequence[Choice]:
    """The encodings that these lines are most likely in, each with the first line read that way.

    Only those are left that have all their bytes. Of several that read all lines alike, the first
    is enough.
    """
    scores: dict[str, float] = {}
    seen: set[str] = set()
    for place, codec in enumerate(_CANDIDATES):
        try:
            text = b"".join(lines).decode(codec)
        except UnicodeDecodeError:
            continue
        if text not in seen:
            seen.add(text)
            scores[codec] = _score(text) - place / (100 * len(_CANDIDATES))
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:MAX_CANDIDATES]
    excerpt = _excerpt(lines[0])
    return [Choice(ENCODING_NAMES[codec], excerpt.decode(codec, "replace")) for codec in best]


def _excerpt(line: bytes) -> bytes:
    """The part of a line that has its first byte in question."""
    match = _NON_ASCII.search(line)
    begin = max(0, match.start() - SHOWN_CHARACTERS // 2) if match else 0
    return line[begin : begin + SHOWN_CHARACTERS].strip()


def _score(text: str) -> float:
    """How much a text looks like words of one language."""
    foreign = [character for character in text if not character.isascii()]
    score = float(sum(map(_points, foreign)))
    for first, second in pairwise(text):
        if not (first.isascii() and second.isascii()) and first.isalpha() and second.isalpha():
            score += _fit(first, second)
    rows = _ACCENTS_IN_A_ROW.findall(text)
    return (score + _ROW_OF_ACCENTS * sum(map(len, rows))) / (len(foreign) or 1)


def _points(character: str) -> int:
    if character in _COMMON_SIGNS:
        return _COMMON_SIGN
    if "\uff61" <= character <= "\uff9f":
        return _HALFWIDTH
    return _POINTS.get(unicodedata.category(character)[0], _SIGN)


def _fit(first: str, second: str) -> int:
    """How well two letters stand side by side."""
    if _script(first) != _script(second):
        return _TWO_SCRIPTS
    return _CAPITAL_INSIDE if first.islower() and second.isupper() else 0


@lru_cache(4_096)
def _script(character: str) -> str:
    """The script of a letter; Japanese mixes three."""
    script = unicodedata.name(character, "?").partition(" ")[0]
    return "CJK" if script in {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"} else script
