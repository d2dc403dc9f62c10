"""The page on which a person sees what the sandbox holds."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from aiohttp import web

from openbulk.sandbox.eloqua.store import Store
from openbulk.sandbox.eloqua.syncs import Sync
from openbulk.sandbox.page import page, paragraph, table

NEWEST = 50
_CONTACT = ("C_EmailAddress", "C_FirstName", "C_LastName", "C_Title", "C_Company", "C_BusPhone")
_ACCOUNT = ("M_CompanyName", "M_City", "M_Country", "M_BusPhone")


def overview(store: Store, syncs: Sequence[Sync], calls: Mapping[str, int]) -> web.Response:
    """The newest of everything. `calls` are counted by status."""
    contacts, accounts = store.tables["contacts"].records, store.tables["accounts"].records
    assets = [
        (kind, asset["id"], asset["name"])
        for kind, held in store.assets.items()
        for asset in held.values()
    ]
    said = f"{len(contacts)} contacts, {len(accounts)} accounts. In memory: gone when the sandbox stops."
    return page(
        "Eloqua sandbox",
        paragraph(said),
        table(f"Newest {NEWEST} contacts", _titles(_CONTACT), _newest(contacts, _CONTACT)),
        table(f"Newest {NEWEST} accounts", _titles(_ACCOUNT), _newest(accounts, _ACCOUNT)),
        table("Campaigns and lists", ["Kind", "Id", "Name"], assets[-NEWEST:]),
        table(
            "Syncs",
            ["Sync", "Definition", "Status", "Records", "Rejected"],
            [
                (
                    sync.number,
                    sync.definition.uri,
                    sync.status,
                    sync.counts["ELQ-00001"],
                    len(sync.rejects),
                )
                for sync in reversed(syncs[-NEWEST:])
            ],
        ),
        table("Calls", ["Status", "Calls"], calls.items()),
    )


def _titles(names: Sequence[str]) -> list[str]:
    return [name.partition("_")[2] for name in names]


def _newest(records: dict[int, dict[str, Any]], names: Sequence[str]) -> list[list[object]]:
    return [
        [record.get(name, "") for name in names]
        for record in islice(reversed(records.values()), NEWEST)
    ]
