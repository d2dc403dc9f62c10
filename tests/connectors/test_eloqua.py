"""Oracle Eloqua, against the sandbox."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest

from openbulk.api.wire.objects import present_fields
from openbulk.connectors.base import ConnectionContext, Connector, PlansWrites
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.eloqua.bulk import staging_bodies
from openbulk.connectors.eloqua.fields import read_fields
from openbulk.connectors.eloqua.service import Service
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import BadInput, RetryLater
from openbulk.domain.plan import Change, PlannedKind
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.sandbox import eloqua
from openbulk.testing.connectors import Connect, ConnectorTests, plan, record, records_of, send
from support import Serve, forget

CONTACT = Target("contact", Action.CREATE)


def configuration(url: str, **more: str) -> dict[str, str]:
    return {"base.url": url, "username": "Acme\\ann", "password": "secret", **more}


def contact(name: str, **more: str) -> dict[str, str]:
    return {"C_EmailAddress": f"{name.lower()}@example.com", "C_FirstName": name, **more}


async def held(
    http: aiohttp.ClientSession, url: str, what: str = "contacts"
) -> list[dict[str, str]]:
    async with http.get(f"{url}/sandbox/{what}") as answer:
        records: list[dict[str, str]] = await answer.json()
    return records


async def count_of_posts(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(f"{url}/sandbox/stats") as answer:
        return int((await answer.json())["by_method"].get("POST", 0))


class WholeFile:
    """The records of a file that one slice sends."""

    fence = cursor = last = 0

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._records = records_of(rows)

    async def each(self, after: int = 0) -> AsyncIterator[tuple[Record, str | None]]:
        for one in self._records:
            if one.row > after:
                yield one, None


def problem(outcome: Outcome) -> str:
    assert outcome.problem is not None
    return outcome.problem.message


class EloquaTests(ConnectorTests):
    first_record_index = 1

    @pytest.fixture
    async def url(self, serve: Serve) -> str:
        return await serve(
            eloqua.make_app(eloqua.Options(first_record_index=self.first_record_index))
        )

    @pytest.fixture
    async def connect(self, http: aiohttp.ClientSession, url: str) -> Connect:
        return lambda: EloquaProvider().connect(ConnectionContext(configuration(url), http, forget))

    @pytest.fixture
    async def connect_with_wrong_credentials(
        self, http: aiohttp.ClientSession, url: str
    ) -> Connect:
        return lambda: EloquaProvider().connect(
            ConnectionContext(configuration(url, password="wrong"), http, forget)
        )

    @pytest.fixture
    async def connect_to_nowhere(self, http: aiohttp.ClientSession) -> Connect:
        return lambda: EloquaProvider().connect(
            ConnectionContext(configuration("http://127.0.0.1:1"), http, forget)
        )


class TestContacts(EloquaTests):
    object_name = "contact"
    good = (contact("Ann"), contact("Bob"), contact("Cara"))
    bad = {"C_EmailAddress": "not an address"}  # noqa: RUF012
    distinct_field = "C_FirstName"

    async def test_rejects_fail_the_right_rows_whatever_their_reason(
        self, connect: Connect
    ) -> None:
        values: list[Mapping[str, str]] = [
            contact("Ann"),
            {"C_EmailAddress": "no address", "C_FirstName": "Bob"},
            contact("Cara"),
            contact("Ann"),
            {"C_FirstName": "Dan"},
            contact("Eve", C_EmailAdress="x"),
            contact("Fay", C_Annual_Revenue1="much"),
            contact("Gus", C_DateCreated="2026-01-01"),
        ]
        outcomes = await send(
            connect, CONTACT, [record(row, v) for row, v in enumerate(values, 11)]
        )
        assert [o.row for o in outcomes if o.kind is OutcomeKind.FAILED] == [12, 14, 15, 16, 17, 18]
        assert [problem(o) for o in outcomes if o.problem] == [
            "the email address is not valid; addresses look like ann@example.com",
            "the identifier is in the file twice; keep one of the rows",
            "C_EmailAddress is missing: it identifies the record",
            "'C_EmailAdress' is not a field of contact; did you mean 'C_EmailAddress'?",
            "a value does not fit its field's type",
            "'C_DateCreated' is filled by Eloqua; leave the column out",
        ]

    @pytest.mark.parametrize("value", [None, 0, False, True, 1.0, Decimal("1.50"), " x "])
    async def test_a_refused_row_may_have_any_value(self, connect: Connect, value: object) -> None:
        """Eloqua repeats the values of a rejected record as texts, in a way of its own."""
        refused = {"C_EmailAddress": "no address", "C_City": value}
        rows = [record(1, contact("Ann", C_City="Bonn")), record(2, refused)]
        outcomes = await send(connect, CONTACT, rows)
        assert [o.row for o in outcomes if o.kind is OutcomeKind.FAILED] == [2]

    async def test_a_missing_value_leaves_the_one_that_eloqua_has(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        await send(
            connect, CONTACT, [record(1, contact("Ann", C_City="Bonn")), record(2, contact("Bob"))]
        )
        changed = [record(1, contact("Ann", C_Title="Dr")), record(2, contact("Bob", C_City="Ulm"))]
        outcomes = await send(connect, CONTACT, changed)
        assert {outcome.kind for outcome in outcomes} == {OutcomeKind.UPDATED}
        ann, bob = await held(http, url)
        assert (ann["C_City"], ann["C_Title"], bob["C_City"]) == ("Bonn", "Dr", "Ulm")

    async def test_an_import_that_creates_and_updates_counts_its_records_as_upserted(
        self, connect: Connect
    ) -> None:
        (first,) = await send(connect, CONTACT, [record(1, contact("Ann"))])
        both = await send(connect, CONTACT, [record(1, contact("Ann")), record(2, contact("Bob"))])
        assert (first.kind, {outcome.kind for outcome in both}) == (
            OutcomeKind.CREATED,
            {OutcomeKind.UPSERTED},
        )

    async def test_columns_are_found_by_title_and_in_any_case(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        await send(
            connect,
            CONTACT,
            [record(1, {"email address": "ann@example.com", "c_firstname": "Ann"})],
        )
        (one,) = await held(http, url)
        assert (one["C_EmailAddress"], one["C_FirstName"]) == ("ann@example.com", "Ann")

    async def test_an_identifier_of_the_callers_own_tells_records_apart(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        target = Target("contact", Action.UPSERT, "C_Company")
        for city in ("Bonn", "Ulm"):
            await send(connect, target, [record(1, {"C_Company": "Acme", "C_City": city})])
        assert [one["C_City"] for one in await held(http, url)] == ["Ulm"]
        (outcome,) = await send(
            connect, Target("contact", Action.UPSERT, "Shoe size"), [record(1, contact("Ann"))]
        )
        assert "'Shoe size' is not a field of contact" in problem(outcome)

    async def test_more_columns_than_eloqua_imports_fail_with_the_limit(
        self, connect: Connect
    ) -> None:
        (outcome,) = await send(connect, CONTACT, [record(1, {str(n): "x" for n in range(101)})])
        assert (
            problem(outcome)
            == "the file has 101 columns; Eloqua imports at most 100: leave some out"
        )

    async def test_an_export_applies_the_conditions_that_eloqua_understands_alike(
        self, connect: Connect
    ) -> None:
        """Equal texts and dates of change. The engine applies every other condition."""
        values = [
            contact("Ann", C_City="Bonn"),
            contact("Bob", C_City="bonn"),
            contact("Cara", C_City="007"),
        ]
        await send(connect, CONTACT, [record(row, v) for row, v in enumerate(values, 1)])
        for where, changed_since, expected in (
            (Comparison("C_City", "=", ("Bonn",)), None, ["Ann", "Bob"]),
            (Comparison("C_City", "=", ("7",)), None, ["Ann", "Bob", "Cara"]),
            (Comparison("C_City", "!=", ("Bonn",)), None, ["Ann", "Bob", "Cara"]),
            (Comparison("C_FirstName", "in", ("Ann", "Cara")), None, ["Ann", "Cara"]),
            (Comparison("C_City", "=", ("B'onn",)), None, ["Ann", "Bob", "Cara"]),
            (None, datetime.now(UTC) + timedelta(days=3), []),
            (None, datetime.now(UTC), ["Ann", "Bob", "Cara"]),
        ):
            query = Query("contact", where=where, changed_since=changed_since)
            pages = [page async for page in connect().read(query, PageRequest())]
            assert [one["C_FirstName"] for page in pages for one in page.records] == expected, where

    async def test_a_submit_that_was_cut_off_imports_nothing(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        native = connect().native
        assert native is not None
        async with http.post(f"{url}/sandbox/faults", json={"spec": "drop-after=0.5,seed=3"}):
            pass
        with pytest.raises(Exception, match="did not answer"):
            for _ in range(10):
                await native.submit(CONTACT, self.records())
        async with http.post(f"{url}/sandbox/faults", json={"spec": ""}):
            pass
        outcomes = await send(connect, CONTACT, self.records())
        assert all(outcome.problem is None for outcome in outcomes)
        assert len(await held(http, url)) == 3

    async def test_a_plan_shows_each_field_and_sends_no_import(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        """Values that Eloqua writes otherwise are the same; each refusal has the job's words."""
        await send(
            connect,
            CONTACT,
            [
                record(1, contact("Ann", C_City="Bonn", C_Annual_Revenue1="5.50")),
                record(2, contact("Bob", C_City="Ulm")),
            ],
        )
        before = await held(http, url)
        posts = await count_of_posts(http, url)
        rows = [
            {"Email address": "ANN@example.com", "C_Annual_Revenue1": "5.5", "C_City": "Köln"},
            contact("Bob", C_City="Ulm", C_Title=""),
            contact("O'Cara"),
            {"C_FirstName": "Dan"},
            contact("Eve", C_EmailAdress="x"),
            {"C_EmailAddress": "no address"},
            contact("Fay", C_Annual_Revenue1="much"),
            contact("Bob", C_City="Trier"),
        ]
        target = Target("contact", Action.UPSERT, run="plan", job_records=WholeFile(rows))
        planned = await plan(connect, target, records_of(rows))
        assert [one.kind.value for one in planned] == [
            *("updated", "unchanged", "created"),
            *["refused"] * 5,
        ]
        assert planned[0].changes == {
            "C_EmailAddress": Change("ann@example.com", "ANN@example.com"),
            "C_City": Change("Bonn", "Köln"),
        }
        assert planned[0].version
        assert [one.problem and one.problem.message for one in planned[3:]] == [
            "C_EmailAddress is missing: it identifies the record",
            "'C_EmailAdress' is not a field of contact; did you mean 'C_EmailAddress'?",
            "the email address is not valid; addresses look like ann@example.com",
            "a value does not fit its field's type",
            "row 2 has the C_EmailAddress bob@example.com, too, and differs in C_City; "
            "keep one of them",
        ]
        assert planned[7].key == planned[1].key
        assert await held(http, url) == before
        # An export of some contacts, and none that imports: a definition and a sync each.
        assert await count_of_posts(http, url) - posts == 2

    async def test_a_plan_of_many_rows_exports_all_contacts_once(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        rows = [contact(f"Person{n:03}", C_City="Bonn") for n in range(400)]
        await send(connect, CONTACT, records_of(rows[:300]))
        connector = connect()
        assert isinstance(connector, PlansWrites)
        posts = await count_of_posts(http, url)
        target = Target("contact", Action.UPSERT, run="plan", records=400)
        changed = [{**one, "C_City": "Ulm"} if place < 5 else one for place, one in enumerate(rows)]
        batch = records_of(changed)
        planned = [
            *await connector.plan(target, batch[:200]),
            *await connector.plan(target, [*batch[200:], record(401, rows[0])]),
        ]
        kinds = Counter(one.kind.value for one in planned)
        assert kinds == {"updated": 6, "unchanged": 295, "created": 100}
        # Row 401 is planned behind row 1, in another import.
        assert planned[-1].changes["C_City"] == Change("Ulm", "Bonn")
        assert await count_of_posts(http, url) - posts == 2

    @pytest.mark.parametrize(
        ("rule", "changes"),
        [
            ("ifNewIsNotNull", {"C_City": Change("Bonn", "Ulm"), "C_Title": Change(None, "Dr")}),
            ("ifExistingIsNull", {"C_Title": Change(None, "Dr")}),
            (
                "always",
                {
                    "C_City": Change("Bonn", "Ulm"),
                    "C_Title": Change(None, "Dr"),
                    "C_Company": Change("Acme", None),
                },
            ),
            ("useFieldRule", {}),
        ],
    )
    async def test_a_plan_knows_the_rules_of_updates(
        self, connect: Connect, rule: str, changes: Mapping[str, Change]
    ) -> None:
        first = contact("Ann", C_City="Bonn", C_Company="Acme")
        await send(connect, CONTACT, [record(1, first)])
        target = Target("contact", Action.UPSERT, options={"updateRule": rule}, run=rule)
        rows = [contact("Ann", C_City="Ulm", C_Title="Dr"), contact("Bob", C_Company="Bolt")]
        ann, _ = await plan(connect, target, records_of(rows))
        assert ann.changes == changes
        assert (ann.kind is PlannedKind.NOT_COMPARED) == (rule == "useFieldRule")

    async def test_a_record_that_may_be_several_is_not_decided(self, connect: Connect) -> None:
        rows = [contact("Ann", C_Company="Acme"), contact("Bob", C_Company="acme")]
        await send(connect, CONTACT, records_of(rows))
        target = Target("contact", Action.UPSERT, "C_Company", run="several")
        (one,) = await plan(connect, target, [record(1, {"C_Company": "Acme", "C_City": "Bonn"})])
        assert one.kind is PlannedKind.NOT_COMPARED
        assert one.remark == (
            "Eloqua has 2 contacts whose C_Company is Acme, and does not say which of them it "
            "changes"
        )


class TestContactsCountedFromZero(TestContacts):
    first_record_index = 0


class TestAccounts(EloquaTests):
    object_name = "account"
    good = ({"M_CompanyName": "Acme"}, {"M_CompanyName": "Bolt"}, {"M_CompanyName": "Cord"})
    bad = {"M_City": "Bonn"}  # noqa: RUF012
    distinct_field = "M_CompanyName"


class TestCampaigns(EloquaTests):
    object_name = "campaign"
    good = ({"name": "Spring"}, {"name": "Summer"}, {"name": "Autumn"})
    bad = {"description": "nameless"}  # noqa: RUF012
    distinct_field = "name"

    async def test_campaigns_are_changed_and_deleted_by_id(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        (made,) = await send(connect, self.target(), [record(1, {"name": "Spring"})])
        changes = record(1, {"id": made.id, "name": "Summer"})
        (changed,) = await send(connect, Target(self.object_name, Action.UPDATE), [changes])
        assert (
            changed.kind,
            [one["name"] for one in await held(http, url, f"{self.object_name}s")],
        ) == (
            OutcomeKind.UPDATED,
            ["Summer"],
        )
        (gone,) = await send(
            connect, Target(self.object_name, Action.DELETE), [record(1, {"id": made.id})]
        )
        (again,) = await send(
            connect, Target(self.object_name, Action.DELETE), [record(1, {"id": made.id})]
        )
        (missing,) = await send(
            connect, Target(self.object_name, Action.DELETE), [record(1, {"name": "x"})]
        )
        assert (gone.kind, again.kind) == (OutcomeKind.DELETED, OutcomeKind.NOT_FOUND)
        assert "id is missing" in problem(missing)

    async def test_a_plan_compares_the_record_with_the_id(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        """Each row behind the ones before it."""
        (made,) = await send(connect, self.target(), [record(1, {"name": "Spring"})])
        posts = await count_of_posts(http, url)
        update = Target(self.object_name, Action.UPDATE, run="update")
        rows: list[Mapping[str, Any]] = [
            {"id": made.id, "name": "Summer"},
            {"id": made.id, "name": "Summer"},
            {"id": "99", "name": "x"},
        ]
        changed, same, missing = await plan(connect, update, records_of(rows))
        assert (changed.id, changed.changes) == (made.id, {"name": Change("Spring", "Summer")})
        assert (changed.version is None, same.kind) == (False, PlannedKind.UNCHANGED)
        outcomes = await send(connect, update, [record(3, rows[2])])
        assert missing.problem == outcomes[0].problem
        target = Target(self.object_name, Action.DELETE, run="delete")
        planned = await plan(connect, target, records_of([{"id": made.id}] * 2))
        assert [one.kind for one in planned] == [PlannedKind.DELETED, PlannedKind.NOT_FOUND]
        assert await count_of_posts(http, url) == posts


class TestLists(TestCampaigns):
    object_name = "list"


async def test_objects_are_listed_in_the_order_of_the_open_connectors_service(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    url = await serve(eloqua.make_app(eloqua.Options()))
    connector: Connector = EloquaProvider().connect(
        ConnectionContext(configuration(url), http, forget)
    )
    assert list(await connector.objects()) == [
        "activities",
        "contact",
        "campaign",
        "list",
        "account",
    ]


async def test_sign_in_by_oauth_keeps_each_new_refresh_token(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    url = await serve(eloqua.make_app(eloqua.Options()))
    settings = {"base.url": url, "oauth.api.key": "app", "oauth.api.secret": "secret"}
    data = {"grant_type": "password", "username": "Acme\\ann", "password": "secret"}
    headers = {"Authorization": aiohttp.encode_basic_auth("app", "secret")}
    async with http.post(f"{url}/auth/oauth2/token", data=data, headers=headers) as answer:
        settings["oauth.user.refresh_token"] = (await answer.json())["refresh_token"]

    async def remember(changes: Mapping[str, str]) -> None:
        assert changes["oauth.user.refresh_token"] != settings["oauth.user.refresh_token"]
        settings.update(changes)

    for _ in range(3):
        await EloquaProvider().connect(ConnectionContext(dict(settings), http, remember)).check()


async def test_a_staging_area_that_is_full_is_waited_for(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    url = await serve(eloqua.make_app(eloqua.Options(faults="error-429=1")))
    native = EloquaProvider().connect(ConnectionContext(configuration(url), http, forget)).native
    assert native is not None
    with pytest.raises(RetryLater):
        await native.submit(CONTACT, [record(1, contact("Ann"))])


@pytest.mark.parametrize(
    ("settings", "says"), [({}, "no credentials"), ({"username": "a", "password": "b"}, "company")]
)
async def test_an_instance_without_credentials_says_what_to_give(
    http: aiohttp.ClientSession, settings: Mapping[str, str], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        EloquaProvider().connect(ConnectionContext(settings, http, forget))


def test_staged_data_is_split_by_bytes_and_nothing_is_left_out() -> None:
    rows = [
        {"C_EmailAddress": f"person{n}@example.com", "C_FirstName": "ä" * (n % 50)}
        for n in range(1_000)
    ]
    bodies = list(staging_bodies(rows, max_bytes=10_000))
    assert len(bodies) > 5
    assert all(len(body) <= 10_000 for body in bodies)
    assert [row for body in bodies for row in orjson.loads(body)] == rows


async def test_each_activity_of_a_contact_is_read_once(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    url = await serve(eloqua.make_app(eloqua.Options()))
    connector: Connector = EloquaProvider().connect(
        ConnectionContext(configuration(url), http, forget)
    )
    await send(lambda: connector, CONTACT, [record(1, contact("Ann")), record(2, contact("Bob"))])
    pages = [page async for page in connector.read(Query("activities"), PageRequest())]
    assert len({activity["id"] for page in pages for activity in page.records}) == 2
    assert sum(len(page.records) for page in pages) == 2


class FieldList(Service):
    """Eloqua's list of the fields of contacts, as its tutorial shows it."""

    def __init__(self, *created: str) -> None:
        self._created = created

    async def items(self, path: str, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The fields, each created at another time."""
        statement = "{{Contact.Field(C_Club1)}}"
        return [
            {"internalName": f"C_Field{number}", "statement": statement, "createdAt": created}
            for number, created in enumerate(self._created)
        ]


async def test_a_field_that_somebody_has_added_is_custom() -> None:
    """Eloqua's own were created in 1900."""
    service = FieldList("1900-01-01T05:00:00.0000000Z", "2026-05-04T12:00:00.0000000Z")
    fields = present_fields((await read_fields(service, "contact", "contacts")).schema("x"))
    custom = {one["vendorPath"]: one["custom"] for one in fields["fields"]}
    assert custom == {"id": False, "C_Field0": False, "C_Field1": True}
