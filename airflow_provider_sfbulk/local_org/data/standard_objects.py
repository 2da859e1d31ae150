"""The objects that every local org has, read from the files in ``objects``.

A file is a describe answer without what follows from the rest: names, types, lengths, flags and picklist entries as the
*Object Reference* and recorded describes of Developer Edition orgs have them. Standard picklists are open
(``restricted_picklist`` is false), as they are in a real org. Two keys are this org's own, both SQL: ``generated`` has
the fields whose value follows from others of the record (``IsClosed``), ``triggers`` what saving a record sets
(``Probability`` by stage).

Person accounts, each a person with a contact of its own, are there once Account has the field ``IsPersonAccount``, be it by
the describe of an org that has them or by :func:`person_account`. An account that is created with a ``LastName`` is a
person: its ``Name`` is joined from the parts, its ``PersonContactId`` leads to a contact with the same values under the
contact's names. (*Object Reference*, "Person Account Record Types")
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, Final

from airflow_provider_sfbulk.local_org.data.describe import field_of, sobject_of
from airflow_provider_sfbulk.local_org.data.schema import Field, SObject
from airflow_provider_sfbulk.local_org.data.store import quoted

_OF_SETUP: Final = ("User", "Group", "RecordType", "Organization", "Profile", "UserRole")
"""Objects without ``IsDeleted``, whose records no recycle bin takes."""

NAMES: Final = (
    *("Account", "Contact", "Lead", "Opportunity", "OpportunityLineItem", "Product2", "Pricebook2", "PricebookEntry"),
    *("Case", "Task", "Event", "Campaign", "CampaignMember"),
    *_OF_SETUP,
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


NAME: Final = Field(name="Name", type="string", label="Name", length=80, id_lookup=True, defaulted_on_create=True)

OWNER: Final = Field(
    name="OwnerId", type="reference", label="Owner ID", length=18, nillable=False, defaulted_on_create=True,
    reference_to=("Group", "User"), relationship_name="Owner",
)  # fmt: skip


def completed(sobject: SObject) -> SObject:
    """Return an object that was described by its own fields with what Salesforce adds to them.

    A custom object has a name, which is the record's id where nobody gives one, and an owner, unless it has a master.
    """
    fields = list(sobject.fields.values())
    named = sobject.custom and sobject.get("Name") is None
    owned = sobject.custom and sobject.get("OwnerId") is None and not any(field.cascade_delete for field in fields)
    whole = with_system_fields([*([OWNER] if owned else ()), *([NAME] if named else ()), *fields])
    table = quoted(sobject.name)
    named_by_id = f"UPDATE {table} SET Name = NEW.Id WHERE Id = NEW.Id"  # noqa: S608 - a name of the schema, quoted
    trigger = f"AFTER INSERT ON {table} WHEN NEW.Name IS NULL BEGIN {named_by_id}; END"
    return replace(
        sobject,
        fields={field.name.lower(): field for field in whole},
        triggers={**sobject.triggers, **({"name_of_new": trigger} if named else {})},
    )


def with_system_fields(fields: Iterable[Field], *, of_setup: bool = False) -> list[Field]:
    """Add ``Id``, the audit fields and the external key to an object's own fields, where they are not among them."""
    own = list(fields)
    names = {field.name.lower() for field in own}
    system = (ID, *(() if of_setup else (IS_DELETED,)), *AUDIT, EXTERNAL_KEY)
    missing = [field for field in system if field.name.lower() not in names]
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
    sobject = sobject_of({**described, "fields": with_system_fields(fields, of_setup=name in _OF_SETUP)})
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
    return person_contact(found) if found.name == "Contact" and found.get(FLAG) is not None else with_contacts(found)


# --- person accounts ---

FLAG: Final = "IsPersonAccount"

