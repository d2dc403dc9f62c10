"""Yes and no, as the cells of files say it in eleven languages."""

_YES = (
    "yes y true on",
    # de, fr, es and it
    "ja j wahr ein oui vrai sí si verdadero vero",
    # nl, pt, pl
    "waar aan sim verdadeiro tak prawda",
    # sv and da, cs
    "sant sand ano pravda",
)
_NO = (
    "no n false off",
    "nein falsch aus non faux falso",
    "nee onwaar uit não nao nie fałsz",
    "nej falskt falsk ne nepravda",
)
_YES_WORDS = frozenset(" ".join(_YES).split())
_NO_WORDS = frozenset(" ".join(_NO).split())
YES_NO = _YES_WORDS | _NO_WORDS
"""Words that say nothing else, in lower case."""
_MARKS = {"1": True, "x": True, "0": False}
"""What says yes or no in a column of such cells."""


def parse_yes_no(text: str) -> bool | None:
    """Whether a cell says yes; None if it says neither. A cell without a text says no."""
    plain = text.strip().casefold()
    if plain in _YES_WORDS:
        return True
    if not plain or plain in _NO_WORDS:
        return False
    return _MARKS.get(plain)
