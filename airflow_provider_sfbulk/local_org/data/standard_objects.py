"""The standard objects that every local org has: Account, Contact, Lead, User.

Names, types, lengths and flags as the *Object Reference for the Salesforce Platform* gives them; picklist entries are
those of a new Developer Edition org. Standard picklists are open (``restricted_picklist`` is false), as they are in a
real org.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from airflow_provider_sfbulk.local_org.data.schema import Field, SObject

INDUSTRIES: Final = (
    "Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction", "Consulting",
    "Education", "Electronics", "Energy", "Engineering", "Entertainment", "Environmental", "Finance", "Food & Beverage",
    "Government", "Healthcare", "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media", "Not For Profit",
    "Recreation", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation", "Utilities", "Other",
)  # fmt: skip
LEAD_SOURCES: Final = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
SALUTATIONS: Final = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx.")
RATINGS: Final = ("Hot", "Warm", "Cold")
LEAD_STATUSES: Final = ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted")
ACCOUNT_TYPES: Final = (
    "Prospect", "Customer - Direct", "Customer - Channel", "Channel Partner / Reseller", "Installation Partner",
    "Technology Partner", "Other",
)  # fmt: skip


def _text(name: str, length: int = 255, *, type: str = "string", **attributes: Any) -> Field:
    return Field(name=name, type=type, label=_label(name), length=length, **attributes)


def _area(name: str, length: int = 32_000, **attributes: Any) -> Field:
    return _text(name, length, type="textarea", extra_type_info="plaintextarea", **attributes)


def _picklist(name: str, values: tuple[str, ...], *, length: int = 255, **attributes: Any) -> Field:
    return _text(name, length, type="picklist", picklist_values=values, **attributes)


def _number(name: str, type: str, *, precision: int = 18, scale: int = 0, **attributes: Any) -> Field:
    return Field(name=name, type=type, label=_label(name), precision=precision, scale=scale, **attributes)


def _int(name: str, *, digits: int = 8, **attributes: Any) -> Field:
    return Field(name=name, type="int", label=_label(name), digits=digits, **attributes)


def _flag(name: str, **attributes: Any) -> Field:
    return Field(name=name, type="boolean", label=_label(name), nillable=False, defaulted_on_create=True, **attributes)


def _lookup(name: str, *targets: str, **attributes: Any) -> Field:
    relationship = attributes.pop("relationship_name", name.removesuffix("Id"))
    return Field(
        name=name,
        type="reference",
        label=f"{_label(relationship)} ID",
        length=18,
        reference_to=targets,
        relationship_name=relationship,
        **attributes,
    )


def _label(name: str) -> str:
    """Split the name at its capitals: ``NumberOfEmployees`` is labelled "Number Of Employees"."""
    bare = name.removesuffix("__c").replace("_", " ")
    return "".join(f" {c}" if i and c.isupper() and bare[i - 1].islower() else c for i, c in enumerate(bare)).strip()


READ_ONLY: Final[dict[str, Any]] = {"createable": False, "updateable": False}


def _address(prefix: str) -> list[Field]:
    """Return a compound address and its parts."""
    compound = f"{prefix}Address"
    return [
        _text(f"{prefix}Street", type="textarea", extra_type_info="plaintextarea", compound_field_name=compound),
        _text(f"{prefix}City", 40, compound_field_name=compound),
        _text(f"{prefix}State", 80, compound_field_name=compound),
        _text(f"{prefix}PostalCode", 20, compound_field_name=compound),
        _text(f"{prefix}Country", 80, compound_field_name=compound),
        _number(f"{prefix}Latitude", "double", scale=15, compound_field_name=compound),
        _number(f"{prefix}Longitude", "double", scale=15, compound_field_name=compound),
        Field(name=compound, type="address", label=_label(compound), **READ_ONLY),
    ]


def _person_name(**last_name: Any) -> list[Field]:
    """Return the compound name of a person: its parts, and ``Name``, which Salesforce joins from them."""
    part: dict[str, Any] = {"compound_field_name": "Name"}
    return [
        _picklist("Salutation", SALUTATIONS, length=40, **part),
        _text("FirstName", 40, **part),
        _text("LastName", 80, nillable=False, **part, **last_name),
        _text("Name", 121, nillable=False, extra_type_info="personname", **READ_ONLY),
    ]


ID: Final = Field(
    name="Id", type="id", label="ID", length=18, nillable=False, defaulted_on_create=True, id_lookup=True, **READ_ONLY
)

_STAMP: Final[dict[str, Any]] = {"nillable": False, "defaulted_on_create": True, **READ_ONLY}

AUDIT: Final = (
    Field(name="CreatedDate", type="datetime", label="Created Date", **_STAMP),
    _lookup("CreatedById", "User", **_STAMP),
    Field(name="LastModifiedDate", type="datetime", label="Last Modified Date", **_STAMP),
    _lookup("LastModifiedById", "User", **_STAMP),
    Field(name="SystemModstamp", type="datetime", label="System Modstamp", **_STAMP),
)

IS_DELETED: Final = _flag("IsDeleted", **READ_ONLY)
OWNER: Final = _lookup("OwnerId", "User", nillable=False, defaulted_on_create=True)

EXTERNAL_KEY: Final = Field(
    name="External_Key__c",
    type="string",
    label="External Key",
    length=255,
    external_id=True,
    id_lookup=True,
    unique=True,
)
"""Every object of the local org has it unless a schema file says otherwise, so that upserts work out of the box."""


def with_system_fields(fields: Iterable[Field]) -> list[Field]:
    """Add ``Id``, the audit fields and the external key to an object's own fields, where they are not among them."""
    own = list(fields)
    names = {field.name.lower() for field in own}
    missing = [field for field in (ID, IS_DELETED, *AUDIT, EXTERNAL_KEY) if field.name.lower() not in names]
    return [*(f for f in missing if f.name == "Id"), *own, *(f for f in missing if f.name != "Id")]


