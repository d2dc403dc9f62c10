"""Saved mappings on the wire."""

from typing import Annotated, Any

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms
from openbulk.storage.mappings import SavedMapping

EXAMPLE_MAPPING: dict[str, Any] = {
    "summary": "Titel",
    "start.dateTime": {"columns": ["Datum", "Beginn"], "format": "DD.MM.YYYY HH:mm"},
}


@with_config(EXACT)
class ListedMapping(TypedDict):
    """A version of a saved mapping, in a list."""

    id: Annotated[int, doc("Number of this version.", 1)]
    name: Annotated[str, doc("Name of the mapping.", "Timetable")]
    version: Annotated[int, doc("Number of the version, from 1 for each name.", 1)]
    elementKey: Annotated[str, doc("Key of the service that it is for.", "googlecalendar")]
    object: Annotated[str, doc("Object that it is for.", "events")]
    createdDate: Annotated[
        EpochMs, doc("When it was saved, in milliseconds since 1970 (UTC).", EXAMPLE_TIME)
    ]


@with_config(EXACT)
class ShownMapping(ListedMapping):
    """A version of a saved mapping."""

    header: Annotated[
        list[str], doc("Columns of the files that it is for.", ["Titel", "Datum", "Beginn"])
    ]
    mapping: Annotated[dict[str, Any], doc("How the columns make the fields.", EXAMPLE_MAPPING)]


def present_mapping(one: SavedMapping, *, is_whole: bool = True) -> dict[str, Any]:
    """A version of a saved mapping; in a list without its header and its entries."""
    shape = {
        "id": one.id,
        "name": one.saved.name,
        "version": one.version,
        "elementKey": one.saved.element,
        "object": one.saved.object,
        "createdDate": epoch_ms(one.created_at),
    }
    if is_whole:
        shape |= {"header": list(one.saved.header), "mapping": one.saved.mapping.as_json()}
    return shape
