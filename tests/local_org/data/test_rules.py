"""Rules that fail rows: validation and duplicate rules, triggers, access; by bulk, by REST and over HTTP."""

from __future__ import annotations

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