def account() -> SObject:
    """Return Account."""
    return SObject.of(
        name="Account",
        key_prefix="001",
        label="Account",
        fields=with_system_fields(
            [
                _text("Name", nillable=False),
                _picklist("Type", ACCOUNT_TYPES),
                _lookup("ParentId", "Account"),
                *_address("Billing"),
                *_address("Shipping"),
                _text("Phone", 40, type="phone"),
                _text("Fax", 40, type="phone"),
                _text("AccountNumber", 40),
                _text("Website", type="url"),
                _text("Sic", 20),
                _picklist("Industry", INDUSTRIES),
                _number("AnnualRevenue", "currency"),
                _int("NumberOfEmployees"),
                _picklist("Ownership", ("Public", "Private", "Subsidiary", "Other")),
                _text("TickerSymbol", 20),
                _area("Description"),
                _picklist("Rating", RATINGS),
                _text("Site", 80),
                OWNER,
                _picklist("AccountSource", LEAD_SOURCES),
                Field(name="LastActivityDate", type="date", label="Last Activity", **READ_ONLY),
            ]
        ),
    )


def contact() -> SObject:
    """Return Contact."""
    return SObject.of(
        name="Contact",
        key_prefix="003",
        label="Contact",
        fields=with_system_fields(
            [
                _lookup("AccountId", "Account"),
                *_person_name(),
                *_address("Mailing"),
                *_address("Other"),
                _text("Phone", 40, type="phone"),
                _text("Fax", 40, type="phone"),
                _text("MobilePhone", 40, type="phone"),
                _text("HomePhone", 40, type="phone"),
                _text("OtherPhone", 40, type="phone"),
                _text("AssistantPhone", 40, type="phone"),
                _lookup("ReportsToId", "Contact"),
                _text("Email", 80, type="email", id_lookup=True),
                _text("Title", 128),
                _text("Department", 80),
                _text("AssistantName", 40),
                _picklist("LeadSource", LEAD_SOURCES),
                Field(name="Birthdate", type="date", label="Birthdate"),
                _area("Description"),
                OWNER,
                _flag("HasOptedOutOfEmail"),
                _flag("HasOptedOutOfFax"),
                _flag("DoNotCall"),
                Field(name="LastActivityDate", type="date", label="Last Activity", **READ_ONLY),
            ]
        ),
    )


def lead() -> SObject:
    """Return Lead."""
    return SObject.of(
        name="Lead",
        key_prefix="00Q",
        label="Lead",
        fields=with_system_fields(
            [
                *_person_name(),
                _text("Title", 128),
                _text("Company", nillable=False),
                *(f for f in _address("") if f.name != "Address"),
                Field(name="Address", type="address", label="Address", **READ_ONLY),
                _text("Phone", 40, type="phone"),
                _text("MobilePhone", 40, type="phone"),
                _text("Fax", 40, type="phone"),
                _text("Email", 80, type="email", id_lookup=True),
                _text("Website", type="url"),
                _area("Description"),
                _picklist("LeadSource", LEAD_SOURCES),
                _picklist(
                    "Status", LEAD_STATUSES, nillable=False, defaulted_on_create=True, default_value=LEAD_STATUSES[0]
                ),
                _picklist("Industry", INDUSTRIES),
                _picklist("Rating", RATINGS),
                _number("AnnualRevenue", "currency"),
                _int("NumberOfEmployees"),
                # In a real org a queue can own a lead, so the lookup is polymorphic ("Lead.OwnerId -> Group, User").
                _lookup("OwnerId", "Group", "User", nillable=False, defaulted_on_create=True),
                _flag("HasOptedOutOfEmail"),
                _flag("DoNotCall"),
                _flag("IsConverted", updateable=False),
                Field(name="ConvertedDate", type="date", label="Converted Date", **READ_ONLY),
                _lookup("ConvertedAccountId", "Account", **READ_ONLY),
                _lookup("ConvertedContactId", "Contact", **READ_ONLY),
            ]
        ),
    )


def user() -> SObject:
    """Return User. The org has one, who does everything."""
    return SObject.of(
        name="User",
        key_prefix="005",
        label="User",
        fields=with_system_fields(
            [
                _text("Username", 80, nillable=False, id_lookup=True),
                *_person_name(),
                _text("CompanyName", 80),
                _text("Division", 80),
                _text("Department", 80),
                _text("Title", 80),
                _text("Email", 128, type="email", nillable=False, id_lookup=True),
                _text("Alias", 8, nillable=False),
                _text("Phone", 40, type="phone"),
                _text("MobilePhone", 40, type="phone"),
                _flag("IsActive"),
                _lookup("ManagerId", "User"),
                _picklist("UserType", ("Standard", "PowerPartner", "Guest"), **READ_ONLY),
            ]
        ),
    )


def standard_objects() -> list[SObject]:
    """Return the objects that every org has."""
    return [account(), contact(), lead(), user()]
