"""Records on their way into a service or out of it, and their outcomes."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count, repeat
from operator import contains
from typing import Any, NamedTuple, Protocol

from openbulk.domain.field_paths import MAX_STEPS, Path, path_text
from openbulk.domain.file_mapping import FileMapping
from openbulk.domain.transformation import Transformation

_LIST_ITEM = re.compile(r"(?P<name>[^\[\]]+)\[(?P<index>\d{1,4})\]")


class Action(StrEnum):
    """What a job does with each of its records."""

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


class OutcomeKind(StrEnum):
    """What became of a record. Each record of a job that has an outcome has exactly one kind."""

    CREATED = "created"
    UPDATED = "updated"
    UPSERTED = "upserted"
    """Created or updated: the service does not say which."""
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    NOT_FOUND = "not_found"
    """A record to delete does not exist, so nothing was to be done. It has not failed: after it,
    the service is as the caller wants it."""
    FAILED = "failed"
    DRIFTED = "drifted"
    """The record has changed since the plan that is carried out saw it: it was left as it is."""
    UNKNOWN = "unknown"
    """The service may have taken the record: a person has to check."""
    REVERSED = "reversed"
    """An undo has put the record back as it was. This kind and the next three are those of undos.
    """
    KEPT = "kept"
    """Somebody has changed the record since the job that is undone, so it was left alone."""
    GONE_ALREADY = "gone_already"
    """Somebody has deleted the record since."""
    NOT_REVERSIBLE = "not_reversible"
    """What the row did cannot be undone."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record failed, has drifted or is unknown, in words for the person who corrects it."""

    message: str
    """What is wrong and what would be right, in a sentence."""
    field: str | None = None
    """The column or field at fault; None if no single one is."""
    provider_message: str | None = None
    """The service's own message, word for word."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a plan saw of the record that a row means, and what it would do with it."""

    kind: OutcomeKind
    """What the plan says will become of the record."""
    id: str | None = None
    """The service's id of the record; None if there was none."""
    version: str | None = None
    """The state of the record, in the words of the connector that planned; None if it has none."""
    before: Mapping[str, Any] = field(default_factory=dict)
    """The fields that the row changes, as they were."""


class Record(NamedTuple):
    """One record on its way into a service.

    A tuple, like `Row` and `Outcome`: a job makes one of each for every record, and making a frozen
    dataclass takes three times as long.
    """

    row: int
    """Its number in the file, from 1; the header of a CSV does not count."""
    values: Mapping[str, Any]
    """Field name to value, nested objects as mappings, lists as sequences. A field without a value
    is absent."""
    key: str = ""
    """Stays the same each time this record is sent. If writes are idempotent, it makes a repeated
    call harmless."""
    size: int = 0
    """About how many bytes of memory it takes; 0 for a single call."""
    expected: Expectation | None = None
    """What a plan saw. `write` leaves a record that is not so any more as it is: it has drifted.
    None for a record that no plan is about."""


class Before(NamedTuple):
    """A before-image: what a write has overwritten at one record."""

    values: Mapping[str, Any]
    """Of a changed record, the fields that were written, as they were; None for one that was not
    set. Of a deleted one, all of them."""
    version: Any = None
    """The state of the record before, in the connector's words; None if it has none."""


class BeforeImages(Protocol):
    """Keeps what a job is about to overwrite, so that a crash in the middle of a call loses it not.

    A connector whose service commits by itself uses it; a database keeps the image in the
    transaction of its write.
    """

    async def keep(self, row: int, before: Before) -> None:
        """Keep what a row overwrites. On return it is durable, and the call may be made."""

    def image_of(self, row: int) -> Before | None:
        """What was kept of a row without an outcome; None if nothing was.

        An earlier call may have kept it, and an earlier slice.
        """


class JobRecords(Protocol):
    """All records of a job's file, for a connector to which one of them means another.

    Reading them takes some µs a record. They are the same for every process that works on the
    job, however often it was killed.
    """

    fence: int
    """A number of the slice that reads them. The next slice of the job has the next number, unless
    the job was taken over or restarted in between."""
    cursor: int
    """All rows up to here had an outcome when the slice began."""
    last: int
    """The last row that had an outcome when the slice began; 0 if none had."""

    def each(self, after: int = 0) -> AsyncIterator[tuple[Record, str | None]]:
        """The records behind a row, each with the service's id of what it has written or found.

        The id is None if the record has no outcome yet, was refused, or has deleted something.
        """


