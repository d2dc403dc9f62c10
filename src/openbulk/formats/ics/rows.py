"""The rows of a calendar file: one for each event that counts."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count

from openbulk.domain.records import Problem, Row
from openbulk.formats.ics.components import Component, split_events
from openbulk.formats.ics.event_versions import Standing
from openbulk.formats.ics.events import ParsedEvent, parse_event
from openbulk.formats.ics.file_index import FileIndex, Lines, Place
from openbulk.formats.ics.series_splits import Segment, segment_of


def read_rows(lines: Lines, index: FileIndex) -> Iterator[Row]:
    """The events of a file in its order; occurrences that come before their series are last.

    A service can only change an occurrence of a series that it has. Closes the index.
    """
    numbers = count(1)
    with closing(index):
        for is_for_early in sorted({False, index.has_early_occurrences}):
            for component in split_events(lines()):
                place = index.place(component.line)
                if place.is_early(component.line) == is_for_early:
                    yield from _read_row(component, place, index, numbers)


def _read_row(
    component: Component, place: Place, index: FileIndex, numbers: Iterator[int]
) -> Iterator[Row]:
    """The row of an event; none for one that does not count.

    Occurrences with a length of their own are further rows.
    """
    try:
        events = _resolve(component, place, index)
    except OverflowError:
        problem = Problem(
            f"the event on line {component.line} has a date before the year 1 or after 9999; "
            "change it"
        )
        yield _broken_row(next(numbers), component, problem)
    except ValueError as error:
        yield _broken_row(next(numbers), component, Problem(str(error)))
    else:
        for event in events:
            yield Row(next(numbers), event.values, line=component.line, remarks=event.remarks)


def _broken_row(number: int, component: Component, problem: Problem) -> Row:
    lines = b"\n".join(line.content for line in component.raw_lines)
    unread = lines.decode(errors="replace")
    return Row(number, problem=problem, line=component.line, unread=unread)


def _resolve(component: Component, place: Place, index: FileIndex) -> Sequence[ParsedEvent]:
    """An event as it is beside the others of its UID; empty for one that does not count."""
    if place.standing is Standing.SUPERSEDED:
        return ()
    if place.standing is Standing.DOUBTFUL:
        raise ValueError(place.problem)
    event = parse_event(component, index.calendar(component.calendar), place.series)
    if place.has_occurrences:
        event = index.with_newer_occurrences(event)
        if index.is_left_out(event):
            return ()
    if place.is_in_changing_series:
        return _move_in_series(event, index)
    return [event, *_occurrences_of_other_length(event)]


def _occurrences_of_other_length(series: ParsedEvent) -> Iterator[ParsedEvent]:
    """Occurrences that RDATE has with a length of their own: the Calendar API has no periods."""
    for start, end in series.recurrence.periods:
        place = start.as_api()
        fields = {**series.values, "originalStartTime": place, "start": place, "end": end.as_api()}
        del fields["recurrence"]
        yield replace(series, values=fields, remarks=())


def _move_in_series(event: ParsedEvent, index: FileIndex) -> Sequence[ParsedEvent]:
    """An event with the fields of its part of a series that is split; empty if nothing is left."""
    original_start = event.times.original_start
    try:
        segments = index.segments(event.uid)
    except ValueError as error:
        if not event.times.is_this_and_future:
            return [event]
        raise ValueError(
            f"this event stands for all later occurrences of its series, too, and {error}"
        ) from None
    if not segments:
        return [event]
    segment = segment_of(segments, original_start)
    if segment.is_empty and not _cancels_whole_series(event, segment):
        return ()
    if original_start is None or event.times.is_this_and_future:
        return [replace(event, values=segment.values)]
    moved = segment.move(original_start).as_api()
    values = {**event.values, "iCalUID": segment.uid, "originalStartTime": moved}
    return [replace(event, values=values)]


def _cancels_whole_series(event: ParsedEvent, segment: Segment) -> bool:
    """Whether an event cancels all occurrences from the first one on."""
    return event.times.is_this_and_future and event.is_cancelled and segment.uid == event.uid
