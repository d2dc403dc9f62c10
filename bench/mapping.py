"""How many fields of real-looking headers are proposed right, for each language and kind.

`mapping_headers.txt` has the headers; tests/support/mapping_headers.py reads and counts. With
`--faults`, this prints what is wrong in the headers that may correct the synonyms.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from figures import Figure
from openbulk.mapping.proposal import propose
from support.mapping_headers import (
    ALL_TARGET,
    FIELDS,
    OBJECTS,
    SURE_TARGET,
    Score,
    is_right,
    read_headers,
    schema_of,
    total,
)


def measure(quick: bool = False) -> Iterator[Figure]:
    """The scores of both halves, and those of the measured one by language and by kind."""
    headers = read_headers()
    measured = [one for one in headers if one.is_measured]
    corrected = [one for one in headers if not one.is_measured]
    yield _figure(f"{len(measured)} headers that the synonyms do not know", total(measured), True)
    yield _figure(f"{len(corrected)} headers that corrected the synonyms", total(corrected))
    for kind in FIELDS:
        yield _figure(f"measured: {kind}s", total([one for one in measured if one.kind == kind]))
    for language in dict.fromkeys(one.language for one in measured):
        of_language = [one for one in measured if one.language == language]
        yield _figure(f"measured: {language}", total(of_language))


def _figure(what: str, score: Score, has_target: bool = False) -> Figure:
    shown = (
        f"{score.of_sure:.1%} of {score.sure} sure fields right, "
        f"{score.of_all:.1%} of all {score.all}"
    )
    target = f"{SURE_TARGET:.0%} of the sure ones, {ALL_TARGET:.0%} of all" if has_target else ""
    return Figure(f"fields proposed, {what}", shown, target)


def _print_faults() -> None:
    """The faults of the headers that correct the synonyms."""
    for header in read_headers():
        if header.is_measured:
            continue
        found = propose(header.columns, schema_of(header.kind), OBJECTS[header.kind]).fields
        by_field = {one.field: one for one in found}
        for field in header.expected.keys() | by_field.keys():
            one = by_field.get(field)
            columns = () if one is None else one.source.columns
            if not is_right(header, field, columns):
                wanted = sorted(header.expected.get(field, ()))
                sure = "" if one is None else f"sure={one.sure} {one.why}"
                place = f"{header.kind} {header.language} {header.source}"
                print(f"{place}: {field}: {wanted} != {list(columns)} {sure}")


if __name__ == "__main__":
    if "--faults" in sys.argv:
        _print_faults()
    for each in measure():
        print(f"{each.what}: {each.measured}")
