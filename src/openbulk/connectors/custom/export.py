"""Reads the export of a custom connector as the service that openbulk replaces writes it.

The format is that of its connector builder: one JSON object with `configuration`, `parameters`,
`resources`, `objects` and `hooks`. Sources: the vendor's test suite (`churros`, the folder
`src/test/platform/elementbuilder/assets`), the pages on the builder in its developer portal
(`cloud-elements/devportal`, `docs/guides/elements`), and the behaviour of the vendor's own program
that runs such files (`cloudelements-cehandler` on npm). Strangers write these files: nothing in
them is run, all of it is bounded, and what openbulk does not do is listed.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openbulk.connectors.custom.calls import CallReader, DescribedCall
from openbulk.connectors.custom.description import (
    ACCESS_TOKEN,
    BASE_URL,
    Description,
    Entry,
    LeftOut,
    SignIn,
    SignInKind,
)
from openbulk.connectors.custom.json_parts import (
    flag_in,
    join,
    object_in,
    objects_in,
    text_in,
)
from openbulk.connectors.custom.objects import ObjectReader
from openbulk.connectors.custom.paging import Pages
from openbulk.connectors.custom.parameters import ParameterReader
from openbulk.connectors.custom.templates import placeholders_in, problem_of_address
from openbulk.domain.errors import BadInput

MAX_ENTRIES = 500
MAX_RESOURCES = 2_000
MAX_HELP = 500
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_HUB = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_PLATFORM = (
    "event.",
    "bulk.",
    "pagination",
    "filter.",
    "authentication.",
    "expires_in",
    "default.",
)
"""Beginnings of entries that the old platform reads itself. They have no effect here."""
_SECRET = re.compile(
    r"(^|[._-])(secret|password|passwd|passphrase|token|key|credentials?|refresh_token)$"
)
_ADDRESSES = (
    "oauth.authorization.url",
    "oauth.token.url",
    "oauth.token.refresh_url",
    "oauth.token.revoke_url",
)
_CLIENT_ID = "oauth.api.key"
_SIGN_INS = {
    "": SignInKind.NONE,
    "none": SignInKind.NONE,
    "custom": SignInKind.NONE,
    "apikey": SignInKind.NONE,
    "customapikey": SignInKind.NONE,
    "personalaccesstoken": SignInKind.NONE,
    "basic": SignInKind.BASIC,
    "oauth2": SignInKind.OAUTH2,
    "oauth2clientcredentials": SignInKind.CLIENT_CREDENTIALS,
}
OF_OAUTH = {
    _CLIENT_ID: "Client id of your OAuth application.",
    "oauth.api.secret": "Client secret of your OAuth application.",
    "oauth.callback.url": "URL that the service redirects to after the sign-in.",
    "oauth.authorization.url": "URL at which a person signs in.",
    "oauth.token.url": "URL that issues access tokens.",
    "oauth.token.refresh_url": "URL that renews access tokens; default: oauth.token.url.",
    "oauth.token.revoke_url": "URL that revokes access tokens.",
    "oauth.scope": "OAuth scopes to request.",
    "oauth.basic.header": "true: client id and secret are sent as user name and password.",
    "oauth.user.refresh_token": "Refresh token, in place of a sign-in.",
    ACCESS_TOKEN: "Access token of a service that gives no refresh token.",
}
"""Entries of an instance that signs in by OAuth, each with its description."""
_OF_BASIC = {"username": "User name.", "password": "Password."}


def key_of(export: Mapping[str, Any]) -> str:
    """The key of a custom connector, in lower case. Raises BadInput.

    Without one, it is the letters and digits of the name, as on the old platform.
    """
    key = text_in(export, "key", "").lower()
    key = key or re.sub(r"[^a-z0-9]", "", text_in(export, "name", "").lower())
    if not key:
        raise BadInput('the export has no key and no name; add "key": "mycrm"')
    if not _KEY.fullmatch(key):
        raise BadInput(
            f"the key {key[:80]!r} cannot be used: it begins with a letter, and has at most 63 "
            "letters, digits, hyphens and underscores"
        )
    return key


def read_export(export: Mapping[str, Any]) -> Description:
    """The service that an export describes. Raises BadInput for what is no export."""
    return _ExportReader(export).read()


def without_secrets(export: Mapping[str, Any]) -> dict[str, Any]:
    """An export without default values of secret entries: openbulk stores none of them."""
    entries = export.get("configuration")
    if not isinstance(entries, list):
        return dict(export)
    kept = [
        {name: value for name, value in one.items() if name != "defaultValue"}
        if isinstance(one, Mapping) and _declares_secret(one, str(one.get("key", "")))
        else one
        for one in entries
    ]
    return {**export, "configuration": kept}


def _declares_secret(entry: Mapping[str, Any], key: str) -> bool:
    if str(entry.get("type", "")).upper() == "PASSWORD":
        return True
    if entry.get("encrypt") is True or entry.get("isPrivate") is True:
        return True
    return key != _CLIENT_ID and _SECRET.search(key.lower()) is not None


class _ExportReader:
    """Reads one export."""

    def __init__(self, export: Mapping[str, Any]) -> None:
        self._export = export
        self._left_out: list[LeftOut] = []

    def read(self) -> Description:
        key = key_of(self._export)
        name = text_in(self._export, "name", "") or key
        sign_in = self._token_header(self._sign_in())
        entries, base_url = self._entries(sign_in.kind)
        calls, check = self._calls(entries, sign_in)
        objects = ObjectReader(self._export, self._left_out).read(calls)
        return Description(
            key=key,
            name=name[:200],
            hub=self._hub(),
            about=text_in(self._export, "description", "")[:MAX_HELP],
            base_url=base_url,
            entries=entries,
            authentication=self._authentication(),
            sign_in=sign_in,
            objects=objects,
            check=check,
            left_out=tuple(self._left_out),
        )

    def _hub(self) -> str:
        hub = text_in(self._export, "hub", "").lower()
        return hub if _HUB.fullmatch(hub) else "general"

    # --- sign-in ---

    def _authentication(self) -> str:
        place = "authentication"
        return text_in(object_in(self._export, place, ""), "type", place)[:MAX_HELP]

    def _sign_in(self) -> SignIn:
        place = "authentication"
        kind = self._authentication()
        known = _SIGN_INS.get(kind.lower())
        protocol = text_in(self._export, "protocolType", "").lower()
        if protocol not in {"", "http", "https", "rest"}:
            reason = f"the protocol {protocol!r}: openbulk speaks HTTP alone"
            self._left_out.append(LeftOut("protocolType", reason))
            return SignIn(problem=f"its protocol is {protocol!r}, and openbulk speaks HTTP alone")
        if known is None:
            reason = f"the sign-in {kind[:80]!r}: openbulk knows basic, keys and oauth2"
            self._left_out.append(LeftOut(join(place, "type"), reason))
            return SignIn(
                problem=f"it signs in by {kind[:80]!r}, and openbulk knows basic, keys and oauth2"
            )
        return SignIn(known)

    def _token_header(self, sign_in: SignIn) -> SignIn:
        """The sign-in with the header that the access token goes into, if the export has one."""
        reference = f"${{configuration.{ACCESS_TOKEN}}}"
        for place, one in objects_in(self._export, "parameters", "", MAX_ENTRIES):
            name, header = text_in(one, "name", place), text_in(one, "vendorName", place)
            is_plain = text_in(one, "type", place) == "configuration" and name == ACCESS_TOKEN
            if text_in(one, "vendorType", place).lower() != "header" or not header:
                continue
            if is_plain and header.lower() != "authorization":
                return replace(sign_in, token_header=header, token_value=reference)
            if reference in name:
                return replace(sign_in, token_header=header, token_value=name)
        return sign_in

    # --- configuration ---

    def _entries(self, kind: SignInKind) -> tuple[dict[str, Entry], str]:
        """The entries of instances, and the base URL."""
        entries: dict[str, Entry] = {}
        for place, one in objects_in(self._export, "configuration", "", MAX_ENTRIES):
            key = text_in(one, "key", place)
            if not key:
                raise BadInput(f"{join(place, 'key')} is missing; it names the entry")
            if key in entries:
                raise BadInput(f"{place} is the entry {key!r} for the second time; leave one out")
            entries[key] = self._entry(one, key, place)
        if kind is SignInKind.BASIC:
            _add_missing(entries, _OF_BASIC)
        if kind in {SignInKind.OAUTH2, SignInKind.CLIENT_CREDENTIALS}:
            _add_missing(entries, OF_OAUTH)
        hosts = {BASE_URL, *_ADDRESSES}
        for name in (BASE_URL, *_ADDRESSES):
            hosts |= set(placeholders_in(self._address(entries, name)))
        base_url = self._address(entries, BASE_URL)
        self._add_placeholders(entries, hosts - set(_ADDRESSES))
        marked = {
            key: replace(entry, names_host=key in hosts)
            for key, entry in entries.items()
            if key in hosts or not key.startswith(_PLATFORM)
        }
        return marked, base_url

    def _entry(self, one: Mapping[str, Any], key: str, place: str) -> Entry:
        is_secret = _declares_secret(one, key)
        default = text_in(one, "defaultValue", place) or None
        if default is not None and is_secret:
            self._left_out.append(
                LeftOut(
                    join(place, "defaultValue"),
                    f"the default of {key!r} is a secret, which openbulk does not store here; give "
                    "it to each instance",
                )
            )
            default = None
        name = text_in(one, "name", place)[:MAX_HELP]
        words = text_in(one, "description", place)[:MAX_HELP] or name or key
        required = bool(flag_in(one, "required", place))
        return Entry(key, words, name, default, required, is_secret)

    def _address(self, entries: dict[str, Entry], name: str) -> str:
        """The default of an entry that is an address; "" if it has none that can be called."""
        given = entries[name].default if name in entries else None
        if given is None:
            return ""
        problem = problem_of_address(given, has_query=name != BASE_URL)
        for key in placeholders_in(given):
            if entries[key].is_secret if key in entries else _declares_secret({}, key):
                problem = f"has the secret {key!r} in it, and messages show addresses"
        if problem is None:
            return given
        self._left_out.append(
            LeftOut(f"configuration[{name}]", f"its default {given[:80]!r} {problem}")
        )
        entries[name] = replace(entries[name], default=None)
        return ""

    def _add_placeholders(self, entries: dict[str, Entry], names: set[str]) -> None:
        for name in sorted(names - entries.keys()):
            entries[name] = Entry(name, "Part of the address of the service.")

    # --- calls ---

    def _calls(
        self, entries: Mapping[str, Entry], sign_in: SignIn
    ) -> tuple[list[DescribedCall], Any]:
        configured = self._defaults()
        pages = Pages(
            configured.get("pagination.type", ""),
            configured.get("pagination.max", ""),
            configured.get("pagination.page.startindex", ""),
        )
        parameters = ParameterReader(entries, self._left_out)
        reader = CallReader(parameters, pages, self._export, self._left_out)
        calls = []
        for place, one in objects_in(self._export, "resources", "", MAX_RESOURCES):
            call = reader.read(one, place)
            if call is not None:
                calls.append(call)
        return calls, reader.check

    def _defaults(self) -> dict[str, str]:
        return {
            text_in(one, "key", place): text_in(one, "defaultValue", place)
            for place, one in objects_in(self._export, "configuration", "", MAX_ENTRIES)
        }


def _add_missing(entries: dict[str, Entry], words: Mapping[str, str]) -> None:
    for key, text in words.items():
        is_secret = key != _CLIENT_ID and _SECRET.search(key) is not None
        entries.setdefault(key, Entry(key, text, is_secret=is_secret))
