"""The words of a column's name, without what writers spell in different ways."""

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")
_IN_BRACKETS = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "đ": "d"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})
REMEMBERED = 16_384


def plain(text: str) -> str:
    """A text without accents; the case stays, as it separates words."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return "".join(
        letter.translate(_LETTERS)
        if letter.islower()
        else letter.lower().translate(_LETTERS).upper()
        for letter in bare
    )


@lru_cache(maxsize=REMEMBERED)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a name in lower case: `E-Mail 1`, `email1` and `EMail_1` have the same."""
    return tuple(word.lower() for word in _WORD.findall(plain(text)))


def key_of(text: str) -> str:
    """The words of a name as one: `Start date`, `startDate` and `START_DATE` have the same."""
    return "".join(words_of(text))


def keys_of(text: str) -> set[str]:
    """The keys under which people write a word: `Straße`, `Strasse`; `Gäste`, `Gaeste`."""
    return {key_of(text), key_of(text.lower().translate(_UMLAUTS))}


def without_brackets(text: str) -> str:
    """A name without what is in brackets."""
    return _IN_BRACKETS.sub(" ", text).strip()
