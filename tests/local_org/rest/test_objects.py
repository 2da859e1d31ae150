"""The standard objects: what saving gives their fields, record types, and what goes with a deleted record."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.data.standard_objects import NAMES
from tests.local_org.rest.rest_witness import RestWitness


def opportunity(rest: RestWitness, **more: Any) -> str:
    return rest.create("Opportunity", **{"Name": "O", "StageName": "Prospecting", "CloseDate": "2026-03-04", **more})


def test_every_object_is_listed_described_and_can_be_queried(rest: RestWitness) -> None:
    listed = {each["name"]: each for each in rest.call("GET", "sobjects").json["sobjects"]}
    assert set(listed) == set(NAMES)
    for name in NAMES:
        described = rest.call("GET", f"sobjects/{name}/describe").json
        assert {key: described[key] for key in listed[name]} == listed[name]
        assert {"recordTypeInfos", "childRelationships", "supportedScopes", "actionOverrides"} <= set(described)
        assert rest.call("GET", f"query?q=SELECT+FIELDS(ALL)+FROM+{name}+LIMIT+1").status == 200
        plain = [f["name"] for f in described["fields"] if f["type"] not in ("address", "location", "base64")]
        rest.bulk.select(f"SELECT {', '.join(plain)} FROM {name}")


def test_a_stage_says_what_an_opportunity_is_worth(rest: RestWitness) -> None:
    fields = "Probability, IsClosed, IsWon, ForecastCategory, ForecastCategoryName, ExpectedRevenue, FiscalYear, Fiscal"
    record_id = opportunity(rest, Amount=200)
    (made,) = rest.select(f"SELECT {fields} FROM Opportunity")
    assert made == {
        **{"Probability": 10.0, "IsClosed": False, "IsWon": False, "ForecastCategory": "Pipeline"},
        **{"ForecastCategoryName": "Pipeline", "ExpectedRevenue": 20.0, "FiscalYear": 2026, "Fiscal": "2026 1"},
    }
    rest.call("PATCH", f"sobjects/Opportunity/{record_id}", {"StageName": "Closed Won"})
    (won,) = rest.select("SELECT Probability, IsClosed, IsWon, ForecastCategory FROM Opportunity")
    assert won == {"Probability": 100.0, "IsClosed": True, "IsWon": True, "ForecastCategory": "Closed"}
    rest.call("PATCH", f"sobjects/Opportunity/{record_id}", {"StageName": "Qualification", "Probability": 33})
    assert rest.select("SELECT Probability, IsClosed FROM Opportunity") == [{"Probability": 33.0, "IsClosed": False}]
    opportunity(rest, Name="P", Probability=42)
    assert rest.select("SELECT Probability FROM Opportunity WHERE Name = 'P'") == [{"Probability": 42.0}]
    error = rest.call("POST", "sobjects/Opportunity", {"Name": "N"}).json[0]
    assert error["message"] == "Required fields are missing: [StageName, CloseDate]"


def test_a_bulk_load_of_opportunities_computes_the_same(rest: RestWitness) -> None:
    rest.bulk.load("Name,StageName,CloseDate,Amount\nA,Closed Lost,2026-07-01,10\n", "Opportunity")
    (row,) = rest.bulk.select("SELECT Probability, IsClosed, IsWon, FiscalQuarter FROM Opportunity")
    assert row == {"Probability": "0.0", "IsClosed": "true", "IsWon": "false", "FiscalQuarter": "3"}


def test_products_have_prices_and_line_items_sums(rest: RestWitness) -> None:
    (book,) = rest.select("SELECT Id FROM Pricebook2 WHERE IsStandard = true")
    product = rest.create("Product2", Name="Umbrella", ProductCode="U-1", IsActive=True)
    entry = rest.create("PricebookEntry", Pricebook2Id=book["Id"], Product2Id=product, UnitPrice=10, IsActive=True)
    assert rest.select("SELECT Name, ProductCode FROM PricebookEntry") == [{"Name": "Umbrella", "ProductCode": "U-1"}]
    deal = opportunity(rest, Pricebook2Id=book["Id"])
    rest.create("OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=3, UnitPrice=9)
    item = rest.create("OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=2, TotalPrice=16)
    assert rest.select(
        "SELECT Quantity, UnitPrice, TotalPrice, ListPrice, Product2Id FROM OpportunityLineItem ORDER BY Quantity"
    ) == [
        {"Quantity": 2.0, "UnitPrice": 8.0, "TotalPrice": 16.0, "ListPrice": 10.0, "Product2Id": product},
        {"Quantity": 3.0, "UnitPrice": 9.0, "TotalPrice": 27.0, "ListPrice": 10.0, "Product2Id": product},
    ]
    deals = "SELECT Amount, HasOpportunityLineItem, (SELECT Id FROM OpportunityLineItems) FROM Opportunity"
    (deal_now,) = rest.select(deals)
    assert (deal_now["Amount"], deal_now["HasOpportunityLineItem"]) == (43.0, True)
    rest.call("DELETE", f"sobjects/OpportunityLineItem/{item}")
    assert rest.select("SELECT Amount FROM Opportunity") == [{"Amount": 27.0}]


def test_cases_tasks_events_and_members_compute_what_they_are(rest: RestWitness) -> None:
    account = rest.create("Account", Name="A")
    contact = rest.create("Contact", LastName="C", AccountId=account)
    case = rest.create("Case", ContactId=contact, Subject="S")
    (made,) = rest.select("SELECT CaseNumber, Status, Priority, IsClosed, AccountId FROM Case")
    assert made == {
        "CaseNumber": "00000001",
        "Status": "New",
        "Priority": "Medium",
        "IsClosed": False,
        "AccountId": account,
    }
    rest.call("PATCH", f"sobjects/Case/{case}", {"Status": "Closed"})
    (closed,) = rest.select("SELECT IsClosed, ClosedDate FROM Case")
    assert closed["IsClosed"]
    assert closed["ClosedDate"]
    rest.create("Task", Subject="T", WhoId=contact, WhatId=account, Status="Completed", Priority="High")
    (task,) = rest.select("SELECT IsClosed, IsHighPriority, AccountId, Who.Name, Who.Type, What.Type FROM Task")
    assert (task["IsClosed"], task["IsHighPriority"], task["AccountId"]) == (True, True, account)
    assert (task["Who"], task["What"]) == ({"Name": "C", "Type": "Contact"}, {"Type": "Account"})
    rest.create("Event", Subject="E", StartDateTime="2026-03-04T10:00:00Z", DurationInMinutes=90, WhatId=account)
    (event,) = rest.select("SELECT EndDateTime, ActivityDate FROM Event")
    assert event == {"EndDateTime": "2026-03-04T11:30:00.000+0000", "ActivityDate": "2026-03-04"}
    campaign = rest.create("Campaign", Name="K")
    member = rest.create("CampaignMember", CampaignId=campaign, ContactId=contact)
    rest.call("PATCH", f"sobjects/CampaignMember/{member}", {"Status": "Responded"})
    (row,) = rest.select("SELECT HasResponded, LeadOrContactId, Type FROM CampaignMember")
    assert row == {"HasResponded": True, "LeadOrContactId": contact, "Type": "Contact"}


def test_typeof_reaches_each_kind_of_a_task(rest: RestWitness) -> None:
    account = rest.create("Account", Name="A", Phone="1")
    rest.create("Task", Subject="1", WhatId=account)
    rest.create("Task", Subject="2", WhatId=opportunity(rest))
    found = rest.query(
        "SELECT TYPEOF What WHEN Account THEN Phone, Name WHEN Opportunity THEN StageName ELSE Name END FROM Task "
        "ORDER BY Subject"
    )["records"]
    assert [each["What"]["attributes"]["type"] for each in found] == ["Account", "Opportunity"]
    assert (found[0]["What"]["Phone"], found[1]["What"]["StageName"]) == ("1", "Prospecting")


def test_a_record_type_has_to_be_the_object_s_own(rest: RestWitness, org: LocalOrg) -> None:
    own = rest.create("RecordType", Name="Household", DeveloperName="HH", SobjectType="Account", IsActive=True)
    other = rest.create("RecordType", Name="X", DeveloperName="X", SobjectType="Contact", IsActive=True)
    rest.create("Account", Name="A", RecordTypeId=own)
    assert rest.select("SELECT RecordType.DeveloperName FROM Account") == [{"RecordType": {"DeveloperName": "HH"}}]
    error = rest.bulk.errors(f"Name,RecordTypeId\nB,{other}\n")
    assert error == [
        f"INVALID_CROSS_REFERENCE_KEY:Record Type ID: this ID value isn't valid for the user: {other}:RecordTypeId --"
    ]
    infos = rest.call("GET", "sobjects/Account/describe").json["recordTypeInfos"]
    assert [(each["developerName"], each["master"]) for each in infos] == [("HH", False), ("Master", True)]
    rest.create("Account", Name="M", RecordTypeId=infos[1]["recordTypeId"])


@pytest.mark.parametrize("sobject", ["Organization", "Profile"])
def test_objects_that_nobody_can_add_to(rest: RestWitness, sobject: str) -> None:
    error = rest.call("POST", f"sobjects/{sobject}", {}).json[0]
    assert (error["errorCode"], error["message"]) == (
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        f"entity type cannot be inserted: {sobject}",
    )


def test_a_user_needs_a_profile_and_a_place_in_the_world(rest: RestWitness, org: LocalOrg) -> None:
    wanted = ["Username", "LastName", "Email", "Alias", "TimeZoneSidKey", "LocaleSidKey", "EmailEncodingKey"]
    error = rest.call("POST", "sobjects/User", {}).json[0]
    assert error["fields"] == [*wanted, "ProfileId", "LanguageLocaleKey"]
    (known,) = org.records("User")
    texts = {"Username": "b@example.com", "LastName": "B", "Email": "b@example.com", "Alias": "b"}
    user = rest.create("User", **{name: known[name] for name in error["fields"]} | texts)
    rest.create("Account", Name="A", OwnerId=user)
    assert rest.select("SELECT Owner.Name FROM Account") == [{"Owner": {"Name": "B"}}]


# --- deleting ---


def test_a_deleted_account_takes_its_children_and_gives_them_back(rest: RestWitness, org: LocalOrg) -> None:
    account, kept = rest.create("Account", Name="A"), rest.create("Account", Name="B")
    child = rest.create("Account", Name="Child", ParentId=account)
    contact = rest.create("Contact", LastName="C", AccountId=account)
    deal = opportunity(rest, AccountId=account)
    rest.create("Task", Subject="T", WhoId=contact)
    rest.bulk.load(f"Id\n{account}\n", operation="delete")
    names = {
        name: [each.get("Name") for each in org.records(name)] for name in ("Account", "Contact", "Opportunity", "Task")
    }
    assert names == {"Account": ["B", "Child"], "Contact": [], "Opportunity": [], "Task": []}
    assert rest.select(f"SELECT ParentId FROM Account WHERE Id = '{child}'") == [{"ParentId": None}]
    org.undelete(account)
    assert [each["Id"] for each in org.records("Contact")] == [contact]
    assert [each["Id"] for each in org.records("Opportunity")] == [deal]
    assert len(org.records("Task")) == 1
    assert rest.select(f"SELECT ParentId FROM Account WHERE Id = '{child}'") == [{"ParentId": account}]
    with pytest.raises(ValueError, match="is not in the recycle bin"):
        org.undelete(kept)


def test_an_account_with_cases_stays(rest: RestWitness, org: LocalOrg) -> None:
    account = rest.create("Account", Name="A")
    rest.create("Case", AccountId=account)
    error = rest.call("DELETE", f"sobjects/Account/{account}").json[0]
    why = "could not be completed because it is associated with the following cases.: 00000001\n"
    assert (error["errorCode"], error["message"]) == ("DELETE_FAILED", f"Your attempt to delete A {why}")
    assert len(org.records("Account")) == 1
    contact = rest.create("Contact", Salutation="Mr.", FirstName="Josh", LastName="Davis")
    rest.call("PATCH", f"sobjects/Case/{org.records('Case')[0]['Id']}", {"ContactId": contact, "AccountId": None})
    error = rest.call("DELETE", f"sobjects/Contact/{contact}").json[0]
    assert error["message"] == f"Your attempt to delete Mr. Josh Davis {why}"


def test_hard_deleted_parents_take_their_children_for_ever(rest: RestWitness, org: LocalOrg) -> None:
    account = rest.create("Account", Name="A")
    rest.create("Contact", LastName="C", AccountId=account)
    rest.bulk.load(f"Id\n{account}\n", operation="hardDelete")
    assert org.records("Contact", include_deleted=True) == []


def test_children_of_an_object_of_one_s_own(rest: RestWitness, org: LocalOrg) -> None:
    def lookup(name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "type": "reference",
            "referenceTo": ["Account"],
            "relationshipName": f"{name[:-1]}r",
            **more,
        }

    name = {"name": "Name", "type": "string", "length": 80}
    org.add_object(name="Invoice__c", fields=[name, lookup("Account__c", cascadeDelete=True)])
    org.add_object(name="Visit__c", fields=[name, lookup("Account__c")])
    org.add_object(name="Contract__c", fields=[name, lookup("Account__c", nillable=False)])
    account = rest.create("Account", Name="A")
    for each in ("Invoice__c", "Visit__c", "Contract__c"):
        rest.create(each, Name="x", Account__c=account)
    (found,) = rest.select("SELECT (SELECT Name FROM Invoices__r), (SELECT Name FROM Visits__r) FROM Account")
    assert [found[key]["totalSize"] for key in ("Invoices__r", "Visits__r")] == [1, 1]
    rest.call("DELETE", f"sobjects/Account/{account}")
    assert (org.records("Invoice__c"), org.records("Contract__c")) == ([], [])
    assert [each["Account__c"] for each in org.records("Visit__c")] == [None]


def test_an_account_may_be_a_person(rest: RestWitness, org: LocalOrg) -> None:
    org.enable_person_accounts()
    errors = rest.bulk.errors("Name,LastName,FirstName,PersonEmail\n,Doe,Jane,jane@example.com\nACME,,,\n,,,\nX,Y,,\n")
    assert sorted(error.partition(":")[0] for error in errors) == [
        *("INVALID_FIELD_FOR_INSERT_UPDATE", "REQUIRED_FIELD_MISSING")
    ]
    soql = "SELECT Id, Name, IsPersonAccount, PersonContactId, PersonContact.Email FROM Account ORDER BY Name"
    acme, jane = rest.select(soql)
    assert (acme["IsPersonAccount"], acme["PersonContactId"]) == (False, None)
    assert (jane["Name"], jane["IsPersonAccount"]) == ("Jane Doe", True)
    assert jane["PersonContact"]["Email"] == "jane@example.com"
    rest.call("PATCH", f"sobjects/Account/{jane['Id']}", {"LastName": "Roe", "PersonEmail": None})
    assert rest.select("SELECT Name FROM Account WHERE IsPersonAccount = true") == [{"Name": "Jane Roe"}]
    rest.create("Contact", LastName="Other", AccountId=acme["Id"])
    assert rest.select("SELECT Name, Email, AccountId FROM Contact WHERE IsPersonAccount = true") == [
        {"Name": "Jane Roe", "Email": None, "AccountId": jane["Id"]}
    ]
    rest.call("DELETE", f"sobjects/Account/{jane['Id']}")
    assert [each["LastName"] for each in org.records("Contact")] == ["Other"]


# --- describes of real orgs ---


@pytest.mark.parametrize(
    ("field", "filterable", "sortable", "groupable", "aggregatable"),
    [
        ("BillingStreet", *(True, True, True, True)),
        ("Description", *(False, False, False, False)),
        ("BillingAddress", *(True, False, False, False)),
        ("NumberOfEmployees", *(True, True, True, True)),
        ("AnnualRevenue", *(True, True, False, True)),
        ("CreatedDate", *(True, True, False, True)),
        ("IsDeleted", *(True, True, True, False)),
        ("OwnerId", *(True, True, True, True)),
    ],
)
def test_queries_can_do_with_a_field_what_describe_says(
    rest: RestWitness, field: str, filterable: bool, sortable: bool, groupable: bool, aggregatable: bool
) -> None:
    described = {each["name"]: each for each in rest.call("GET", "sobjects/Account/describe").json["fields"]}[field]
    claims = {"filterable": filterable, "sortable": sortable, "groupable": groupable, "aggregatable": aggregatable}
    assert {claim: described[claim] for claim in claims} == claims
    asked = {
        "sortable": f"SELECT Id FROM Account ORDER BY {field}",
        "groupable": f"SELECT {field} FROM Account GROUP BY {field}",
        "aggregatable": f"SELECT COUNT({field}) FROM Account",
    }
    if field != "BillingAddress":  # by its distance only
        asked["filterable"] = f"SELECT Id FROM Account WHERE {field} = null"
    for claim, soql in asked.items():
        assert rest.call("GET", f"query?q={quote(soql)}").status == (200 if claims[claim] else 400), soql


def test_a_described_field_that_cannot_be_filtered_is_not(rest: RestWitness, org: LocalOrg) -> None:
    told = {"name": "Secret__c", "type": "string", "length": 20, "filterable": False, "sortable": False}
    org.add_object(name="Thing__c", fields=[told])
    assert rest.refusal("SELECT Id FROM Thing__c WHERE Secret__c = 'x'")[0] == "INVALID_FIELD"
    assert rest.refusal("SELECT Id FROM Thing__c ORDER BY Secret__c")[0] == "MALFORMED_QUERY"
    assert rest.select("SELECT Secret__c FROM Thing__c GROUP BY Secret__c") == []


def test_a_describe_answer_is_given_back_unchanged(rest: RestWitness) -> None:
    answer = rest.call("GET", "sobjects/Opportunity/describe").json
    answer["recordTypeInfos"] += [{"name": "Mine", "recordTypeId": "012000000000001AAA"}]
    answer["somethingNew"] = {"of": ["a", "later", "release"]}
    answer["fields"][3]["inlineHelpText"] = "help"
    answer["feedEnabled"] = False
    with LocalOrg(schema=[answer]) as other:
        again = RestWitness(other)
        assert again.call("GET", "sobjects/Opportunity/describe").json == answer
        listed = {each["name"]: each for each in again.call("GET", "sobjects").json["sobjects"]}["Opportunity"]
        assert {key: answer[key] for key in listed} == listed
        opportunity(again, StageName="Closed Won")
        assert again.select("SELECT IsWon, Probability FROM Opportunity") == [{"IsWon": True, "Probability": 100.0}]


def test_profile_and_role_are_those_of_the_user_that_a_record_may_be(rest: RestWitness, org: LocalOrg) -> None:
    role = rest.create("UserRole", Name="CEO")
    (user,) = org.records("User")
    rest.call("PATCH", f"sobjects/User/{user['Id']}", {"UserRoleId": role})
    queue = rest.create("Group", Name="Queue", Type="Queue")
    rest.create("Case", Subject="1")
    rest.create("Case", Subject="2", OwnerId=queue)
    mine, its = rest.select("SELECT Owner.Name, Owner.Profile.Name, Owner.UserRole.Name FROM Case ORDER BY Subject")
    admin = {"Profile": {"Name": "System Administrator"}, "UserRole": {"Name": "CEO"}}
    assert mine == {"Owner": {"Name": user["Name"], **admin}}
    assert its == {"Owner": {"Name": "Queue", "Profile": None, "UserRole": None}}
    assert rest.select("SELECT Subject FROM Case WHERE Owner.UserRole.Name = 'CEO'") == [{"Subject": "1"}]
