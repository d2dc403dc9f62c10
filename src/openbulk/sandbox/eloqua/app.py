"""The Eloqua sandbox: its paths, and what they do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from openbulk.sandbox.eloqua import sign_in
from openbulk.sandbox.eloqua.bulk import MAX_STAGING_BYTES, Bulk, Invalid
from openbulk.sandbox.eloqua.fields import ENTITIES
from openbulk.sandbox.eloqua.rest import Rest
from openbulk.sandbox.eloqua.store import Store, Table
from openbulk.sandbox.faults import Faults
from openbulk.sandbox.page import page, paragraph, table
from openbulk.sandbox.server import NAME
from openbulk.sandbox.traffic import Traffic, json_response

NEWEST = 50
_SHOWN = ("C_EmailAddress", "C_FirstName", "C_LastName", "C_Title", "C_Company", "C_BusPhone")


@dataclass(frozen=True, slots=True)
class Options:
    """How the sandbox behaves."""

    latency_ms: int = 0
    quota_per_minute: int | None = None
    faults: str = ""
    sync_ms: int = 50
    """How long a sync takes beside its work."""
    first_record_index: int = 1
    """`recordIndex` of the first staged record. Oracle's reference does not say whether it counts from 0 or from 1."""


def make_app(options: Options) -> web.Application:
    """The sandbox. Raises ValueError where the faults are not understood."""
    return _Sandbox(options).app


class _Sandbox:
    """What the handlers share."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.sign_in = sign_in.SignIn()
        self.traffic = Traffic(
            is_call=_is_call,
            caller_of=lambda request: request.headers.get("Authorization", ""),
            over_quota=lambda: json_response("Too many requests.", 429),
            failure=lambda status: json_response("The service has encountered an error.", status),
            expire_token=self.sign_in.expire,
            latency_ms=options.latency_ms,
            quota_per_minute=options.quota_per_minute,
            faults=Faults.parse(options.faults),
        )
        self.store = _empty_store()
        self.bulk = Bulk(self.store, sync_ms=options.sync_ms, first_record_index=options.first_record_index)
        rest = Rest(self.store)
        self.app = web.Application(
            middlewares=[self.traffic.middleware(), self._signed_in], client_max_size=2 * MAX_STAGING_BYTES
        )
        self.app[NAME] = "Eloqua sandbox"
        self.app.add_routes(
            [
                web.get("/", self.show),
                web.get("/id", self.who),
                web.get("/auth/oauth2/authorize", sign_in.authorize_page),
                web.post("/auth/oauth2/authorize", sign_in.authorize(self.sign_in)),
                web.post("/auth/oauth2/token", sign_in.token(self.sign_in)),
                *self.bulk.routes("/{api:(?i:api)}/{kind:(?i:bulk)}/2.0"),
                *rest.routes("/{api:(?i:api)}/{kind:(?i:rest)}/{version:1.0|2.0}"),
                web.get("/sandbox/{kind:contacts|accounts}", self.records),
                web.get("/sandbox/{kind:campaigns|lists}", self.assets),
                web.get("/sandbox/stats", self.stats),
                web.post("/sandbox/faults", self.traffic.change_faults),
                web.post("/sandbox/reset", self.reset),
            ]
        )

    @property
    def _signed_in(self) -> Any:
        @web.middleware
        async def check(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if request.path.lower().startswith("/api/") and not self.sign_in.knows(request):
                return json_response("Not authenticated.", 401)
            try:
                return await handler(request)
            except Invalid as invalid:
                return invalid.answer()
            except web.HTTPNotFound:
                return json_response("The requested resource was not found.", 404)

        return check

    async def who(self, request: web.Request) -> web.Response:
        """`GET /id`: https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop (Determining base URLs)."""
        if not self.sign_in.knows(request):
            return json_response("Not authenticated.")
        base = f"{request.scheme}://{request.host}"
        return json_response(
            {
                "site": {"id": 1, "name": "Sandbox"},
                "user": {"id": 1, "username": "API.User", "displayName": "API User", "emailAddress": "api@example.com"},
                "urls": {
                    "base": base,
                    "apis": {
                        "rest": {"standard": f"{base}/API/REST/{{version}}/", "bulk": f"{base}/API/Bulk/{{version}}/"}
                    },
                },
            }
        )

    # --- what it holds ---

    async def show(self, _request: web.Request) -> web.Response:
        """The page for people."""
        contacts = list(self.store.tables["contacts"].records.values())
        assets = [(kind, a["id"], a["name"]) for kind, held in self.store.assets.items() for a in held.values()]
        return page(
            "Eloqua sandbox",
            paragraph(f"Everything here is in memory and gone when the sandbox stops. {len(contacts)} contacts."),
            table(
                f"Newest {NEWEST} contacts",
                [name.removeprefix("C_") for name in _SHOWN],
                [[contact.get(name, "") for name in _SHOWN] for contact in reversed(contacts[-NEWEST:])],
            ),
            table(
                "Accounts",
                ["Company", "City"],
                [
                    (a.get("M_CompanyName", ""), a.get("M_City", ""))
                    for a in list(self.store.tables["accounts"].records.values())[-NEWEST:]
                ],
            ),
            table("Campaigns and lists", ["Kind", "Id", "Name"], assets[-NEWEST:]),
            table(
                "Syncs",
                ["Sync", "Definition", "Status", "Rejected"],
                [(s.number, s.definition.uri, s.status, len(s.rejects)) for s in self.bulk.syncs()[-NEWEST:]],
            ),
            table("Calls", ["Status", "Calls"], self.traffic.stats()["by_status"].items()),
        )

    async def records(self, request: web.Request) -> web.Response:
        """All contacts or accounts."""
        return json_response(list(self.store.tables[request.match_info["kind"]].records.values()))

    async def assets(self, request: web.Request) -> web.Response:
        """All campaigns or lists."""
        return json_response(list(self.store.assets[request.match_info["kind"]].values()))

    async def stats(self, _request: web.Request) -> web.Response:
        """Counts of the calls so far."""
        staging = {"data_posts": self.bulk.data_posts, "largest_data_post_bytes": self.bulk.largest_data_post}
        return json_response({**self.traffic.stats(), **staging})

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget records and calls; tokens stay good."""
        empty = _empty_store()
        self.store.tables.update(empty.tables)
        self.store.assets.update(empty.assets)
        self.traffic.reset()
        return json_response({})


def _empty_store() -> Store:
    return Store({entity.plural: Table(entity) for entity in ENTITIES.values()})


def _is_call(request: web.Request) -> bool:
    return request.path.lower().startswith("/api/")
