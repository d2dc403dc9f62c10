"""Transfer specs: what a workflow or a schedule reads, and where it writes the records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from openbulk.api.bulk.download_request import download_of_body, download_of_query
from openbulk.api.bulk.job_requests import check_callback_url
from openbulk.api.bulk.metadata import (
    is_plan,
    parse_metadata,
    parse_target,
    spell_upload_options,
    use_upload_options,
)
from openbulk.api.services import Services
from openbulk.api.wire.masking import MASK
from openbulk.connectors.base import Connector, Features
from openbulk.connectors.columns import Columns
from openbulk.connectors.fields import FieldError
from openbulk.connectors.targets import refusal_to_upload, resolve_object
from openbulk.domain.errors import BadInput
from openbulk.domain.instance import CallingInstance
from openbulk.domain.options import with_known_spelling
from openbulk.domain.records import Action, Target
from openbulk.domain.transformation import service_name_of
from openbulk.domain.workflow import Destination, TransferSpec
from openbulk.engine.query_resolution import DownloadRequest, resolve_download

WORKFLOWS, QUERY, DOWNLOAD = "/bulk/workflows", "/bulk/query", "/bulk/download"
SCHEDULABLE = (WORKFLOWS, QUERY, DOWNLOAD)
"""The requests that can be scheduled."""
MAX_TRANSFERS = 100
EXAMPLE = (
    '[{"query": "select * from events", '
    '"targetConfiguration": {"token": "...", "objectName": "records"}}]'
)
_NOT_POSSIBLE = {
    "fileUpload": "upload the file into the target instance: POST /bulk/{object}",
    "notificationConfiguration": "openbulk has no connector for mail; "
    "use the header Elements-Async-Callback-Url",
    "addToCampaign": "no connector can add records to a campaign",
}
"""Keys of the contract that no connector supports, and what to do instead."""
_ACTIONS = {
    "POST": Action.CREATE,
    "PUT": Action.UPDATE,
    "PATCH": Action.UPDATE,
    "DELETE": Action.DELETE,
}
_QUERY_KEYS = ("query", "from", "to", "lastRunDate", "metaData")
_TRANSFER_KEYS = (
    *_QUERY_KEYS,
    "objectName",
    "targetConfiguration",
    # Of the contract. They say how its server runs a transfer, or are refused by _NOT_POSSIBLE.
    "composite",
    "elementKey",
    "fileUpload",
    "jobId",
    "method",
    "multipleUpload",
    "notificationConfiguration",
    "parentObjectName",
    "path",
    "statusCheckInterval",
)
_TARGET_KEYS = (
    "token",
    "objectName",
    "path",
    "method",
    "metaData",
    # Of the contract, as above.
    "addToCampaign",
    "elementKey",
    "parameters",
)


async def make_specs(
    services: Services, instance: CallingInstance, uri: str, body: Any, callback_url: str | None
) -> Sequence[TransferSpec]:
    """The specs that a request to `uri`, one of SCHEDULABLE, describes, checked with the services.

    Raises BadInput if one cannot be carried out, ServiceError if a service does not answer.
    """
    await check_callback_url(callback_url, services, instance)
    if uri == WORKFLOWS:
        return [
            await _spec_of_transfer(services, instance, item, callback_url)
            for item in _transfer_items(body)
        ]
    if uri == QUERY:
        request = download_of_query(_require_object(body), "", callback_url)
    else:
        request = download_of_body(_require_object(body), "")
    return [await _spec_of_download(services, instance, request, body)]


async def _spec_of_download(
    services: Services,
    instance: CallingInstance,
    request: DownloadRequest,
    shown_request: Mapping[str, Any],
    destination: Destination | None = None,
) -> TransferSpec:
    if request.continue_from:
        # An earlier job ended at one position: a schedule would start there at every run.
        raise BadInput(
            "continueFromJobId belongs to a single download; use from: each run then continues "
            "where the last one ended"
        )
    connector = (await services.connections.to(instance.id)).connector
    object_name = request.download.query.object
    transformation = await services.transformations.names_of(instance.id, object_name)
    resolved = await resolve_download(
        request, connector, transformation, ignores_dates=services.live_compatible
    )
    await check_callback_url(resolved.download.callback_url, services, instance)
    return TransferSpec(resolved.download, resolved.changes, destination, dict(shown_request))


async def _spec_of_transfer(
    services: Services, instance: CallingInstance, item: Any, callback_url: str | None
) -> TransferSpec:
    transfer = with_known_spelling(_require_object(item), _TRANSFER_KEYS, "a transfer")
    target = transfer.get("targetConfiguration")
    if not isinstance(target, Mapping):
        raise BadInput(f"targetConfiguration is missing; a workflow looks like {EXAMPLE}")
    target = with_known_spelling(target, _TARGET_KEYS, "targetConfiguration")
    for name, instead in _NOT_POSSIBLE.items():
        if transfer.get(name) or target.get(name):
            raise BadInput(f"{name} is not possible: {instead}")
    destination = await _find_destination(services, instance, target, callback_url)
    query = {name: transfer[name] for name in _QUERY_KEYS if name in transfer}
    object_name = str(transfer.get("objectName") or "")
    request = download_of_query(query, "", None, object_name=object_name)
    # Answers show the stored request, so it must not hold the target's token.
    shown_request = {**transfer, "targetConfiguration": {**target, "token": MASK}}
    return await _spec_of_download(services, instance, request, shown_request, destination)


async def _find_destination(
    services: Services,
    instance: CallingInstance,
    configuration: Mapping[str, Any],
    callback_url: str | None,
) -> Destination:
    """The instance and the object that a `targetConfiguration` names. Raises BadInput."""
    token = str(configuration.get("token") or "")
    destination = await services.accounts.instance_with_token(token)
    if destination is None or destination.organization_id != instance.organization_id:
        raise BadInput(
            "targetConfiguration.token is not the token of an instance; it is in the answer that "
            "created the instance"
        )
    provider = await services.elements.provider(destination.organization_id, destination.element)
    options = spell_upload_options(
        parse_metadata(configuration.get("metaData")),
        {**services.elements.built_in, provider.key: provider},
    )
    name = _object_name(configuration)
    connector = (await services.connections.to(destination.id)).connector
    objects = await connector.objects()
    names = await services.transformations.names_of(destination.id, name)
    resolved = resolve_object(service_name_of(name, names), objects)
    used = use_upload_options(options, provider, None, resolved)
    if is_plan(used.values):
        raise BadInput(
            "metaData.plan is not possible: a workflow writes what it reads; download the records, "
            "and upload their file with plan=true"
        )
    target = parse_target(name, used, {}, _default_action(configuration))
    target = replace(target, transformation=names)
    refusal = refusal_to_upload(Target(resolved.name, target.action), objects)
    if refusal is not None:
        raise BadInput(f"targetConfiguration: {refusal}")
    await _require_identifier(
        replace(target, object=resolved.name), objects[resolved.name], connector
    )
    return Destination(destination.id, target, callback_url)


async def _require_identifier(target: Target, features: Features, connector: Connector) -> None:
    """Raise BadInput if records cannot have the field that is to identify them."""
    schema = await connector.metadata(target.object)
    try:
        Columns(target, features, schema)
    except FieldError as error:
        raise BadInput(f"targetConfiguration: {error.message}") from error


def _default_action(configuration: Mapping[str, Any]) -> Action:
    """The action if `metaData` does not name one."""
    method = str(configuration.get("method") or "POST").upper()
    if method not in _ACTIONS:
        methods = ", ".join(_ACTIONS)
        raise BadInput(f"targetConfiguration.method {method!r} is not known; it can be {methods}")
    return _ACTIONS[method]


def _object_name(configuration: Mapping[str, Any]) -> str:
    """The object to write: `objectName`, else `path` without its hub."""
    if configuration.get("objectName"):
        return str(configuration["objectName"])
    steps = urlsplit(str(configuration.get("path") or "")).path.strip("/").split("/")
    if steps[0] == "hubs":
        steps = steps[2:]
    return "/".join(steps)


def _transfer_items(body: Any) -> Sequence[Any]:
    items = body if isinstance(body, list) else [body]
    if not 0 < len(items) <= MAX_TRANSFERS:
        raise BadInput(
            f"a workflow has from 1 to {MAX_TRANSFERS} transfers; it looks like {EXAMPLE}"
        )
    return items


def _require_object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadInput(f"{str(value)[:40]!r} is not an object; a workflow looks like {EXAMPLE}")
    return value
