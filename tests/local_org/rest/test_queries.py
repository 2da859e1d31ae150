"""``/query`` and ``/queryAll``: what SOQL of the REST API gives, and what it refuses."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V
from tests.local_org.rest.rest_witness import RestWitness


@pytest.fixture
def family(rest: RestWitness) -> str:
    """An account with three contacts, and one without any."""
    mother = rest.create("Account", Name="Mother", AnnualRevenue=1234.5, Industry="Energy", BillingCity="Ulm")
    rest.create("Account", Name="Other", AnnualRevenue=10, Industry="Energy")
    for number in range(3):
        rest.create("Contact", LastName=f"C{number}", AccountId=mother, Birthdate=f"199{number}-03-04")
    return mother


def test_a_record_has_its_attributes_first_and_then_what_was_selected(rest: RestWitness, family: str) -> None:
    body = rest.query("SELECT Name, Id, AnnualRevenue FROM Account WHERE Name = 'mother'")
    url = f"{V}/sobjects/Account/{family}"
    record = {"attributes": {"type": "Account", "url": url}, "Name": "Mother", "Id": family, "AnnualRevenue": 1234.5}
    assert body == {"totalSize": 1, "done": True, "records": [record]}
    assert list(body["records"][0]) == ["attributes", "Name", "Id", "AnnualRevenue"]


def test_parents_are_objects_and_null_where_there_is_none(rest: RestWitness, family: str) -> None:
    rest.create("Contact", LastName="Z")
    records = rest.query("SELECT LastName, Account.Name, Account.Owner.Username FROM Contact ORDER BY LastName DESC")[
        "records"
    ]
    assert records[0]["Account"] is None
    account = records[1]["Account"]
    assert account["attributes"] == {"type": "Account", "url": f"{V}/sobjects/Account/{family}"}
    assert (account["Name"], account["Owner"]["Username"]) == ("Mother", rest.org.username)


def test_children_are_a_result_of_their_own_and_null_where_there_are_none(rest: RestWitness, family: str) -> None:
    soql = (
        "SELECT Name, (SELECT LastName FROM Contacts WHERE LastName != 'C1' ORDER BY LastName DESC) FROM Account "
        "ORDER BY Name"
    )
    mother, other = rest.select(soql)
    assert mother["Contacts"] == {"totalSize": 2, "done": True, "records": [{"LastName": "C2"}, {"LastName": "C0"}]}
    assert other["Contacts"] is None
    (mother, _) = rest.select(
        "SELECT Id, (SELECT LastName FROM Contacts ORDER BY LastName LIMIT 1 OFFSET 1) FROM Account ORDER BY Name"
    )
    assert mother["Contacts"]["records"] == [{"LastName": "C1"}]


def test_aggregates_are_grouped_filtered_and_ordered(rest: RestWitness, family: str) -> None:
    found = rest.query(
        "SELECT Industry, COUNT(Id), SUM(AnnualRevenue) total, MIN(Name), MAX(Name), AVG(AnnualRevenue) FROM Account "
        "GROUP BY Industry HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) DESC"
    )["records"]
    assert found == [
        {
            "attributes": {"type": "AggregateResult"},
            **{"Industry": "Energy", "expr0": 2, "total": 1244.5, "expr1": "Mother", "expr2": "Other"},
            "expr3": 622.25,
        }
    ]
    assert rest.query("SELECT COUNT() FROM Contact") == {"totalSize": 3, "done": True, "records": []}
    assert rest.query("SELECT COUNT() FROM Contact LIMIT 2")["totalSize"] == 2
    assert rest.select("SELECT COUNT(Id), COUNT_DISTINCT(AccountId) d FROM Contact") == [{"expr0": 3, "d": 1}]
    assert rest.select("SELECT Account.Name, COUNT(Id) n FROM Contact GROUP BY Account.Name") == [
        {"Name": "Mother", "n": 3}
    ]
    assert rest.select("SELECT SUM(AnnualRevenue) FROM Account WHERE Name = 'nobody'") == [{"expr0": None}]


def test_date_functions_group_and_filter(rest: RestWitness, family: str) -> None:
    assert rest.select(
        "SELECT CALENDAR_YEAR(Birthdate) y, COUNT(Id) n FROM Contact WHERE DAY_IN_MONTH(Birthdate) = 4 "
        "GROUP BY CALENDAR_YEAR(Birthdate) ORDER BY CALENDAR_YEAR(Birthdate) DESC LIMIT 2"
    ) == [{"y": 1992, "n": 1}, {"y": 1991, "n": 1}]
    # 4 March 1990 was a Sunday, the first of the week, in the first quarter, on the 63rd day.
    functions = {
        **{"CALENDAR_MONTH": 3, "CALENDAR_QUARTER": 1, "FISCAL_YEAR": 1990, "DAY_IN_WEEK": 1, "DAY_IN_YEAR": 63},
        **{"WEEK_IN_MONTH": 1, "WEEK_IN_YEAR": 9},
    }
    for name, value in functions.items():
        found = rest.select(f"SELECT LastName FROM Contact WHERE {name}(Birthdate) = {value} AND LastName = 'C0'")
        assert found == [{"LastName": "C0"}], name
    today = rest.select("SELECT DAY_ONLY(CreatedDate) d FROM Contact GROUP BY DAY_ONLY(CreatedDate)")[0]["d"]
    assert rest.query(f"SELECT COUNT() FROM Contact WHERE DAY_ONLY(convertTimezone(CreatedDate)) = {today}") == {
        **{"totalSize": 3, "done": True, "records": []}
    }


def test_a_query_job_filters_by_date_functions_too(rest: RestWitness, family: str) -> None:
    assert rest.bulk.select("SELECT LastName FROM Contact WHERE CALENDAR_YEAR(Birthdate) = 1991") == [
        {"LastName": "C1"}
    ]


def test_offset_and_limit(rest: RestWitness, family: str) -> None:
    assert rest.select("SELECT LastName FROM Contact ORDER BY LastName LIMIT 1 OFFSET 1") == [{"LastName": "C1"}]
    assert rest.select("SELECT LastName FROM Contact ORDER BY LastName OFFSET 2") == [{"LastName": "C2"}]


def test_compound_fields_are_objects(rest: RestWitness, family: str) -> None:
    mother, other = rest.select("SELECT BillingAddress FROM Account ORDER BY Name")
    assert mother["BillingAddress"]["city"] == "Ulm"
    assert set(mother["BillingAddress"]) == {
        *("city", "country", "geocodeAccuracy", "latitude", "longitude", "postalCode", "state", "street")
    }
    assert other["BillingAddress"] is None


def test_fields_stand_for_many_with_a_limit(rest: RestWitness, family: str) -> None:
    (record,) = rest.select("SELECT FIELDS(ALL) FROM Account WHERE Name = 'Mother' LIMIT 1")
    assert {"Id", "Name", "External_Key__c", "BillingAddress"} <= set(record)
    (record,) = rest.select("SELECT FIELDS(CUSTOM), Name FROM Account WHERE Name = 'Mother' LIMIT 200")
    assert set(record) == {"External_Key__c", "Name"}
    assert "External_Key__c" not in rest.select("SELECT FIELDS(STANDARD) FROM Account")[0]
    for soql in ("SELECT FIELDS(ALL) FROM Account", "SELECT FIELDS(CUSTOM) FROM Account LIMIT 201"):
        assert rest.refusal(soql)[1] == "The SOQL FIELDS function must have a LIMIT of at most 200"
    for twice in ("Id, FIELDS(ALL)", "FIELDS(STANDARD), FIELDS(ALL)"):
        found = rest.refusal(f"SELECT {twice} FROM Account LIMIT 200")
        assert found == ("INVALID_FIELD", "duplicate field selected: Id")


def test_formats_labels_and_currencies(rest: RestWitness, family: str) -> None:
    (record,) = rest.select(
        "SELECT FORMAT(AnnualRevenue) f, toLabel(Industry), convertCurrency(AnnualRevenue) c, "
        "FORMAT(convertCurrency(AnnualRevenue)) fc FROM Account WHERE Name = 'Mother'"
    )
    assert record == {"f": "$1,234.50", "Industry": "Energy", "c": 1234.5, "fc": "$1,234.50"}
    assert rest.select("SELECT FORMAT(Birthdate) FROM Contact WHERE LastName = 'C0'") == [{"Birthdate": "3/4/1990"}]
    soql = "SELECT FORMAT(SUM(AnnualRevenue)) s, FORMAT(AVG(NumberOfEmployees)) a, FORMAT(COUNT(Id)) c FROM Account"
    rest.create("Account", Name="Third", AnnualRevenue=0.75, NumberOfEmployees=5)
    rest.create("Account", Name="Fourth", NumberOfEmployees=6)
    assert rest.select(soql) == [{"s": "$1,245.25", "a": "5.50", "c": "4"}]


def test_labels_are_those_of_the_picklist(rest: RestWitness, org: LocalOrg) -> None:
    entries = [{"value": value, "label": f"It's {value}", "active": True} for value in ("a", "b")]
    types = {"One__c": "picklist", "Many__c": "multipicklist"}
    fields = [{"name": name, "type": kind, "picklistValues": entries} for name, kind in types.items()]
    org.add_object(name="Thing__c", fields=fields)
    org.put("Thing__c", [{"One__c": "a", "Many__c": "a;b;old"}, {}])
    soql = "SELECT toLabel(One__c), toLabel(Many__c) m, Many__c FROM Thing__c"
    shown = {"One__c": "It's a", "m": "It's a;It's b;old", "Many__c": "a;b;old"}
    assert rest.select(f"{soql} WHERE toLabel(One__c) = 'it\\'s A'") == [shown]
    assert rest.bulk.select(f"{soql} WHERE toLabel(One__c) LIKE 'It%'") == [shown]
    described = {each["name"]: each for each in rest.call("GET", "sobjects/Thing__c/describe").json["fields"]}
    assert [each["label"] for each in described["One__c"]["picklistValues"]] == ["It's a", "It's b"]


def test_a_query_job_formats_and_labels_too(rest: RestWitness, family: str) -> None:
    soql = "SELECT FORMAT(AnnualRevenue) f, toLabel(Industry), convertCurrency(AnnualRevenue) FROM Account"
    (record,) = rest.bulk.select(f"{soql} WHERE Name = 'Mother'")
    assert record == {"f": "$1,234.50", "Industry": "Energy", "AnnualRevenue": "1234.5"}


def test_parents_may_have_an_alias(rest: RestWitness, family: str) -> None:
    soql = "FROM Contact c, c.Account a, a.Owner o WHERE a.Name = 'Mother' AND o.IsActive = true"
    assert rest.query(f"SELECT COUNT() {soql}")["totalSize"] == 3
    (first, *_) = rest.select(f"SELECT c.LastName, a.Name {soql} ORDER BY c.LastName")
    assert first == {"LastName": "C0", "Account": {"Name": "Mother"}}


def test_typeof_selects_by_the_object_of_a_lookup(rest: RestWitness) -> None:
    rest.create("Lead", LastName="L", Company="C")
    (record,) = rest.query("SELECT LastName, TYPEOF Owner WHEN User THEN Username, Email END FROM Lead")["records"]
    assert record["Owner"]["attributes"] == {"type": "User", "url": f"{V}/sobjects/User/{rest.org.user_id}"}
    assert record["Owner"]["Username"] == rest.org.username


def test_query_all_finds_what_is_deleted(rest: RestWitness, family: str) -> None:
    assert rest.call("DELETE", f"sobjects/Account/{family}").status == 204
    assert rest.select("SELECT Name FROM Account WHERE Name = 'Mother'") == []
    assert rest.select("SELECT Name, IsDeleted FROM Account WHERE Name = 'Mother'", "queryAll") == [
        {"Name": "Mother", "IsDeleted": True}
    ]


def test_further_pages_are_those_of_the_moment_of_the_query(rest: RestWitness, org: LocalOrg) -> None:
    rest.bulk.load("Name\n" + "".join(f"Stand {n:04}\n" for n in range(450)))
    soql = "SELECT Name, (SELECT Id FROM Contacts) FROM Account ORDER BY Name"
    first = rest.query(soql, sforce_query_options="batchSize=200")
    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    rest.bulk.load("Name\nStand 0000a\n")
    second = rest.call("GET", first["nextRecordsUrl"], sforce_query_options="batchSize=200").json
    third = rest.call("GET", second["nextRecordsUrl"]).json
    assert (third["done"], "nextRecordsUrl" in third) == (True, False)
    names = [record["Name"] for page in (first, second, third) for record in page["records"]]
    assert names == [f"Stand {n:04}" for n in range(450)]
    again = rest.call("GET", first["nextRecordsUrl"], sforce_query_options="batchSize=200").json
    assert again == second


def test_a_page_has_2000_records_unless_the_org_is_told_otherwise(rest: RestWitness, org: LocalOrg) -> None:
    rest.bulk.load("Name\n" + "".join(f"S{n}\n" for n in range(2001)))
    assert len(rest.query("SELECT Id FROM Account")["records"]) == 2000
    org.core.query_records = 3
    assert len(rest.query("SELECT Id FROM Account")["records"]) == 3


def test_locators_that_are_none_are_refused(rest: RestWitness) -> None:
    answer = rest.call("GET", "query/01gLO0000000009YAA-2000")
    assert answer.error == (400, "INVALID_QUERY_LOCATOR", "invalid query locator")


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("", "MALFORMED_QUERY", "A query string has to be specified"),
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'."),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported."),
        ("SELECT Id, (SELECT Id FROM Nopes) FROM Account", "INVALID_TYPE", "Didn't understand relationship 'Nopes'"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT Name FROM Account GROUP BY Industry", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT Industry FROM Account GROUP BY Industry ORDER BY Name", "MALFORMED_QUERY", "Ordered field must be"),
        ("SELECT SUM(Name) FROM Account", "MALFORMED_QUERY", "field Name does not support aggregate operator SUM"),
        ("SELECT Id FROM Account HAVING COUNT(Id) > 1", "MALFORMED_QUERY", "having clause requires a GROUP BY"),
        ("SELECT COUNT(), Name FROM Account", "MALFORMED_QUERY", "COUNT() can only be selected by itself"),
        ("SELECT CALENDAR_YEAR(CreatedDate) FROM Account", "MALFORMED_QUERY", "CALENDAR_YEAR() can only be selected"),
        ("SELECT Id FROM Account WHERE CALENDAR_YEAR(Name) = 1", "INVALID_FIELD", "CALENDAR_YEAR() does not work on"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed in this context"),
        ("SELECT Id, Id FROM Account", "MALFORMED_QUERY", "duplicate field selected: Id"),
        ("SELECT Id FROM Account ORDER BY COUNT(Id)", "MALFORMED_QUERY", "aggregate functions stand in SELECT"),
        ("SELECT Id FROM Account WHERE COUNT(Id) > 1", "MALFORMED_QUERY", "aggregate functions stand in SELECT"),
        (
            "SELECT MAX(FORMAT(Name)) FROM Account",
            "MALFORMED_QUERY",
            "field Name does not support aggregate operator MAX",
        ),
        ("SELECT Id i FROM Account", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
        ("SELECT COUNT(Id) a, MAX(Name) a FROM Account", "MALFORMED_QUERY", "duplicate alias: a"),
        ("SELECT TYPEOF Owner WHEN User THEN Id END FROM Account", "INVALID_FIELD", "TYPEOF needs a polymorphic"),
        ("SELECT convertCurrency(Name) FROM Account", "MALFORMED_QUERY", "convertCurrency() does not work on"),
        ("SELECT Name FROM Account GROUP BY ROLLUP(Name)", "MALFORMED_QUERY", "GROUP BY ROLLUP() is not supported"),
    ],
)
def test_what_the_rest_api_refuses(rest: RestWitness, soql: str, code: str, message: str) -> None:
    found = rest.refusal(soql)
    assert found[0] == code
    assert found[1].startswith(message)


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", "search?q=FIND+%7Bx%7D", "SOSL"),
        ("POST", "parameterizedSearch", "SOSL"),
        ("POST", "sobjects/User/005000000000001/password", "passwords"),
        ("GET", "chatter/feeds/news/me/feed-elements", "Chatter"),
        ("GET", "tooling/query?q=SELECT+Id+FROM+ApexClass", "Tooling"),
        ("GET", "analytics/reports/00O000000000001", "reports"),
        ("GET", "sobjects/Account/describe/layouts", "layouts"),
        ("GET", "sobjects/Account/listviews", "list views"),
        ("GET", "recent?limit=2", "what people have looked at"),
        ("GET", "tabs", "how their pages look"),
        ("POST", "graphql", "GraphQL"),
        ("POST", "composite/graph", "composite graphs"),
        ("GET", "sobjects/Attachment/00P000000000001/Body", "files"),
        ("GET", "/services/apexrest/anything", "Apex REST"),
    ],
)
def test_what_is_not_simulated_is_refused_by_name(rest: RestWitness, method: str, path: str, named: str) -> None:
    status, code, message = rest.call(method, path).error
    assert (status, code) == (404, "FUNCTIONALITY_NOT_ENABLED")
    assert message.startswith("The local org does not simulate ")
    assert named in message
