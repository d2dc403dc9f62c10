"""The promises of a connector.

class TestMyService(ConnectorTests):
    object_name = "things"
    good = [{"name": "Ann"}, {"name": "Bob"}, {"name": "Cara"}]
    bad = {"name": ""}

    @pytest.fixture
    async def connect(self, ...):
        return lambda: MyProvider().connect(ConnectionContext(configuration, http, remember))
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from openbulk.connectors.base import Connector, Features
from openbulk.domain.errors import CursorExpired, NotFound, RetryLater, ServiceError, SignInAgain
from openbulk.domain.query import Bookmark, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

Connect = Callable[[], Connector]
JSON_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}
COLLECT_SECONDS = 30.0
DONE = {
    Action.CREATE: {OutcomeKind.CREATED, OutcomeKind.UPSERTED, OutcomeKind.UPDATED},
    Action.UPSERT: {
        OutcomeKind.CREATED,
        OutcomeKind.UPSERTED,
        OutcomeKind.UPDATED,
        OutcomeKind.UNCHANGED,
    },
    Action.UPDATE: {OutcomeKind.UPDATED, OutcomeKind.UNCHANGED},
    Action.DELETE: {OutcomeKind.DELETED},
}


class ConnectorTests:
    """Inherit this, say what is asked for below, and every promise is tested against your service's sandbox."""

    object_name: ClassVar[str]
    """An object that records can be created in."""
    good: ClassVar[Sequence[Mapping[str, Any]]]
    """Three records that the service takes."""
    bad: ClassVar[Mapping[str, Any]]
    """One that it refuses."""
    shows: ClassVar[str]
    """A field by which records that were read back can be told apart; good records have different values in it."""

    there_before: ClassVar[frozenset[str]] = frozenset()
    """What the same field says of records that are there always, such as a person's main calendar."""

    @pytest.fixture
    async def connect(self) -> Connect:
        """Makes a connector to a service that holds nothing yet, anew each time: as after a restart."""
        pytest.skip("override the fixture `connect`")

    @pytest.fixture
    async def connect_with_wrong_credentials(self) -> Connect:
        """The same with credentials that the service refuses."""
        pytest.skip("this service has no credentials")

    @pytest.fixture
    async def connect_to_nowhere(self) -> Connect:
        """The same where nothing listens."""
        pytest.skip("this service is not reached over a network")

    # --- what there is ---

    async def test_credentials_that_work_are_found_to_work(self, connect: Connect) -> None:
        """`check` returns."""
        await connect().check()

    async def test_wrong_credentials_ask_to_sign_in_again(
        self, connect_with_wrong_credentials: Connect
    ) -> None:
        """`check` raises SignInAgain."""
        with pytest.raises(SignInAgain):
            await connect_with_wrong_credentials().check()

    async def test_a_service_that_is_not_reached_is_tried_later(
        self, connect_to_nowhere: Connect
    ) -> None:
        """`check` raises RetryLater: nothing has happened."""
        with pytest.raises(RetryLater):
            await connect_to_nowhere().check()

    async def test_every_object_says_what_it_can_do_and_what_it_looks_like(
        self, connect: Connect
    ) -> None:
        """`objects` and `metadata` agree, and the metadata is a JSON Schema of an object."""
        connector = connect()
        objects = await connector.objects()
        assert self.object_name in objects
        for name, features in objects.items():
            assert features.max_batch >= 1
            assert features.concurrency >= 1
            assert not features.native or connector.native is not None
            check_schema(await connector.metadata(name), name)

    async def test_an_object_that_does_not_exist_has_no_metadata(self, connect: Connect) -> None:
        """`metadata` raises NotFound."""
        with pytest.raises(NotFound):
            await connect().metadata("no such object")

    # --- writing ---

    async def test_records_are_created_and_read_back(self, connect: Connect) -> None:
        """What was written is there."""
        connector = connect()
        outcomes = await send(connect, self.target(), self.records())
        assert [outcome.kind in DONE[Action.CREATE] for outcome in outcomes] == [True] * len(
            self.good
        )
        assert len({outcome.id for outcome in outcomes if outcome.id}) in {0, len(self.good)}, (
            "ids tell records apart"
        )
        await self.skip_unless_readable(connector)
        assert await self.shown(connector) == sorted(
            str(record[self.shows]) for record in self.good
        )

    async def test_one_bad_record_does_not_sink_its_neighbours(self, connect: Connect) -> None:
        """The bad one has a problem, in words; the others are taken."""
        values = [self.good[0], self.bad, self.good[1]]
        outcomes = await send(
            connect, self.target(), [record(row, v) for row, v in enumerate(values, 1)]
        )
        assert [outcome.kind is OutcomeKind.FAILED for outcome in outcomes] == [False, True, False]
        assert outcomes[1].problem is not None
        assert outcomes[1].problem.message.strip()

    async def test_rows_are_those_of_the_file_wherever_the_batch_begins(
        self, connect: Connect
    ) -> None:
        """Outcomes carry their records' own rows, not their places in the batch."""
        rows = [7_000, 7_003, 9_999]
        batch = [record(row, values) for row, values in zip(rows, self.good, strict=True)]
        assert [outcome.row for outcome in await send(connect, self.target(), batch)] == rows

    async def test_a_batch_that_is_sent_twice_creates_once_where_keys_are_honoured(
        self, connect: Connect
    ) -> None:
        """A lost answer costs nothing: the second sending succeeds, and nothing is there twice."""
        connector = connect()
        if not (await self.features(connector)).idempotent_writes:
            pytest.skip("this object does not honour keys")
        for _ in range(2):
            outcomes = await send(connect, self.target(), self.records())
            assert all(outcome.kind is not OutcomeKind.FAILED for outcome in outcomes), outcomes
        await self.skip_unless_readable(connector)
        assert await self.shown(connector) == sorted(
            str(record[self.shows]) for record in self.good
        )

    async def test_many_writes_at_once_do_not_mix(self, connect: Connect) -> None:
        """As many calls as the object allows, each with its own record."""
        connector = connect()
        features = await self.features(connector)
        if features.native:
            pytest.skip("a native import takes one batch at a time")
        batches = [[record(row, values)] for row, values in enumerate(self.good, 1)]
        answers = await asyncio.gather(
            *(connector.write(self.target(), batch) for batch in batches)
        )
        assert [answer[0].row for answer in answers] == [1, 2, 3]

    # --- reading ---

    async def test_pages_hold_every_record_once_and_go_on_behind_a_cursor(
        self, connect: Connect
    ) -> None:
        """A page of one at a time, each read by a new connector."""
        await self.skip_unless_readable(connect())
        await send(connect, self.target(), self.records())
        seen: list[str] = []
        cursor: str | None = None
        deadline = time.monotonic() + COLLECT_SECONDS
        while True:
            request = PageRequest(size=1, after=cursor)
            page = await anext(connect().read(Query(self.object_name), request))
            assert len(page.records) <= 1
            seen += [str(read[self.shows]) for read in page.records]
            cursor = page.next
            if cursor is None:
                break
            assert time.monotonic() < deadline, f"no last page within {COLLECT_SECONDS} s"
            await asyncio.sleep(0 if page.records else 0.05)
        assert sorted(seen) == sorted(
            [*self.there_before, *(str(values[self.shows]) for values in self.good)]
        )

    async def test_one_record_is_asked_for_by_its_id(self, connect: Connect) -> None:
        """`get` shows it as `read` does, and raises NotFound where there is none."""
        connector = connect()
        name = (await self.features(connector)).id
        await self.skip_unless_readable(connector)
        if name is None:
            pytest.skip("the records of this object have no id")
        await send(connect, self.target(), self.records())
        there = [
            one
            async for page in connector.read(Query(self.object_name), PageRequest())
            for one in page.records
        ]
        assert there
        for one in there:
            assert (await connector.get(self.object_name, str(one[name]), {}))[self.shows] == one[
                self.shows
            ]
        with pytest.raises(NotFound):
            await connector.get(self.object_name, "987654321", {})

    async def test_reading_an_object_that_does_not_exist_says_so(self, connect: Connect) -> None:
        """`read` raises a sentence."""
        with pytest.raises((NotFound, ServiceError)):
            await anext(connect().read(Query("no such object"), PageRequest()))

    # --- changes ---

    async def test_from_a_bookmark_on_what_was_changed_since_is_read(
        self, connect: Connect
    ) -> None:
        """With a bookmark at the end again, where nothing has happened since."""
        await self.skip_unless_there_are_changes(connect())
        one, two, three = self.records()
        await send(connect, self.target(), [one, two])
        _, bookmark = await self.read_to_the_end(connect)
        await send(connect, self.target(), [three])
        changed, later = await self.read_to_the_end(connect, since=bookmark)
        assert changed == [str(three.values[self.shows])]
        assert bookmark.taken_at <= later.taken_at
        assert (await self.read_to_the_end(connect, since=later))[0] == []
        assert (await self.read_to_the_end(connect, since=bookmark))[0] == changed, (
            "a bookmark may be used again"
        )

    async def test_a_bookmark_that_the_service_does_not_know_asks_to_read_anew(
        self, connect: Connect
    ) -> None:
        """`read` raises CursorExpired."""
        await self.skip_unless_there_are_changes(connect())
        with pytest.raises(CursorExpired):
            request = PageRequest(since="no such bookmark")
            await anext(connect().read(Query(self.object_name), request))

    # --- what the promises are told with ---

    def target(self) -> Target:
        """Where the records go."""
        return Target(self.object_name, Action.CREATE, run="conformance")

    def records(self) -> list[Record]:
        """The good records, as rows 1 to 3."""
        return [record(row, values) for row, values in enumerate(self.good, 1)]

    async def features(self, connector: Connector) -> Features:
        """What the object can do."""
        return (await connector.objects())[self.object_name]

    async def skip_unless_readable(self, connector: Connector) -> None:
        """Some objects can only be written."""
        if not (await self.features(connector)).can_read:
            pytest.skip("this object cannot be read")

    async def skip_unless_there_are_changes(self, connector: Connector) -> None:
        """Some services do not tell what was changed."""
        if not (await self.features(connector)).has_changes:
            pytest.skip("this object has no feed of changes")

    async def read_to_the_end(
        self, connect: Connect, *, since: Bookmark | None = None
    ) -> tuple[list[str], Bookmark]:
        """What is there, or was changed, a record a page and each page by a new connector; and the bookmark."""
        shown: list[str] = []
        request = PageRequest(size=1, since=None if since is None else since.text)
        deadline = time.monotonic() + COLLECT_SECONDS
        while True:
            page = await anext(connect().read(Query(self.object_name), request))
            shown += [str(read[self.shows]) for read in page.records]
            if page.next is None:
                assert page.bookmark is not None, "the last page has a bookmark"
                return sorted(shown), page.bookmark
            assert page.bookmark is None, "only the last page has one"
            request = replace(request, after=page.next)
            assert time.monotonic() < deadline, f"no last page within {COLLECT_SECONDS} s"

    async def shown(self, connector: Connector) -> list[str]:
        """What tells apart the records that are there."""
        there: list[str] = []
        async for page in connector.read(Query(self.object_name), PageRequest()):
            there += sorted(str(read[self.shows]) for read in page.records)
            await asyncio.sleep(0 if page.records else 0.05)
        there.sort()
        return [one for one in there if one not in self.there_before]


