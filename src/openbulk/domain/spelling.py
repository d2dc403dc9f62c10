"""Names as people write them: in another case, or misspelt."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from unicodedata import normalize

from openbulk.domain.errors import BadInput

_LIKENESS = 0.75
"""Above this likeness (`difflib`), an unknown name is a known one with a typo."""
LIKENESS_TO_ASK = 0.6
"""Above this likeness, a message asks whether the known name was meant."""


_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f\u2060"))
"""Byte order marks, and other characters that nobody sees in a header."""


def fold_name(name: str) -> str:
    """A name without what people do not see or mean: case, blanks, composition, byte order marks.

    Canonical caseless matching (Unicode 16, section 3.13.5, D145).
    """
    text = normalize("NFD", normalize("NFD", name.translate(_INVISIBLE)).casefold())
    return " ".join(text.split())


def same_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that a name is, as people write it; None for none, or several."""
    names = list(known)
    if name in names:
        return name
    folded = fold_name(name)
    alike = [one for one in names if fold_name(one) == folded]
    return alike[0] if len(alike) == 1 else None


def known_spelling(name: str, known: Iterable[str]) -> str | None:
    """The known name that equals a name, whatever the case; None if there is none."""
    lower = name.lower()
    return next((one for one in known if one.lower() == lower), None)


def likely_name(name: str, known: Iterable[str], likeness: float = _LIKENESS) -> str | None:
    """The known name that a name is most likely meant to be; None if it is like none."""
    by_lower_case = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), by_lower_case, 1, likeness)
    return by_lower_case[near[0]] if near else None


def refuse_misspelt(
    names: Iterable[str], known: Collection[str], sentence: str, likeness: float = _LIKENESS
) -> None:
    """Raise BadInput for a name that is most likely a known one with a typo.

    The message begins with `sentence`, with the name in place of `{}`.
    """
    for name in names:
        near = None if name in known else likely_name(name, known, likeness)
        if near is not None:
            raise BadInput(f"{sentence.replace('{}', repr(name[:80]))}; did you mean {near!r}?")


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, else all of them."""
    names = sorted(set(known))
    near = likely_name(name, names, LIKENESS_TO_ASK)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"it can be {', '.join(names)}" if names else "there is none"