@dataclass(frozen=True, slots=True)
class Target:
    """Where the records of a job go, and what the service does with them."""

    object: str
    action: Action
    identifier_field: str | None = None
    """The field that identifies records, if the caller names one (`identifierFieldName`)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The caller's `metaData`, its keys in the spelling of the parts that read them. A connector
    reads those that its provider declares (`Provider.options`)."""
    unused_options: tuple[str, ...] = ()
    """What the caller sent that has no effect on this job, as `metaData.path`."""
    run: str = ""
    """Identifies the job. Connectors cache lookups under it."""
    earlier_runs: tuple[str, ...] = ()
    """The runs of the jobs of which this one retries rows, the first job first. Rows keep the keys
    that they had there. A connector that finds records by their run looks there, too."""
    is_typed: bool = False
    """Whether the records come from JSON, where a text is a text. In other files it can also be a
    number, a date or a JSON document."""
    records: int | None = None
    """Number of records in the job; None until it is known. It decides whether one lookup of all
    records pays."""
    transformation: Transformation | None = None
    """The caller's names of the object and of its fields, if they are not the service's."""
    mapping: FileMapping | None = None
    """How the file's columns make the fields; None if they are named as the fields."""
    only_compares: bool = False
    """A plan of records that were written before: they are compared with what the service has. What
    would come of writing them is not tried out."""
    job_records: JobRecords | None = field(default=None, compare=False, repr=False)
    """The records of the job, with those that another process has sent; None for a single call."""

    before_images: BeforeImages | None = field(default=None, compare=False, repr=False)
    """None if the job cannot be undone later: then outcomes need not say what they overwrote."""

    @property
    def key_run(self) -> str:
        """The run that the keys of rows begin with: that of the job that read them first."""
        return self.earlier_runs[0] if self.earlier_runs else self.run


class Row(NamedTuple):
    """One row of a file: a record's values, or the problem that makes them unreadable."""

    number: int
    """From 1; the header of a CSV does not count."""
    values: Mapping[str, Any] | None = None
    problem: Problem | None = None
    line: int | None = None
    """The line of the file on which the row begins, from 1, header included; None if the format has
    no lines."""
    remarks: Sequence[str] = ()
    """Sentences on what the values lack, because no service takes it."""
    size: int = 0
    """About how many bytes of memory it takes, once it was packed."""
    cells: Mapping[str, Any] | None = None
    """Of a row with a problem: what could be read of it, for the person who mends it."""
    unread: str = ""
    """Of a row with a problem: the text of it that is in none of its cells, or not for sure."""


class RowBatch(NamedTuple):
    """Rows of a table that follow one another: their columns once, and the cells of each.

    None of them has a problem, and each has a value.
    """

    first: int
    """The number of the first row."""
    columns: Sequence[str]
    cells: Sequence[Sequence[str | None]]
    """Of each row, a cell for each column: "" if it has no value, None if it clears the field."""
    line: int
    """The line of the first row; each of the others is in the line behind the one before."""
    size: int = 0
    """About how many bytes of memory one of them takes, once they were packed."""

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.first + len(self.cells) - 1

    def split(self, count: int) -> Iterator["RowBatch"]:
        """The first `count` rows, and the others."""
        yield self._replace(cells=self.cells[:count])
        if others := self.cells[count:]:
            yield self._replace(first=self.first + count, line=self.line + count, cells=others)

    def rows(self) -> Iterator[Row]:
        """The rows, one by one."""
        values = values_of_cells(self.columns, self.cells)
        lines = count(self.line)
        return map(
            Row, count(self.first), values, repeat(None), lines, repeat(()), repeat(self.size)
        )


def values_of_cells(
    columns: Sequence[str], cells: Sequence[Sequence[str | None]]
) -> list[dict[str, Any]]:
    """The values of rows by the names of columns. A cell "" is no value."""
    values = list(map(dict, map(zip, repeat(columns), cells)))
    if any(map(contains, cells, repeat(""))):
        return [{name: cell for name, cell in one.items() if cell != ""} for one in values]
    return values


