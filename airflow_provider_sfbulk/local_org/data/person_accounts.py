"""Person accounts: accounts that are a person, each with a contact of its own.

They are there once Account has the field ``IsPersonAccount``, be it by the describe of an org that has them or by
:func:`person_account`. An account that is created with a ``LastName`` is a person: its ``Name`` is joined from the parts,
its ``PersonContactId`` leads to a contact with the same values under the contact's names. (*Object Reference*, "Person
Account Record Types")
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from airflow_provider_sfbulk.local_org.data.schema import Field, SObject
from airflow_provider_sfbulk.local_org.data.store import quoted

FLAG: Final = "IsPersonAccount"

_PART: Final[dict[str, Any]] = {"compound_field_name": "Name", "extra_type_info": "switchablepersonname"}
_READ_ONLY: Final[dict[str, Any]] = {"createable": False, "updateable": False}

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

_SAME: Final = ("LastName", "FirstName", "Salutation", "Phone", "Fax", "Description", "OwnerId")
"""Fields that account and contact call alike."""


def person_account(account: SObject) -> SObject:
    """Return Account with the fields of person accounts."""
    fields = {**account.fields, **{field.name.lower(): field for field in FIELDS}}
    fields["name"] = replace(fields["name"], nillable=True, extra_type_info="switchablepersonname")
    return with_contacts(replace(account, fields=fields, described=None))


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
    contact = "soql_lengthen('003PA' || substr(NEW.Id, 6, 10))"
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
