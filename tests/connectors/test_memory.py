"""Memory keeps the promises of every connector."""

import tracemalloc

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext
from openbulk.connectors.memory import MemoryProvider
from openbulk.connectors.memory.records import Records, Room
from openbulk.domain.errors import NotFound
from openbulk.domain.records import Action, OutcomeKind, Target
from openbulk.testing.connectors import Connect, ConnectorTests, record, send
from support import forget


class TestMemory(ConnectorTests):
    object_name = "records"
    good = ({"name": "Ann"}, {"name": "Bob"}, {"name": "Cara"})
    bad = {"fail": "not this one"}  # noqa: RUF012
    distinct_field = "name"

    @pytest.fixture
    async def connect(self, http: aiohttp.ClientSession) -> Connect:
        provider = MemoryProvider()
        return lambda: provider.connect(ConnectionContext({}, http, forget))

    async def test_every_action_does_what_it_says(self, connect: Connect) -> None:
        kinds = []
        for action, values in (
            (Action.UPSERT, {"name": "Ann"}),
            (Action.UPSERT, {"name": "Ann"}),
            (Action.UPDATE, {"name": "Anna"}),
            (Action.DELETE, {}),
            (Action.DELETE, {}),
            (Action.UPDATE, {"name": "Ann"}),
        ):
            kinds += [
                o.kind for o in await send(connect, Target("records", action), [record(1, values)])
            ]
        assert kinds == [
            OutcomeKind.CREATED,
            OutcomeKind.UNCHANGED,
            OutcomeKind.UPDATED,
            OutcomeKind.DELETED,
            OutcomeKind.FAILED,
            OutcomeKind.FAILED,
        ]

    async def test_a_delete_that_finds_nothing_says_so(self, connect: Connect) -> None:
        """Without an identifier, it could never find anything: that is a failure."""
        gone = Target("records", Action.DELETE, "name")
        (outcome,) = await send(connect, gone, [record(1, {"name": "Ann"})])
        assert (outcome.kind, outcome.problem) == (OutcomeKind.NOT_FOUND, None)

    async def test_a_record_that_was_read_is_known_by_its_id(self, connect: Connect) -> None:
        """Whoever gave it. What the row leaves out stays."""
        if self.object_name == "log":
            pytest.skip("a log has no keys")
        kinds = []
        for row, (action, values) in enumerate(
            (
                (Action.CREATE, {"id": "a", "name": "Ann", "city": "Bonn"}),
                (Action.CREATE, {"id": "a", "name": "Bob"}),
                (Action.UPSERT, {"id": "a", "city": "Ulm"}),
                (Action.UPDATE, {"id": "a", "city": "Ulm", "name": "Ann"}),
                (Action.UPSERT, {"id": "b"}),
                (Action.DELETE, {"id": "b"}),
                (Action.DELETE, {"id": "b"}),
            )
        ):
            target = Target("records", action)
            kinds += [one.kind for one in await send(connect, target, [record(row, values)])]
        assert kinds == [
            OutcomeKind.CREATED,
            OutcomeKind.FAILED,
            OutcomeKind.UPDATED,
            OutcomeKind.UNCHANGED,
            OutcomeKind.CREATED,
            OutcomeKind.DELETED,
            OutcomeKind.NOT_FOUND,
        ]
        assert await self.read_all(connect()) == [{"id": "a", "name": "Ann", "city": "Ulm"}]

    async def test_a_row_without_its_identifier_is_refused(self, connect: Connect) -> None:
        """It would exist twice after the second upload."""
        target = Target("records", Action.UPSERT, "email")
        (outcome,) = await send(connect, target, [record(1, {"name": "Ann"})])
        assert (outcome.kind, outcome.problem and outcome.problem.field) == (
            OutcomeKind.FAILED,
            "email",
        )

    async def test_an_instance_with_another_space_has_other_records(
        self, http: aiohttp.ClientSession
    ) -> None:
        provider = MemoryProvider()
        await send(
            lambda: provider.connect(ConnectionContext({}, http, forget)),
            self.target(),
            self.records(),
        )
        assert (
            await self.distinct_values(
                provider.connect(ConnectionContext({"space": "other"}, http, forget))
            )
            == []
        )

    async def test_without_keep_no_record_is_there(self, http: aiohttp.ClientSession) -> None:
        provider = MemoryProvider()
        await send(
            lambda: provider.connect(ConnectionContext({"keep": "false"}, http, forget)),
            self.target(),
            self.records(),
        )
        assert (
            await self.distinct_values(provider.connect(ConnectionContext({}, http, forget))) == []
        )


class TestMemoryLog(TestMemory):
    object_name = "log"


async def test_what_finds_no_room_fails_and_organizations_are_apart(
    http: aiohttp.ClientSession,
) -> None:
    provider = MemoryProvider(Room(max_records=2))

    def connect(organization: int) -> Connect:
        context = ConnectionContext({}, http, forget, organization_id=organization)
        return lambda: provider.connect(context)

    target = Target("records", Action.UPSERT)
    outcomes = await send(connect(1), target, [record(row, {"name": "Ann"}) for row in (1, 2, 3)])
    assert [one.problem is None for one in outcomes] == [True, True, False]
    assert "memory of this server is full" in str(outcomes[2].problem)
    (refused,) = await send(connect(2), target, [record(9, {"name": "Bob"})])
    assert refused.kind is OutcomeKind.FAILED
    provider.keep_only(1, [])
    (taken,) = await send(connect(2), target, [record(9, {"name": "Bob"})])
    assert taken.problem is None
    with pytest.raises(NotFound):
        await connect(1)().get("records", "9", {})


def test_the_room_counts_what_records_take() -> None:
    room = Room()
    records = Records(room)
    tracemalloc.start()
    try:
        for number in range(2_000):
            assert records.put(f"key{number}", {"name": "Ann"})
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * room.bytes
