"""``/composite``: collections, trees and calls inside a call."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V
from tests.local_org.rest.rest_witness import RestWitness


def account(name: str, **more: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Account"}, "Name": name, **more}


# --- collections ---


def test_records_are_created_each_with_its_result(rest: RestWitness, org: LocalOrg) -> None:
    records = [
        account("A"),
        {"attributes": {"type": "Contact"}},
        account("B"),
        {"attributes": {"type": "Contact"}, "LastName": "C"},
    ]
    answer = rest.call("POST", "composite/sobjects", {"allOrNone": False, "records": records})
    assert answer.status == 200
    assert [each["success"] for each in answer.json] == [True, False, True, True]
    assert answer.json[1]["errors"] == [
        {
            "statusCode": "REQUIRED_FIELD_MISSING",
            "message": "Required fields are missing: [LastName]",
            "fields": ["LastName"],
        }
    ]
    assert [each["Name"] for each in org.records("Account")] == ["A", "B"]
    assert answer.json[3]["id"] == org.records("Contact")[0]["Id"]


def test_all_or_none_leaves_nothing(rest: RestWitness, org: LocalOrg) -> None:
    answer = rest.call("POST", "composite/sobjects", {"allOrNone": True, "records": [account("A"), account("")]})
    codes = [each["errors"][0]["statusCode"] for each in answer.json]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert org.records("Account") == []


def test_upserts_that_fail_together_say_which_would_have_been_created(rest: RestWitness, org: LocalOrg) -> None:
    rest.create("Account", Name="A", External_Key__c="a")
    records = [
        account("A2", External_Key__c="a"),
        account("B", External_Key__c="b"),
        account("C", External_Key__c="c", OwnerId="INVALID_OWNER"),
    ]
    path = "composite/sobjects/Account/External_Key__c"
    answer = rest.call("PATCH", path, {"allOrNone": True, "records": records})
    assert [(each["success"], each["created"], each["errors"][0]["statusCode"]) for each in answer.json] == [
        (False, False, "ALL_OR_NONE_OPERATION_ROLLED_BACK"),
        (False, True, "ALL_OR_NONE_OPERATION_ROLLED_BACK"),
        (False, True, "MALFORMED_ID"),
    ]
    assert [each["Name"] for each in org.records("Account")] == ["A"]


def test_records_without_their_key_fail_one_by_one(rest: RestWitness) -> None:
    updated = rest.call("PATCH", "composite/sobjects", {"records": [account("A"), account("B")]}).json
    upserted = rest.call("PATCH", "composite/sobjects/Account/External_Key__c", {"records": [account("A")]}).json
    errors = [each["errors"][0] for each in (*updated, *upserted)]
    assert [(each["statusCode"], each["message"]) for each in errors] == [
        *[("MISSING_ARGUMENT", "Id not specified in an update call")] * 2,
        ("MISSING_ARGUMENT", "External_Key__c not specified"),
    ]


def test_records_are_updated_upserted_retrieved_and_deleted(rest: RestWitness, org: LocalOrg) -> None:
    ids = [rest.create("Account", Name=name, External_Key__c=name) for name in "AB"]
    answer = rest.call("PATCH", "composite/sobjects", {"records": [account("A2", id=ids[0]), account("B2", Id=ids[1])]})
    assert answer.json == [{"id": each, "success": True, "errors": []} for each in ids]
    records = [account("A3", External_Key__c="a"), account("C", External_Key__c="C")]
    answer = rest.call("PATCH", "composite/sobjects/Account/External_Key__c", {"records": records})
    assert [(each["success"], each["created"]) for each in answer.json] == [(True, False), (True, True)]
    path = f"composite/sobjects/Account?ids={ids[0]},001LO00000000zz,{ids[1]}&fields=Name"
    names = [each and each["Name"] for each in rest.call("GET", path).json]
    assert names == ["A3", None, "B2"]
    by_post = rest.call("POST", "composite/sobjects/Account", {"ids": ids, "fields": ["Name", "Id"]}).json
    assert [each["Id"] for each in by_post] == ids
    answer = rest.call("DELETE", f"composite/sobjects?ids={ids[0]},{ids[0]},nonsense&allOrNone=false")
    assert [each["success"] for each in answer.json] == [True, False, False]
    assert len(org.records("Account")) == 2


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("POST", {"records": [account("A")] * 201}, "EXCEEDED_ID_LIMIT"),
        ("POST", {"records": [{"Name": "A"}]}, "INVALID_TYPE"),
        ("POST", {"records": [{"attributes": {"type": "Nope"}}]}, "NOT_FOUND"),
        ("POST", {"records": [account("A", Nope=1)]}, "INVALID_FIELD"),
        ("POST", {"records": "A"}, "JSON_PARSER_ERROR"),
        ("POST", {"nope": []}, "JSON_PARSER_ERROR"),
    ],
)
def test_collections_that_are_refused(rest: RestWitness, method: str, body: object, code: str) -> None:
    assert rest.call(method, "composite/sobjects", body).error[1] == code


# --- trees ---


def test_a_tree_is_created_with_its_children(rest: RestWitness, org: LocalOrg) -> None:
    tree = {
        "records": [
            {
                "attributes": {"type": "Account", "referenceId": "a"},
                "Name": "A",
                "Contacts": {
                    "records": [{"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "C"}],
                },
            }
        ]
    }
    answer = rest.call("POST", "composite/tree/Account", tree)
    (made,), (child,) = org.records("Account"), org.records("Contact")
    assert (answer.status, child["AccountId"]) == (201, made["Id"])
    assert answer.json == {
        "hasErrors": False,
        "results": [{"referenceId": "a", "id": made["Id"]}, {"referenceId": "c", "id": child["Id"]}],
    }


def test_a_tree_with_a_bad_child_leaves_nothing(rest: RestWitness, org: LocalOrg) -> None:
    child = {"attributes": {"type": "Contact", "referenceId": "c"}}
    parent = {"attributes": {"type": "Account", "referenceId": "a"}, "Name": "A", "Contacts": {"records": [child]}}
    answer = rest.call("POST", "composite/tree/Account", {"records": [parent]})
    assert (answer.status, answer.json["hasErrors"]) == (400, True)
    assert [each["referenceId"] for each in answer.json["results"]] == ["c"]
    assert org.records("Account") == []


# --- calls inside a call ---


def calls(*some: tuple[str, str, str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method, "url": f"{V}/{url}", "referenceId": name, **({"body": body} if body else {})}
        for name, method, url, body in some
    ]


def test_calls_use_each_others_answers(rest: RestWitness) -> None:
    some = calls(
        ("a", "POST", "sobjects/Account", {"Name": "A"}),
        ("c", "POST", "sobjects/Contact", {"LastName": "C", "AccountId": "@{a.id}"}),
        ("q", "GET", "query?q=SELECT+Account.Name+FROM+Contact+WHERE+Id='@{c.id}'", None),
        ("r", "GET", "sobjects/Account/@{q.records[0].Account.Name}", None),
    )
    body = rest.call("POST", "composite", {"allOrNone": False, "compositeRequest": some}).json["compositeResponse"]
    assert [each["httpStatusCode"] for each in body] == [201, 201, 200, 404]
    assert body[2]["body"]["records"][0]["Account"]["Name"] == "A"
    assert [each["referenceId"] for each in body] == ["a", "c", "q", "r"]


def test_all_or_none_sees_its_own_changes_and_takes_them_back(rest: RestWitness, org: LocalOrg) -> None:
    some = calls(
        ("a", "POST", "sobjects/Account", {"Name": "A"}),
        ("q", "GET", "query?q=SELECT+Name+FROM+Account", None),
        ("c", "POST", "sobjects/Contact", {"FirstName": "x"}),
    )
    body = rest.call("POST", "composite", {"allOrNone": True, "compositeRequest": some}).json["compositeResponse"]
    assert [each["httpStatusCode"] for each in body] == [400, 400, 400]
    assert [each["body"][0]["errorCode"] for each in body] == [
        *("PROCESSING_HALTED", "PROCESSING_HALTED", "REQUIRED_FIELD_MISSING")
    ]
    assert org.records("Account") == []
    good = rest.call("POST", "composite", {"allOrNone": True, "compositeRequest": some[:2]}).json["compositeResponse"]
    assert good[1]["body"]["totalSize"] == 1


def test_a_batch_of_calls(rest: RestWitness) -> None:
    requests = [
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "A"}},
        {"method": "GET", "url": "v66.0/sobjects/Account/nope"},
        {"method": "GET", "url": "v66.0/limits"},
    ]
    body = rest.call("POST", "composite/batch", {"batchRequests": requests}).json
    assert (body["hasErrors"], [each["statusCode"] for each in body["results"]]) == (True, [201, 404, 200])
    body = rest.call("POST", "composite/batch", {"batchRequests": requests, "haltOnError": True}).json
    assert [each["statusCode"] for each in body["results"]] == [201, 404, 412]


@pytest.mark.parametrize(
    "some",
    [
        [],
        [1],
        [{"method": "GET", "url": "/"}],
        [{"method": "GET", "url": f"{V}/limits", "referenceId": "a"}] * 2,
        [{"method": "GET", "url": f"{V}/limits", "referenceId": f"r{n}"} for n in range(26)],
    ],
)
def test_composites_that_are_refused(rest: RestWitness, some: object) -> None:
    assert rest.call("POST", "composite", {"compositeRequest": some}).status == 400


@pytest.mark.parametrize(("queries", "status"), [(5, 200), (6, 400)])
def test_a_call_holds_five_queries(queries: int, status: int, rest: RestWitness) -> None:
    url = f"{V}/query?q=SELECT+Id+FROM+Account"
    calls = [{"method": "GET", "url": url, "referenceId": f"q{number}"} for number in range(queries)]
    assert rest.call("POST", "composite", {"compositeRequest": calls}).status == status
