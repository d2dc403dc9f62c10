"""Hubs and elements on the wire: the services that instances can be made of."""

from collections.abc import Mapping
from html import escape
from typing import Annotated, Any, Literal, NotRequired
from urllib.parse import quote

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc, without_none
from openbulk.connectors import base
from openbulk.connectors.custom import CustomProvider
from openbulk.connectors.custom.description import Entry

HUBS = frozenset(
    [
        "messaging",
        "documents",
        "esignature",
        "idmanagement",
        "marketing",
        "pointofsale",
        "general",
        "finance",
        "questback",
        "ocr",
        "monitoring",
        "db",
        "sageaccounting",
        "sagepayroll",
        "native",
        "fsa",
        "helpdesk",
        "ecommerce",
        "collaboration",
        "conferencing",
        "payment",
        "billing",
        "expense",
        "employee",
        "scheduling",
        "crm",
        "analytics",
        "erp",
        "humancapital",
        "social",
        "rewards",
        "screening",
    ]
)
"""The hubs of the service that openbulk replaces. In a path, a hub is a mere prefix."""
NOTIFICATION_SECRETS = (
    base.ConfigurationEntry(
        "event.notification.callback.headers", "Headers to add to notifications.", secret=True
    ),
    base.ConfigurationEntry("event.notification.basic.username", "User name for notifications."),
    base.ConfigurationEntry(
        "event.notification.basic.password", "Password for notifications.", secret=True
    ),
    base.ConfigurationEntry(
        "event.notification.callback.hosts",
        "Hosts that notifications with headers or password go to, with commas between them; "
        "default: the first one called.",
        receives_secrets=True,
    ),
)
"""What notifications carry, and where they may carry it."""
PLATFORM_ENTRIES = (
    base.ConfigurationEntry(
        "event.notification.signature.key", "Key that signs notifications.", secret=True
    ),
    *NOTIFICATION_SECRETS,
    base.ConfigurationEntry(
        "bulk.json.lines",
        "true: application/json answers of downloads are JSON Lines, as some clients expect.",
        choices=("true", "false"),
    ),
)
"""Settings that an instance of every service takes."""
CONTRACT_ENTRIES = frozenset(
    [
        "authentication.time",
        "bulk.add_metadata",
        "bulk.attribute.created_time",
        "bulk.query.date_mask",
        "bulk.query.download_format",
        "bulk.query.field_name",
        "bulk.query.operator",
        "bulk.relations",
        "default.select.fields.map",
        "event.metadata",
        "event.notification.callback.url",
        "event.notification.enabled",
        "event.notification.instance.finder",
        "event.notification.subscription.id",
        "event.objects",
        "event.poller.configuration",
        "event.poller.refresh_interval",
        "event.poller.urls",
        "event.vendor.type",
        "expires_in",
        "extra.oauth.params",
        "filter.response.nulls",
        "oauth.authorization.url",
        "oauth.basic.header",
        "oauth.scope",
        "oauth.token.refresh_url",
        "oauth.token.revoke_url",
        "oauth.token.url",
        "oauth.user.refresh_interval",
        "oauth.user.refresh_time",
        "oauth.user.token",
        "pagination",
        "pagination.max",
        "pagination.offset",
        "pagination.page.startindex",
        "pagination.type",
        "synchronous.bulk.notification",
    ]
)
"""Settings of the service that openbulk replaces. Clients send them; they have no effect here."""
CONTRACT_SECRETS = frozenset(["oauth.basic.header", "oauth.user.token"])
"""Those of them that are secrets. They are not stored."""
NO_EFFECT = "Of the service that openbulk replaces; it has no effect here."


# --- shapes ---


@with_config(EXACT)
class HubResource(TypedDict):
    """A call below a hub."""

    method: Annotated[str, doc("Method of the call.", "GET")]
    path: Annotated[str, doc("Path of the call.", "/hubs/scheduling/objects")]
    description: Annotated[str, doc("What the call does.", "List objects")]


@with_config(EXACT)
class Hub(TypedDict):
    """A kind of service."""

    key: Annotated[str, doc("Key of the hub, as paths have it.", "scheduling")]
    name: Annotated[str, doc("Equal to `key`.", "scheduling")]


