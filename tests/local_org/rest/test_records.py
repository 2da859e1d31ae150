"""``/sobjects``: records one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V
from tests.local_org.rest.rest_witness import RestWitness

MISSING = "001LO00000000zz"


def test_a_record_is_created_read_updated_and_deleted(rest: RestWitness, org: LocalOrg) -> None:
    answer = rest.call("POST", "sobjects/Account", {"Name": "A", "NumberOfEmployees": 5, "AnnualRevenue": 1.005})
    record_id = answer.json["id"]
    assert (answer.status, answer.json) == (201, {"id": record_id, "success": True, "errors": []})
    assert answer.headers["Location"] == f"{V}/sobjects/Account/{record_id}"
    body = rest.call("GET", f"sobjects/Account/{record_id}").json
    assert body["attributes"] == {"type": "Account", "url": f"{V}/sobjects/Account/{record_id}"}
    assert (body["NumberOfEmployees"], body["AnnualRevenue"], body["IsDeleted"]) == (5, 1.005, False)
    answer = rest.call("PATCH", f"sobjects/Account/{record_id[:15]}", {"Name": "B", "NumberOfEmployees": None})
    assert (answer.status, answer.body) == (204, b"")
    body = rest.call("GET", f"sobjects/Account/{record_id}?fields=Name,NumberOfEmployees,Owner.Username").json
    assert list(body) == ["attributes", "Name", "NumberOfEmployees", "Owner"]
    assert (body["Name"], body["NumberOfEmployees"], body["Owner"]["Username"]) == ("B", None, org.username)
    assert rest.call("DELETE", f"sobjects/Account/{record_id}").status == 204
    assert org.records("Account") == []
    assert rest.call("GET", f"sobjects/Account/{record_id}").status == 404


def test_an_external_id_creates_updates_reads_and_deletes(rest: RestWitness, org: LocalOrg) -> None:
    path = "sobjects/Account/External_Key__c/K%2F1%20x"
    answer = rest.call("PATCH", path, {"Name": "A"})
    assert (answer.status, answer.json["created"]) == (201, True)
    assert [each["External_Key__c"] for each in org.records("Account")] == ["K/1 x"]
    answer = rest.call("PATCH", path, {"Name": "B"})
    assert (answer.status, answer.json["created"], answer.json["id"]) == (200, False, org.records("Account")[0]["Id"])
    assert rest.call("PATCH", path.replace("K", "k"), {"Name": "C"}).json["created"] is False
    old = rest.call("PATCH", f"/services/data/v45.0/{path}", {"Name": "D"})
    assert (old.status, old.body) == (204, b"")
    assert rest.call("GET", f"{path}?fields=Name").json["Name"] == "D"
    assert rest.call("DELETE", path).status == 204
    assert rest.call("GET", path).error == (404, "NOT_FOUND", "The requested resource does not exist")


def test_an_external_id_of_several_records_is_answered_with_their_addresses(rest: RestWitness, org: LocalOrg) -> None:
    org.add_object(
        name="Thing__c",
        fields=[{"name": "Key__c", "type": "string", "externalId": True}, {"name": "X__c", "type": "string"}],
    )
    ids = [rest.create("Thing__c", Key__c="k") for _ in range(2)]
    answer = rest.call("PATCH", "sobjects/Thing__c/Key__c/k", {"X__c": "x"})
    assert (answer.status, answer.json) == (300, [f"{V}/sobjects/Thing__c/{each}" for each in ids])


def test_a_parent_may_be_given_by_its_external_id(rest: RestWitness, org: LocalOrg) -> None:
    mother = rest.create("Account", Name="M", External_Key__c="m")
    rest.create("Contact", LastName="C", Account={"External_Key__c": "m"})
    assert org.records("Contact")[0]["AccountId"] == mother


def test_text_that_looks_like_a_marker_is_text(rest: RestWitness, org: LocalOrg) -> None:
    rest.create("Account", Name="#N/A", Phone="", Description="#N/A")
    (record,) = org.records("Account")
    assert (record["Name"], record["Phone"], record["Description"]) == ("#N/A", None, "#N/A")


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("POST", "Account", {}, (400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]")),
        ("POST", "Account", {"Nope": 1}, (400, "INVALID_FIELD", "No such column 'Nope' on sobject of type Account")),
        ("POST", "Account", {"Id": "x", "Name": "A"}, (400, "INVALID_FIELD", "The Id field should not be specified")),
        (
            "POST",
            "Account",
            {"Name": "A", "CreatedDate": "2020-01-01T00:00:00Z"},
            (400, "INVALID_FIELD_FOR_INSERT_UPDATE", ""),
        ),
        ("POST", "Account", {"Name": "A", "BillingAddress": "x"}, (400, "INVALID_FIELD_FOR_INSERT_UPDATE", "")),
        ("POST", "Account", {"Name": "A" * 256}, (400, "STRING_TOO_LONG", "Name: data value too large")),
        ("POST", "Account", {"Name": ["A"]}, (400, "JSON_PARSER_ERROR", "Cannot deserialize instance of string from")),
        (
            "POST",
            "Account",
            {"Name": {"a": 1}},
            (400, "JSON_PARSER_ERROR", "Cannot deserialize instance of string from"),
        ),
        (
            "POST",
            "Account",
            {"Nope": ["A"]},
            (400, "INVALID_FIELD", "No such column 'Nope' on sobject of type Account"),
        ),
        *(
            (
                "POST",
                "Account",
                {"Name": "A", "NumberOfEmployees": value},
                (400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of int from {token}"),
            )
            for value, token in (
                *(("x", "VALUE_STRING value x"), (1.5, "VALUE_NUMBER_FLOAT value 1.5"), ([1], "START_ARRAY value")),
                ({"a": 1}, "START_OBJECT value"),
            )
        ),
        ("POST", "Account", {"Name": "A", "ParentId": MISSING}, (400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross")),
        ("POST", "Account", [], (400, "JSON_PARSER_ERROR", "The HTTP entity body is required")),
        ("POST", "Account", None, (400, "JSON_PARSER_ERROR", "The HTTP entity body is required")),
        ("POST", "Nope", {"Name": "A"}, (404, "NOT_FOUND", "The requested resource does not exist")),
        ("PATCH", f"Account/{MISSING}", {"Name": "A"}, (404, "NOT_FOUND", "The requested resource does not exist")),
        ("PATCH", "Account/External_Key__c/k", {"Id": "x"}, (400, "INVALID_FIELD", "The Id field should not be")),
        ("PATCH", "Account/Name/k", {"Phone": "1"}, (404, "NOT_FOUND", "Provided external ID field does not exist")),
        ("GET", "Account/nonsense", None, (404, "NOT_FOUND", "Provided external ID field does not exist")),
        ("GET", f"Account/{MISSING}", None, (404, "NOT_FOUND", "The requested resource does not exist")),
        ("DELETE", f"Account/{MISSING}", None, (404, "NOT_FOUND", "The requested resource does not exist")),
        ("PUT", "Account", {"Name": "A"}, (405, "METHOD_NOT_ALLOWED", "HTTP Method 'PUT' not allowed.")),
    ],
)
def test_what_is_refused(rest: RestWitness, method: str, path: str, body: object, error: tuple[int, str, str]) -> None:
    status, code, message = rest.call(method, f"sobjects/{path}", body).error
    assert (status, code) == error[:2], message
    assert message.startswith(error[2])


def test_a_refusal_names_its_fields(rest: RestWitness) -> None:
    assert rest.call("POST", "sobjects/Contact", {}).json == [
        {
            "message": "Required fields are missing: [LastName]",
            "errorCode": "REQUIRED_FIELD_MISSING",
            "fields": ["LastName"],
        }
    ]
    first = rest.create("Account", Name="A", External_Key__c="k")
    error = rest.call("POST", "sobjects/Account", {"Name": "B", "External_Key__c": "K"}).json[0]
    assert error["errorCode"] == "DUPLICATE_VALUE"
    assert error["message"].endswith(f"External_Key__c duplicates value on record with id: {first}")


def test_what_was_updated_and_deleted_since(rest: RestWitness, org: LocalOrg) -> None:
    kept, gone = rest.create("Account", Name="A"), rest.create("Account", Name="B")
    rest.call("DELETE", f"sobjects/Account/{gone}")
    span = f"?start={_days_ago(29)}&end=2099-01-01T00:00:00Z"
    assert rest.call("GET", f"sobjects/Account/updated/{span}").json["ids"] == [kept]
    body = rest.call("GET", f"sobjects/Account/deleted/{span}").json
    assert [each["id"] for each in body["deletedRecords"]] == [gone]
    assert body["earliestDateAvailable"] < _days_ago(29)


def test_an_upsert_may_only_update(rest: RestWitness, org: LocalOrg) -> None:
    path = "sobjects/Account/External_Key__c/k?updateOnly=true"
    assert rest.call("PATCH", path, {"Name": "A"}).status == 404
    assert org.records("Account") == []
    rest.create("Account", Name="A", External_Key__c="k")
    assert rest.call("PATCH", path, {"Name": "B"}).status == 200


def test_children_and_parents_are_read_by_their_relationship(rest: RestWitness) -> None:
    mother = rest.create("Account", Name="Mother")
    child = rest.create("Contact", LastName="C", AccountId=mother)
    children = rest.call("GET", f"sobjects/Account/{mother}/Contacts?fields=LastName").json
    assert (children["totalSize"], children["done"], children["records"][0]["LastName"]) == (1, True, "C")
    assert rest.call("GET", f"sobjects/Contact/{child}/Account").json["Name"] == "Mother"
    assert rest.call("GET", f"sobjects/Contact/{child}/Owner?fields=Username").json["Username"] == rest.org.username
    assert rest.call("GET", f"sobjects/Account/{mother}/Cases").json["records"] == []
    for path in (f"Account/{mother}/Parent", f"Account/{mother}/Nope", f"Account/{MISSING}/Contacts"):
        assert rest.call("GET", f"sobjects/{path}").error[:2] == (404, "NOT_FOUND")


def test_a_minute_is_enough_of_a_span(rest: RestWitness, org: LocalOrg) -> None:
    org.freeze("2026-03-04T05:06:07Z")
    org.put("Account", [{"Name": "A"}])
    span = "?start=2026-03-04T05:06:00%2B00:00&end=2026-03-04T05:07:00%2B00:00"
    assert len(rest.call("GET", f"sobjects/Account/updated{span}").json["ids"]) == 1


def test_records_are_counted(rest: RestWitness, org: LocalOrg) -> None:
    _, gone = org.put("Account", [{"Name": "A"}, {"Name": "B"}])
    rest.call("DELETE", f"sobjects/Account/{gone}")
    counted = rest.call("GET", "limits/recordCount?sObjects=account,Lead,Nope").json
    assert counted == {"sObjects": [{"count": 1, "name": "Account"}, {"count": 0, "name": "Lead"}]}
    everything = rest.call("GET", "limits/recordCount").json["sObjects"]
    assert {"count": 1, "name": "User"} in everything


@pytest.mark.parametrize("what", ["updated", "deleted"])
@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (31, 0, "startDate cannot be more than 30 days ago"),
        (9_000, 8_999, "startDate cannot be more than 30 days ago"),
        (1, 1, "endDate must be at least one minute greater than startDate"),
        (1, 2, "endDate must be at least one minute greater than startDate"),
        (None, 0, "start is not a date and time: x"),
    ],
)
def test_a_span_of_no_changes_that_are_kept_is_refused(
    rest: RestWitness, what: str, start: int | None, end: int, why: str
) -> None:
    first = "x" if start is None else _days_ago(start)
    found = rest.call("GET", f"sobjects/Account/{what}?start={first}&end={_days_ago(end)}").error
    assert found == (400, "INVALID_REPLICATION_DATE", why)


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_who_the_user_is(rest: RestWitness, org: LocalOrg) -> None:
    address = rest.call("GET", "").json["identity"].removeprefix(org.url)
    body = rest.call("GET", address).json
    assert (body["user_id"], body["organization_id"], body["username"]) == (org.user_id, org.org_id, org.username)
    assert rest.call("GET", address[:-18] + "005000000000000AAA").status == 404
    assert rest.call("GET", address, authorization="").status == 401


def test_an_object_tells_of_itself(rest: RestWitness) -> None:
    body = rest.call("GET", "sobjects/Account").json
    assert (body["objectDescribe"]["name"], body["recentItems"]) == ("Account", [])


def test_a_post_can_say_that_it_is_another_method(rest: RestWitness, org: LocalOrg) -> None:
    record_id = rest.create("Account", Name="A")
    answer = rest.call("POST", f"sobjects/Account/{record_id}?_HttpMethod=PATCH", {"Name": "B"})
    assert (answer.status, org.records("Account")[0]["Name"]) == (204, "B")
