"""Services that organizations describe themselves, by the exports of their custom connectors."""

from collections.abc import Mapping, Sequence

from openbulk.connectors.base import ConfigurationEntry, ConnectionContext, Connector, OAuth
from openbulk.connectors.custom.connector import CustomConnector
from openbulk.connectors.custom.description import (
    ACCESS_TOKEN,
    BASE_URL,
    Description,
    Entry,
    SignInKind,
    Value,
)
from openbulk.connectors.custom.service import Service
from openbulk.connectors.custom.sign_in import (
    CustomOAuth,
    address_in,
    auth_of,
    with_defaults,
)
from openbulk.connectors.http import Client
from openbulk.domain.errors import BadInput
from openbulk.domain.options import Option


class CustomProvider:
    """Makes connectors to a service that an export describes."""

    event_objects = frozenset[str]()
    makes_calls = True

    def __init__(self, description: Description) -> None:
        self.description = description
        self.key = description.key
        self.name = description.name
        self.hub = description.hub
        self.entries: Sequence[ConfigurationEntry] = [
            ConfigurationEntry(
                entry.key, entry.help, secret=entry.is_secret, receives_secrets=entry.names_host
            )
            for entry in description.entries.values()
        ]
        self.options: Sequence[Option] = _options_of(description)
        self.oauth: OAuth | None = None
        if description.sign_in.kind is SignInKind.OAUTH2 and not description.sign_in.problem:
            self.oauth = CustomOAuth(description)

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Makes no call.

        Raises BadInput if the export or the instance lacks what a call needs.
        """
        if self.description.sign_in.problem:
            raise BadInput(f"{self.key} cannot be used: {self.description.sign_in.problem}")
        entries = self.description.entries
        configuration = with_defaults(entries, context.configuration)
        missing = [
            key
            for key, entry in entries.items()
            if entry.is_required and not configuration.get(key) and not key.startswith("oauth.")
        ]
        if missing:
            raise BadInput(f"the configuration lacks {' and '.join(missing)}")
        _require_header_values(self.description, configuration)
        base_url = address_in(configuration, BASE_URL)
        auth = auth_of(self.description, configuration, context)
        client = Client(context.http, auth, self.name, context.pace)
        secrets = [configuration[key] for key in configuration if _is_secret(entries, key)]
        service = Service(configuration, base_url, client, secrets)
        return CustomConnector(self.description, service)


def _is_secret(entries: Mapping[str, Entry], key: str) -> bool:
    return key in entries and entries[key].is_secret


def _options_of(description: Description) -> list[Option]:
    """An option for each parameter in the paths of objects."""
    objects: dict[str, set[str]] = {}
    for one in description.objects.values():
        for name in one.parents:
            objects.setdefault(name, set()).add(one.name)
    return [
        Option(name, "a part of the object's path", objects=frozenset(names))
        for name, names in objects.items()
    ]


def _require_header_values(description: Description, configuration: Mapping[str, str]) -> None:
    """Raise BadInput for a value in a header that no header can have."""
    calls = [call for one in description.objects.values() for call in one.calls.values()]
    calls += filter(None, [description.check])
    # Most calls of an export have the same headers.
    headers = {(name, value) for call in calls for name, value in call.headers.items()}
    sign_in = description.sign_in
    for name, value in sorted(headers, key=str):
        _require_header_value(name, value, configuration)
    _require_header_value(sign_in.token_header, Value(sign_in.token_value), {ACCESS_TOKEN: "x"})


def _require_header_value(name: str, value: Value, configuration: Mapping[str, str]) -> None:
    text = value.text(configuration)
    if text is not None and not (text.isprintable() and text.isascii()):
        keys = " and ".join(sorted(value.keys)) or "the export"
        raise BadInput(f"{keys} cannot be sent in the header {name}: it has to be plain text")
