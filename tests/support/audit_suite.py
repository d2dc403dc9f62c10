"""The promises of the audit log, whatever database it is kept in.

class TestAuditLog(AuditTests):
    @pytest.fixture
    async def audit(self, engine): return AuditLog(engine, SEALER)
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from openbulk.domain.audit import PRUNED, AuditOutcome, ChainEnd, Deed
from openbulk.domain.errors import Unavailable
from openbulk.security import Sealer
from openbulk.storage.audit import ABANDONED_AFTER, AuditLog, EntryFilter, reseal_chains

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY, OTHER_KEY = bytes(32), bytes([1] * 32)
ALL = EntryFilter()


def deed(target: str = "job 1", *, organization: int = 1, at: datetime = NOW, **more: Any) -> Deed:
    """A deed of Ann."""
    values = {"action": "job.load", "user_id": 1, "user": "ann@example.com", "status": 200, **more}
    return Deed(
        organization_id=organization, at=at, target=target, request_id=uuid4().hex, **values
    )


async def write(audit: AuditLog, *deeds: Deed) -> None:
    for one in deeds:
        await audit.end(one, is_begun=False)
    await audit.chain_all()


async def entries_of(audit: AuditLog, organization: int = 1, wanted: EntryFilter = ALL) -> Any:
    return await audit.page_after(organization, wanted, 0)


async def targets(audit: AuditLog, organization: int = 1, wanted: EntryFilter = ALL) -> list[str]:
    return [entry.deed.target for entry in await entries_of(audit, organization, wanted)]


async def tamper(audit: AuditLog, statement: str) -> None:
    """Change the database, as somebody with its password could."""
    async with audit._engine.begin() as connection:
        assert (await connection.execute(text(statement))).rowcount > 0


async def faults(audit: AuditLog, organization: int = 1) -> Sequence[str]:
    return (await audit.verify(organization)).faults


class AuditTests:
    """Inherit these, and give them a log."""

    @pytest.fixture
    async def audit(self) -> AuditLog:
        raise NotImplementedError

    @pytest.fixture
    async def other(self) -> AuditLog:
        """The same log, as another process opens it."""
        raise NotImplementedError

    # --- deeds ---

    async def test_a_deed_is_in_the_log_once_it_has_an_outcome(self, audit: AuditLog) -> None:
        one = deed("instance")
        await audit.begin(one)
        await audit.chain_all()
        assert await targets(audit) == []
        await audit.end(replace(one, target="instance 7"), is_begun=True)
        await audit.chain_all()
        (entry,) = await entries_of(audit)
        assert entry.deed == replace(one, target="instance 7")
        assert await faults(audit) == []

    async def test_a_deed_whose_process_died_is_unknown(self, audit: AuditLog) -> None:
        await audit.begin(deed("job 1"))
        await audit.begin(deed("job 2", at=NOW + ABANDONED_AFTER))
        assert await audit.close_abandoned(NOW + timedelta(minutes=1)) == 1
        assert await audit.close_abandoned(NOW + timedelta(minutes=1)) == 0
        await audit.chain_all()
        (entry,) = await entries_of(audit)
        assert (entry.deed.target, entry.deed.outcome) == ("job 1", AuditOutcome.UNKNOWN)
        assert entry.deed.detail == "the server ended before it answered"

    async def test_a_deed_that_took_too_long_gets_a_second_entry(self, audit: AuditLog) -> None:
        one = deed()
        await audit.begin(one)
        await audit.close_abandoned(NOW + timedelta(hours=2))
        await audit.chain_all()
        await audit.end(one, is_begun=True)
        await audit.chain_all()
        found = [(entry.deed.outcome, entry.deed.request_id) for entry in await entries_of(audit)]
        assert found == [("unknown", one.request_id), ("done", one.request_id)]

    async def test_an_outcome_is_written_once_the_database_is_back(
        self, audit: AuditLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = deed()
        await audit.begin(one)
        with monkeypatch.context() as patched:

            async def fail(*_args: Any, **_more: Any) -> None:
                raise Unavailable("the database does not answer")

            patched.setattr(audit, "_write_outcome", fail)
            await audit.end(one, is_begun=True)
        await audit.write_late()
        await audit.chain_all()
        assert [entry.deed.outcome for entry in await entries_of(audit)] == ["done"]

    async def test_a_refused_deed_can_be_forgotten(self, audit: AuditLog) -> None:
        one = deed()
        await audit.begin(one)
        await audit.forget(one.request_id)
        await audit.close_abandoned(NOW + timedelta(hours=2))
        await audit.chain_all()
        assert await targets(audit) == []

    async def test_any_text_has_a_place(self, audit: AuditLog) -> None:
        await write(audit, deed("records/\0\ud800\n'\"\U0001f600"))
        assert await targets(audit) == ["records/\ufffd\ufffd\n'\"\U0001f600"]
        assert await faults(audit) == []

    # --- chains ---

    async def test_organizations_have_chains_of_their_own(self, audit: AuditLog) -> None:
        await write(audit, deed("a"), deed("b", organization=2), deed("c"))
        assert (await targets(audit), await targets(audit, 2)) == (["a", "c"], ["b"])
        assert [entry.number for entry in await entries_of(audit)] == [1, 2]
        assert await audit.organizations() == [1, 2]

    async def test_two_processes_do_not_fork_a_chain(
        self, audit: AuditLog, other: AuditLog
    ) -> None:
        async def work(log: AuditLog, name: str) -> None:
            for n in range(40):
                await log.end(deed(f"{name} {n}"), is_begun=False)
                await log.chain(1)

        await asyncio.gather(*(work(log, f"{n}") for n, log in enumerate((audit, other) * 3)))
        await audit.chain_all()
        found = await entries_of(audit)
        assert [entry.number for entry in found] == list(range(1, 241))
        assert len({entry.deed.target for entry in found}) == 240
        assert await faults(audit) == []

    async def test_more_deeds_than_one_step_chains(self, audit: AuditLog) -> None:
        await write(audit, *(deed(f"job {n}") for n in range(1_100)))
        assert (await audit.verify(1)).entries == 1_100

    # --- what somebody changes ---

    @pytest.mark.parametrize(
        ("statement", "fault"),
        [
            (
                "UPDATE audit_entries SET target = 'x' WHERE number = 3",
                "entry 3 was changed: its hash is not that of its content",
            ),
            (
                "UPDATE audit_entries SET outcome = 'odd' WHERE number = 3",
                "entry 3 was changed: its hash is not that of its content",
            ),
            ("DELETE FROM audit_entries WHERE number = 3", "entry 3 is missing"),
            (
                "DELETE FROM audit_entries WHERE number > 4",
                "entries 5 to 6 are missing at the end",
            ),
            ("DELETE FROM audit_entries", "entries 1 to 6 are missing at the end"),
            (
                "DELETE FROM audit_entries WHERE number < 3",
                "entries 1 to 2 are missing, and no entry remembers that they were deleted by age",
            ),
            (
                "UPDATE audit_chains SET number = 9 WHERE id = 1",
                "entries 7 to 9 are missing at the end",
            ),
            (
                "DELETE FROM audit_chains WHERE id = 1",
                "entry 6 is not the last one that openbulk has written",
            ),
            (
                "UPDATE audit_chains SET sealed = NULL WHERE id = 1",
                "the end of the chain was not sealed by openbulk",
            ),
        ],
    )
    async def test_what_somebody_changes_is_found(
        self, audit: AuditLog, statement: str, fault: str
    ) -> None:
        await write(audit, *(deed(f"job {n}") for n in range(6)))
        await tamper(audit, statement)
        assert (await faults(audit))[0] == fault

    async def test_an_end_that_was_written_without_the_master_key_is_found(
        self, audit: AuditLog
    ) -> None:
        await write(audit, *(deed(f"job {n}") for n in range(6)))
        last = (await entries_of(audit))[3]
        await tamper(audit, "DELETE FROM audit_entries WHERE number > 4")
        await tamper(audit, f"UPDATE audit_chains SET number = 4, hash = '{last.hash}'")
        assert await faults(audit) == ["the end of the chain was not sealed by openbulk"]

    async def test_a_noted_entry_has_to_be_there(self, audit: AuditLog) -> None:
        await write(audit, *(deed(f"job {n}") for n in range(6)))
        noted = (await audit.verify(1)).end
        await write(audit, deed("later"))
        assert (await audit.verify(1, noted)).faults == []
        assert (await audit.verify(1, ChainEnd(6, "0" * 64))).faults == [
            "entry 6 has another hash than you noted: it was replaced"
        ]

    async def test_the_end_is_sealed_again_with_a_new_key(self, audit: AuditLog) -> None:
        await write(audit, deed())
        async with audit._engine.begin() as connection:
            await reseal_chains(connection, Sealer([OTHER_KEY, KEY]))
        assert await faults(AuditLog(audit._engine, Sealer([OTHER_KEY]))) == []
        assert await faults(audit) == ["the end of the chain was not sealed by openbulk"]
        async with audit._engine.begin() as connection:  # a lost key keeps no server from starting
            await reseal_chains(connection, audit._sealer)

    # --- deletion by age ---

    async def test_old_entries_are_deleted_and_the_rest_is_whole(self, audit: AuditLog) -> None:
        days = [deed(f"day {n}", at=NOW + timedelta(days=n)) for n in range(10)]
        await write(audit, *days)
        assert await audit.prune(timedelta(days=4), NOW + timedelta(days=9)) == 5
        assert await targets(audit) == [*(f"day {n}" for n in range(5, 10)), "entries to 5"]
        check = await audit.verify(1)
        assert (check.faults, check.first, check.end.number) == ([], 6, 11)
        assert await audit.prune(timedelta(days=4), NOW + timedelta(days=9, hours=20)) == 0
        assert await audit.prune(timedelta(days=4), NOW + timedelta(days=11)) == 2
        assert await faults(audit) == []
        await tamper(audit, "DELETE FROM audit_entries WHERE number = 8")
        assert "entries 1 to 8 are missing" in (await faults(audit))[0]

    async def test_when_all_is_old_one_entry_remembers_it(self, audit: AuditLog) -> None:
        await write(audit, deed("a"), deed("b"))
        assert await audit.prune(timedelta(days=1), NOW + timedelta(days=9)) == 2
        (entry,) = await entries_of(audit)
        assert (entry.number, entry.deed.action, entry.deed.target) == (3, PRUNED, "entries to 2")
        assert await faults(audit) == []

    async def test_an_old_entry_behind_a_new_one_stays(self, audit: AuditLog) -> None:
        await write(audit, deed("old"), deed("new", at=NOW + timedelta(days=9)), deed("old too"))
        assert await audit.prune(timedelta(days=4), NOW + timedelta(days=10)) == 1
        assert await targets(audit) == ["new", "old too", "entries to 1"]
        assert await faults(audit) == []

    # --- reading ---

    async def test_entries_are_found_by_who_what_and_when(self, audit: AuditLog) -> None:
        await write(
            audit,
            deed("job 1"),
            deed("job 1 row 3", action="job.mend", user="Bob@example.com"),
            deed("job 12", action="jobless", outcome=AuditOutcome.REFUSED, at=NOW + timedelta(1)),
        )

        async def found(**wanted: Any) -> list[str]:
            return await targets(audit, 1, EntryFilter(**wanted))

        assert await found(user="bob@example.com") == ["job 1 row 3"]
        assert await found(action="job") == ["job 1", "job 1 row 3"]
        assert await found(target="job 1") == ["job 1", "job 1 row 3"]
        assert await found(target="job%") == []
        assert await found(outcome="refused") == ["job 12"]
        assert await found(since=NOW + timedelta(hours=1)) == ["job 12"]
        assert await found(before=NOW + timedelta(hours=1)) == ["job 1", "job 1 row 3"]

    async def test_entries_come_in_pages_newest_first(self, audit: AuditLog) -> None:
        await write(audit, *(deed(f"job {n}") for n in range(5)))
        page = await audit.newest(1, ALL, before=None, limit=2)
        assert [entry.number for entry in page] == [5, 4]
        page = await audit.newest(1, ALL, before=4, limit=9)
        assert [entry.number for entry in page] == [3, 2, 1]