@with_config(EXACT)
class HubWithCalls(Hub):
    """A kind of service, with the calls below it, as `hydrate=true` shows it."""

    resources: Annotated[list[HubResource], doc("The calls below the hub.")]


HubName = Annotated[str, Field(examples=["scheduling"])]


@with_config(EXACT)
class ElementOfInstance(TypedDict):
    """The service of an instance."""

    id: Annotated[int, doc("Number of the service on this server.", 1)]
    key: Annotated[str, doc("Key of the service, as paths and bodies have it.", "googlecalendar")]
    name: Annotated[str, doc("Name of the service.", "Google Calendar")]
    hub: Annotated[str, doc("Hub that the service belongs to.", "scheduling")]


@with_config(EXACT)
class Authentication(TypedDict):
    """How instances of a service sign in."""

    type: Annotated[
        str,
        doc(
            "oauth2 if people can sign in at the service, else custom. Of a custom connector: the "
            "kind of sign-in, as its export spells it.",
            "oauth2",
        ),
    ]


ElementKeyName = Annotated[str, Field(examples=["googlecalendar"])]


@with_config(EXACT)
class Element(ElementOfInstance):
    """A service that instances can be made of."""

    description: Annotated[
        str, doc("What the service is for.", "Bulk jobs and single records of Google Calendar.")
    ]
    image: Annotated[
        str, doc("Picture of the service, as a data URL.", "data:image/svg+xml,%3Csvg/%3E")
    ]
    authentication: Authentication


@with_config(EXACT)
class ConfigurationEntry(TypedDict):
    """An entry of the configuration that the instances of a service take."""

    key: Annotated[str, doc("Name of the entry.", "oauth.api.key")]
    description: Annotated[str, doc("What the entry is for.", "Client id of the application.")]
    type: Annotated[
        Literal["PASSWORD", "TEXTFIELD_255"],
        doc("PASSWORD for a secret, which no answer shows.", "TEXTFIELD_255"),
    ]
    name: NotRequired[Annotated[str, doc("Of a custom connector: name of the entry for people.")]]
    defaultValue: NotRequired[
        Annotated[str, doc("Of a custom connector: the value if an instance has none.")]
    ]
    required: NotRequired[
        Annotated[bool, doc("Of a custom connector: whether each instance has to have a value.")]
    ]


@with_config(EXACT)
class LeftOut(TypedDict):
    """A part of the export of a custom connector that has no effect on this server."""

    place: Annotated[str, doc("Where it is in the export.", "resources[3]")]
    reason: Annotated[
        str, doc("Why it has no effect.", "GET /deals: it is chained to 'GET:/stages'")
    ]


@with_config(EXACT)
class ElementWithEntries(Element):
    """A service, with the configuration that its instances take."""

    configuration: list[ConfigurationEntry]


@with_config(EXACT)
class CustomElement(ElementWithEntries):
    """A custom connector, with the parts of its export that have no effect here."""

    leftOut: list[LeftOut]


@with_config(EXACT)
class Bulk(TypedDict):
    """Bulk operations of a service."""

    upload: Annotated[bool, doc("Whether files can be uploaded.", True)]
    download: Annotated[bool, doc("Whether records can be downloaded.", True)]


@with_config(EXACT)
class Support(TypedDict):
    """Whether an object supports a bulk operation."""

    supported: Annotated[bool, doc("Whether the operation is possible.", True)]
    native: NotRequired[
        Annotated[bool, doc("Whether uploads use the bulk import of the service.", False)]
    ]


@with_config(EXACT)
class ObjectBulk(TypedDict):
    """Bulk operations of an object."""

    upload: Support
    download: Support


@with_config(EXACT)
class ObjectSupport(TypedDict):
    """An object, and what it supports."""

    name: Annotated[str, doc("Name of the object.", "events")]
    bulk: ObjectBulk


@with_config(EXACT)
class Events(TypedDict):
    """Events of a service."""

    supported: Annotated[bool, doc("Always false: openbulk has no events.", False)]
    methods: Annotated[list[Any], doc("Always empty.", [])]