_PART: Final[dict[str, Any]] = {"compound_field_name": "Name", "extra_type_info": "switchablepersonname"}
FIELDS: Final = (
    Field(name="LastName", type="string", label="Last Name", length=80, **_PART),
    Field(name="FirstName", type="string", label="First Name", length=40, **_PART),
    Field(name="Salutation", type="picklist", label="Salutation", length=40, **_PART),
    Field(
        name="PersonContactId", type="reference", label="Contact ID", length=18, reference_to=("Contact",),
        relationship_name="PersonContact", **_READ_ONLY,
    ),
    Field(name=FLAG, type="boolean", label="Is Person Account", nillable=False, defaulted_on_create=True, **_READ_ONLY),
    Field(name="PersonEmail", type="email", label="Email", length=80),
    Field(name="PersonMobilePhone", type="phone", label="Mobile", length=40),
    Field(name="PersonHomePhone", type="phone", label="Home Phone", length=40),
    Field(name="PersonTitle", type="string", label="Title", length=80),
    Field(name="PersonDepartment", type="string", label="Department", length=80),
    Field(name="PersonLeadSource", type="picklist", label="Lead Source", length=255),
    Field(name="PersonBirthdate", type="date", label="Birthdate"),
    Field(name="PersonMailingStreet", type="textarea", label="Mailing Street", length=255),
    Field(name="PersonMailingCity", type="string", label="Mailing City", length=40),
    Field(name="PersonMailingState", type="string", label="Mailing State", length=80),
    Field(name="PersonMailingPostalCode", type="string", label="Mailing Zip/Postal Code", length=20),
    Field(name="PersonMailingCountry", type="string", label="Mailing Country", length=80),
)  # fmt: skip
"""Fields that an account gets."""

_OF_PERSON: Final = "PA"
"""Where other ids say which instance they are from, those of contacts of person accounts say this."""

_SAME: Final = ("LastName", "FirstName", "Salutation", "Phone", "Fax", "Description", "OwnerId")
"""Fields that account and contact call alike."""


def person_account(account: SObject) -> SObject:
    """Return Account with the fields of person accounts."""
    fields = {**account.fields, **{field.name.lower(): field for field in FIELDS}}
    fields["name"] = replace(fields["name"], nillable=True, extra_type_info="switchablepersonname")
    return with_contacts(replace(account, fields=fields, described=None))


def person_contact(contact: SObject) -> SObject:
    """Return Contact with the field that tells whose contact belongs to a person account: by its id, see below."""
    flag = replace(next(field for field in FIELDS if field.name == FLAG), derived=f"substr(Id, 4, 2) = '{_OF_PERSON}'")
    described = contact.described if contact.get(FLAG) is not None else None
    return replace(contact, fields={**contact.fields, FLAG.lower(): flag}, described=described)


def is_person(sobject: SObject) -> bool:
    """Whether it is an account that may be a person."""
    return sobject.name == "Account" and sobject.get(FLAG) is not None


def with_contacts(account: SObject) -> SObject:
    """Return Account with what keeps its contacts as it is; itself where it has no person accounts."""
    if not is_person(account):
        return account
    fields = dict(account.fields)
    fields[FLAG.lower()] = replace(fields[FLAG.lower()], derived="LastName IS NOT NULL")
    own = {name: name for name in _SAME if account.get(name)}
    own |= {
        f.name: f.name.removeprefix("Person") for f in FIELDS if f.name[6:7].isupper() and f.name.startswith("Person")
    }
    own.pop("PersonContactId")
    own = {name: other for name, other in own.items() if account.get(name) is not None}
    contact = f"soql_lengthen('003{_OF_PERSON}' || substr(NEW.Id, 6, 10))"
    joined = "CASE WHEN NEW.FirstName IS NULL THEN NEW.LastName ELSE NEW.FirstName || ' ' || NEW.LastName END"
    stamps = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")
    into = ", ".join(map(quoted, ["Id", "AccountId", *stamps, *own.values()]))
    values = ", ".join([contact, "NEW.Id", *(f"NEW.{quoted(name)}" for name in (*stamps, *own))])
    sets = ", ".join(f"{quoted(other)} = NEW.{quoted(name)}" for name, other in own.items())
    # Names of the schema, quoted, and expressions above.
    new = (
        f"INSERT INTO Contact ({into}) VALUES ({values}); "  # noqa: S608
        f"UPDATE Account SET Name = {joined}, PersonContactId = {contact} WHERE Id = NEW.Id;"
    )
    changed = (
        f"UPDATE Contact SET {sets}, SystemModstamp = NEW.SystemModstamp WHERE Id = NEW.PersonContactId; "  # noqa: S608
        f"UPDATE Account SET Name = {joined} WHERE Id = NEW.Id;"
    )
    people = "ON Account WHEN NEW.LastName IS NOT NULL BEGIN"
    triggers = {
        "person_of_new": f"AFTER INSERT {people} {new} END",
        "person_of_changed": f"AFTER UPDATE OF {', '.join(map(quoted, own))} {people} {changed} END",
    }
    return replace(account, fields=fields, triggers={**account.triggers, **triggers})
