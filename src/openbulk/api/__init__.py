"""The HTTP API: each handler parses, calls and presents."""

import asyncio
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from openbulk.api.bulk import (
    applies,
    approvals,
    downloaded_records,
    downloads,
    file_mapping,
    file_readings,
    files,
    job_callbacks,
    job_controls,
    job_events,
    jobs,
    mending,
    plans,
    results,
    retries,
    undo,
    uploads,
    verifications,
)
from openbulk.api.bulk.job_requests import REPLAYED
from openbulk.api.http import docs_page, health
from openbulk.api.http.audit import AuditedAnswers
from openbulk.api.http.error_responses import present_errors
from openbulk.api.http.middleware import (
    INSTANCE_ID,
    BoundedHeads,
    HeadAsGet,
    HeadersForBrowsers,
    HeldUntilAnswered,
    RequestIds,
    TrailingSlashes,
    UnhandledErrors,
)
from openbulk.api.http.openapi import describe
from openbulk.api.http.parameters import refuse_misspelt_parameters
from openbulk.api.http.permissions import require_permission_of_route
from openbulk.api.http.under_way import BoundedRequests, RequestsUnderWay
from openbulk.api.platform import (
    audit,
    authentication,
    authorization,
    calling_instance,
    catalogue,
    custom_elements,
    definitions,
    element_instances,
    identity_providers,
    instance_configuration,
    instances,
    limits,
    links,
    mappings,
    oidc_sign_in,
    own_sign_in,
    people,
    secrets,
    sessions,
    transformations,
)
from openbulk.api.platform.catalogue import HubKey
from openbulk.api.records import objects, records
from openbulk.api.schedules import schedules, workflows
from openbulk.api.services import Services
from openbulk.domain.contract import BASE_PATH

EXPOSED_HEADERS = (
    "Elements-Returned-Count",
    "Elements-Total-Count",
    "Elements-Request-Id",
    "Elements-Next-Page-Token",
    "Elements-Trace-Id",
    "Elements-Error",
    "Content-Disposition",
    # Those of the contract come first, in its order: the vendor's tests compare them as one text.
    INSTANCE_ID,
    REPLAYED,
)
"""Response headers that pages of other origins may read (CORS)."""


