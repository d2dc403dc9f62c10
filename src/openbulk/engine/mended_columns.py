"""The columns of a job's rows, by the names that a person writes: in any case, as in mappings."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.domain.field_paths import MAX_STEPS
from openbulk.domain.job import Job
from openbulk.domain.records import flatten, steps_of, value_at
from openbulk.domain.spelling import fold_name, suggestion


def column_of_table(job: Job, name: str) -> str:
    """The column of a job's table that a name means. Raises BadInput for none, and for several."""
    found = _spelt(name, job.columns)
    if found is not None:
        return found
    raise BadInput(
        f"the file of job {job.id} has no column {name[:80]!r}; "
        f"{suggestion(name, job.columns)} (its columns: {', '.join(job.columns)})"
    )


def field_of_record(values: Mapping[str, Any], name: str) -> str:
    """The field of a JSON record that a dotted name means: a new one if it has none of that name.

    Raises BadInput for a name that can be no field of it.
    """
    if name.count(".") >= MAX_STEPS:
        raise BadInput(
            f"the field {name[:80]!r} has more than {MAX_STEPS} steps, which no record can have"
        )
    if name in values or value_at(values, name) is not None:
        return name
    found = _spelt(name, {**flatten(values), **values})
    if found is not None:
        return found
    _require_no_item(name)
    for around in _names_around(name):
        _require_object(value_at(values, around), around, name)
    return name


def _require_no_item(name: str) -> None:
    if any(isinstance(step, int) for step in steps_of(name)):
        raise BadInput(f"the field {name[:80]!r} is an item of a list; mend the list as a whole")


def _names_around(name: str) -> Iterator[str]:
    """The names of the values that a field is inside of, the outermost first."""
    path = [str(step) for step in steps_of(name)]
    return (".".join(path[:end]) for end in range(1, len(path)))


def _require_object(value: Any, around: str, name: str) -> None:
    if value is None or isinstance(value, Mapping):
        return
    raise BadInput(
        f"the field {name[:80]!r} is inside {around[:80]!r}, which is not an object in this row; "
        f"mend {around[:80]!r} as a whole"
    )


def _spelt(name: str, known: Collection[str]) -> str | None:
    """The known name that a name means; None for none. Raises BadInput for several."""
    if name in known:
        return name
    folded = fold_name(name)
    alike = [one for one in known if fold_name(one) == folded]
    if len(alike) > 1:
        could = " or ".join(map(repr, alike))
        raise BadInput(f"{name[:80]!r} can mean the column {could}; write its name exactly")
    return alike[0] if alike else None


def require_apart(names: Iterable[str]) -> None:
    """Raise BadInput for two fields of a record, one of which is inside of the other."""
    known = set(names)
    for name in known:
        for around in _names_around(name):
            if around in known:
                raise BadInput(
                    f"{around[:80]!r} and {name[:80]!r} are mended, and one is inside of the "
                    "other; send one of the two"
                )
