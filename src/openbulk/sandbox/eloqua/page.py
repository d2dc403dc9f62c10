"""The page that shows a person the data of the sandbox."""

from collections.abc import Mapping, Sequence, Sized
from itertools import islice
from typing import Any

from aiohttp import web

from openbulk.sandbox.eloqua.store import Store
from openbulk.sandbox.eloqua.syncs import Sync
from openbulk.sandbox.page import page, paragraph, table

NEWEST = 50
_CONTACT_COLUMNS = (
    "C_EmailAddress",
    "C_FirstName",
    "C_LastName",
    "C_Title",
    "C_Company",
    "C_BusPhone",
)
_ACCOUNT_COLUMNS = ("M_CompanyName", "M_City", "M_Country", "M_BusPhone")


def overview(store: Store, syncs: Sequence[Sync], calls: Mapping[str, int]) -> web.Response:
    """The newest of everything. `calls` holds counts by status."""
    contacts, accounts = store.tables["contacts"].records, store.tables["accounts"].records
    assets = [
        (kind, asset["id"], asset["name"])
        for kind, by_number in store.assets.items()
        for asset in by_number.values()
    ]
    totals = f"{_count(contacts, 'contact')}, {_count(accounts, 'account')}."
    return page(
        "Eloqua sandbox",
        paragraph(f"{totals} In memory: gone when the sandbox stops."),
        table(
            f"Newest {NEWEST} contacts",
            _titles(_CONTACT_COLUMNS),
            _newest(contacts, _CONTACT_COLUMNS),
        ),
        table(
            f"Newest {NEWEST} accounts",
            _titles(_ACCOUNT_COLUMNS),
            _newest(accounts, _ACCOUNT_COLUMNS),
        ),
        table("Campaigns and lists", ["Kind", "Id", "Name"], assets[-NEWEST:]),
        table(
            "Syncs",
            ["Sync", "Definition", "Status", "Records", "Rejected"],
            map(_sync_row, reversed(syncs[-NEWEST:])),
        ),
        table("Calls", ["Status", "Calls"], calls.items()),
    )


def _count(records: Sized, noun: str) -> str:
    return f"{len(records)} {noun}" if len(records) == 1 else f"{len(records)} {noun}s"


def _titles(names: Sequence[str]) -> list[str]:
    return [name.partition("_")[2] for name in names]


def _newest(records: dict[int, dict[str, Any]], names: Sequence[str]) -> list[list[object]]:
    newest = islice(reversed(records.values()), NEWEST)
    return [[record.get(name, "") for name in names] for record in newest]


def _sync_row(sync: Sync) -> Sequence[object]:
    total = sync.counts["ELQ-00001"]
    return sync.number, sync.definition.uri, sync.status, total, len(sync.rejects)
