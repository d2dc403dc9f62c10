"""Prepares a load: sends the file, finds which column makes which field, asks what is open."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from openbulk.client.api import Api
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.output import is_interactive, notes, plain
from openbulk.client.plans import agree
from openbulk.client.targets import find_target

FILE_KEYS = frozenset(
    {
        "format", "encoding", "delimiter", "headerRow", "sheet", "dateOrder", "decimal",
        "nullValue",
    }
)  # fmt: skip
"""The keys of `metaData` that say how a file is read; all others are of the job."""
_READING_KEYS = ("encoding", "delimiter", "headerRow")


@dataclass(frozen=True, slots=True)
class Load:
    """What to load, and how."""

    file: str
    """A path; `-` for standard input, or the number of a file that is at the server already."""
    target: str
    action: str | None = None
    identifier: str | None = None
    mapping: str | None = None
    """A file with a mapping, the name of a saved one, or `none`."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further keys of `metaData`."""
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A load whose file is at the server, and whose questions are answered."""

    api: Api
    object_name: str
    metadata: dict[str, Any]


@contextmanager
def open_file(path: str) -> Iterator[tuple[BinaryIO, str]]:
    """The bytes and the name of a file; `-` is standard input. Raises CommandFailed."""
    if path == "-":
        yield sys.stdin.buffer, "standard-input"
        return
    try:
        with Path(path).open("rb") as stream:
            yield stream, Path(path).name
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE) from error


def send_file(api: Api, path: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Send a file, and return its profile."""
    metadata = {key: _value(key, value) for key, value in options.items() if key in FILE_KEYS}
    with open_file(path) as (stream, name):
        profile: dict[str, Any] = api.send_file(stream, name, metadata)
    return profile


def prepare(api: Api, load: Load) -> Prepared:
    """Send the file, find the mapping, and ask what is open. Raises CommandFailed."""
    target = find_target(api, load.target)
    api, chosen = target.api, target.object_name
    profile = send_file(api, load.file, load.options)
    console = notes()
    service, columns = plain(target.instance.get("name")), profile.get("columns", [])
    console.print(
        f"{plain(profile.get('name', load.file))}: {profile.get('format')}, "
        f"{len(columns)} columns → {service}/{plain(chosen)}"
    )
    metadata: dict[str, Any] = {
        "fileId": profile["id"],
        "action": load.action or ("upsert" if load.identifier else "create"),
        **{k: _value(k, v) for k, v in load.options.items() if k not in FILE_KEYS},
    }
    if load.identifier is not None:
        metadata["identifierFieldName"] = load.identifier
    _answer(api, profile, _questions_at_once(load, profile), metadata)
    mapping = _choose_mapping(api, load, profile, chosen, metadata)
    if mapping is not None:
        metadata["mapping"] = mapping
    return Prepared(api, chosen, metadata)


def make_plan(prepared: Prepared) -> str:
    """Make the job that plans, and return its number."""
    job = prepared.api.post(
        f"/bulk/{prepared.object_name}", {"metaData": prepared.metadata}, plan="true"
    )
    return str(job["id"])


def parse_options(texts: list[str]) -> dict[str, str]:
    """Options `KEY=VALUE`. Raises CommandFailed for another text."""
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise CommandFailed(
                f"--option {text!r} is not understood; write KEY=VALUE, "
                "like timeZone=Europe/Berlin",
                ExitCode.USAGE,
            )
        options[key] = value
    return options


def _choose_mapping(
    api: Api,
    load: Load,
    profile: Mapping[str, Any],
    object_name: str,
    metadata: dict[str, Any],
) -> Any:
    """The mapping of a load; None if the columns have the names of fields."""
    if load.mapping == "none":
        return None
    if load.mapping is not None:
        return _named_mapping(load.mapping)
    proposal = _propose(api, profile, object_name, metadata)
    if _answer(api, profile, proposal.get("questions", []), metadata):
        proposal = _propose(api, profile, object_name, metadata)
    if not proposal.get("mapping") and not proposal.get("missing"):
        return None  # an object that takes any field
    _show_mapping(proposal)
    if proposal.get("missing"):
        raise CommandFailed(_missing_text(proposal), ExitCode.FAILED)
    if not proposal.get("sure") and not _agree_to_mapping():
        raise CommandFailed("nothing was written; write a mapping, and give it with --mapping")
    return proposal["mapping"]


