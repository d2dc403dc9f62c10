"""One tree holds every error of openbulk, and `openbulk.domain.errors` draws it as it is."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import openbulk
from openbulk.domain import errors
from openbulk.domain.errors import OpenbulkError

NOT_OF_THE_PRODUCT = ("openbulk.sandbox", "openbulk.testing")
PROGRAMS = ("openbulk.__main__", "openbulk.storage.migrations")
"""Modules that act when they are imported: the command, and what Alembic runs."""
DRAWN = re.compile(r"(?P<branches>[│├└─ ]+)(?P<name>\w+)")

Edge = tuple[str, str]
"""A class and the error that it derives from."""


def defined_errors() -> set[type[BaseException]]:
    """Every exception class of the product, wherever it is defined."""
    for module in pkgutil.walk_packages(openbulk.__path__, "openbulk."):
        if not module.name.startswith((*NOT_OF_THE_PRODUCT, *PROGRAMS)):
            importlib.import_module(module.name)
    return {
        error
        for error in below(BaseException)
        if error.__module__.startswith("openbulk.")
        and not error.__module__.startswith(NOT_OF_THE_PRODUCT)
    }


def below(error: type[BaseException]) -> Iterator[type[BaseException]]:
    """All classes that derive from this one."""
    for derived in error.__subclasses__():
        yield derived
        yield from below(derived)


def is_private(error: type[BaseException]) -> bool:
    return error.__name__.startswith("_")


def edges_drawn() -> list[Edge]:
    """The tree in the module's docstring: each level is four characters further to the right."""
    _, root, tree = (errors.__doc__ or "").partition("\nOpenbulkError\n")
    path = [root.strip()]
    edges: list[Edge] = []
    for line in tree.splitlines():
        drawn = DRAWN.match(line)
        assert drawn, line
        depth = len(drawn["branches"]) // 4
        path[depth:] = [drawn["name"]]
        edges.append((path[depth], path[depth - 1]))
    return edges


def edges_of(classes: set[type[BaseException]]) -> list[Edge]:
    return [
        (error.__name__, base.__name__)
        for error in classes
        for base in error.__bases__
        if issubclass(base, OpenbulkError)
    ]


def test_every_error_derives_from_openbulk_error() -> None:
    """But for private ones, which are signals within a module (see the next test)."""
    strangers = {error for error in defined_errors() if not issubclass(error, OpenbulkError)}
    assert {error.__qualname__ for error in strangers if not is_private(error)} == set()


def test_a_private_error_never_leaves_its_module() -> None:
    """Such as `_WrongCell` of formats/googlecsv, which becomes the problem of a row."""
    source = Path(openbulk.__path__[0])
    for error in filter(is_private, defined_errors()):
        mention = re.compile(rf"\b{error.__name__}\b")
        files = [file for file in source.rglob("*.py") if mention.search(file.read_text())]
        module = Path(*error.__module__.split(".")[1:])
        homes = {source / module.with_suffix(".py"), source / module / "__init__.py"}
        assert len(files) == 1 and files[0] in homes, f"{error.__name__} is used in {files}"


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    """Each class once, below the one that it derives from."""
    public = {error for error in defined_errors() if not is_private(error)}
    assert sorted(edges_drawn()) == sorted(edges_of(public))
