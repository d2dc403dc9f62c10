"""The promises of a connector, as a test class to inherit.

    class TestMyService(ConnectorTests):
        object_name = "things"
        good = ({"name": "Ann"}, {"name": "Bob"}, {"name": "Cara"})
        bad = {"name": ""}
        distinct_field = "name"

        @pytest.fixture
        async def connect(self, ...):
            return lambda: MyProvider().connect(ConnectionContext(configuration, http, remember))

`examples/connector/test_contacts.py` is a whole one.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from openbulk.connectors.base import Connector, Features, PlansWrites, UndoesWrites
from openbulk.connectors.columns import Columns
from openbulk.connectors.drift import write_checked
from openbulk.connectors.fields import FieldError
from openbulk.connectors.verification import Verifier, Written
from openbulk.domain.errors import CursorExpired, NotFound, RetryLater, ServiceError, SignInAgain
from openbulk.domain.plan import Completeness, Planned, PlannedKind, kind_of
from openbulk.domain.query import Bookmark, Page, PageRequest, Query
from openbulk.domain.records import Action, Before, Outcome, OutcomeKind, Record, Target
from openbulk.domain.undo import Deed, Reversal

Connect = Callable[[], Connector]
JSON_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}
COLLECT_SECONDS = 30.0
"""The service must finish a native import, or reach the last page, within this time."""
POLL_SECONDS = 0.05
CREATED = {OutcomeKind.CREATED, OutcomeKind.UPSERTED, OutcomeKind.UPDATED}
"""The outcomes of a record that is created. Some services only create or update."""
WITH_PROBLEM = {OutcomeKind.FAILED, OutcomeKind.DRIFTED, OutcomeKind.UNKNOWN}


class ConnectorTests:
    """Tests every promise against your service's sandbox.

    A subclass sets the attributes and overrides the fixtures. A promise about something that the
    object cannot do, by its `Features`, is skipped.
    """

    object_name: ClassVar[str]
    """An object that records can be created in."""
    good: ClassVar[Sequence[Mapping[str, Any]]]
    """Three records that the service accepts."""
    bad: ClassVar[Mapping[str, Any]]
    """A record that the service refuses."""
    distinct_field: ClassVar[str]
    """A field that differs in each of the good records, and that `read` returns."""

    changed_field: ClassVar[str] = ""
    """A field that an undo is tried with; that of `distinct_field` without it."""
    changed_value: ClassVar[str] = "changed"
    """Another value for it."""
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields that the service sets at each write, such as the time of the last change."""
    preexisting: ClassVar[frozenset[str]] = frozenset()
    """Its values in records that always exist, such as a person's main calendar."""

    @pytest.fixture
    async def connect(self) -> Connect:
        """Makes connectors to a service that has no records yet.

        Each call makes another connector, as after a restart of openbulk.
        """
        pytest.skip("override the fixture `connect`")

    @pytest.fixture
    async def connect_with_wrong_credentials(self) -> Connect:
        """Makes connectors with credentials that the service refuses."""
        pytest.skip("this service has no credentials")

    @pytest.fixture
    async def connect_to_nowhere(self) -> Connect:
        """Makes connectors to an address where nothing listens."""
        pytest.skip("this service is not reached over a network")

    # --- sign-in and objects ---

    async def test_check_accepts_valid_credentials(self, connect: Connect) -> None:
        """`check` returns."""
        await connect().check()

    async def test_check_refuses_wrong_credentials(
        self, connect_with_wrong_credentials: Connect
    ) -> None:
        """`check` raises SignInAgain."""
        with pytest.raises(SignInAgain):
            await connect_with_wrong_credentials().check()

    async def test_a_service_that_cannot_be_reached_is_tried_later(
        self, connect_to_nowhere: Connect
    ) -> None:
        """`check` raises RetryLater: nothing was done."""
        with pytest.raises(RetryLater):
            await connect_to_nowhere().check()

    async def test_every_object_has_features_and_metadata(self, connect: Connect) -> None:
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

    # --- columns ---

    async def test_metadata_names_the_columns_of_records(self, connect: Connect) -> None:
        """Each good record resolves to fields: uploads with an unknown column are refused."""
        columns = await self.columns(connect())
        for values in self.good:
            assert columns.fields_of(values) == values

    async def test_a_header_in_another_case_means_the_same_fields(self, connect: Connect) -> None:
        """Records with such columns are created like the others."""
        columns = await self.columns(connect())
        written = [self.in_other_case(columns, values) for values in self.good]
        resolved = [columns.fields_of(values) for values in written]
        assert resolved == list(self.good)
        outcomes = await send(connect, self.target(), records_of(resolved))
        assert {outcome.kind for outcome in outcomes} <= CREATED, outcomes

    async def test_two_columns_for_one_field_are_refused(self, connect: Connect) -> None:
        """The message names both."""
        columns = await self.columns(connect())
        for name in self.good[0]:
            (other,) = self.in_other_case(columns, {name: ""})
            problem = columns.problem_of([name, other])
            assert other == name or (problem and repr(name) in problem and repr(other) in problem)

    async def test_an_unknown_column_is_refused_with_the_nearest_field(
        self, connect: Connect
    ) -> None:
        """Unless the object takes any. In a table, the fields of an object have columns."""
        columns = await self.columns(connect())
        if columns.takes_any:
            pytest.skip("this object takes any field")
        for name in self.good[0]:
            meant = " or ".join(map(repr, columns.inner_columns_of(name) or [name]))
            with pytest.raises(FieldError, match=rf"did you mean {re.escape(meant)}\?"):
                columns.fields_of({f"{name}x": "x"})

    # --- writing ---

    async def test_records_are_created_and_read_back(self, connect: Connect) -> None:
        """`read` returns the records that `write` created."""
        connector = connect()
        outcomes = await send(connect, self.target(), self.records())
        assert {outcome.kind for outcome in outcomes} <= CREATED, outcomes
        ids = {outcome.id for outcome in outcomes if outcome.id}
        assert len(ids) in {0, len(self.good)}, "each record has its own id"
        await self.skip_unless_readable(connector)
        assert await self.distinct_values(connector) == self.good_values()

    async def test_one_bad_record_does_not_sink_its_neighbours(self, connect: Connect) -> None:
        """The bad record has a problem with a message. The others are written."""
        values = [self.good[0], self.bad, self.good[1]]
        outcomes = await send(connect, self.target(), records_of(values))
        assert [outcome.kind is OutcomeKind.FAILED for outcome in outcomes] == [False, True, False]
        assert outcomes[1].problem is not None
        assert outcomes[1].problem.message.strip()

    async def test_an_outcome_has_the_row_of_its_record(self, connect: Connect) -> None:
        """The row in the file, not the place in the batch."""
        rows = [7_000, 7_003, 9_999]
        batch = [record(row, values) for row, values in zip(rows, self.good, strict=True)]
        assert [outcome.row for outcome in await send(connect, self.target(), batch)] == rows

    async def test_a_batch_that_is_sent_twice_creates_once_if_writes_are_idempotent(
        self, connect: Connect
    ) -> None:
        """A lost answer does no harm: after a second sending, no record exists twice."""
        connector = connect()
        if not (await self.features(connector)).idempotent_writes:
            pytest.skip("writes of this object are not idempotent")
        for _ in range(2):
            outcomes = await send(connect, self.target(), self.records())
            assert all(outcome.kind is not OutcomeKind.FAILED for outcome in outcomes), outcomes
        await self.skip_unless_readable(connector)
        assert await self.distinct_values(connector) == self.good_values()

    async def test_concurrent_writes_do_not_mix(self, connect: Connect) -> None:
        """Each call gets the outcome of its own record."""
        connector = connect()
        if (await self.features(connector)).native:
            pytest.skip("a native import takes one batch at a time")
        calls = [connector.write(self.target(), [one]) for one in self.records()]
        answers = await asyncio.gather(*calls)
        assert [answer[0].row for answer in answers] == [1, 2, 3]

    # --- plans ---

    async def test_a_plan_says_what_a_job_then_does_to_the_row(self, connect: Connect) -> None:
        """With each action, of new records and of known ones, and of a bad one among them."""
        features = await self.skip_unless_it_plans(connect())
        batch = records_of([self.good[0], self.bad, *self.good[1:]])
        if features.plan is Completeness.BY_KEY:  # what the service refuses, it alone knows
            batch = records_of(self.good)
        actions = [Action.CREATE, Action.UPSERT, Action.UPDATE, Action.DELETE]
        for action in filter(features.actions.__contains__, actions):
            target = replace(self.target(), action=action, records=len(batch))
            planned = await plan(connect, target, batch)
            outcomes = await send(connect, target, batch)
            for said, done in zip(planned, outcomes, strict=True):
                kind = plain_kind(said)
                possible = kinds_behind(kind) if features.native else {kind}
                assert kind_of(done) in possible, (action, said, done)
            messages = {one.row: one.problem and one.problem.message for one in planned}
            assert messages == {one.row: one.problem and one.problem.message for one in outcomes}

    async def test_a_plan_writes_nothing(self, connect: Connect) -> None:
        """A second plan says the same, and the service has no record."""
        await self.skip_unless_it_plans(connect())
        target = replace(self.target(), records=len(self.good))
        first = await plan(connect, target, self.records())
        assert {plain_kind(one) for one in first} == {PlannedKind.CREATED}
        assert await plan(connect, target, self.records()) == first
        await self.skip_unless_readable(connect())
        assert await self.distinct_values(connect()) == []

    async def test_a_record_that_has_changed_since_its_plan_is_left_as_it_is(
        self, connect: Connect
    ) -> None:
        """That one, and no other; without its plan it is overwritten."""
        features = await self.skip_unless_it_plans(connect())
        await self.skip_unless_readable(connect())
        if features.id is None or Action.UPDATE not in features.actions or features.native:
            pytest.skip("no record of this object can be changed by its id")
        if features.id == self.distinct_field:
            pytest.skip("the field that tells records apart is their id")
        await send(connect, self.target(), self.records())
        field, update = self.distinct_field, replace(self.target(), action=Action.UPDATE)
        known = [one for one in await self.read_all(connect()) if one[field] in self.good_values()]
        values = [{features.id: one[features.id], field: f"{one[field]}x"} for one in known]
        batch = records_of(values)
        target = replace(update, run="planned", records=len(batch))
        planned = await plan(connect, target, batch)
        assert {one.kind for one in planned} == {PlannedKind.UPDATED}, planned
        foreign = record(1, {**values[1], field: f"{known[1][field]}y"})
        await send(connect, replace(update, run="foreign"), [foreign])
        outcomes = await apply_plan(connect, target, batch, planned)
        kinds = [one.kind for one in outcomes]
        assert kinds == [OutcomeKind.UPDATED, OutcomeKind.DRIFTED, OutcomeKind.UPDATED], outcomes
        values_now = sorted(f"{one[field]}{'y' if one is known[1] else 'x'}" for one in known)
        assert await self.distinct_values(connect()) == values_now
        (again,) = await send(connect, replace(target, run="overwritten"), [batch[1]])
        assert again.kind is OutcomeKind.UPDATED, again

    # --- undo ---

    async def test_an_undo_leaves_the_service_as_it_was(self, connect: Connect) -> None:
        """After each action that can be undone; and a trial says so before, and writes nothing."""
        for action in await self.undoable_actions(connect):
            if action is not Action.CREATE:
                new = [one._replace(key=f"{action}:{one.row}") for one in self.records()]
                await send(connect, self.target(), new)
            before = await self.all_records(connect)
            outcomes = await self.write_and_keep(connect, action)
            after = await self.all_records(connect)
            assert before != after, action
            for is_trial in (True, False):
                assert await self.all_records(connect) == after, "a trial writes nothing"
                undone = await self.undo(connect, outcomes, is_trial=is_trial)
                assert {one.kind for one in undone} == {OutcomeKind.REVERSED}, (action, undone)
            assert await self.all_records(connect) == before, action
            again = await self.undo(connect, outcomes)
            assert {one.kind for one in again} <= {OutcomeKind.REVERSED, OutcomeKind.GONE_ALREADY}
            assert await self.all_records(connect) == before, "an undo can be sent twice"
            redone = await self.undo(connect, undone, rows=10)
            assert {one.kind for one in redone} == {OutcomeKind.REVERSED}, "an undo can be undone"
            assert await self.all_records(connect) == after, action
            await self.undo(connect, redone, rows=20)

    async def test_an_undo_keeps_what_somebody_has_changed_since(self, connect: Connect) -> None:
        """That record alone; if it may be overwritten, it is put back, too."""
        if Action.UPDATE not in await self.undoable_actions(connect):
            pytest.skip("no update of this object can be undone")
        await send(connect, self.target(), self.records())
        before = await self.all_records(connect)
        outcomes = await self.write_and_keep(connect, Action.UPDATE)
        target = replace(self.target(), action=Action.UPDATE, run="somebody else")
        changed = [self.other_record(1, f"{self.changed_value}, once more")]
        changed = [
            one._replace(values={**one.values, **self.key_of(outcomes[0])}) for one in changed
        ]
        assert (await send(connect, target, changed))[0].kind is OutcomeKind.UPDATED
        undone = await self.undo(connect, outcomes)
        kinds = [one.kind for one in undone]
        assert kinds == [OutcomeKind.KEPT, OutcomeKind.REVERSED, OutcomeKind.REVERSED], undone
        assert undone[0].problem is not None
        assert await self.all_records(connect) != before
        overwritten = await self.undo(connect, outcomes[:1], overwrites=True)
        assert [one.kind for one in overwritten] == [OutcomeKind.REVERSED]
        assert await self.all_records(connect) == before

    # --- verification ---

    async def test_what_was_written_is_confirmed_until_somebody_changes_it(
        self, connect: Connect
    ) -> None:
        """Then one row is different in one field, and another one is missing."""
        features = await self.skip_unless_it_plans(connect())
        wanted = {Action.CREATE, Action.UPDATE, Action.DELETE}
        if features.id is None or not wanted <= features.actions:
            pytest.skip("records of this object cannot be changed by their id")
        if features.id in self.change():
            pytest.skip("the good records have no field but their id")
        written = await self.send_to_verify(connect)
        verified = await verify(connect, self.target(), written)
        assert {one.kind for one in verified} == {PlannedKind.UNCHANGED}, verified
        await self.change_by_id(connect, Action.UPDATE, written[0], self.change())
        await self.change_by_id(connect, Action.DELETE, written[1], {})
        verified = await verify(connect, self.target(), written)
        kinds = [one.kind for one in verified]
        assert kinds == [PlannedKind.UPDATED, PlannedKind.NOT_FOUND, PlannedKind.UNCHANGED], (
            verified
        )
        assert [name.partition(".")[0] for name in verified[0].changes] == [*self.change()]

    # --- reading ---

    async def test_pages_have_every_record_once_and_continue_after_a_page_token(
        self, connect: Connect
    ) -> None:
        """Pages of one record, each read by another connector."""
        await self.skip_unless_readable(connect())
        await send(connect, self.target(), self.records())
        seen: list[str] = []
        async for page in self.single_pages(connect):
            assert len(page.records) <= 1
            seen += self.values_of(page)
        assert sorted(seen) == sorted([*self.preexisting, *self.good_values()])

    async def test_a_record_is_read_by_its_id(self, connect: Connect) -> None:
        """`get` returns it as `read` does, and raises NotFound if there is none."""
        connector = connect()
        id_field = (await self.features(connector)).id
        await self.skip_unless_readable(connector)
        if id_field is None:
            pytest.skip("the records of this object have no id")
        await send(connect, self.target(), self.records())
        listed = await self.read_all(connector)
        assert listed
        for one in listed:
            same = await connector.get(self.object_name, str(one[id_field]), {})
            assert same[self.distinct_field] == one[self.distinct_field]
        with pytest.raises(NotFound):
            await connector.get(self.object_name, "987654321", {})

    async def test_an_object_that_does_not_exist_cannot_be_read(self, connect: Connect) -> None:
        """`read` raises NotFound or another ServiceError."""
        with pytest.raises((NotFound, ServiceError)):
            await anext(connect().read(Query("no such object"), PageRequest()))

    # --- changes ---

    async def test_a_bookmark_reads_what_was_changed_since(self, connect: Connect) -> None:
        """It ends with another bookmark, from which nothing has changed yet."""
        await self.skip_unless_it_has_changes(connect())
        one, two, three = self.records()
        await send(connect, self.target(), [one, two])
        _, bookmark = await self.read_changes(connect)
        await send(connect, self.target(), [three])
        changed, later = await self.read_changes(connect, since=bookmark)
        assert changed == [str(three.values[self.distinct_field])]
        assert bookmark.taken_at <= later.taken_at
        assert (await self.read_changes(connect, since=later))[0] == []
        assert (await self.read_changes(connect, since=bookmark))[0] == changed, (
            "a bookmark can be used twice"
        )

    async def test_a_bookmark_that_the_service_does_not_know_has_expired(
        self, connect: Connect
    ) -> None:
        """`read` raises CursorExpired."""
        await self.skip_unless_it_has_changes(connect())
        with pytest.raises(CursorExpired):
            request = PageRequest(since="no such bookmark")
            await anext(connect().read(Query(self.object_name), request))

    # --- helpers of the promises ---

    async def undoable_actions(self, connect: Connect) -> Sequence[Action]:
        """The actions whose jobs can be undone; none of them skips the promise."""
        features = await self.features(connect())
        order = (Action.CREATE, Action.UPDATE, Action.UPSERT, Action.DELETE)
        actions = [action for action in order if action in features.undoes]
        if not actions:
            pytest.skip("no job of this object can be undone")
        return actions

    async def all_records(self, connect: Connect) -> Mapping[str, Any]:
        """All records, without the fields that the service counts up by itself."""
        connector = connect()
        id_field = (await self.features(connector)).id or "id"
        return {
            str(one[id_field]): {name: one[name] for name in one.keys() - self.volatile}
            for one in await self.read_all(connector)
        }

    async def write_and_keep(self, connect: Connect, action: Action) -> Sequence[Outcome]:
        """Write the good records, or change or delete those that are there, as a job would."""
        connector = connect()
        id_field = (await self.features(connector)).id or "id"
        records = self.records()
        if action is not Action.CREATE:
            found = sorted(await self.read_all(connector), key=lambda one: str(one[id_field]))
            found = [one for one in found if str(one[self.distinct_field]) in self.good_values()]
            records = [self.other_record(row, self.changed_value) for row, _ in enumerate(found, 1)]
            records = [
                one._replace(values={**one.values, id_field: known[id_field]})
                for one, known in zip(records, found, strict=True)
            ]
        run = f"conformance of {action.value}"
        target = replace(self.target(), action=action, run=run, before_images=KeptImages())
        if action is Action.DELETE:
            records = [one._replace(values={id_field: one.values[id_field]}) for one in records]
        outcomes = await send(connect, target, records)
        assert all(outcome.problem is None for outcome in outcomes), outcomes
        return outcomes

    def other_record(self, row: int, value: str) -> Record:
        """A record with another value in `changed_field`."""
        return record(row, {self.changed_field or self.distinct_field: value})

    def key_of(self, outcome: Outcome) -> Mapping[str, Any]:
        """What identifies the record of an outcome."""
        return {"id": outcome.id}

    async def undo(
        self,
        connect: Connect,
        outcomes: Sequence[Outcome],
        *,
        rows: int = 0,
        overwrites: bool = False,
        is_trial: bool = False,
    ) -> Sequence[Outcome]:
        """Undo what these outcomes say, by another connector. `rows` tells undos apart."""
        connector = connect()
        assert isinstance(connector, UndoesWrites)
        images = KeptImages()
        run = f"undo {rows} {overwrites} {id(outcomes)}"
        target = replace(self.target(), run=run, records=len(outcomes), before_images=images)
        reversals = [reversal_of(one) for one in outcomes if one.before or one.version]
        undone = await connector.undo(target, reversals, overwrites=overwrites, is_trial=is_trial)
        return sorted(undone, key=lambda one: one.row)

    def target(self) -> Target:
        """The target that the records are created in."""
        return Target(self.object_name, Action.CREATE, run="conformance")

    def records(self) -> list[Record]:
        """The good records, as rows 1 to 3."""
        return records_of(self.good)

    def change(self) -> Mapping[str, Any]:
        """Another value for a field of the first good record."""
        return {self.distinct_field: self.good[2][self.distinct_field]}

    async def send_to_verify(self, connect: Connect) -> list[Written]:
        """Create the good records; return them with their ids. Skip if the service has none."""
        outcomes = await send(connect, self.target(), self.records())
        if any(outcome.id is None for outcome in outcomes):
            pytest.skip("this service does not return the ids of new records")
        return [Written(one, done.id) for one, done in zip(self.records(), outcomes, strict=True)]

    async def change_by_id(
        self, connect: Connect, action: Action, written: Written, values: Mapping[str, Any]
    ) -> None:
        """Change or delete a record as somebody else would."""
        name = (await self.features(connect())).id
        target = Target(self.object_name, action, name, run=f"somebody else, to {action}")
        other = Record(1, {**values, str(name): written.id}, key=f"{name}={written.id}")
        (outcome,) = await send(connect, target, [other])
        assert outcome.problem is None, outcome

    def good_values(self) -> list[str]:
        """The distinct values of the good records, sorted."""
        return sorted(str(values[self.distinct_field]) for values in self.good)

    def values_of(self, page: Page) -> list[str]:
        """The distinct values of a page's records."""
        return [str(one[self.distinct_field]) for one in page.records]

    async def columns(self, connector: Connector) -> Columns:
        """The columns of a file for the target."""
        schema = await connector.metadata(self.object_name)
        return Columns(self.target(), await self.features(connector), schema, names_are_paths=True)

    def in_other_case(self, columns: Columns, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values under names in another case; a name that the object does not know stays."""
        other = {
            name: name.swapcase() if columns.is_within(name.swapcase(), name) else name
            for name in values
        }
        return {other[name]: value for name, value in values.items()}

    async def features(self, connector: Connector) -> Features:
        """The features of the object."""
        return (await connector.objects())[self.object_name]

    async def skip_unless_it_plans(self, connector: Connector) -> Features:
        """The features of an object whose writes can be planned; skip the promise for others."""
        features = await self.features(connector)
        if features.plan is Completeness.NONE:
            pytest.skip("writes of this object cannot be planned")
        return features

    async def skip_unless_readable(self, connector: Connector) -> None:
        """Skip the promise for an object that can only be written."""
        if not (await self.features(connector)).can_read:
            pytest.skip("this object cannot be read")

    async def skip_unless_it_has_changes(self, connector: Connector) -> None:
        """Skip the promise for an object without a feed of changes."""
        if not (await self.features(connector)).has_changes:
            pytest.skip("this object has no feed of changes")

    async def single_pages(
        self, connect: Connect, since: Bookmark | None = None
    ) -> AsyncIterator[Page]:
        """All pages, of one record each. Every page is read by another connector."""
        request = PageRequest(size=1)
        if since is not None:
            request = replace(request, since=since.text)
        deadline = time.monotonic() + COLLECT_SECONDS
        while True:
            page = await anext(connect().read(Query(self.object_name), request))
            yield page
            if page.next is None:
                return
            assert time.monotonic() < deadline, f"no last page within {COLLECT_SECONDS} s"
            await wait_for_records(page)
            request = replace(request, after=page.next)

    async def read_changes(
        self, connect: Connect, *, since: Bookmark | None = None
    ) -> tuple[list[str], Bookmark]:
        """The distinct values of the records that were changed since, and the next bookmark.

        Without a bookmark, all records.
        """
        values: list[str] = []
        bookmarks: list[Bookmark | None] = []
        async for page in self.single_pages(connect, since):
            values += self.values_of(page)
            bookmarks.append(page.bookmark)
        *others, last = bookmarks
        assert last is not None, "the last page has a bookmark"
        assert not any(others), "only the last page has one"
        return sorted(values), last

    async def read_all(self, connector: Connector) -> list[Mapping[str, Any]]:
        """The records of the object."""
        records: list[Mapping[str, Any]] = []
        async for page in connector.read(Query(self.object_name), PageRequest()):
            records += page.records
            await wait_for_records(page)
        return records

    async def distinct_values(self, connector: Connector) -> list[str]:
        """The distinct values of all records that did not exist before the test, sorted."""
        values = [str(one[self.distinct_field]) for one in await self.read_all(connector)]
        return sorted(value for value in values if value not in self.preexisting)


def records_of(values: Sequence[Mapping[str, Any]]) -> list[Record]:
    """The records of a file with these values."""
    return [record(row, one) for row, one in enumerate(values, 1)]


def record(row: int, values: Mapping[str, Any]) -> Record:
    """A record of a file, with a key like the one that the engine gives it."""
    return Record(row, values, key=f"conformance:{row}")


async def wait_for_records(page: Page) -> None:
    """Wait a moment after an empty page: the service is still preparing the records."""
    if not page.records:
        await asyncio.sleep(POLL_SECONDS)


async def send(connect: Connect, target: Target, batch: Sequence[Record]) -> list[Outcome]:
    """Write a batch as the engine does, natively or not. One outcome for each record, by row."""
    connector = connect()
    features = (await connector.objects())[target.object]
    outcomes: list[Outcome] = []
    if features.native:
        assert connector.native is not None
        ticket = await connector.native.submit(target, batch)
        outcomes += await _collect(connect(), ticket, target, batch)
    else:
        for begin in range(0, len(batch), features.max_batch):
            outcomes += await connector.write(target, batch[begin : begin + features.max_batch])
    assert sorted(outcome.row for outcome in outcomes) == [one.row for one in batch], (
        "one outcome for each record"
    )
    for outcome in outcomes:
        has_problem = outcome.kind in WITH_PROBLEM
        assert (outcome.problem is not None) == has_problem
    return sorted(outcomes, key=lambda outcome: outcome.row)


async def plan(connect: Connect, target: Target, batch: Sequence[Record]) -> list[Planned]:
    """Plan a batch. One plan for each record, by row."""
    connector = connect()
    assert isinstance(connector, PlansWrites)
    planned = await connector.plan(target, batch)
    assert sorted(one.row for one in planned) == [one.row for one in batch]
    return sorted(planned, key=lambda one: one.row)


async def apply_plan(
    connect: Connect, target: Target, batch: Sequence[Record], planned: Sequence[Planned]
) -> list[Outcome]:
    """Carry a plan out as the engine does. One outcome for each record, by row."""
    seen = {one.row: one.expectation for one in planned}
    expecting = [one._replace(expected=seen[one.row]) for one in batch]
    connector = connect()
    features = (await connector.objects())[target.object]
    if features.guards_writes:
        return await send(lambda: connector, target, expecting)
    return sorted(await write_checked(connector, target, expecting), key=lambda one: one.row)


async def verify(connect: Connect, target: Target, written: Sequence[Written]) -> list[Planned]:
    """Compare written records with the service, as the engine does. One plan for each, by row."""
    connector = connect()
    assert isinstance(connector, PlansWrites)
    features = (await connector.objects())[target.object]
    schema = await connector.metadata(target.object)
    of_job = replace(target, run="verification", records=len(written))
    compared = await Verifier(connector, features, schema, of_job).verify(written)
    assert sorted(one.row for one in compared) == [one.row for one in written]
    return sorted(compared, key=lambda one: one.row)


def plain_kind(planned: Planned) -> PlannedKind:
    """The kind of a row, with an ambiguous one among those that are refused."""
    return PlannedKind.REFUSED if planned.is_refused else planned.kind


def kinds_behind(kind: PlannedKind) -> set[PlannedKind]:
    """The kinds that a native import may report for a row of which a plan says this one.

    It may not say which records it has created, or that one was the same before.
    """
    also = {
        PlannedKind.CREATED: {PlannedKind.UPSERTED},
        PlannedKind.UPDATED: {PlannedKind.UPSERTED},
        PlannedKind.UNCHANGED: {PlannedKind.UPDATED, PlannedKind.UPSERTED},
    }
    return {kind, *also.get(kind, ())}


async def _collect(
    connector: Connector, ticket: str, target: Target, batch: Sequence[Record]
) -> Sequence[Outcome]:
    """The outcomes of a native import. The connector is not the one that submitted the batch."""
    assert connector.native is not None
    deadline = time.monotonic() + COLLECT_SECONDS
    while (outcomes := await connector.native.collect(ticket, target, batch)) is None:
        assert time.monotonic() < deadline, f"no outcomes within {COLLECT_SECONDS} s"
        await asyncio.sleep(POLL_SECONDS)
    return outcomes


def check_schema(schema: Mapping[str, Any], place: str) -> None:
    """Fail unless this is a JSON Schema of an object that the API can show."""
    assert schema["type"] == "object", place
    assert set(schema.get("required", ())) <= set(schema["properties"]), place
    _check_node(schema, place)


def _check_node(schema: Mapping[str, Any], place: str) -> None:
    assert schema.get("type", "string") in JSON_TYPES, place
    for name, field in schema.get("properties", {}).items():
        _check_node(field, f"{place}.{name}")
    if "items" in schema:
        _check_node(schema["items"], f"{place}[]")


class KeptImages:
    """What calls were about to overwrite, in memory: `BeforeImages` of no job."""

    def __init__(self) -> None:
        self.images: dict[int, Before] = {}

    async def keep(self, row: int, before: Before) -> None:
        """Keep an image."""
        self.images[row] = before

    def image_of(self, row: int) -> Before | None:
        """What was kept of a row."""
        return self.images.get(row)


def reversal_of(outcome: Outcome) -> Reversal:
    """What undoes the write with this outcome."""
    deed = Deed.UPDATED
    if outcome.version is None:
        deed = Deed.DELETED
    elif outcome.before is None:
        deed = Deed.CREATED
    values = {} if outcome.before is None else outcome.before.values
    version = json.loads(json.dumps(outcome.version))
    return Reversal(outcome.row, str(outcome.id), deed, values, version)
