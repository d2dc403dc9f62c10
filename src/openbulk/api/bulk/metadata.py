"""`metaData`: the caller's options for the records of a job.

Each key is declared by the part that reads it: those of jobs here, those of a file format in
`Format.options`, those of a service in `Provider.options`. Any other key is refused, because a
typo would otherwise have no effect, and nobody would notice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from openbulk.api.http.bodies import require_distinct_keys
from openbulk.bounded_json import MAX_KEPT_BYTES, read_json
from openbulk.connectors.base import Provider
from openbulk.connectors.targets import ResolvedObject
from openbulk.domain.errors import BadInput
from openbulk.domain.options import Option, check_values, option_text, with_known_spelling
from openbulk.domain.records import Action, Target
from openbulk.domain.spelling import known_spelling
from openbulk.formats import FORMATS
from openbulk.formats.base import Format
from openbulk.formats.options import DATE_ORDER, DECIMAL

_EXAMPLE = '{"action": "create"}'
PREFIX = "metaData."
PLAN = "plan"
CALLBACK_PAYLOAD = Option("callback-payload", "any JSON; the callback returns it", is_text=False)
MAPPING = Option(
    "mapping",
    "how the columns make the fields, as JSON, or the name of a saved mapping, or `auto`; default: "
    "the columns have the names of fields",
    is_text=False,
)
FILE_FORMAT = Option("format", f"format of the file: {', '.join(FORMATS)}")
FILE_ID = Option("fileId", "id of a file that was sent with POST /files; the form has no file then")
UPLOAD_OPTIONS = (
    Option("action", "what happens to each record", choices=tuple(Action)),
    Option("identifierFieldName", "the column that identifies a record"),
    Option("primaryKeyName", "another name of `identifierFieldName`"),
    FILE_FORMAT,
    DATE_ORDER,
    DECIMAL,
    MAPPING,
    FILE_ID,
    Option(
        PLAN,
        "true: find out what the job would do, and write nothing",
        choices=("true", "false"),
    ),
    CALLBACK_PAYLOAD,
)
"""The keys of every upload."""
_OF_RECORDS = (DATE_ORDER, DECIMAL)
"""Keys that say how a file is read, and that are read where its fields are known."""
DOWNLOAD_OPTIONS = (
    Option("fileName", "name of the file, with masks such as `{yyyyMMdd}`"),
    CALLBACK_PAYLOAD,
)
"""The keys of every download. It also takes the parameters of its object."""
CONTRACT_OPTIONS = (
    "action",
    "bulkUploadRecordSize",
    "campaignId",
    "concurrency",
    "fileName",
    "format",
    "identifierFieldName",
    "listId",
    "path",
    "primaryKeyName",
    "programName",
    "programStatus",
    "source",
)
"""Keys of the wire contract. A job that has no use for one takes it, and says so."""


@dataclass(frozen=True, slots=True)
class UsedOptions:
    """The options of a job, in the spelling that its parts know."""

    values: Mapping[str, Any]
    unused: tuple[str, ...] = ()
    """The keys among them that have no effect on this job, as `metaData.path`."""


def parse_metadata(value: Any) -> dict[str, Any]:
    """The caller's `metaData`: a JSON object, or the text of one if it comes from a form.

    Raises BadInput.
    """
    if value in (None, ""):
        return {}
    options = value
    if isinstance(value, str):
        options = read_json(value, "metaData", example=_EXAMPLE, max_bytes=MAX_KEPT_BYTES)
    if not isinstance(options, dict):
        raise BadInput(f"metaData is not a JSON object; it looks like {_EXAMPLE}")
    if isinstance(value, str):
        require_distinct_keys(value, "metaData")
    return options


# --- uploads ---


def describe_upload_options() -> str:
    """The keys of `metaData` for a person: those of every upload, and of each format."""
    of_formats = chain.from_iterable(one.options for one in FORMATS.values())
    lines = dict.fromkeys(f"`{one.name}`: {one.help}" for one in (*UPLOAD_OPTIONS, *of_formats))
    return (
        "JSON object with these keys, and with those of the service. "
        f"Any other key is refused. {'. '.join(lines)}."
    )


def describe_file_options() -> str:
    """The keys of `metaData` of a file without a job, for a person."""
    lines = [f"`{one.name}`: {one.help}" for one in _file_options()]
    return f"JSON object with these keys. Any other key is refused. {'. '.join(lines)}."


def read_file_options(form: Mapping[str, str], query: Mapping[str, str]) -> dict[str, Any]:
    """How a file is read, from its form or its address. Raises BadInput."""
    given = parse_metadata(_metadata_of(form, query))
    options = _file_options()
    return check_values(
        with_known_spelling(given, [option.name for option in options], "metaData"), options
    )


def change_file_options(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """How a file is read after a change; null takes a key away. Raises BadInput."""
    known = _file_options()
    given = with_known_spelling(changes, [option.name for option in known], "metaData")
    merged = check_values({**options, **given}, known)
    return {name: value for name, value in merged.items() if value not in (None, "")}


def require_options_of_format(changes: Mapping[str, Any], format_name: str) -> None:
    """Raise BadInput for a key that files of this format do not read."""
    if format_name not in FORMATS:  # the file itself leaves open how it is read
        return
    options = (FILE_FORMAT, *FORMATS[format_name].options, *_OF_RECORDS)
    names = dict.fromkeys(option.name for option in options)
    for key, value in changes.items():
        if known_spelling(key, names) is None and value not in (None, ""):
            raise BadInput(
                f"metaData.{key[:80]} has no effect on a file in {format_name}; it takes "
                f"{', '.join(names)}"
            )


def _file_options() -> Sequence[Option]:
    of_formats = chain.from_iterable(one.options for one in FORMATS.values())
    by_name = {one.name: one for one in (FILE_FORMAT, *of_formats, *_OF_RECORDS)}
    return list(by_name.values())


def _metadata_of(form: Mapping[str, Any], query: Mapping[str, str]) -> Any:
    """`metaData` as a form or an address has it. Raises BadInput if both do."""
    parts = with_known_spelling(form, _PARTS, "the form", "part")
    in_form, in_query = parts.get("metaData"), query.get("metaData")
    if in_form and in_query:
        raise BadInput("metaData is a part of the form and in the address; leave one of them out")
    return in_form or in_query


_PARTS = ("file", "metaData")
"""The parts of the form of an upload."""


def read_upload_options(
    form: Mapping[str, Any], query: Mapping[str, str], providers: Mapping[str, Provider]
) -> dict[str, Any]:
    """The options of an upload, from its form or its address, in their known spelling.

    Raises BadInput.
    """
    refuse_options_in_address(query, providers)
    options = spell_upload_options(parse_metadata(_metadata_of(form, query)), providers)
    return _with_plan_of_address(options, query.get(PLAN))


def _with_plan_of_address(options: dict[str, Any], plan: str | None) -> dict[str, Any]:
    """The options, with `plan` from the address if they have none. Raises BadInput."""
    if not plan:
        return options
    given = options.get(PLAN)
    if given not in (None, "") and option_text(given).lower() != plan.lower():
        raise BadInput(
            f"the address says {PLAN} {plan[:80]!r}, and {PREFIX}{PLAN} says "
            f"{option_text(given)[:80]!r}; leave one of them out"
        )
    return {**options, PLAN: plan}


def is_plan(options: Mapping[str, Any]) -> bool:
    """Whether an upload with these options only says what it would do."""
    return options.get(PLAN) == "true"


def spell_upload_options(
    given: Mapping[str, Any], providers: Mapping[str, Provider]
) -> dict[str, Any]:
    """The given keys in their known spelling. Raises BadInput for a key that no part knows."""
    return with_known_spelling(given, _known_names(providers), "metaData")


def refuse_options_in_address(query: Mapping[str, str], providers: Mapping[str, Provider]) -> None:
    """Raise BadInput for a query parameter that an upload does not read.

    A caller who writes `?dryRun=true` or `?action=delete` counts on it, and records would be
    written.
    """
    for given, value in query.items():
        if given in (*_IN_THE_ADDRESS, _CACHE_BUSTER) or not value:
            continue
        name = known_spelling(given, _known_names(providers))
        if name is not None:
            raise BadInput(
                f"{name!r} is a key of metaData, and has no effect in the address; send it there"
            )
        known = ", ".join(_IN_THE_ADDRESS)
        raise BadInput(
            f"the parameter {given[:80]!r} is not known; the address of an upload takes {known}"
        )


_IN_THE_ADDRESS = ("metaData", "identifierFieldName", "path", PLAN)
"""What clients of the contract send as query parameters; `path` has no effect there."""
_CACHE_BUSTER = "_"
"""Browser libraries send it with a number, so that no cache answers."""


def _known_names(providers: Mapping[str, Provider]) -> Iterable[str]:
    of_services = (provider.options for provider in providers.values())
    of_formats = (one.options for one in FORMATS.values())
    declared = chain(UPLOAD_OPTIONS, *of_formats, *of_services)
    return dict.fromkeys([*(option.name for option in declared), *CONTRACT_OPTIONS])


def use_upload_options(
    options: Mapping[str, Any],
    provider: Provider,
    file_format: Format | None,
    resolved: ResolvedObject | None,
) -> UsedOptions:
    """The options of an upload, which all have an effect or are listed as having none.

    `file_format` is None if the records come from a download, and `resolved` if the service does
    not list its objects. Raises BadInput for an option of another service or object, for a value
    that cannot be used, and for one that the object's path contradicts.
    """
    if file_format is None and options.get("fileId") not in (None, ""):
        raise BadInput("metaData.fileId has no effect: the records come from a download")
    of_file = () if file_format is None else file_format.options
    read = [*UPLOAD_OPTIONS, *of_file, *_options_of_object(provider, resolved)]
    names = {option.name for option in read}
    others = [name for name in options if name not in names]
    for name in others:
        if name not in _WITHOUT_HARM:
            raise BadInput(_not_for_here(name, provider, resolved))
    values = check_values(options, read)
    if file_format is None and has_mapping(values):
        raise BadInput(
            f"{PREFIX}mapping is for files; the fields of a transfer are renamed by a "
            "transformation: POST /instances/{id}/transformations/{name}"
        )
    if resolved is not None:
        _check_path(values, resolved)
    return UsedOptions(values, tuple(f"{PREFIX}{name}" for name in others))


def has_mapping(options: Mapping[str, Any]) -> bool:
    """Whether the options name a mapping, or have one."""
    return options.get(MAPPING.name) not in (None, "")


_WITHOUT_HARM = frozenset(
    [*CONTRACT_OPTIONS, *(option.name for one in FORMATS.values() for option in one.options)]
)
"""Keys that a job may have without using them. Those of another format say how to read a file that
this one is not."""


def _options_of_object(provider: Provider, resolved: ResolvedObject | None) -> list[Option]:
    return [
        option for option in provider.options if resolved is None or option.is_for(resolved.name)
    ]


def _not_for_here(name: str, provider: Provider, resolved: ResolvedObject | None) -> str:
    options = _options_of_object(provider, resolved)
    names = ", ".join(option.name for option in options) or "none"
    of_object = "" if resolved is None else f" for {resolved.name!r}"
    return f"{PREFIX}{name} has no effect{of_object}; the options of {provider.name} are: {names}"


def _check_path(values: Mapping[str, Any], resolved: ResolvedObject) -> None:
    """Raise BadInput if the path of the object and an option name different things."""
    for name, value in resolved.path_parameters.items():
        if values.get(name) not in (None, "", value):
            raise BadInput(
                f"the path says {name} {value!r}, and {PREFIX}{name} says {values[name]!r}; "
                "leave one of them out"
            )


def is_for_one_object(options: Mapping[str, Any], provider: Provider) -> bool:
    """Whether some of the options are for some of the service's objects only."""
    return any(option.objects and option.name in options for option in provider.options)