def _propose(
    api: Api, profile: Mapping[str, Any], object_name: str, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = api.get(
        f"/files/{profile['id']}/mapping", object=object_name, action=metadata["action"]
    )
    return found


def _agree_to_mapping() -> bool:
    if not is_interactive():
        raise CommandFailed(
            "openbulk is not sure of this mapping, and nobody can be asked here; give the right "
            "one with --mapping FILE.json"
        )
    return agree("Some fields are not sure. Use this mapping?", yes=False)


def _show_mapping(proposal: Mapping[str, Any]) -> None:
    console = notes()
    for one in proposal.get("fields", []):
        mark = " " if one.get("sure") else "?"
        columns = " + ".join(str(column) for column in one.get("columns", []))
        console.print(f"{mark} {plain(columns)} → {plain(one['field'])}  ({plain(one['why'])})")
    if proposal.get("notTaken"):
        console.print(f"  left out: {plain(', '.join(map(str, proposal['notTaken'])))}")


def _missing_text(proposal: Mapping[str, Any]) -> str:
    missing = proposal["missing"]
    texts = [str(one.get("message", one)) if isinstance(one, dict) else str(one) for one in missing]
    return f"the file has no column for what a new record needs: {'; '.join(texts)}"


def _named_mapping(text: str) -> Any:
    path = Path(text)
    if not path.is_file():
        return text  # the name of a saved one, which the server knows or refuses
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise CommandFailed(f"{path} is not JSON: {error}", ExitCode.USAGE) from error
    if isinstance(content, dict) and set(content) == {"mapping"}:
        return content["mapping"]
    return content


def _questions_at_once(load: Load, profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The questions without whose answers no row is read.

    The others depend on the mapping: a proposal asks them. A given mapping does not.
    """
    questions = profile.get("questions", [])
    return [one for one in questions if load.mapping is not None or one["key"] in _READING_KEYS]


def _answer(
    api: Api,
    profile: Mapping[str, Any],
    questions: Iterable[Mapping[str, Any]],
    metadata: dict[str, Any],
) -> bool:
    """Ask what the file leaves open, and keep the answers. Returns whether there were any."""
    answers: dict[str, Any] = {}
    for question in questions:
        key = question["key"]
        if key in metadata:
            continue
        answer = _ask(question)
        if answer is not None:
            answers[key] = _value(key, answer)
    metadata.update({k: v for k, v in answers.items() if k not in FILE_KEYS})
    of_file = {k: v for k, v in answers.items() if k in FILE_KEYS}
    if of_file:
        api.patch(f"/files/{profile['id']}", {"metaData": of_file})
    return bool(answers)


def _ask(question: Mapping[str, Any]) -> str | None:
    """The answer of a person; None for a question that has a rule, where nobody is asked."""
    choices = [str(one["value"]) for one in question.get("choices", [])]
    key, message = question["key"], question["message"]
    if not is_interactive():
        if not question.get("required", True):
            notes().print(plain(message))
            return None
        how = f" (one of {', '.join(choices)})" if choices else ""
        raise CommandFailed(f"{message}; say it with --option {key}=...{how}")
    console = notes()
    console.print(plain(message))
    for one in question.get("choices", []):
        console.print(f"  {plain(one['value'])}  {plain(one.get('shown', ''))}")
    while True:
        console.print(f"{key}: ", end="")
        answer = input().strip()
        if answer in choices or (answer and not choices):
            return answer
        if not answer and not question.get("required", True):
            return None
        console.print(f"Type one of {', '.join(choices)}." if choices else "Type a value.")


def _value(key: str, text: str) -> Any:
    """A value of `metaData` as JSON has it."""
    if key == "headerRow" and text.isascii() and text.isdecimal():
        return int(text)
    return {"true": True, "false": False}.get(text, text)