class Outcome(NamedTuple):
    """What became of one record."""

    row: int
    kind: OutcomeKind
    id: str | None = None
    """The record's id at the service; None if it has none, or the service does not return it. Of a
    record that was not found, the id that the service still knows: it was deleted before."""
    problem: Problem | None = None
    """Set if and only if the kind is `failed`, `drifted` or `unknown`, or an undo did not put the
    record back."""
    mails_outside: bool = False
    """Whether the service mailed people outside the caller's organization about it."""
    remark: str = ""
    """What a person should know of a record that was written, in a sentence; "" for nothing."""
    is_early: bool = False
    """The record failed because the service lacks another one, which may come later in the file:
    it is sent again behind the others."""
    before: Before | None = None
    """What was overwritten; None of a new record. As the next two, for an undo of the job."""
    version: Any = None
    """The state of the record after the write, in the connector's words, as JSON has it; None if
    the record is deleted."""
    irreversible: str = ""
    """Why nobody can undo it, in a sentence; "" if somebody can."""

    @classmethod
    def failure(
        cls,
        row: int,
        message: str,
        *,
        field: str | None = None,
        provider_message: str | None = None,
    ) -> "Outcome":
        """The outcome of a refused record; the message says why."""
        return cls(row, OutcomeKind.FAILED, problem=Problem(message, field, provider_message))


def nest_paths(fields: Mapping[Path, Any]) -> dict[str, Any]:
    """Nested values from paths: `{"start": {"date": d}}` from `{("start", "date"): d}`.

    A number is an index of a list; missing ones are skipped. Raises ValueError if a path has both a
    value and fields below it.
    """
    if all(len(path) == 1 for path in fields):
        return {str(path[0]): value for path, value in fields.items()}
    root: dict[Any, Any] = {}
    for path, value in fields.items():
        *parents, last = path
        place = root
        for step in parents:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise ValueError(
                    f"{path_text(path)!r} is below a field that has a value of its own"
                )
        if isinstance(place.get(last), dict):
            raise ValueError(f"{path_text(path)!r} has both a value and fields below it")
        place[last] = _Leaf(value)
    nested = _unwrap(root)
    assert isinstance(nested, dict)
    return nested


def steps_of(name: str) -> Path:
    """The path that a dotted name writes: `("start", "date")` of `start.date`.

    A dot at an end of the name or beside a blank is a full stop, and part of the name: `No. of
    guests`, `Nr.`. A name of more than `MAX_STEPS` steps is one step, too.
    """
    if "." not in name and "[" not in name:
        return (name,)
    parts = name.split(".")
    if len(parts) > MAX_STEPS or any(not part or part != part.strip() for part in parts):
        return (name,)
    steps: list[str | int] = []
    for part in parts:
        item = _LIST_ITEM.fullmatch(part)
        steps += [item["name"], int(item["index"])] if item else [part]
    return tuple(steps)


def value_at(values: Mapping[str, Any], path: str) -> object:
    """The value of a field by its dotted name, nested or not; None if there is none."""
    place: object = values
    for step in path.split("."):
        place = place.get(step) if isinstance(place, Mapping) else None
    return values.get(path, place)


def select_fields(
    record: Mapping[str, Any], fields: Sequence[str], *, keep_nulls: bool = False
) -> Mapping[str, Any]:
    """A record with only these dotted fields; the whole record if none are given.

    A field that the record lacks is left out, or null with `keep_nulls`.
    """
    if not fields:
        return record
    values = {name: value_at(record, name) for name in fields}
    if not keep_nulls:
        values = {name: value for name, value in values.items() if value is not None}
    # A name with a dot may be that of a field: a column of a database.
    return nest_paths(
        {(name,) if name in record else steps_of(name): value for name, value in values.items()}
    )


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Wraps a value, so that a dict value is not mistaken for an inner node."""

    value: Any


def _unwrap(node: Any) -> Any:
    """A tree without its wrappers; a dict whose steps are all indexes becomes a list."""
    if isinstance(node, _Leaf):
        return node.value
    if node and all(isinstance(step, int) for step in node):
        return [_unwrap(node[index]) for index in sorted(node)]
    return {str(step): _unwrap(child) for step, child in node.items()}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names from nested values: `{"start.date": d}` from `{"start": {"date": d}}`;
    `nest_paths` of their `steps_of` reverses it.

    Lists stay as they are. So do mappings that are empty, or have names that it would split.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if _has_plain_names(value):
            flat |= flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def _has_plain_names(value: Any) -> bool:
    """Whether a value is a mapping that can be restored from dotted names."""
    if not isinstance(value, Mapping) or not value:
        return False
    return not any("." in key or "[" in key for key in value)
