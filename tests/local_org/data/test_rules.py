"""Rules that fail rows: validation and duplicate rules, triggers, access; by bulk, by REST and over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V, Witness

VALIDATION = "FIELD_CUSTOM_VALIDATION_EXCEPTION"


def test_a_validation_rule_looks_at_the_record_as_it_would_be(org: LocalOrg, witness: Witness) -> None:
    org.validation_rule(
        "Account",
        "Revenue needs an industry",
        when={"AnnualRevenue": {">": 100}, "Industry": None},
        fields=["Industry"],
    )
    assert witness.errors("Name,AnnualRevenue,Industry\nA,50,\nB,500,\nC,500,Energy\n") == [
        f"{VALIDATION}:Revenue needs an industry:Industry --"
    ]
    first, third = (each["Id"] for each in org.records("Account"))
    # What is stored counts where the row says nothing of it.
    assert len(witness.errors(f"Id,AnnualRevenue\n{first},200\n", operation="update")) == 1
    assert len(witness.errors(f"Id,Industry\n{third},#N/A\n", operation="update")) == 1
    assert witness.errors(f"Id,AnnualRevenue\n{third},900\n", operation="update") == []


@pytest.mark.parametrize(
    ("when", "failing"),
    [
        ({"IsWon": True, "Amount": None}, ["won"]),
        ({"Probability": {"<": 50}}, ["new", "lost"]),
        ({"ForecastCategory": "Pipeline"}, ["new"]),
        ({"OwnerId": {"!=": None}, "CreatedDate": {">": "2000"}}, ["new", "won", "lost"]),
    ],
)
def test_a_rule_sees_what_the_org_computes(org: LocalOrg, when: dict[str, Any], failing: list[str]) -> None:
    records = [
        {"Name": name, "StageName": stage, "CloseDate": "2026-03-04"}
        for name, stage in (("new", "Prospecting"), ("won", "Closed Won"), ("lost", "Closed Lost"))
    ]
    made = org.put("Opportunity", [{**records[0], "Name": "kept"}])
    org.validation_rule("Opportunity", "not so", when=when)
    for record in records:
        for changed in ({}, {"Id": made[0]}):
            if record["Name"] in failing:
                with pytest.raises(ValueError, match=f"{VALIDATION}:not so"):
                    org.put("Opportunity", [{**record, **changed}])
            else:
                org.put("Opportunity", [{**record, **changed}])
    ids = [each["Id"] for each in org.records("Opportunity")]
    assert len(ids) == len({*ids}) == 4 - len(failing)


def test_a_rule_leaves_no_trace_of_a_row_that_fails(org: LocalOrg, witness: Witness) -> None:
    org.validation_rule("Case", "no", when={"Subject": "no"})
    witness.load("Subject\nno\nyes\nno\n", "Case")
    (case,) = org.records("Case", include_deleted=True)
    assert case["CaseNumber"] == "00000001"
    org.validation_rule("Account", "no", when={"Name": "no"})
    org.put("Account", [{"Name": "A", "External_Key__c": "a"}])
    # The unique value is taken, so no rule gets to see the record.
    (error,) = witness.errors("Name,External_Key__c\nno,A\n")
    assert error.startswith("DUPLICATE_VALUE:")


@pytest.mark.parametrize("member", ["ContactId", "LeadId"])
def test_nobody_is_a_campaign_member_twice(org: LocalOrg, witness: Witness, member: str) -> None:
    (campaign,) = org.put("Campaign", [{"Name": "C"}])
    sobject = member.removesuffix("Id")
    (person,) = org.put(sobject, [{"LastName": "L", **({"Company": "C"} if sobject == "Lead" else {})}])
    rows = f"CampaignId,{member}\n{campaign},{person}\n{campaign},{person}\n"
    assert witness.errors(rows, "CampaignMember") == ["DUPLICATE_VALUE:Already a campaign member.:--"]
    assert len(witness.errors(rows, "CampaignMember")) == 2


def test_a_duplicate_is_found_by_an_index_however_many_records_there_are(org: LocalOrg) -> None:
    (contact,) = org.put("Contact", [{"LastName": "Müller", "Email": "a@example.com"}])
    org.duplicate_rule("Contact", ["LastName", "Email"])
    org.put("Contact", [{"LastName": "Müller", "Email": "b@example.com"}])
    with pytest.raises(ValueError, match="DUPLICATES_DETECTED"):
        org.put("Contact", [{"LastName": "MÜLLER", "Email": "A@example.com"}])
    sql = 'SELECT Id FROM Contact WHERE IsDeleted = 0 AND soql_fold("LastName") = ? AND soql_fold("Email") = ?'
    plan = org.core.store.select(f"EXPLAIN QUERY PLAN {sql}", ("MÜLLER", "A@EXAMPLE.COM"))
    assert "Contact.LastName.Email.keys" in plan[0][3]
    assert org.core.store.select(sql, ("MÜLLER", "A@EXAMPLE.COM")) == [(contact,)]


def test_a_product_has_one_price_in_a_price_book(org: LocalOrg, witness: Witness) -> None:
    (product,) = org.put("Product2", [{"Name": "P"}])
    book = org.records("Pricebook2")[0]["Id"]
    org.put("PricebookEntry", [{"Product2Id": product, "Pricebook2Id": book, "UnitPrice": 1}])
    (error,) = witness.errors(f"Product2Id,Pricebook2Id,UnitPrice\n{product},{book},2\n", "PricebookEntry")
    assert error == "DUPLICATE_VALUE:This price definition already exists in this price book:--"


def test_a_rule_may_be_a_function_and_have_no_place(org: LocalOrg, witness: Witness) -> None:
    org.validation_rule("Account", "No: umbrellas only", when=lambda record: "Umbrella" not in record["Name"])
    assert witness.errors("Name\nA\nUmbrella\n") == [f"{VALIDATION}:No: umbrellas only:--"]


def test_a_rule_holds_over_rest_and_for_deletes(org: LocalOrg, witness: Witness) -> None:
    org.validation_rule("Account", "Keep it", on=["delete"], when={"Name": "keep"})
    made = witness.call("POST", f"{V}/sobjects/Account", {"Name": "Keep"}).json["id"]
    answer = witness.call("DELETE", f"{V}/sobjects/Account/{made}")
    assert (answer.status, answer.json) == (400, [{"message": "Keep it", "errorCode": VALIDATION, "fields": []}])
    assert witness.errors(f"Id\n{made}\n", operation="delete") == [f"{VALIDATION}:Keep it:--"]


def test_a_duplicate_rule_finds_records_and_rows_alike(org: LocalOrg, witness: Witness) -> None:
    witness.load("LastName,Email\nA,a@example.com\n", "Contact")
    org.duplicate_rule("Contact", ["LastName", "Email"])
    errors = witness.errors("LastName,Email\na,A@example.com\nA,b@example.com\na,B@example.com\nA,\nA,\n", "Contact")
    assert errors == ["DUPLICATES_DETECTED:Use one of these records?:--"] * 2
    first = org.records("Contact")[0]["Id"]
    assert witness.errors(f"Id,LastName\n{first},A\n", "Contact", "update") == []


def test_a_trigger_throws(org: LocalOrg, witness: Witness) -> None:
    org.trigger(
        "Account", name="Guard", event="BeforeUpdate", message="System.LimitException: Too many SOQL queries: 101"
    )
    witness.load("Name\nA\n")
    (error,) = witness.errors(f"Id,Name\n{org.records('Account')[0]['Id']},B\n", operation="update")
    assert error.startswith(
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Guard: execution of BeforeUpdate\n\ncaused by: System.LimitException: "
    )


def test_records_can_be_out_of_reach(org: LocalOrg, witness: Witness) -> None:
    mother = org.put("Account", [{"Name": "M"}])[0]
    org.close_record(mother)
    assert witness.errors(f"LastName,AccountId\nC,{mother}\n", "Contact") == [
        f"INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY:insufficient access rights on cross-reference id: {mother}:--"
    ]
    (error,) = witness.errors(f"Id,Name\n{mother},X\n", operation="update")
    assert error.startswith("INSUFFICIENT_ACCESS_OR_READONLY:")
    org.clear_rules()
    assert witness.errors(f"LastName,AccountId\nC,{mother}\n", "Contact") == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"sobject": "Nope", "message": "x"},
        {"sobject": "Account", "message": "x", "when": {"Nope": 1}},
        {"sobject": "Account", "message": "x", "when": {"Name": {"~": 1}}},
        {"sobject": "Account", "message": "x", "on": ["upsert"]},
        {"sobject": "Account", "message": "x", "when": 3},
    ],
)
def test_rules_that_are_none_are_refused(org: LocalOrg, arguments: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        org.validation_rule(**arguments)  # type: ignore[arg-type]


def test_a_comparison_that_makes_no_sense_does_not_hold(org: LocalOrg, witness: Witness) -> None:
    org.validation_rule("Account", "x", when={"Name": {"<": 3}})
    assert witness.errors("Name\nA\n") == []


def test_a_rule_is_asked_for_over_http(org: LocalOrg, witness: Witness) -> None:
    body = {"sobject": "Account", "message": "Too small", "when": {"NumberOfEmployees": {"<": 3}}}
    answer = witness.call("POST", "/local-org/validation_rule", body, authorization="")
    assert answer.json == {"done": True}
    assert witness.errors("Name,NumberOfEmployees\nA,2\nB,3\n") == [f"{VALIDATION}:Too small:--"]
