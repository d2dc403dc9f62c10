"""Counts how dense the code is: decisions, long lines and comments, for each package and in total.

Run `.venv/bin/python tools/density.py`, or name source trees: `tools/density.py ../httpx/httpx`.

A line of code is a line that is not blank, not only a comment, and not part of a docstring (a
string that stands alone as a statement, also below an attribute). Folders called `migrations` are
left out.

- branches: per 1,000 lines of code. One for each `if`, `elif`, `for`, `while`, `except`, `case`,
  conditional expression and `and` / `or` operator, and for each `for` and `if` of a comprehension.
- conditionals: `a if b else c`, per 1,000 lines that are not blank.
- long: the share of lines over 100 characters among the lines that are not blank.
- comments: lines with a comment, also behind code, for each 100 lines of code.
"""

import ast
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "openbulk"
LONG = 100
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case)


def count_file(path: Path) -> Counter[str]:
    """Count the lines and the decisions of one file."""
    text = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    filled = {number: line for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    comments = comment_lines(path)
    not_code = docstring_lines(nodes) | {n for n in comments if filled[n].lstrip().startswith("#")}
    return Counter(
        files=1,
        code=len(filled.keys() - not_code),
        filled=len(filled),
        branches=sum(branch_count(node) for node in nodes),
        conditionals=sum(isinstance(node, ast.IfExp) for node in nodes),
        long=sum(len(line) > LONG for line in filled.values()),
        comments=len(comments),
    )


def branch_count(node: ast.AST) -> int:
    """How many decisions a node holds, without those of the nodes inside it."""
    match node:
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=conditions):
            return 1 + len(conditions)
        case _:
            return int(isinstance(node, BRANCHES))


def comment_lines(path: Path) -> set[int]:
    """The numbers of the lines that hold a comment."""
    with tokenize.open(path) as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}


def docstring_lines(nodes: list[ast.AST]) -> set[int]:
    """The numbers of the lines that belong to a string which stands alone as a statement."""
    lines: set[int] = set()
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                lines.update(range(first, last + 1))
    return lines


def count_packages(root: Path) -> Iterator[tuple[str, Counter[str]]]:
    """The counts of a file, or of each folder directly below a source tree, and the total."""
    packages: dict[str, Counter[str]] = {}
    for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
        folders = path.relative_to(root).parts[:-1]
        if "migrations" not in folders:
            package = "/".join((root.name, *folders[:1]))
            packages.setdefault(package, Counter()).update(count_file(path))
    yield from packages.items()
    if len(packages) > 1:
        yield f"{root.name}, total", sum(packages.values(), Counter())


def show(package: str, counts: Counter[str]) -> None:
    """Print the figures of one package."""
    code, filled = max(counts["code"], 1), max(counts["filled"], 1)
    print(
        f"{package:28} {counts['files']:5} {counts['code']:7,}"
        f" {1000 * counts['branches'] / code:9.1f} {1000 * counts['conditionals'] / filled:12.1f}"
        f" {100 * counts['long'] / filled:7.1f} % {100 * counts['comments'] / code:7.1f} %"
    )


def main() -> None:
    """Print a table for each source tree on the command line, or for openbulk."""
    print(f"{'package':28} files    code  branches conditionals     long  comments")
    for root in [Path(name).resolve() for name in sys.argv[1:]] or [SOURCE]:
        for package, counts in count_packages(root):
            show(package, counts)


if __name__ == "__main__":
    main()
