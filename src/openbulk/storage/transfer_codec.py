"""Turns specs of workflows into JSON's types, and back."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from openbulk.domain.job import Download
from openbulk.domain.query import ChangedRange
from openbulk.domain.records import Action, Target
from openbulk.domain.transformation import transformation_of
from openbulk.domain.workflow import Destination, TransferSpec
from openbulk.storage.job_rows import moment_of, moment_text, work_of, work_values


def spec_values(spec: TransferSpec) -> dict[str, Any]:
    """A spec in JSON's types; `spec_of` reads it back."""
    return {
        "download": work_values(spec.download),
        "changes": spec.changes and _changes_values(spec.changes),
        "destination": spec.destination and _destination_values(spec.destination),
        "request": dict(spec.request),
    }


def spec_of(kept: Mapping[str, Any]) -> TransferSpec:
    """A spec from the result of `spec_values`."""
    download = work_of(SimpleNamespace(**kept["download"]))
    assert isinstance(download, Download)
    return TransferSpec(
        download,
        changes=kept["changes"] and _changes_of(kept["changes"]),
        destination=kept["destination"] and _destination_of(kept["destination"]),
        request=kept["request"],
    )


def _changes_values(changes: ChangedRange) -> dict[str, Any]:
    return {
        "field": changes.field,
        "is_known_to_service": changes.is_known_to_service,
        "since": moment_text(changes.since),
        "until": moment_text(changes.until),
        "before": moment_text(changes.before),
    }


def _changes_of(kept: Mapping[str, Any]) -> ChangedRange:
    return ChangedRange(
        kept["field"],
        since=moment_of(kept["since"]),
        until=moment_of(kept["until"]),
        before=moment_of(kept["before"]),
        is_known_to_service=kept["is_known_to_service"],
    )


def _destination_values(destination: Destination) -> dict[str, Any]:
    target = destination.target
    return {
        "instance_id": destination.instance_id,
        "object": target.object,
        "action": target.action.value,
        "identifier_field": target.identifier_field,
        "options": dict(target.options),
        "unused_options": list(target.unused_options),
        "transformation": target.transformation and target.transformation.as_json(),
        "callback_url": destination.callback_url,
    }


def _destination_of(kept: Mapping[str, Any]) -> Destination:
    transformation = kept.get("transformation")
    target = Target(
        kept["object"],
        Action(kept["action"]),
        kept["identifier_field"],
        kept["options"],
        unused_options=tuple(kept.get("unused_options", ())),
        transformation=transformation and transformation_of(transformation),
    )
    return Destination(kept["instance_id"], target, kept["callback_url"])