def make_api(services: Services, under_way: RequestsUnderWay) -> FastAPI:
    """The application. Every path for the calling instance exists with and without a hub prefix.

    GET     /objects                        /objects/{object}/metadata  /ping
    POST    /bulk/{object}                  /bulk/query                 /bulk/download
    POST    /bulk/workflows
    GET     /bulk/jobs                      /bulk/{id}                  DELETE deletes
    GET     /bulk/{id}/status               /bulk/{id}/errors
    GET     /bulk/{id}/results              /bulk/{id}/rows[/{row}]     PATCH mends
    POST    /bulk/{id}/retry                /bulk/{id}/rows/mend        /bulk/{id}/undo
    GET     /bulk/{id}/plan                 /bulk/{id}/plan/rows        /bulk/{id}/plan/calendar
    GET     /bulk/{id}/approvals            POST decides                /approvals
    DELETE  /bulk/{id}/approvals/{approval} withdraws
    POST    /bulk/{id}/verify               GET /bulk/{id}/verification[/rows]
    GET     /bulk/{id}/{object}             /bulk/{id}/{object}/data
    PUT     /bulk/{id}/cancel               /bulk/{id}/pause            /bulk/{id}/resume
    PATCH   /bulk/{id}                      GET /bulk/{id}/status/events
    GET     /bulk/{id}/status/callback      POST sends it again
    POST    /files                          GET lists them
    GET     /files/{id}                     /files/{id}/rows            PATCH, DELETE change
    POST    /authentication                 GET /authentication/secrets
    POST    /authentication/code            /authentication/confirm     /authentication/links/use
    POST    /authentication/oidc            /authentication/oidc/code
    GET     /organizations/users/me/sessions                            DELETE signs out
    PUT     /organizations/users/me/identity                            DELETE disconnects
    GET     /organizations/{id}/sign-in     PUT, DELETE                 POST /check
    POST    /organizations/invitations      /organizations/users/{id}/password-link
    POST    /instances                      /elements/{key}/instances
    GET     /instances                      /instances/{id}             /elements/{key}/oauth/url
    GET     /elements/{key}/instances       /elements/{key}/instances/{id}      PATCH, PUT, DELETE
    GET     /instances/configuration        /instances/count
    PUT     /instances/{id}                 PATCH and PUT are one
    PUT     /instances/{id}/enabled         /instances/enabled          DELETE disables
    PATCH   /instances/{id}                 /instances/{id}/configuration       DELETE deletes
    POST    /instances/{id}/token
    GET     /organizations/objects[/{name}]/definitions                 POST, PUT, DELETE
    GET     /instances/{id}/objects/{name}/definitions                  POST, PUT, DELETE
    GET     /instances/{id}/transformations/{name}                      POST, PUT, DELETE
    GET     /organizations                  /organizations/{id}         POST adds, PATCH changes
    GET     /organizations/{id}/limits      PATCH changes
    GET     /organizations/users            /organizations/users/{id}   POST adds, PATCH changes
    GET     /organizations/users/{id}/secrets                           POST makes
    DELETE  /organizations/users/{id}/secrets/{secret}                  POST /rotate
    GET     /organizations/secrets          /organizations/users/me     as of a user
    GET     /audit                          /audit/verification
    GET     /mappings                       /mappings/{id}              POST saves, DELETE deletes
    GET     /bulkloader                     /jobs                       /jobs/executions
    GET     /jobs/{id}                      /jobs/{id}/history          POST makes, DELETE deletes
    PUT     /jobs/{id}/enable               /jobs/{id}/disable          PATCH /jobs/{id}/reschedule
    GET     /hubs  /hubs/keys               /hubs/{hub}                 /hubs/{hub}/elements
    GET     /elements                       /elements/{key}             /elements/{key}/metadata
    GET     /elements/keys                  /elements/metadata
    GET     /elements/{key}/export          POST /elements imports      PUT, DELETE /elements/{key}
    GET     /{object}                       /{object}/{id}              POST makes, DELETE deletes
    PATCH   /{object}/{id}                  PATCH and PUT are one
    GET     /healthz  /readyz  /metrics     /docs  /openapi.json
    HEAD    wherever GET is
    """
    api = FastAPI(
        title="openbulk",
        version=version("openbulk"),
        summary="Bulk loads into cloud services",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_misspelt_parameters), Depends(require_permission_of_route)],
    )
    api.state.services = services
    api.state.under_way = under_way
    _add_routes(api)
    _add_middleware(api)
    present_errors(api)
    describe(api)
    return api


