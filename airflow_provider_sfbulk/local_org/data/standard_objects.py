"""The objects that every local org has, read from the files in ``objects``.

A file is a describe answer without what follows from the rest: names, types, lengths, flags and picklist entries as the
*Object Reference* and recorded describes of Developer Edition orgs have them. Standard picklists are open
(``restricted_picklist`` is false), as they are in a real org. Two keys are this org's own, both SQL: ``generated`` has
the fields whose value follows from others of the record (``IsClosed``), ``triggers`` what saving a record sets
(``Probability`` by stage).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, Final

from airflow_provider_sfbulk.local_org.data.describe import field_of, sobject_of
from airflow_provider_sfbulk.local_org.data.person_accounts import with_contacts
from airflow_provider_sfbulk.local_org.data.schema import Field, SObject

NAMES: Final = (
    *("Account", "Contact", "Lead", "Opportunity", "OpportunityLineItem", "Product2", "Pricebook2", "PricebookEntry"),
    *("Case", "Task", "Event", "Campaign", "CampaignMember"),
    *("User", "Group", "RecordType", "Organization", "Profile"),
)
"""The objects, each a file."""

_READ_ONLY: Final[dict[str, Any]] = {"createable": False, "updateable": False}
_STAMP: Final[dict[str, Any]] = {"nillable": False, "defaulted_on_create": True, **_READ_ONLY}


def _user(name: str, relationship: str) -> Field:
    return Field(
        name=name,
        type="reference",
        label=f"{label_of(relationship)} ID",
        length=18,
        reference_to=("User",),
        relationship_name=relationship,
        **_STAMP,
    )


def label_of(name: str) -> str:
    """Split a name at its capitals: ``NumberOfEmployees`` is labelled "Number Of Employees"."""
    bare = name.removesuffix("__c").replace("_", " ")
    return "".join(f" {c}" if i and c.isupper() and bare[i - 1].islower() else c for i, c in enumerate(bare)).strip()


ID: Final = Field(name="Id", type="id", label="ID", length=18, id_lookup=True, **_STAMP)

IS_DELETED: Final = Field(name="IsDeleted", type="boolean", label="Is Deleted", **_STAMP)

AUDIT: Final = (
    Field(name="CreatedDate", type="datetime", label="Created Date", **_STAMP),
    _user("CreatedById", "CreatedBy"),
    Field(name="LastModifiedDate", type="datetime", label="Last Modified Date", **_STAMP),
    _user("LastModifiedById", "LastModifiedBy"),
    Field(name="SystemModstamp", type="datetime", label="System Modstamp", **_STAMP),
)

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


def standard_objects() -> list[SObject]:
    """Return the objects that every org has."""
    return [_standard(name) for name in NAMES]


@cache
def _standard(name: str) -> SObject:
    text = resources.files(__package__).joinpath("objects", f"{name}.json").read_text(encoding="utf-8")
    described: dict[str, Any] = json.loads(text)
    derived: Mapping[str, str] = described.get("generated", {})
    fields = [replace(_field(each), derived=derived.get(each["name"])) for each in described["fields"]]
    sobject = sobject_of({**described, "fields": with_system_fields(fields)})
    return replace(sobject, triggers=described.get("triggers", {}))


def _field(described: Mapping[str, Any]) -> Field:
    """Return a field with the label and the length that follow from its name and type."""
    name, is_lookup = described["name"], described["type"] == "reference"
    label = (
        f"{label_of(described.get('relationshipName') or name.removesuffix('Id'))} ID" if is_lookup else label_of(name)
    )
    return field_of({"label": label, **({"length": 18} if is_lookup else {}), **described})


def with_standard_values(sobject: SObject) -> SObject:
    """Return an object of a standard name, however it was described, with the values that its fields follow from."""
    if sobject.name not in NAMES:
        return sobject
    standard = _standard(sobject.name)
    fields = [
        replace(field, derived=known.derived) if (known := standard.get(field.name)) is not None else field
        for field in sobject.fields.values()
    ]
    # A trigger may speak of any field of the standard object.
    wanted = [field.name for field in standard.fields.values() if field.name != EXTERNAL_KEY.name]
    whole = all(sobject.get(name) is not None for name in wanted)
    found = replace(
        sobject,
        fields={field.name.lower(): field for field in fields},
        triggers=standard.triggers if whole else {},
    )
    return with_contacts(found)