# --- downloads ---


def use_download_options(given: Mapping[str, Any]) -> UsedOptions:
    """The options of a download. Those that no part here knows may be parameters of its object.

    Raises BadInput.
    """
    own = [option.name for option in DOWNLOAD_OPTIONS]
    spelt: dict[str, Any] = {}
    for key, value in given.items():
        name = known_spelling(key, [*own, *CONTRACT_OPTIONS]) or key
        if name in spelt:
            raise BadInput(f"metaData has the key {name!r} twice; leave one of them out")
        spelt[name] = value
    unused = tuple(
        f"{PREFIX}{name}" for name in spelt if name in CONTRACT_OPTIONS and name not in own
    )
    return UsedOptions(check_values(spelt, DOWNLOAD_OPTIONS), unused)


def parameters_among(used: UsedOptions) -> dict[str, Any]:
    """Those options of a download that can only be parameters of its object."""
    own = {*CONTRACT_OPTIONS, *(option.name for option in DOWNLOAD_OPTIONS)}
    return {name: value for name, value in used.values.items() if name not in own}


# --- the target of an upload ---


def parse_target(
    object: str,
    used: UsedOptions,
    query: Mapping[str, str],
    default_action: Action = Action.CREATE,
) -> Target:
    """The object and the action that `metaData` and the query parameters name. Raises BadInput."""
    action = Action(used.values.get("action") or default_action)
    return Target(
        object,
        action,
        _identifier_field(used.values, query),
        used.values,
        unused_options=used.unused,
    )


def _identifier_field(options: Mapping[str, Any], query: Mapping[str, str]) -> str | None:
    """The column that identifies records. Raises BadInput if two different ones are named."""
    # Some clients of the contract send the name as a query parameter, some as primaryKeyName.
    keys = ("identifierFieldName", "primaryKeyName")
    given = [*map(options.get, keys), query.get("identifierFieldName")]
    names = list(filter(None, given))
    for name in names:
        if not isinstance(name, str):
            raise BadInput(
                f"{PREFIX}identifierFieldName is not a string; it is the name of a column"
            )
        if name != names[0]:
            raise BadInput(
                f"two columns are to identify records, {names[0]!r} and {name!r}; name one"
            )
    return next(iter(names), None)
