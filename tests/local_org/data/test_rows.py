"""What happens to rows: their checks, their errors as ``sf__Error`` writes them, their effects."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V, Witness

NOT_THERE = "001LO0000000zzz"


def ids(witness: Witness, sobject: str = "Account") -> list[str]:
    return [record["Id"] for record in witness.org.records(sobject)]


@pytest.mark.parametrize(
    ("header", "value", "error"),
    [
        ("Name", "x" * 256, f"STRING_TOO_LONG:Name: data value too large: {'x' * 256} (max length=255):Name --"),
        (
            "NumberOfEmployees",
            "4.5",
            "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '4.5' is not a valid value for the type "
            "xsd:int:NumberOfEmployees --",
        ),
        (
            "NumberOfEmployees",
            "100000000",
            "NUMBER_OUTSIDE_VALID_RANGE:Number Of Employees: value outside of valid range on numeric field: 100000000:"
            "NumberOfEmployees --",
        ),
        (
            "AnnualRevenue",
            "1,000",
            "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '1,000' is not a valid value for the type "
            "xsd:double:AnnualRevenue --",
        ),
        (
            "OwnerId",
            "nobody",
            "MALFORMED_ID:Owner ID: id value of incorrect type: nobody:OwnerId --",
        ),
        (
            "ParentId",
            "003LO0000000zzz",
            "FIELD_INTEGRITY_EXCEPTION:Parent ID: id value of incorrect type: 003LO0000000zzz:ParentId --",
        ),
        ("ParentId", NOT_THERE, "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"),
        (
            "Parent.External_Key__c",
            "zz-9",
            "INVALID_FIELD:Foreign key external ID: zz-9 not found for field External_Key__c in entity Account:"
            "External_Key__c --",
        ),
        (
            "CreatedDate",
            "2026-03-04T05:06:07Z",
            "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: CreatedDate. Please check the security "
            "settings of this field and verify that it is read/write for your profile or permission set.:"
            "CreatedDate --",
        ),
        (
            "CreatedDate",
            "2018-09-28",
            "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '2018-09-28' is not a valid value for the "
            "type xsd:dateTime:CreatedDate --",
        ),
        ("Id", NOT_THERE, "INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call:Id --"),
    ],
)
def test_a_value_that_does_not_fit_fails_its_row_and_no_other(
    witness: Witness, header: str, value: str, error: str
) -> None:
    if header == "Name":
        assert witness.errors(f"Name\nGood\n{value}\n") == [error]
    else:
        assert witness.errors(f'Name,{header}\nBad,"{value}"\nGood,\n') == [error]
    assert [record["Name"] for record in witness.org.records("Account")] == ["Good"]


@pytest.mark.parametrize(
    ("type_", "sent", "shown"),
    [
        ("date", "9999-12-31", "Fri Dec 31 00:00:00 GMT 9999"),
        ("date", "1699-12-31", "Thu Dec 31 00:00:00 GMT 1699"),
        ("date", "0026-03-04", "Wed Mar 04 00:00:00 GMT 26"),
        ("datetime", "4000-12-31T00:00:01Z", "Sun Dec 31 00:00:01 GMT 4000"),
        ("datetime", "1700-01-01T00:30:00+01:00", "Thu Dec 31 23:30:00 GMT 1699"),
    ],
)
def test_a_day_that_salesforce_cannot_hold_fails_its_row(
    org: LocalOrg, witness: Witness, type_: str, sent: str, shown: str
) -> None:
    org.add_object(name="Stand__c", fields=[{"name": "Value__c", "type": type_}])
    time = "" if type_ == "date" else "T00:00:00Z"
    (error,) = witness.errors(f"Value__c\n{sent}\n1700-01-01{time}\n4000-12-31{time}\n", "Stand__c")
    assert error == f"FIELD_INTEGRITY_EXCEPTION:Value__c: invalid date: {shown}:Value__c --"
    assert [record["Value__c"][:4] for record in org.records("Stand__c")] == ["1700", "4000"]


def test_text_is_stored_without_blanks_at_its_ends(org: LocalOrg, witness: Witness) -> None:
    picked = {"name": "Kind__c", "type": "picklist", "picklistValues": [{"value": "Red"}], "restrictedPicklist": True}
    org.add_object(name="Stand__c", fields=[{"name": "Text__c", "type": "string"}, picked])
    assert witness.errors('Text__c\n" a b\t"\n"\u00a0c "\n"  "\n', "Stand__c") == []
    assert [record["Text__c"] for record in org.records("Stand__c")] == ["a b", "\u00a0c", None]
    required = "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert witness.errors('Name,External_Key__c\n" ",\nA,"K-1 "\n') == [required]
    duplicate = "DUPLICATE_VALUE:duplicate value found: External_Key__c duplicates value on record with id: "
    assert witness.errors("Name,External_Key__c\nB,K-1\n") == [f"{duplicate}{ids(witness)[0]}:--"]
    answer = witness.call("POST", f"{V}/sobjects/Account", {"Name": " "})
    assert (answer.status, answer.json[0]["errorCode"]) == (400, "REQUIRED_FIELD_MISSING")


@pytest.mark.parametrize("email", ["no-at-sign", "a@b", "a b@c.com", "@c.com", "a@c..com"])
def test_an_email_address_that_is_none_fails_its_row(witness: Witness, email: str) -> None:
    (error,) = witness.errors(f"LastName,Email\nA,{email}\nB,good.one+x@mail.example.com\n", "Contact")
    assert error == f"INVALID_EMAIL_ADDRESS:Email: invalid email address: {email}:Email --"


def test_missing_required_fields_are_named_together(witness: Witness) -> None:
    errors = witness.errors("FirstName,Company\nA,\nB,C\n", "Lead")
    assert errors == [
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName, Company]:LastName Company --",
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
    ]


def test_a_restricted_picklist_takes_its_entries_only(org: LocalOrg, witness: Witness) -> None:
    colours: list[dict[str, Any]] = [
        {"value": "Red", "active": True},
        {"value": "Blue", "active": False},
        {"value": "Tan"},
    ]
    org.add_object(
        name="Stand__c",
        fields=[
            {"name": "Colour__c", "type": "picklist", "restrictedPicklist": True, "picklistValues": colours},
            {"name": "Colours__c", "type": "multipicklist", "restrictedPicklist": True, "picklistValues": colours},
        ],
    )
    errors = witness.errors("Colour__c,Colours__c\nRed,Red;Tan\nBlue,\n,Red;Sky\n", "Stand__c")
    assert errors == [
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Colour__c: bad value for restricted picklist field: Blue:Colour__c --",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Colours__c: bad value for restricted picklist field: Sky:"
        "Colours__c --",
    ]


@pytest.mark.parametrize(
    ("type_", "sent", "stored"),
    [
        ("boolean", "TRUE", 1),
        ("boolean", "0", 0),
        ("int", "+42", 42),
        ("double", "1.5E3", 1500.0),
        ("double", ".5", 0.5),
        ("date", "2026-02-28", "2026-02-28"),
        ("datetime", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07.000Z"),
        ("datetime", "2026-03-04T05:06:07.891+02:00", "2026-03-04T03:06:07.000Z"),
        ("datetime", "2026-03-04T05:06:07.000-0330", "2026-03-04T08:36:07.000Z"),
        ("time", "07:00:00Z", "07:00:00.000Z"),
        ("time", "07:00:00.25Z", "07:00:00.250Z"),
    ],
)
def test_values_are_read_in_all_documented_forms(
    org: LocalOrg, witness: Witness, type_: str, sent: str, stored: object
) -> None:
    org.add_object(name="Stand__c", fields=[{"name": "Value__c", "type": type_}])
    assert witness.errors(f"Value__c\n{sent}\n", "Stand__c") == []
    assert org.records("Stand__c")[0]["Value__c"] == stored


@pytest.mark.parametrize(
    ("type_", "sent"),
    [
        ("boolean", "yes"),
        ("int", "1e3"),
        ("int", "٤٢"),
        ("double", "NaN"),
        ("double", "0x10"),
        ("date", "2026-02-30"),
        ("date", "04.03.2026"),
        ("date", "1990-06-07T00:00Z"),
        ("datetime", "2026-03-04 05:06:07Z"),
        ("datetime", "2026-03-04T05:06:07"),
        ("datetime", "2026-03-04T25:06:07Z"),
        ("time", "07:00"),
    ],
)
def test_values_in_other_forms_fail_their_row(org: LocalOrg, witness: Witness, type_: str, sent: str) -> None:
    org.add_object(name="Stand__c", fields=[{"name": "Value__c", "type": type_}])
    (error,) = witness.errors(f"Value__c\n{sent}\n", "Stand__c")
    assert error.startswith(
        f"INVALID_FIELD:Failed to deserialize field at col 0. Due to, '{sent}' is not a valid value"
    )


def test_amounts_keep_more_places_than_their_field_has(witness: Witness) -> None:
    assert witness.errors("Name,AnnualRevenue\nA,100.5\nB,-1.005\nC,2.4999\n") == []
    assert [record["AnnualRevenue"] for record in witness.org.records("Account")] == [100.5, -1.005, 2.4999]
    assert [row["AnnualRevenue"] for row in witness.select("SELECT AnnualRevenue FROM Account ORDER BY Name")] == [
        "100.5",
        "-1.005",
        "2.4999",
    ]


@pytest.mark.parametrize("operation", ["insert", "update", "upsert", "delete", "hardDelete"])
@pytest.mark.parametrize("data", ["", "\n", "\n\n\n"])
def test_an_upload_of_nothing_ends_well(witness: Witness, operation: str, data: str) -> None:
    more = {"externalIdFieldName": "External_Key__c"} if operation == "upsert" else {}
    info = witness.load(data, operation=operation, **more)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 0, 0)
    assert witness.results(info, "successfulResults").rows == witness.results(info, "failedResults").rows == []


def test_a_checkbox_cannot_be_null(witness: Witness) -> None:
    witness.load("LastName,DoNotCall\nA,true\n", "Contact")
    (contact,) = witness.org.records("Contact")
    for data, operation in (
        (f"Id,DoNotCall\n{contact['Id']},#N/A\n", "update"),
        ("LastName,DoNotCall\nB,#N/A\n", "insert"),
    ):
        (error,) = witness.errors(data, "Contact", operation)
        assert error == "INVALID_TYPE_ON_FIELD_IN_RECORD:Do Not Call: value not of required type: :DoNotCall --"
    assert [each["DoNotCall"] for each in witness.org.records("Contact")] == [1]


def test_an_empty_value_changes_nothing_and_na_clears(witness: Witness) -> None:
    witness.load("Name,Phone,Fax\nA,1,2\n")
    (record_id,) = ids(witness)
    assert witness.errors(f"Id,Phone,Fax,Name\n{record_id},,#N/A,\n", operation="update") == []
    (record,) = witness.org.records("Account")
    assert (record["Name"], record["Phone"], record["Fax"]) == ("A", "1", None)


def test_a_required_field_cannot_be_cleared(witness: Witness) -> None:
    witness.load("Name\nA\n")
    (error,) = witness.errors(f"Id,Name\n{ids(witness)[0]},#N/A\n", operation="update")
    assert error == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"


def test_an_update_stamps_the_record_and_keeps_its_creation(org: LocalOrg, witness: Witness) -> None:
    witness.load("Name\nA\n")
    (before,) = org.records("Account")
    org.advance(3600)
    witness.load(f"Id,Name\n{before['Id'][:15]},B\n", operation="update")
    (after,) = org.records("Account")
    assert after["CreatedDate"] == before["CreatedDate"]
    assert after["LastModifiedDate"] == after["SystemModstamp"] > before["SystemModstamp"]


@pytest.mark.parametrize("operation", ["update", "delete"])
def test_records_that_are_not_there_are_refused(witness: Witness, operation: str) -> None:
    witness.load("Name\nA\n")
    (record_id,) = ids(witness)
    witness.load(f"Id\n{record_id}\n", operation="delete")
    errors = witness.errors(f"Id\n{record_id}\n{NOT_THERE}\n003LO0000000zzz\nshort\n", operation=operation)
    assert errors == [
        "ENTITY_IS_DELETED:entity is deleted:--",
        "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
        "INVALID_ID_FIELD:Invalid Id for entity type 'Account':Id --",
        "MALFORMED_ID:malformed id short:Id --",
    ]


def test_rows_without_their_key_fail(witness: Witness) -> None:
    (error,) = witness.errors("Name,Id\nA,\n", operation="update")
    assert error == "MISSING_ARGUMENT:Id not specified in an update call:--"


@pytest.mark.parametrize(
    ("operation", "key"), [("update", "Id"), ("delete", "Id"), ("hardDelete", "Id"), ("upsert", "External_Key__c")]
)
def test_without_the_column_of_their_key_all_rows_fail_together(witness: Witness, operation: str, key: str) -> None:
    info = witness.load("Name\nA\n", operation=operation, **({"externalIdFieldName": key} if key != "Id" else {}))
    assert (info["state"], info["errorMessage"]) == ("Failed", f"InvalidBatch : Field name not found : {key}")


def test_deleted_records_lie_in_the_bin_and_hard_deleted_ones_do_not(org: LocalOrg, witness: Witness) -> None:
    witness.load("Name,External_Key__c\nA,1\nB,2\nC,3\n")
    first, second, _ = ids(witness)
    witness.load(f"Id\n{first}\n", operation="delete")
    witness.load(f"Id\n{second}\n", operation="hardDelete")
    assert [record["Name"] for record in org.records("Account")] == ["C"]
    assert [record["Name"] for record in org.records("Account", include_deleted=True)] == ["A", "C"]
    assert [row["Name"] for row in witness.select("SELECT Name FROM Account")] == ["C"]
    everything = witness.select("SELECT Name, IsDeleted FROM Account ORDER BY Name", "queryAll")
    assert [(row["Name"], row["IsDeleted"]) for row in everything] == [("A", "true"), ("C", "false")]
    # The value of a unique field is free again once its record is in the bin.
    assert witness.errors("Name,External_Key__c\nAgain,1\n") == []


def test_a_record_is_deleted_once(witness: Witness) -> None:
    witness.load("Name\nA\n")
    (record_id,) = ids(witness)
    assert witness.errors(f"Id\n{record_id}\n{record_id}\n", operation="delete") == [
        "ENTITY_IS_DELETED:entity is deleted:--"
    ]


def test_hard_delete_needs_its_permission(org: LocalOrg, witness: Witness) -> None:
    org.core.hard_delete = False
    answer = witness.call("POST", f"{V}/jobs/ingest", {"object": "Account", "operation": "hardDelete"})
    assert answer.error[:2] == (400, "FEATURENOTENABLED")


def test_unique_values_are_unique_without_regard_to_case(witness: Witness) -> None:
    witness.load("Name,External_Key__c\nA,Key-É\n")
    (first,) = ids(witness)
    duplicate = f"DUPLICATE_VALUE:duplicate value found: External_Key__c duplicates value on record with id: {first}:--"
    assert witness.errors("Name,External_Key__c\nB,kEY-é\nC,other\n") == [duplicate]
    second = ids(witness)[1]
    assert witness.errors(f"Id,External_Key__c\n{second},KEY-é\n", operation="update") == [duplicate]
    # Within one file the first row wins, and a value that is given up can be taken by a later row.
    assert witness.errors(f"Id,External_Key__c\n{first},free\n{second},key-É\n", operation="update") == []
    (error,) = witness.errors("Name,External_Key__c\nD,twice\nE,TWICE\n")
    assert error.startswith("DUPLICATE_VALUE:duplicate value found: External_Key__c")


def test_an_upsert_makes_what_is_not_there_and_changes_what_is(witness: Witness) -> None:
    witness.load("Name,External_Key__c,Phone\nA,1,old\n")
    info = witness.load(
        "Name,External_Key__c,Phone\nA2,1,\nB,2,new\n", operation="upsert", externalIdFieldName="External_Key__c"
    )
    rows = {row["External_Key__c"]: row for row in witness.results(info, "successfulResults").rows}
    assert {key: row["sf__Created"] for key, row in rows.items()} == {"1": "false", "2": "true"}
    stored = {r["External_Key__c"]: (r["Id"], r["Name"], r["Phone"]) for r in witness.org.records("Account")}
    assert stored == {"1": (rows["1"]["sf__Id"], "A2", "old"), "2": (rows["2"]["sf__Id"], "B", "new")}


def test_the_same_key_twice_in_a_chunk_fails_both_and_in_another_chunk_updates(witness: Witness) -> None:
    key = {"operation": "upsert", "externalIdFieldName": "External_Key__c"}
    errors = witness.errors("Name,External_Key__c\nA,1\nB,2\nC,1\n", **key)
    assert errors == ["DUPLICATE_VALUE:Duplicate external id specified: 1:External_Key__c --"] * 2
    rows = "".join(f"N{n},k{n}\n" for n in range(200)) + "Later,k0\n"
    assert witness.errors(f"Name,External_Key__c\n{rows}", **key) == []
    stored = {record["External_Key__c"]: record["Name"] for record in witness.org.records("Account")}
    assert (stored["k0"], stored["k1"], len(stored)) == ("Later", "N1", 201)


def test_an_upsert_by_id_without_ids_creates_every_row(witness: Witness) -> None:
    info = witness.load("Name\nA\nB\n", operation="upsert", externalIdFieldName="Id")
    assert [row["sf__Created"] for row in witness.results(info, "successfulResults").rows] == ["true", "true"]
    (first, _) = ids(witness)
    info = witness.load(f"Id,Name\n{first},A2\n,C\n", operation="upsert", externalIdFieldName="Id")
    assert sorted(row["sf__Created"] for row in witness.results(info, "successfulResults").rows) == ["false", "true"]


def test_an_upsert_row_without_its_key_fails(witness: Witness) -> None:
    (error,) = witness.errors("Name,External_Key__c\nA,\n", operation="upsert", externalIdFieldName="External_Key__c")
    assert error == "MISSING_ARGUMENT:External_Key__c not specified:External_Key__c --"


def test_records_are_repeated_twelve_times_in_a_chunk_and_no_more(witness: Witness) -> None:
    witness.load("Name\n" + "".join(f"A{n}\n" for n in range(7)))
    record_ids = ids(witness)
    # Seven records three times each: the repetitions of all of them count together, and here are fourteen.
    rows = [record_id for record_id in record_ids for _ in range(3)]
    errors = witness.errors("Id,Name\n" + "".join(f"{r},N{n}\n" for n, r in enumerate(rows)), operation="update")
    assert len(errors) == 2
    assert errors[0].startswith("DUPLICATE_VALUE:Maximum number of duplicate updates in one batch (12 allowed).")
    assert witness.org.records("Account")[0]["Name"] == "N2"
    assert witness.org.records("Account")[6]["Name"] == "N18"


def test_lookups_by_external_id_find_records_saved_before_but_not_of_the_same_file(witness: Witness) -> None:
    witness.load("Name,External_Key__c\nMother,m\n")
    (mother,) = ids(witness)
    assert witness.errors("LastName,Account.External_Key__c\nA,M\nB,\n", "Contact") == []
    assert [record["AccountId"] for record in witness.org.records("Contact")] == [mother, None]
    errors = witness.errors("Name,External_Key__c,Parent.External_Key__c\nX,x,\nY,y,x\n")
    assert len(errors) == 1
    assert errors[0].startswith("INVALID_FIELD:Foreign key external ID: x not found")


def test_a_lookup_is_given_by_id_or_by_external_id_and_not_by_both(witness: Witness) -> None:
    witness.load("Name,External_Key__c\nMother,m\n")
    (mother,) = ids(witness)
    data = f"LastName,AccountId,Account.External_Key__c\nA,{mother},m\nB,{mother},\nC,,m\n"
    assert witness.errors(data, "Contact") == [
        "INVALID_FIELD:cannot specify both an external ID reference Account and a salesforce id, AccountId:AccountId --"
    ]
    assert [record["AccountId"] for record in witness.org.records("Contact")] == [mother, mother]


def test_names_of_people_are_joined_from_their_parts(witness: Witness) -> None:
    witness.load("FirstName,LastName\nNgozi,Okafor\n,Reuter\n", "Contact")
    assert [row["Name"] for row in witness.select("SELECT Name FROM Contact ORDER BY Id")] == ["Ngozi Okafor", "Reuter"]
    (error, *_) = witness.errors("LastName,Name\nA,B C\n", "Contact")
    assert error.startswith("INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: Name.")


@pytest.mark.parametrize(
    ("sobject", "operation", "header", "message"),
    [
        ("Account", "insert", "Name,BillingAddress", "InvalidBatch : Field name not found : BillingAddress"),
        ("Account", "insert", "Name,Acount.Name", "InvalidBatch : Unable to find relationship: Acount"),
        ("Contact", "insert", "LastName,Account.Phone", "InvalidBatch : Field name not found : Account.Phone"),
        (
            "Contact",
            "insert",
            "LastName,Account.Parent.Name",
            "InvalidBatch : Field name not found : Account.Parent.Name",
        ),
        (
            "Account",
            "insert",
            "Name,Account:Parent.External_Key__c",
            "InvalidBatch : type is not needed for non polymorphic foreign key references: Parent",
        ),
        (
            "Lead",
            "insert",
            "LastName,Company,Owner.Email",
            "InvalidBatch : type is needed for polymorphic foreign key references: Owner",
        ),
        ("Account", "insert", "Name,NAME", "InvalidBatch : Duplicate field name : NAME"),
        ("Account", "insert", "\ufeffName", "InvalidBatch : Field name not found : \ufeffName"),
        ("Account", "insert", '\ufeff"Name"', "InvalidBatch : Failed to parse CSV. Found unescaped quote"),
        ("Account", "delete", "Id,Name", "InvalidBatch : The 'delete' batch must contain only ids"),
        ("Account", "hardDelete", "Name", "InvalidBatch : Field name not found : Id"),
    ],
)
def test_a_bad_header_fails_the_whole_job(
    witness: Witness, sobject: str, operation: str, header: str, message: str
) -> None:
    values = ",".join("x" for _ in header.split(","))
    info = witness.load(f"{header}\n{values}\n", sobject, operation)
    assert (info["state"], info["errorMessage"], info["numberRecordsProcessed"]) == ("Failed", message, 0)


def test_a_polymorphic_lookup_takes_the_type_in_front(witness: Witness) -> None:
    who = witness.org.username
    assert witness.errors(f"LastName,Company,User:Owner.Username\nA,B,{who}\n", "Lead") == []
    assert witness.org.records("Lead")[0]["OwnerId"] == witness.org.user_id


def test_auto_numbers_count_on(org: LocalOrg, witness: Witness) -> None:
    name = {"name": "Name", "type": "string", "autoNumber": True, "nillable": False, "createable": False}
    org.add_object(name="Ticket__c", fields=[name, {"name": "Text__c", "type": "string"}])
    assert witness.errors("Text__c\na\nb\n", "Ticket__c") == []
    assert witness.errors("Text__c\nc\n", "Ticket__c") == []
    assert [record["Name"] for record in org.records("Ticket__c")] == ["00001", "00002", "00003"]


def test_base64_columns_cannot_be_loaded(org: LocalOrg, witness: Witness) -> None:
    org.add_object(name="Scan__c", fields=[{"name": "Body__c", "type": "base64"}])
    info = witness.load("Body__c\nAAAA\n", "Scan__c")
    assert info["errorMessage"] == (
        "InvalidBatch : Binary field Body__c is only supported for content types ZIP_XML and ZIP_CSV"
    )
