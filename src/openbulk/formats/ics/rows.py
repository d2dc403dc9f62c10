"""The rows of a calendar file: one for each event that counts."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import count
from typing import Any

from openbulk.domain.records import Problem, Row
from openbulk.formats.ics.components import Component, split_events
from openbulk.formats.ics.events import ParsedEvent, parse_event
from openbulk.formats.ics.file_index import FileIndex, Lines, Place
from openbulk.formats.ics.series_splits import segment_of
from openbulk.formats.ics.versions import Standing


def read_rows(lines: Lines, index: FileIndex) -> Iterator[Row]:
    """The events of a file in its order, but for occurrences that stand before their series.

    These come last: a service can change an occurrence only of a series that it has. Closes the
    index.
    """
    numbers = count(1)
    with closing(index):
        passes = (False, True) if index.has_early_occurrences else (False,)
        for is_for_early in passes:
            for component in split_events(lines()):
                place = index.place(component.line)
                if place.is_early(component.line) == is_for_early:
                    yield from _read_row(component, place, index, numbers)


def _read_row(
    component: Component, place: Place, index: FileIndex, numbers: Iterator[int]
) -> Iterator[Row]:
    """The row of an event; none for one that does not count."""
    if place.standing is Standing.SUPERSEDED:
        return
    try:
        if place.standing is Standing.DOUBTFUL:
            raise ValueError(place.problem)
        event = parse_event(component, index.calendar(component.calendar), place.series)
        values: Mapping[str, Any] | None = event.values
        if place.is_in_changing_series:
            values = _move_in_series(event, index)
    except OverflowError:
        problem = Problem(
            f"the event on line {component.line} has a date before the year 1 or after 9999; "
            "change it"
        )
        yield Row(next(numbers), problem=problem, line=component.line)
    except ValueError as error:
        yield Row(next(numbers), problem=Problem(str(error)), line=component.line)
    else:
        if values is not None:
            yield Row(next(numbers), values, line=component.line, remarks=event.remarks)


def _move_in_series(event: ParsedEvent, index: FileIndex) -> Mapping[str, Any] | None:
    """The fields of an event, whose series may be split; None where nothing is left of it."""
    original_start = event.times.original_start
    try:
        segments = index.segments(event.uid)
    except ValueError as error:
        if not event.times.is_this_and_future:
            return event.values
        raise ValueError(
            f"this event stands for all later occurrences of its series, too, and {error}"
        ) from None
    if not segments:
        return event.values
    segment = segment_of(segments, original_start)
    if segment.is_empty:
        return None
    if original_start is None or event.times.is_this_and_future:
        return segment.values
    moved = segment.move(original_start).as_api()
    return {**event.values, "iCalUID": segment.uid, "originalStartTime": moved}
