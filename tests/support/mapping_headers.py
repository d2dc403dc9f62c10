"""Headers with the fields that their columns make, and how many of them are proposed right.

The first two headers of each kind and language have corrected the synonyms. The other ones have
not: they are measured apart.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.domain.file_profile import ColumnProfile, LikelyType, ValueType
from openbulk.mapping.proposal import propose
from openbulk.sandbox.eloqua.fields import ENTITIES

HEADERS = Path(__file__).parents[2] / "bench" / "mapping_headers.txt"
CORRECTED_WITH = 2
"""Headers of each kind and language that have corrected the synonyms."""
SURE_TARGET, ALL_TARGET = 0.95, 0.85
_TYPES: Mapping[str, ValueType] = {"d": "date", "t": "time", "dt": "datetime", "m": "email"}
_EVENT = {
    "title": "summary",
    "description": "description",
    "location": "location",
    "S": "start.dateTime",
    "E": "end.dateTime",
    "SD": "start.date",
    "ED": "end.date",
    "attendees": "attendees[0].email",
}
_CONTACT = {
    "email": "C_EmailAddress",
    "first": "C_FirstName",
    "last": "C_LastName",
    "company": "C_Company",
    "address1": "C_Address1",
    "address2": "C_Address2",
    "city": "C_City",
    "state": "C_State_Prov",
    "zip": "C_Zip_Postal",
    "country": "C_Country",
    "phone": "C_BusPhone",
    "mobile": "C_MobilePhone",
    "fax": "C_Fax",
    "job": "C_Title",
    "owner": "C_Salesperson",
    "salutation": "C_Salutation",
    "website": "C_Website1",
    "industry": "C_Industry1",
}
_ACCOUNT = {
    "name": "M_CompanyName",
    "address1": "M_Address1",
    "address2": "M_Address2",
    "city": "M_City",
    "state": "M_State_Prov",
    "zip": "M_Zip_Postal",
    "country": "M_Country",
    "phone": "M_BusPhone",
    "website": "M_Website1",
    "industry": "M_Industry1",
    "employees": "M_Employees1",
}
FIELDS = {"event": _EVENT, "contact": _CONTACT, "account": _ACCOUNT}
OBJECTS = {"event": "events", "contact": "contact", "account": "account"}


@dataclass(frozen=True, slots=True)
class Header:
    """A header, and the columns that make each field."""

    kind: str
    language: str
    source: str
    is_measured: bool
    """Whether the synonyms were not corrected with it."""
    columns: Sequence[ColumnProfile]
    expected: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Score:
    """How many fields are right."""

    right: int = 0
    all: int = 0
    """Fields that should be proposed, and those that should not and are."""
    sure_right: int = 0
    sure: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.right + other.right,
            self.all + other.all,
            self.sure_right + other.sure_right,
            self.sure + other.sure,
        )

    @property
    def of_sure(self) -> float:
        """The share of right ones among those called sure."""
        return self.sure_right / self.sure if self.sure else 1.0

    @property
    def of_all(self) -> float:
        """The share of right ones among all."""
        return self.right / self.all if self.all else 1.0


def read_headers() -> Sequence[Header]:
    """All headers."""
    seen: Counter[tuple[str, str]] = Counter()
    headers = []
    for line in HEADERS.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        kind, language, source, columns = line.split("|")
        seen[kind, language] += 1
        is_measured = seen[kind, language] > CORRECTED_WITH
        headers.append(_header(kind, language, source, is_measured, columns))
    return headers


def _header(kind: str, language: str, source: str, is_measured: bool, text: str) -> Header:
    columns, expected = [], dict[str, frozenset[str]]()
    for one in text.split("; "):
        named, _, fields = one.partition("=")
        name, mark, type_ = named.rpartition(":")
        if not mark or type_ not in _TYPES:
            name, type_ = named, ""
        types = (LikelyType(_TYPES[type_], 1.0),) if type_ else ()
        columns.append(ColumnProfile(name, 1.0, 10, types=types))
        for field in filter(None, fields.split(",")):
            path = FIELDS[kind][field.removesuffix("+")]
            expected[path] = expected.get(path, frozenset()) | {name}
    return Header(kind, language, source, is_measured, columns, expected)


def schema_of(kind: str) -> Mapping[str, Any]:
    """The schema of the object that headers of a kind are for: Google's, and two of Eloqua's."""
    if kind == "event":
        return event_schema()
    fields = ENTITIES[f"{kind}s"].fields.values()
    types = {"number": "number"}
    return {
        "type": "object",
        "properties": {
            one.internal_name: {
                "type": types.get(one.data_type, "string"),
                "title": one.name,
                "readOnly": one.is_read_only,
            }
            for one in fields
        },
    }


def score_of(header: Header) -> Score:
    """The score of one header."""
    found = propose(header.columns, schema_of(header.kind), OBJECTS[header.kind]).fields
    right = {one.field for one in found if is_right(header, one.field, one.source.columns)}
    sure = [one.field for one in found if one.sure]
    return Score(
        len(right),
        len(header.expected.keys() | {one.field for one in found}),
        len(right.intersection(sure)),
        len(sure),
    )


def is_right(header: Header, field: str, columns: Sequence[str]) -> bool:
    """Whether these columns make a field."""
    return header.expected.get(field) == frozenset(columns)


def total(headers: Sequence[Header]) -> Score:
    """The score of several headers."""
    return sum(map(score_of, headers), Score())
