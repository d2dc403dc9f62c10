"""The fields of contacts and accounts in a new Eloqua instance.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/FieldsMetadata.htm
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/bulk_data_types.htm
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CREATED_AT = "1900-01-01T05:00:00.0000000Z"
"""The time at which Eloqua created its own fields."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a contact or an account."""

    internal_name: str
    name: str
    data_type: str = "string"
    """`emailAddress`, `string`, `number` or `date`."""
    is_read_only: bool = False
    is_unique: bool = False


def _text_fields(names: str) -> list[Field]:
    """Fields from lines of `internal name: name`."""
    pairs = [line.split(": ") for line in names.strip().splitlines()]
    return [Field(internal.strip(), name) for internal, name in pairs]


_CONTACT = [
    Field("C_EmailAddress", "Email Address", "emailAddress", is_unique=True),
    *_text_fields("""
        C_FirstName: First Name
        C_LastName: Last Name
        C_Company: Company
        C_EmailDisplayName: Email Display Name
        C_Address1: Address 1
        C_Address2: Address 2
        C_Address3: Address 3
        C_City: City
        C_State_Prov: State or Province
        C_Zip_Postal: Zip or Postal Code
        C_Country: Country
        C_BusPhone: Business Phone
        C_MobilePhone: Mobile Phone
        C_Fax: Fax
        C_Title: Title
        C_Salesperson: Salesperson
        C_Salutation: Salutation
        C_Website1: Website
        C_Industry1: Industry
    """),
    Field("C_Annual_Revenue1", "Annual Revenue", "number"),
    Field("C_DateCreated", "Date Created", "date", is_read_only=True),
    Field("C_DateModified", "Date Modified", "date", is_read_only=True),
]
_ACCOUNT = [
    Field("M_CompanyName", "Company Name", is_unique=True),
    *_text_fields("""
        M_Address1: Address 1
        M_Address2: Address 2
        M_City: City
        M_State_Prov: State or Province
        M_Zip_Postal: Zip or Postal Code
        M_Country: Country
        M_BusPhone: Business Phone
        M_Website1: Website
        M_Industry1: Industry
    """),
    Field("M_Employees1", "Employees", "number"),
    Field("M_DateCreated", "Date Created", "date", is_read_only=True),
    Field("M_DateModified", "Date Modified", "date", is_read_only=True),
]


@dataclass(frozen=True, slots=True)
class Entity:
    """Contacts, or accounts."""

    plural: str
    markup: str
    """As in `{{Contact.Field(C_EmailAddress)}}`."""
    fields: Mapping[str, Field]
    created_code: str
    updated_code: str

    def statement(self, field: Field) -> str:
        """A field in Eloqua's markup language."""
        return f"{{{{{self.markup}.Field({field.internal_name})}}}}"

    def by_statement(self) -> Mapping[str, Field]:
        """The fields by their statements."""
        return {self.statement(field): field for field in self.fields.values()}

    def resource(self, number: int, field: Field) -> dict[str, Any]:
        """A field as the API shows it."""
        return {
            "name": field.name,
            "internalName": field.internal_name,
            "dataType": field.data_type,
            "hasReadOnlyConstraint": field.is_read_only,
            # False for the e-mail address, too: Oracle's tutorial on field metadata shows it so.
            "hasNotNullConstraint": False,
            "hasUniquenessConstraint": field.is_unique,
            "statement": self.statement(field),
            "uri": f"/{self.plural}/fields/{100000 + number}",
            "createdAt": _CREATED_AT,
            "updatedAt": _CREATED_AT,
        }


CONTACTS = Entity(
    "contacts", "Contact", {f.internal_name: f for f in _CONTACT}, "ELQ-00004", "ELQ-00022"
)
ACCOUNTS = Entity(
    "accounts", "Account", {f.internal_name: f for f in _ACCOUNT}, "ELQ-00005", "ELQ-00023"
)
ENTITIES: Mapping[str, Entity] = {entity.plural: entity for entity in (CONTACTS, ACCOUNTS)}