@with_config(EXACT)
class ElementMetadata(Element):
    """A service, and what it can do."""

    bulk: Bulk
    events: Events


@with_config(EXACT)
class ElementMetadataWithObjects(ElementMetadata):
    """A service, and what it can do with the objects of the calling instance."""

    resources: NotRequired[
        Annotated[
            list[ObjectSupport],
            doc("Objects of the calling instance. Absent if the service does not answer."),
        ]
    ]


Export = Annotated[
    dict[str, Any],
    Field(
        description="The export of a custom connector.",
        examples=[{"key": "acmecrm", "name": "Acme CRM", "configuration": [], "resources": []}],
    ),
]


# --- services as shapes ---


def present_hub(hub: str) -> dict[str, Any]:
    """A hub."""
    return {"key": hub, "name": hub}


def present_element_of_instance(provider: base.Provider, element_id: int) -> dict[str, Any]:
    """The service of an instance."""
    return {"id": element_id, "key": provider.key, "name": provider.name, "hub": provider.hub}


def present_element(provider: base.Provider, element_id: int) -> dict[str, Any]:
    """A service."""
    about = f"Bulk jobs and single records of {provider.name}."
    signs_in = "custom" if provider.oauth is None else "oauth2"
    if isinstance(provider, CustomProvider):
        described = provider.description
        about = described.about or described.name
        signs_in = described.authentication or "none"
    return {
        **present_element_of_instance(provider, element_id),
        "description": about,
        "image": _picture_of(provider),
        "authentication": {"type": signs_in},
    }


def _picture_of(provider: base.Provider) -> str:
    """A tile with the first letter of the service: logos belong to their owners."""
    letter = escape(provider.name[:1])
    return "data:image/svg+xml," + quote(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" '
        'rx="8" fill="#345"/><text x="32" y="44" font-size="36" text-anchor="middle" fill="#fff" '
        f'font-family="sans-serif">{letter}</text></svg>'
    )


def present_metadata(provider: base.Provider, element_id: int) -> dict[str, Any]:
    """What a service can do, beside its shape."""
    return {
        **present_element(provider, element_id),
        "bulk": _present_bulk(provider),
        "events": {"supported": False, "methods": []},
    }


def present_whole_element(provider: base.Provider, element_id: int) -> dict[str, Any]:
    """A service, with the configuration that its instances take."""
    shape = {
        **present_element(provider, element_id),
        "configuration": present_settings(provider),
    }
    if isinstance(provider, CustomProvider):
        left_out = provider.description.left_out
        shape["leftOut"] = [{"place": one.place, "reason": one.reason} for one in left_out]
    return shape


def present_settings(provider: base.Provider) -> list[dict[str, Any]]:
    """The configuration that the instances of a service take."""
    described: Mapping[str, Entry] = {}
    if isinstance(provider, CustomProvider):
        described = provider.description.entries
    return [
        {
            "key": entry.name,
            "description": entry.help,
            "type": "PASSWORD" if entry.secret else "TEXTFIELD_255",
            **_present_entry(described.get(entry.name)),
        }
        for entry in (*provider.entries, *PLATFORM_ENTRIES)
    ]


def _present_entry(entry: Entry | None) -> dict[str, Any]:
    if entry is None:
        return {}
    return without_none(
        {
            "name": entry.name or None,
            "defaultValue": entry.default,
            "required": entry.is_required,
        }
    )


def _present_bulk(provider: base.Provider) -> dict[str, bool]:
    """The bulk operations that a service supports."""
    if not isinstance(provider, CustomProvider):
        return {"upload": True, "download": True}
    objects = provider.description.objects.values()
    return {
        "upload": any(one.takes_uploads for one in objects),
        "download": any(one.gives_downloads for one in objects),
    }


def present_objects(objects: Mapping[str, base.Features]) -> list[dict[str, Any]]:
    """The bulk operations that each object supports."""
    return [
        {
            "name": name,
            "bulk": {
                "upload": {
                    "supported": bool(features.actions) and features.bulk_upload,
                    "native": features.native,
                },
                "download": {"supported": features.can_read and features.bulk_download},
            },
        }
        for name, features in objects.items()
    ]
