"""The Eloqua sandbox: its routes and its operator pages."""

from dataclasses import dataclass
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Middleware

from openbulk.sandbox.eloqua.bulk import MAX_STAGING_BYTES, Bulk
from openbulk.sandbox.eloqua.definitions import Invalid
from openbulk.sandbox.eloqua.page import overview
from openbulk.sandbox.eloqua.rest import Rest
from openbulk.sandbox.eloqua.sign_in import SignIn
from openbulk.sandbox.eloqua.store import Store
from openbulk.sandbox.server import NAME
from openbulk.sandbox.traffic import Handler, Traffic, json_response


@dataclass(frozen=True, slots=True)
class Options:
    """The behaviour of the sandbox."""

    latency_ms: int = 0
    quota_per_minute: int | None = None
    faults: str = ""
    sync_ms: int = 50
    """Duration of a sync, in addition to its work."""
    first_record_index: int = 1
    """`recordIndex` of the first staged record."""
    # Oracle's reference does not specify it. RudderStack's connector counts from 1: the reject of
    # the fifth record has index 5 (rudderlabs/rudder-server, asyncdestinationmanager/eloqua).
    token_seconds: int = 8 * 3600
    """Life of an access token."""


def make_app(options: Options) -> web.Application:
    """The sandbox. Raises ValueError if the faults cannot be parsed."""
    return _Sandbox(options).app


def _failure(status: int) -> web.Response:
    return json_response("The service has encountered an error.", status)


class _Sandbox:
    """The state that the handlers share."""

    def __init__(self, options: Options) -> None:
        self.sign_in = SignIn(options.token_seconds)
        self.traffic = Traffic(
            is_call=_is_call,
            caller_of=lambda request: request.headers.get("Authorization", ""),
            over_quota=lambda: json_response("Too Many Requests", 429),
            refusals={f"error-{status}": partial(_failure, status) for status in (429, 500, 503)},
            expire_token=self.sign_in.expire,
            latency_ms=options.latency_ms,
            quota_per_minute=options.quota_per_minute,
            faults_spec=options.faults,
        )
        self.store = Store()
        self.bulk = Bulk(
            self.store, sync_ms=options.sync_ms, first_record_index=options.first_record_index
        )
        self.app = web.Application(
            middlewares=[self.traffic.middleware(), self._guard()],
            client_max_size=2 * MAX_STAGING_BYTES,
        )
        self.app[NAME] = "Eloqua sandbox"
        self.app.on_cleanup.append(self._stop)
        self._add_routes()

    def _add_routes(self) -> None:
        self.app.add_routes(
            [
                web.get("/", self.show),
                web.get("/id", self.identify),
                *self.sign_in.routes(),
                *self.bulk.routes("/{api:(?i:api)}/{kind:(?i:bulk)}/2.0"),
                *Rest(self.store).routes("/{api:(?i:api)}/{kind:(?i:rest)}/{version:1.0|2.0}"),
                web.get("/sandbox/{kind:contacts|accounts}", self.records),
                web.get("/sandbox/{kind:campaigns|lists}", self.assets),
                web.get("/sandbox/stats", self.stats),
                web.post("/sandbox/faults", self.traffic.change_faults),
                web.post("/sandbox/reset", self.reset),
            ]
        )

    def _guard(self) -> Middleware:
        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if _is_call(request) and not self.sign_in.is_signed_in(request):
                return json_response("You are not authorized to make this request", 401)
            try:
                return await handler(request)
            except Invalid as invalid:
                return invalid.answer()
            except (web.HTTPNotFound, web.HTTPRequestEntityTooLarge):
                return json_response("The requested resource was not found.", 404)

        return check

    async def identify(self, request: web.Request) -> web.Response:
        """https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/DeterminingBaseURL.html"""
        if not self.sign_in.is_signed_in(request):
            # Oracle's page shows this text, not an error, for wrong credentials.
            return json_response("Not authenticated.")
        base = f"{request.scheme}://{request.host}"
        apis = {
            "standard": f"{base}/API/REST/{{version}}/",
            "large": f"{base}/API/REST/{{version}}/",
            "bulk": f"{base}/API/Bulk/{{version}}/",
        }
        user = {
            "id": 1,
            "username": "API.User",
            "displayName": "API User",
            "firstName": "API",
            "lastName": "User",
            "emailAddress": "api@example.com",
        }
        site = {"id": 1, "name": "Sandbox"}
        urls = {"base": base, "apis": {"rest": apis}}
        return json_response({"site": site, "user": user, "urls": urls})

    async def show(self, _request: web.Request) -> web.Response:
        """The page for people."""
        return overview(self.store, self.bulk.syncs(), self.traffic.stats()["by_status"])

    async def records(self, request: web.Request) -> web.Response:
        """All contacts or accounts, by the internal names of their fields."""
        return json_response(list(self.store.tables[request.match_info["kind"]].records.values()))

    async def assets(self, request: web.Request) -> web.Response:
        """All campaigns or lists."""
        return json_response(list(self.store.assets[request.match_info["kind"]].values()))

    async def stats(self, _request: web.Request) -> web.Response:
        """Counts of the calls so far."""
        staging = {
            "data_posts": self.bulk.data_posts,
            "largest_data_post_bytes": self.bulk.largest_data_post,
        }
        return json_response({**self.traffic.stats(), **staging})

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget records, definitions, syncs and calls; tokens stay valid."""
        await self.bulk.reset()
        self.store.clear()
        self.traffic.reset()
        return json_response({})

    async def _stop(self, _app: web.Application) -> None:
        await self.bulk.reset()


def _is_call(request: web.Request) -> bool:
    return request.path.lower().startswith("/api/")
