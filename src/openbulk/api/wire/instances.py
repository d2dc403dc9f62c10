"""Instances on the wire: signed-in accounts of services."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.elements import (
    CONTRACT_ENTRIES,
    NO_EFFECT,
    PLATFORM_ENTRIES,
    ElementOfInstance,
    present_element_of_instance,
)
from openbulk.api.wire.masking import MASK, mask_configuration
from openbulk.api.wire.schema import EXACT, doc, without_none
from openbulk.connectors.base import Provider
from openbulk.domain import instance as domain
from openbulk.domain.people import User

# --- shapes ---


@with_config(EXACT)
class InstanceUser(TypedDict):
    """A user of the organization."""

    id: Annotated[int, doc("Number of the user.", 1)]
    emailAddress: Annotated[str, doc("Email address of the user.", "admin@localhost")]
    firstName: Annotated[
        str, doc("First name of the user; the address up to its @ if there is none.", "admin")
    ]
    lastName: Annotated[str, doc("Last name of the user.", "")]


@with_config(EXACT)
class Instance(TypedDict):
    """An account of a service that openbulk can work with."""

    id: Annotated[int, doc("Number of the instance.", 1)]
    name: Annotated[str, doc("Name of the instance.", "Calendar of the choir")]
    token: Annotated[
        str,
        doc(
            "Token for calls to this instance. Only the answer that creates the instance shows it; "
            "every answer, with `OPENBULK_COMPATIBILITY=live`.",
            MASK,
        ),
    ]
    element: ElementOfInstance
    configuration: Annotated[
        dict[str, str],
        doc(
            "Configuration of the instance, with its secrets masked.",
            {"oauth.api.key": "client", "oauth.api.secret": MASK},
        ),
    ]
    tags: Annotated[list[str], doc("Tags that find the instance in lists.", ["choir"])]
    provisionInteractions: Annotated[list[Any], doc("Always empty.", [])]
    valid: Annotated[bool, doc("Always true: the credentials worked when they were set.", True)]
    disabled: Annotated[bool, doc("Whether its jobs wait until it is enabled.", False)]
    createdDate: Annotated[
        str, doc("When the instance was created (ISO 8601).", "2026-05-30T10:00:00+00:00")
    ]
    user: InstanceUser
    maxCacheSize: Annotated[int, doc("Always 0: openbulk has no cache.", 0)]
    cacheTimeToLive: Annotated[int, doc("Always 0.", 0)]
    cachingEnabled: Annotated[bool, doc("Always false.", False)]


@with_config(EXACT)
class InstanceCounts(TypedDict):
    """How many instances there are."""

    totalInstances: Annotated[int, doc("All instances of the organization.", 3)]
    elementInstances: Annotated[
        dict[str, int],
        doc("Instances of each service, by its key.", {"googlecalendar": 2, "memory": 1}),
    ]


@with_config(EXACT)
class ConfigurationEntry(TypedDict):
    """An entry of an instance's configuration."""

    id: Annotated[int, doc("Number of the entry in this instance.", 9)]
    key: Annotated[str, doc("Name of the entry.", "quota.user.minute")]
    propertyValue: NotRequired[
        Annotated[str, doc("Value of the entry, masked if secret. Absent if not set.", "600")]
    ]
    description: NotRequired[
        Annotated[str, doc("What the entry is for.", "Calls a minute that the user has.")]
    ]


@with_config(EXACT)
class SignInAddress(TypedDict):
    """The page on which a person signs in."""

    element: Annotated[str, doc("Key of the service.", "googlecalendar")]
    oauthUrl: Annotated[
        str,
        doc(
            "URL to open in a browser.",
            "https://accounts.google.com/o/oauth2/v2/auth?client_id=client",
        ),
    ]
    state: NotRequired[
        Annotated[
            str,
            doc("With `pkce`: the state that returns with the code. Send it in providerData."),
        ]
    ]


# --- instances as shapes ---


def present_instance(
    instance: domain.Instance, provider: Provider, element_id: int, user: User, token: str = MASK
) -> dict[str, Any]:
    """An instance. Its secrets are never shown, and its token only if it is given."""
    return {
        "id": instance.id,
        "name": instance.name,
        "token": token,
        "element": present_element_of_instance(provider, element_id),
        "configuration": _configuration_shown(instance, provider),
        "tags": list(instance.tags),
        "provisionInteractions": [],
        "valid": True,
        "disabled": instance.disabled,
        "createdDate": instance.created_at.isoformat(timespec="seconds"),
        "user": present_user(user),
        "maxCacheSize": 0,
        "cacheTimeToLive": 0,
        "cachingEnabled": False,
    }


def present_user(user: User) -> dict[str, Any]:
    """A user, as the answers about instances show them."""
    return {
        "id": user.id,
        "emailAddress": user.email,
        "firstName": user.first_name or user.email.partition("@")[0],
        "lastName": user.last_name,
    }


def present_counts(elements: Sequence[str]) -> dict[str, Any]:
    """How many instances there are, from the service of each."""
    return {"totalInstances": len(elements), "elementInstances": dict(Counter(elements))}


def present_configuration(instance: domain.Instance, provider: Provider) -> list[dict[str, Any]]:
    """The entries that the service declares, then all other entries."""
    descriptions = {entry.name: entry.help for entry in (*provider.entries, *PLATFORM_ENTRIES)}
    values = _configuration_shown(instance, provider)
    names = [*descriptions, *sorted(values.keys() - descriptions.keys())]
    descriptions |= dict.fromkeys(CONTRACT_ENTRIES - descriptions.keys(), NO_EFFECT)
    return [
        without_none(
            {
                "id": number,
                "key": name,
                "propertyValue": values.get(name),
                "description": descriptions.get(name),
            }
        )
        for number, name in enumerate(names, 1)
    ]


def present_sign_in_address(
    element_key: str, address: str, state: str | None = None
) -> dict[str, Any]:
    """The URL at which a person signs in and, with PKCE, the state to send back with the code."""
    return without_none({"element": element_key, "oauthUrl": address, "state": state})


def _configuration_shown(instance: domain.Instance, provider: Provider) -> dict[str, str]:
    return mask_configuration(instance.configuration, (*provider.entries, *PLATFORM_ENTRIES))
