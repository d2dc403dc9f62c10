"""What the words of a column's name mean, in eleven languages.

A *concept* is a field as people know it, whatever a service calls it: `firstName`, `startDate`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from openbulk.mapping.words import key_of, keys_of, without_brackets, words_of

KINDS = ("event", "contact", "account")
LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt", "pl", "sv", "da", "cs")
_QUALIFIERS = ("business", "home", "other", "noise")
_WEAK = "?"
"""Ends a concept whose words may also mean something else."""

_SURE, _WITHOUT_NOISE, _INNER, _WEAK_WORD = 0.95, 0.9, 0.86, 0.65


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name means."""

    concept: str
    confidence: float
    qualifier: str = ""
    """`business`, `home`, `other`, or none."""
    ordinal: int = 1
    """2 for the second e-mail address."""
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vocabulary:
    """The words for the fields of one kind of object."""

    kind: str
    words: Mapping[str, Mapping[str, str]]
    """By key: the concept by language."""
    qualifiers: Mapping[str, str]
    """By key of one word."""
    fields: Mapping[str, Sequence[str]]
    """Paths of fields by concept, where a service's names do not say it."""

    # --- names ---

    def meanings(self, name: str) -> Sequence[Meaning]:
        """What a name can mean, one for each concept."""
        found = self._look_up(key_of(name), _SURE)
        if found:
            return found
        for text, confidence in ((name, _WITHOUT_NOISE), (without_brackets(name), _INNER)):
            found = self._without_qualifiers(words_of(text), confidence)
            if found:
                return found
        for mark in (":", "/", ".", ">", "|"):
            last = name.rpartition(mark)[2].strip()
            if last and last != name and len(last) > 2:
                return self._look_up(key_of(last), _INNER)
        return []

    def _without_qualifiers(self, words: Sequence[str], confidence: float) -> Sequence[Meaning]:
        rest, qualifier, ordinal = [], "", 1
        for word in words:
            kind = self.qualifiers.get(word)
            if word.isdecimal():
                ordinal = int(word[:4])
            elif kind is None:
                rest.append(word)
            elif kind != "noise":
                qualifier = kind
        if not rest:  # the qualifiers are all there is: "Private", "Company"
            return []
        return self._look_up("".join(rest), confidence, qualifier, ordinal)

    def _look_up(
        self, key: str, confidence: float, qualifier: str = "", ordinal: int = 1
    ) -> Sequence[Meaning]:
        by_concept: dict[str, list[str]] = {}
        for language, concept in self.words.get(key, {}).items():
            by_concept.setdefault(concept, []).append(language)
        return [
            Meaning(
                concept.removesuffix(_WEAK),
                _WEAK_WORD if concept.endswith(_WEAK) else confidence,
                qualifier,
                ordinal,
                tuple(languages),
            )
            for concept, languages in by_concept.items()
        ]

    # --- headers ---

    def meanings_of(self, names: Iterable[str]) -> Mapping[str, Meaning]:
        """What the names of a header mean; where a word has several meanings, by its language."""
        found = {name: self.meanings(name) for name in names}
        votes = dict.fromkeys(LANGUAGES, 0.0)
        for meanings in found.values():
            languages = {one for meaning in meanings for one in meaning.languages}
            for language in languages:
                votes[language] += 1 / len(languages)

        def weight(meaning: Meaning) -> float:
            return max(votes[language] for language in meaning.languages)

        return {name: max(meanings, key=weight) for name, meanings in found.items() if meanings}


@cache
def vocabulary_of(kind: str) -> Vocabulary:
    """The words for the fields of a kind of object."""
    words: dict[str, dict[str, str]] = {}
    qualifiers: dict[str, str] = {}
    for language in LANGUAGES:
        for concept, names in _read(kind, language).items():
            if concept.startswith("@"):
                for name in names:
                    qualifiers.update(dict.fromkeys(keys_of(name), concept[1:]))
                continue
            for name in names:
                for key in keys_of(name):
                    words.setdefault(key, {}).setdefault(language, concept)
    return Vocabulary(kind, words, qualifiers, _read(kind, "fields"))


def _read(kind: str, name: str) -> dict[str, Any]:
    folder = files(__package__).joinpath("synonyms", kind)
    content: dict[str, Any] = orjson.loads(folder.joinpath(f"{name}.json").read_bytes())
    return content
