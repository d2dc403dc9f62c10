"""Lists functions whose name is a bare participle, such as `written`, `_given_back`, `checked`.

Run `.venv/bin/python tools/names.py`; it exits with 1 if there are any. Name source trees or files
to look at those instead of openbulk.

A participle says neither what a function takes nor what it returns. Use a verb where it acts or
decides (`commit_outcomes`), a noun where it computes (`byte_count`), `is_...` where it answers yes
or no. Functions, methods, properties and functions inside functions count; fields of data do not.

- `--ing` also lists names that begin with a present participle (`reading`), which may be right.
- `--twice` also lists names that modules of one folder use for different things: functions with
  other parameters or another first line of the docstring, and constants with another value.

Neither changes the exit status.
"""

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "openbulk"

NOT_PARTICIPLES = "bed bleed breed embed exceed feed need proceed red seed shed speed succeed"
IRREGULAR = """
    bent begun bitten blown bought bound born borne broken brought built burnt caught chosen come
    dealt done drawn driven eaten fallen fed felt forgotten fought found frozen given gone gotten
    grown heard held hidden hung kept known laid leant learnt led left lent lost made meant met
    mistaken overwritten paid proven rebuilt rewritten ridden risen said seen sent shaken shown
    shrunk slept sold sought spent spoken spun stolen stood stuck struck sunk swept sworn taken
    taught thought thrown told torn understood undone woken won worn woven written
"""
"""Without those that are verbs as they stand: cut, put, read, reset, set, shut, split."""


@dataclass(frozen=True)
class Definition:
    """A name that is defined in a file."""

    path: Path
    line: int
    name: str
    owner: str
    """The classes and functions around it, with a dot behind each; empty in a module."""
    meaning: tuple[str, ...]
    """Definitions that mean the same have the same: parameters and docstring, or a value."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.owner}{self.name}"


def functions(path: Path) -> list[Definition]:
    """The functions and methods of a file, in the order of their lines."""
    return list(functions_below(ast.parse(path.read_text(encoding="utf-8")), path, ""))


def functions_below(node: ast.AST, path: Path, owner: str) -> Iterator[Definition]:
    """The functions inside a part of a file."""
    for child in ast.iter_child_nodes(node):
        inside = owner
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Definition(path, child.lineno, child.name, owner, meaning_of(child))
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{owner}{child.name}."
        yield from functions_below(child, path, inside)


def meaning_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    """The parameters of a function and what it promises: its first line, or all it does."""
    body = "; ".join(map(ast.unparse, function.body))
    docstring = ast.get_docstring(function)
    promise = docstring.partition("\n")[0] if docstring else body
    returns = ast.unparse(function.returns) if function.returns else ""
    return ast.unparse(function.args), returns, promise


def constants(path: Path) -> Iterator[Definition]:
    """The constants that a module sets."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign([ast.Name(name)], value) if name.isupper():
                yield Definition(path, node.lineno, name, "", (ast.unparse(value),))
            case ast.AnnAssign(ast.Name(name), _, ast.expr() as value) if name.isupper():
                yield Definition(path, node.lineno, name, "", (ast.unparse(value),))


def is_participle(word: str) -> bool:
    """Whether a word is a past participle, also with `un` before it, as in `unknown`."""
    if word.endswith("ed"):
        return word not in NOT_PARTICIPLES.split()
    return word.removeprefix("un") in IRREGULAR.split()


PARTICLES = """
    anew back before behind by down for from here in into of off on once out over there to up
    with
"""
"""A participle that one of these follows is no less bare: `given_back`, `asked_for`."""


def is_bare_participle(name: str) -> bool:
    """Whether a name says what has happened, and not to what."""
    first, *others = name.strip("_").lower().split("_")
    return is_participle(first) and set(others) <= set(PARTICLES.split())


def first_word(name: str) -> str:
    """The first word of a name, in small letters."""
    return name.strip("_").partition("_")[0].lower()


def ambiguous_names(paths: list[Path]) -> Mapping[str, list[Definition]]:
    """Names that modules of one folder define with more than one meaning, by folder and name."""
    known = defaultdict(list)
    for path in paths:
        in_module = [function for function in functions(path) if not function.owner]
        for definition in [*in_module, *constants(path)]:
            known[f"{path.parent}: {definition.name}"].append(definition)
    return {
        name: definitions
        for name, definitions in known.items()
        if len({definition.path for definition in definitions}) > 1
        and len({definition.meaning for definition in definitions}) > 1
    }


def print_ambiguous(paths: list[Path]) -> None:
    """Print each ambiguous name with what it means where."""
    names = ambiguous_names(paths)
    for name, definitions in sorted(names.items()):
        print(name)
        for definition in definitions:
            meaning = " ".join(" | ".join(definition.meaning).split())
            print(f"    {definition.path.name}:{definition.line}: {meaning[:150]}")
    print(f"{len(names)} names are used for different things in one folder")


def source_files(roots: list[Path]) -> list[Path]:
    """The files of source trees, without migrations, relative to where the program runs."""
    here = Path.cwd()
    files = [root for root in roots if root.is_file()]
    files += [path for root in roots for path in root.rglob("*.py")]
    paths = sorted(path.resolve() for path in files if "migrations" not in path.parts)
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in paths]


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("roots", nargs="*", type=Path, default=[SOURCE], metavar="PATH")
    parser.add_argument("--ing", action="store_true", help="list present participles, too")
    parser.add_argument("--twice", action="store_true", help="list names with two meanings, too")
    options = parser.parse_args()
    paths = source_files(options.roots)
    definitions = [definition for path in paths for definition in functions(path)]
    participles = [item for item in definitions if is_bare_participle(item.name)]
    for participle in participles:
        print(participle)
    print(f"{len(participles)} of {len(definitions)} functions are named by a bare participle")
    if options.ing:
        present = [item for item in definitions if first_word(item.name).endswith("ing")]
        print(*present, sep="\n")
    if options.twice:
        print_ambiguous(paths)
    sys.exit(bool(participles))


if __name__ == "__main__":
    main()