def record(row: int, values: Mapping[str, Any]) -> Record:
    """A record of a file, with the key that the engine would give it."""
    return Record(row, values, key=f"conformance:{row}")


async def send(connect: Connect, target: Target, batch: Sequence[Record]) -> list[Outcome]:
    """Write a batch as the engine does, natively or not; its outcomes by row, one for each record."""
    connector = connect()
    features = (await connector.objects())[target.object]
    outcomes: list[Outcome] = []
    if features.native:
        assert connector.native is not None
        ticket = await connector.native.submit(target, batch)
        outcomes += await _collected(connect(), ticket, target, batch)
    else:
        for begin in range(0, len(batch), features.max_batch):
            outcomes += await connector.write(target, batch[begin : begin + features.max_batch])
    assert sorted(outcome.row for outcome in outcomes) == [one.row for one in batch], (
        "one outcome for each record"
    )
    for outcome in outcomes:
        assert (outcome.problem is not None) == (
            outcome.kind in {OutcomeKind.FAILED, OutcomeKind.UNKNOWN}
        )
    return sorted(outcomes, key=lambda outcome: outcome.row)


async def _collected(
    connector: Connector, ticket: str, target: Target, batch: Sequence[Record]
) -> Sequence[Outcome]:
    """The outcomes of a native import, asked for by another connector than the one that submitted it."""
    assert connector.native is not None
    deadline = time.monotonic() + COLLECT_SECONDS
    while (outcomes := await connector.native.collect(ticket, target, batch)) is None:
        assert time.monotonic() < deadline, f"no outcomes within {COLLECT_SECONDS} s"
        await asyncio.sleep(0.05)
    return outcomes


def check_schema(schema: Mapping[str, Any], place: str) -> None:
    """Whether this is a JSON Schema of an object that the API can show."""
    assert schema["type"] == "object", place
    assert set(schema.get("required", ())) <= set(schema["properties"]), place
    _check_node(schema, place)


def _check_node(schema: Mapping[str, Any], place: str) -> None:
    assert schema.get("type", "string") in JSON_TYPES, place
    for name, field in schema.get("properties", {}).items():
        _check_node(field, f"{place}.{name}")
    if "items" in schema:
        _check_node(schema["items"], f"{place}[]")