def _add_routes(api: FastAPI) -> None:
    # Without a hub's prefix: there, `files` and `approvals` may be objects of the service.
    api.include_router(files.router, prefix=BASE_PATH)
    api.include_router(file_mapping.router, prefix=BASE_PATH)
    api.include_router(approvals.of_organization, prefix=BASE_PATH)
    api.include_router(file_readings.router, prefix=BASE_PATH)
    of_instance = APIRouter()
    of_instance.include_router(objects.router)
    of_instance.include_router(downloads.router)
    of_instance.include_router(workflows.router)
    # Before uploads: the path of an object may have slashes.
    of_instance.include_router(approvals.router)
    of_instance.include_router(retries.router)
    of_instance.include_router(undo.router)
    of_instance.include_router(verifications.router)
    of_instance.include_router(mending.router)
    of_instance.include_router(results.router)
    of_instance.include_router(job_callbacks.router)
    of_instance.include_router(uploads.router)
    of_instance.include_router(job_controls.router)
    of_instance.include_router(job_events.router)
    of_instance.include_router(jobs.router)
    of_instance.include_router(plans.router)
    of_instance.include_router(applies.router)
    of_instance.include_router(downloaded_records.router)
    api.include_router(of_instance, prefix=BASE_PATH)
    in_hub = f"{BASE_PATH}/hubs/{{hub}}"
    api.include_router(of_instance, prefix=in_hub, dependencies=[Depends(_ignore_hub)])
    _add_routes_of_people(api)
    api.include_router(audit.router, prefix=BASE_PATH)
    # Before those of instances: `/instances/transformations` is no instance.
    api.include_router(definitions.router, prefix=BASE_PATH)
    api.include_router(transformations.router, prefix=BASE_PATH)
    # Before those with a number in their path: `configuration` is none.
    api.include_router(calling_instance.router, prefix=BASE_PATH)
    api.include_router(instances.router, prefix=BASE_PATH)
    api.include_router(instance_configuration.router, prefix=BASE_PATH)
    api.include_router(element_instances.router, prefix=BASE_PATH)
    api.include_router(authorization.router, prefix=BASE_PATH)
    api.include_router(catalogue.router, prefix=BASE_PATH)
    api.include_router(custom_elements.router, prefix=BASE_PATH)
    api.include_router(mappings.router, prefix=BASE_PATH)
    api.include_router(workflows.history, prefix=BASE_PATH)
    api.include_router(schedules.router, prefix=BASE_PATH)
    api.include_router(health.router)
    api.include_router(docs_page.router)
    # Included last: every path without a route of its own is the path of an object.
    api.include_router(records.make_router("resource"), prefix=BASE_PATH)
    api.include_router(
        records.make_router("resource_in_hub"), prefix=in_hub, dependencies=[Depends(_ignore_hub)]
    )


def _add_routes_of_people(api: FastAPI) -> None:
    api.include_router(authentication.router, prefix=BASE_PATH)
    # First: `me` is no number of a user.
    api.include_router(secrets.router, prefix=BASE_PATH)
    api.include_router(sessions.router, prefix=BASE_PATH)
    api.include_router(own_sign_in.router, prefix=BASE_PATH)
    api.include_router(oidc_sign_in.router, prefix=BASE_PATH)
    api.include_router(oidc_sign_in.open_router, prefix=BASE_PATH)
    api.include_router(identity_providers.router, prefix=BASE_PATH)
    api.include_router(links.router, prefix=BASE_PATH)
    api.include_router(links.open_router, prefix=BASE_PATH)
    api.include_router(people.router, prefix=BASE_PATH)
    api.include_router(limits.router, prefix=BASE_PATH)


def _add_middleware(api: FastAPI) -> None:
    # The middleware that is added last is outermost. So the answer to an unhandled error also gets
    # a request id, and pages of other origins may read it.
    api.add_middleware(HeadAsGet)
    api.add_middleware(UnhandledErrors)
    # Around the answers to errors, too: a deed that failed has an outcome.
    api.add_middleware(AuditedAnswers)
    # Pages of any origin may call. A request is allowed by the secrets that it carries, never by a
    # cookie.
    api.add_middleware(
        _CorsOfApi,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
    )
    api.add_middleware(TrailingSlashes)
    api.add_middleware(BoundedHeads)
    api.add_middleware(HeadersForBrowsers)
    api.add_middleware(HeldUntilAnswered)
    api.add_middleware(BoundedRequests)
    api.add_middleware(RequestIds)


async def prepare_routes(api: FastAPI) -> None:
    """Have FastAPI build its routes, a router at a time, while the server takes requests already.

    Otherwise the first request has all of them built, and all others wait.
    """
    nowhere: Scope = {"type": "http", "method": "GET", "path": "", "headers": [], "root_path": ""}
    for route in api.routes:
        route.matches(dict(nowhere))
        await asyncio.sleep(0)


class _CorsOfApi(CORSMiddleware):
    """Lets pages of other origins call the API, and nothing beside it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"].startswith(f"{BASE_PATH}/"):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def _ignore_hub(hub: HubKey) -> None:
    """Take any hub: in the contract it is a mere prefix, and clients send what they like."""
