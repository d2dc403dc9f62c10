"""Records looked at, made, changed and deleted at once, beside the jobs: through the same connectors and budgets.

What a service puts off is waited for some seconds, as a person waits for an answer; what takes longer is told to them.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from openbulk.connectors.base import Connector, Features
from openbulk.connectors.targets import refusal_of, refusal_to_read, resolve_object
from openbulk.domain.errors import (
    AnswerLost,
    BadInput,
    NotFound,
    NotPossible,
    Refused,
    RetryLater,
    ServiceError,
)
from openbulk.domain.job import Download, Position
from openbulk.domain.query import Page, PageRequest, holds
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.engine.retry import MAX_RESENDS, wait_before_resend
from openbulk.engine.slices.download import chosen, query_of
from openbulk.engine.slices.sorting import place_of

PATIENCE_SECONDS = 10.0
"""How long a service is waited for that puts a call off."""
IMPORT_SECONDS = 60.0
"""How long a service's own bulk import is waited for."""
LOOK_SECONDS = 10.0
"""After so long, what was found is shown, and the rest is for the next page."""
MAX_SORTED = 10_000
"""Most records that are sorted here for one page."""
POLL_SECONDS = 0.25
LEAST_PAGE = 50
"""Records are read in pages of at least so many where only some of them are wanted."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Place:
    """An object of an instance, or one record of it, as a path names it."""

    object: str
    id: str | None
    told: Mapping[str, str]
    """What the path says beside: `{"calendarId": "primary"}`."""
    features: Features

    @property
    def can(self) -> frozenset[str]:
        """What can be done with it: of read, create, update and delete."""
        if self.id is not None and self.features.id is None:
            return frozenset()
        written = {Action.CREATE} if self.id is None else {Action.UPDATE, Action.DELETE}
        return frozenset({"read"} if self.features.can_read else ()) | (
            written & self.features.actions
        )


class Direct:
    """The records of one instance."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector

    async def place(self, path: str) -> Place:
        """Whether a path names an object or a record: `events`, `events/abc`, `calendars/primary/events/abc`.

        Raises NotFound where it names neither.
        """
        objects = await _patiently(self.connector.objects)
        for given, record_id in ((path, None), (path.rpartition("/")[0], path.rpartition("/")[2])):
            name, told = resolve_object(given, objects)
            if name in objects:
                return Place(name, record_id, told, objects[name])
        raise NotFound(f"there is no object {path!r}; the objects are: {', '.join(objects)}")

    # --- looking ---

    async def get(self, place: Place) -> Mapping[str, Any]:
        """One record. Raises NotFound."""
        self._check_readable(place)
        record_id = _id_of(place)
        return await _patiently(lambda: self.connector.get(place.object, record_id, place.told))

    async def page(
        self, place: Place, asked: Download, begin: Position, size: int
    ) -> tuple[list[Mapping[str, Any]], Position]:
        """Some of the records that are asked for, from a position on, and the position behind them.

        There may be fewer than `size` although there are more behind: looking for them took too long.
        """
        self._check_readable(place)
        if asked.is_sorted_here:
            return await self._sorted_page(place, asked, begin.skip, size)
        wanted = None if place.features.applies_where else asked.where
        found: list[Mapping[str, Any]] = []
        position = begin
        until = asyncio.get_running_loop().time() + LOOK_SECONDS
        while not position.is_end and len(found) < size:
            page = await self._read(place, asked, position, size)
            for number, record in enumerate(page.records[position.skip :], position.skip + 1):
                if wanted is None or holds(wanted, record):
                    found.append(chosen(record, asked))
                if len(found) == size and number < len(page.records):
                    return found, Position(position.after, skip=number)
            # The page that a token was made for may have been larger than this one: the rest of it comes next.
            behind = max(0, position.skip - len(page.records))
            position = Position(page.next, skip=behind, is_end=page.next is None)
            if asyncio.get_running_loop().time() > until:
                break
            if not page.records:
                await asyncio.sleep(0.1)  # the service still works on them
        return found, position

    async def _sorted_page(
        self, place: Place, asked: Download, skip: int, size: int
    ) -> tuple[list[Mapping[str, Any]], Position]:
        whole = replace(asked, order=(), fields=())
        found, position = await self.page(place, whole, Position(), MAX_SORTED)
        if not position.is_end:
            raise BadInput(
                "there are too many records to sort them at once; narrow them down by where, or have a job sort them: "
                "POST /bulk/query with an order by"
            )
        found.sort(key=lambda record: place_of(record, asked.order))
        behind = skip + size
        return [chosen(one, asked) for one in found[skip:behind]], Position(
            skip=behind, is_end=behind >= len(found)
        )

    async def _read(self, place: Place, asked: Download, position: Position, size: int) -> Page:
        page_size = max(size, LEAST_PAGE) if asked.where is not None else size
        query = query_of(asked, place.object, place.told, position)
        request = PageRequest(page_size, position.after, position.since)
        return await _patiently(lambda: _first(self.connector.read(query, request)))

    def _check_readable(self, place: Place) -> None:
        refusal = refusal_to_read(place.object, {place.object: place.features})
        if refusal is not None:
            raise NotPossible(refusal, can=place.can)

    # --- writing ---

    async def create(
        self, place: Place, values: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Make a record; it, as the service shows it. Raises BadInput where the service refuses it."""
        outcome = await self._write(place, Action.CREATE, values, uuid.uuid4().hex, options)
        return await self._written(place, outcome, values)

    async def change(
        self, place: Place, values: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Change the fields of a record that are given; it, as the service shows it. Raises NotFound, BadInput."""
        record_id = _id_of(place)
        await self.get(place)
        named = {**values, str(place.features.id): record_id}
        outcome = await self._write(place, Action.UPDATE, named, record_id, options)
        return await self._written(place, outcome, named)

    async def delete(self, place: Place, options: Mapping[str, Any]) -> None:
        """Delete a record. Raises NotFound where there is none."""
        record_id = _id_of(place)
        outcome = await self._write(
            place, Action.DELETE, {str(place.features.id): record_id}, record_id, options
        )
        if outcome.kind is not OutcomeKind.DELETED:
            raise NotFound(f"{place.object!r} has no record {record_id!r}")

    async def _written(
        self, place: Place, outcome: Outcome, values: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """A record that was written, as the service shows it; as it was given, where that cannot be asked."""
        if outcome.id is None or not place.features.can_read or place.features.id is None:
            return values
        try:
            return await self.get(replace(place, id=outcome.id))
        except (NotFound, ServiceError):
            return {**values, place.features.id: outcome.id}

    async def _write(
        self,
        place: Place,
        action: Action,
        values: Mapping[str, Any],
        key: str,
        options: Mapping[str, Any],
    ) -> Outcome:
        identifier = None if action is Action.CREATE else place.features.id
        target = Target(
            place.object,
            action,
            identifier,
            {**options, **place.told},
            run=uuid.uuid4().hex,
            records=1,
        )
        refusal = refusal_of(target, {place.object: place.features})
        if refusal is not None:
            raise NotPossible(refusal, can=place.can)
        record = Record(1, values, key)
        outcome = await self._send(target, record, place.features)
        if outcome.problem is not None:
            raise BadInput(
                outcome.problem.message, provider_message=outcome.problem.provider_message
            )
        return outcome

    async def _send(self, target: Target, record: Record, features: Features) -> Outcome:
        if features.native:
            outcomes = await _patiently(lambda: self._import(target, record))
        else:
            outcomes = await _patiently(
                lambda: self.connector.write(target, [record]),
                is_harmless_twice=features.idempotent_writes,
            )
        return next(iter(outcomes))

    async def _import(self, target: Target, record: Record) -> Sequence[Outcome]:
        assert self.connector.native is not None
        ticket = await self.connector.native.submit(target, [record])
        for _ in range(round(IMPORT_SECONDS / POLL_SECONDS)):
            outcomes = await self.connector.native.collect(ticket, target, [record])
            if outcomes is not None:
                return outcomes
            await asyncio.sleep(POLL_SECONDS)
        raise Refused(
            f"the service has not said within {IMPORT_SECONDS:.0f} s whether it takes the record; look there"
        )


def _id_of(place: Place) -> str:
    if place.id is None or place.features.id is None:
        why = f"the records of {place.object!r} have no id to ask for them by; select them by where"
        raise NotPossible(why, can=place.can)
    return place.id


async def _first(pages: AsyncIterator[Page]) -> Page:
    async for page in pages:
        return page
    return Page([], None)


async def _patiently(
    call: Callable[[], Awaitable[Result]], *, is_harmless_twice: bool = True
) -> Result:
    """Make a call, again where the service puts it off for a moment, or the answer was lost and that is harmless.

    Raises ServiceError.
    """
    clock = asyncio.get_running_loop().time
    until, resends = clock() + PATIENCE_SECONDS, 0
    while True:
        try:
            return await call()
        except RetryLater as busy:
            pause = busy.after
            if resends == MAX_RESENDS or clock() + (pause or 0) > until:
                raise
        except AnswerLost:
            pause = None
            if resends == MAX_RESENDS or not is_harmless_twice:
                raise
        resends += pause is None
        await asyncio.sleep(
            max(pause, 0.1) if pause is not None else wait_before_resend(resends, random.random())  # noqa: S311
        )
