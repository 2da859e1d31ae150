"""The select list, parents, order, and what is shown of the recycle bin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.soql import CompiledQuery, compile_query

Rows = list[tuple[object, ...]]
Add = Callable[..., None]
Query = Callable[..., Rows]

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
A1, A2, A3 = "001000000000001AAA", "001000000000002AAA", "001000000000003AAA"
C1, L1, G1 = "003000000000001AAA", "00Q000000000001EAA", "00G000000000001EAA"
U1, U2 = "005000000000001AAA", "005000000000002AAA"


def compiled(schema: Schema, soql: str) -> CompiledQuery:
    return compile_query(soql, schema, now=NOW)


@pytest.mark.parametrize(
    ("soql", "paths"),
    [
        ("SELECT Id FROM Account", ["Id"]),
        ("select NAME, id from ACCOUNT", ["Name", "Id"]),
        ("SELECT a.Id, A.name, Parent.Id FROM Account a", ["Id", "Name", "Parent.Id"]),
        ("SELECT a.Id FROM Account AS a", ["Id"]),
        ("SELECT Name, Name.Id FROM Account Name", ["Name", "Id"]),
        ("SELECT Account.Id, account.owner.name FROM Account", ["Id", "Owner.Name"]),
        ("SELECT Account.Owner.Manager.Name FROM Contact", ["Account.Owner.Manager.Name"]),
        ("SELECT toLabel(Rating), TOLABEL(Parent.Rating) FROM Account", ["Rating", "Parent.Rating"]),
        ("SELECT toLabel(Rating) r, Rating, FORMAT(CreatedDate) d FROM Account", ["r", "Rating", "d"]),
        ("SELECT convertCurrency(AnnualRevenue), FORMAT(Parent.Name) FROM Account", ["AnnualRevenue", "Parent.Name"]),
        (
            "SELECT c.Id, a.Name, o.Name FROM Contact c, c.Account a, a.Owner o",
            ["Id", "Account.Name", "Account.Owner.Name"],
        ),
        ("SELECT Who.Name, who.type, Who.Id, Who.Email FROM Task", ["Who.Name", "Who.Type", "Who.Id", "Who.Email"]),
        ("SELECT Id FROM Order ORDER BY Order.Name", ["Id"]),
        ("SELECT Group.Name FROM Group", ["Name"]),
        ("\n SELECT\tId\r\nFROM Account  ", ["Id"]),
    ],
)
def test_columns_are_named_by_their_path_in_the_schemas_spelling(schema: Schema, soql: str, paths: list[str]) -> None:
    assert [column.path for column in compiled(schema, soql).columns] == paths


def test_a_column_carries_the_field_that_its_path_ends_in(schema: Schema) -> None:
    field = compiled(schema, "SELECT Parent.AnnualRevenue FROM Account").columns[0].field
    assert (field.name, field.type) == ("AnnualRevenue", "currency")


def test_fields_standard_selects_what_a_bulk_query_can_return(schema: Schema) -> None:
    paths = [column.path for column in compiled(schema, "SELECT FIELDS(STANDARD) FROM Account").columns]
    assert paths == [
        *(
            "Id",
            "IsDeleted",
            "Name",
            "ParentId",
            "OwnerId",
            "AnnualRevenue",
            "NumberOfEmployees",
            "Rating",
            "Description",
        ),
        *("BillingCity", "CreatedDate"),
    ]


def test_the_query_tells_its_object_and_what_switches_chunking_off(schema: Schema) -> None:
    plain = compiled(schema, "SELECT Id FROM account")
    assert (plain.sobject.name, plain.has_limit, plain.has_order_by) == ("Account", False, False)
    limited = compiled(schema, "SELECT Id FROM Account LIMIT 1")
    assert (limited.has_limit, limited.has_order_by) == (True, False)
    ordered = compiled(schema, "SELECT Id FROM Account ORDER BY Id")
    assert (ordered.has_limit, ordered.has_order_by) == (False, True)


def test_a_parents_field_is_null_without_a_parent(add: Add, query: Query) -> None:
    add("User", Id=U1, Name="Una", ManagerId=U2)
    add("User", Id=U2, Name="Duo")
    add("Account", Id=A1, IsDeleted=0, Name="One", OwnerId=U1)
    add("Account", Id=A2, IsDeleted=0, Name="Two", ParentId=A1)
    rows = query("SELECT Name, Owner.Manager.Name, Parent.Name, Parent.Owner.Name FROM Account ORDER BY Id")
    assert rows == [("One", "Duo", None, None), ("Two", None, "One", "Una")]
    assert query("SELECT Name FROM Account WHERE Parent.Name = null") == [("One",)]
    assert query("SELECT Name FROM Account WHERE Owner.Manager.Name != 'duo'") == [("Two",)]
    assert query("SELECT Name FROM Account WHERE Parent.Owner.Name = 'UNA' OR Owner.Name = null") == [("Two",)]


def test_a_path_named_often_is_joined_once(schema: Schema) -> None:
    soql = "SELECT Owner.Name, Owner.Email, Owner.Manager.Name FROM Account WHERE owner.Name = 'x' ORDER BY Owner.Email"
    assert compiled(schema, soql).sql.count("JOIN") == 2


def test_paths_go_five_levels_up(add: Add, query: Query) -> None:
    ids = [f"003000000000{number:03d}AAA" for number in range(1, 7)]
    for number, contact in enumerate(ids):
        add("Contact", Id=contact, IsDeleted=0, LastName=str(number), ReportsToId=ids[number - 1] if number else None)
    path = "ReportsTo." * 5 + "LastName"
    assert query(f"SELECT {path} FROM Contact WHERE LastName = '5'") == [("0",)]


def test_a_polymorphic_lookup_reads_whichever_object_the_id_is_of(add: Add, query: Query) -> None:
    add("Contact", Id=C1, IsDeleted=0, Name="Con Tact", Email="c@example.com")
    add("Lead", Id=L1, IsDeleted=0, Name="Lea D.")
    for number, who in enumerate([C1, L1, None]):
        add("Task", Id=f"00T00000000000{number}AAA", IsDeleted=0, Subject=str(number), WhoId=who)
    rows = query("SELECT Subject, Who.Name, Who.Email, Who.Type, Who.Id FROM Task ORDER BY Subject")
    assert rows == [
        ("0", "Con Tact", "c@example.com", "Contact", C1),
        ("1", "Lea D.", None, "Lead", L1),
        ("2", None, None, None, None),
    ]
    assert query("SELECT Subject FROM Task WHERE Who.Type = 'lead'") == [("1",)]
    assert query("SELECT Subject FROM Task WHERE Who.Type IN ('Contact', 'Account') OR Who.Name = null") == [
        ("0",),
        ("2",),
    ]
    assert query("SELECT Subject FROM Task WHERE What.Type = null AND What.Name = null ORDER BY Who.Name DESC") == [
        *(("2",), ("1",), ("0",)),
    ]


def test_deleted_records_show_only_when_asked_for(add: Add, query: Query) -> None:
    add("Account", Id=A1, IsDeleted=1, Name="Gone")
    add("Account", Id=A2, IsDeleted=0, Name="Here", ParentId=A1)
    assert query("SELECT Name, Parent.Name FROM Account") == [("Here", None)]
    rows = query("SELECT Name, Parent.Name FROM Account ORDER BY Id", include_deleted=True)
    assert rows == [("Gone", None), ("Here", "Gone")]
    assert query("SELECT Name FROM Account WHERE IsDeleted = TRUE", include_deleted=True) == [("Gone",)]
    assert query("SELECT Name FROM Account WHERE IsDeleted = TRUE") == []


def test_deleted_records_stay_hidden_beside_an_or(add: Add, query: Query) -> None:
    add("Account", Id=A1, IsDeleted=1, Name="Gone")
    assert query("SELECT Id FROM Account WHERE Name = 'Gone' OR Name != 'Gone'") == []


def test_a_deleted_record_behind_a_polymorphic_lookup_is_hidden(add: Add, query: Query) -> None:
    add("Contact", Id=C1, IsDeleted=1, Name="Gone")
    add("Task", Id="00T000000000001AAA", IsDeleted=0, WhoId=C1)
    assert query("SELECT Who.Name, Who.Type FROM Task") == [(None, None)]
    assert query("SELECT Who.Name, Who.Type FROM Task", include_deleted=True) == [("Gone", "Contact")]


def test_an_object_without_a_recycle_bin_can_be_queried(add: Add, query: Query) -> None:
    add("Group", Id=G1, Name="Queue")
    add("Lead", Id=L1, IsDeleted=0, OwnerId=G1)
    assert query("SELECT Name FROM Group") == [("Queue",)]
    assert query("SELECT Owner.Name, Owner.Type FROM Lead") == [("Queue", "Group")]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("Name", [None, "a", "B", "c_", "Ä"]),
        ("Name ASC", [None, "a", "B", "c_", "Ä"]),
        ("Name DESC", [None, "Ä", "c_", "B", "a"]),
        ("Name NULLS FIRST", [None, "a", "B", "c_", "Ä"]),
        ("name asc nulls last", ["a", "B", "c_", "Ä", None]),
        ("Name DESC NULLS LAST", ["Ä", "c_", "B", "a", None]),
        ("AnnualRevenue DESC NULLS LAST, Name", [None, "B", "a", "c_", "Ä"]),
        ("Rating, Name DESC", ["c_", "Ä", "a", None, "B"]),  # null, then Hot in any case, Warm, Cold
        ("Rating DESC NULLS LAST, Name", ["B", None, "a", "Ä", "c_"]),
        ("Parent.Name NULLS LAST, Id DESC", ["B", "Ä", "c_", None, "a"]),
        ("ParentId NULLS LAST, Id DESC", ["Ä", "c_", None, "a", "B"]),  # not supported on references
        ("Active__c DESC, Id", ["c_", "a", "B", None, "Ä"]),
    ],
)
def test_records_come_in_order_nulls_first_unless_said(add: Add, query: Query, order: str, expected: list[str]) -> None:
    records = [
        ("a", 1.0, "Hot", 0, None),
        ("B", 5.0, "Cold", 0, "001000000000000AAA"),
        (None, 5.0, "Warm", 0, None),
        ("c_", None, None, 1, None),
        ("Ä", None, "hot", 0, None),
    ]
    add("Account", Id="001000000000000AAA", IsDeleted=1, Name="P")
    for number, (name, revenue, rating, active, parent) in enumerate(records, 1):
        add(
            "Account", Id=f"00100000000000{number}AAA", IsDeleted=0, Name=name, AnnualRevenue=revenue, Rating=rating,
            Active__c=active, ParentId=parent,
        )  # fmt: skip
    rows = query(f"SELECT Name FROM Account WHERE IsDeleted = FALSE ORDER BY {order}", include_deleted=True)
    assert [row[0] for row in rows] == expected


def test_a_case_sensitive_field_sorts_with_its_case(add: Add, query: Query) -> None:
    for name in ("a", "B", "b", "A"):
        add("Account", IsDeleted=0, Exact__c=name)
    rows = query("SELECT Exact__c FROM Account ORDER BY Exact__c")
    assert [row[0] for row in rows] == ["A", "B", "a", "b"]


def test_limit_cuts_and_zero_is_a_limit(add: Add, query: Query) -> None:
    for number in range(1, 4):
        add("Account", Id=f"00100000000000{number}AAA", IsDeleted=0)
    assert query("SELECT Id FROM Account ORDER BY Id DESC LIMIT 2") == [(A3,), (A2,)]
    assert query("SELECT Id FROM Account LIMIT 0") == []
    assert len(query("SELECT Id FROM Account LIMIT 2147483647")) == 3


def test_scope_mine_is_what_the_user_owns(add: Add, query: Query) -> None:
    add("Account", Id=A1, IsDeleted=0, OwnerId=U1)
    add("Account", Id=A2, IsDeleted=0, OwnerId=U2)
    assert query("SELECT Id FROM Account USING SCOPE Mine WHERE Name = null", user_id=U2) == [(A2,)]
    assert query("SELECT Id FROM Account USING SCOPE mine") == []
    assert len(query("SELECT Id FROM Account USING SCOPE everything", user_id=U2)) == 2


def test_a_semi_join_finds_parents_of_matching_children(add: Add, query: Query) -> None:
    add("Account", Id=A1, IsDeleted=0, Name="One")
    add("Account", Id=A2, IsDeleted=0, Name="Two")
    add("Account", Id=A3, IsDeleted=0, Name="Three")
    add("Contact", Id=C1, IsDeleted=0, LastName="Brown", AccountId=A1)
    add("Contact", Id="003000000000002AAA", IsDeleted=0, LastName="Green", AccountId=A2)
    add("Contact", Id="003000000000003AAA", IsDeleted=1, LastName="Brown", AccountId=A3)
    add("Contact", Id="003000000000004AAA", IsDeleted=0, LastName="Nobody")
    brown = "(SELECT AccountId FROM Contact WHERE LastName LIKE 'brown%')"
    assert query(f"SELECT Name FROM Account WHERE Id IN {brown}") == [("One",)]
    assert query(f"SELECT Name FROM Account WHERE Id NOT IN {brown} ORDER BY Id") == [("Two",), ("Three",)]
    assert query(f"SELECT Name FROM Account WHERE Id IN {brown} ORDER BY Id", include_deleted=True) == [
        ("One",),
        ("Three",),
    ]
    # A null among the children excludes nobody.
    assert query("SELECT Name FROM Account WHERE Id NOT IN (SELECT AccountId FROM Contact)") == [("Three",)]
    both = f"Id IN (SELECT AccountId FROM Contact c WHERE c.Account.Name = 'one') AND (Name != 'x' AND Id IN {brown})"
    assert query(f"SELECT Name FROM Account WHERE {both} AND Name LIKE 'o%'") == [("One",)]


def test_a_semi_join_on_a_reference_finds_children_of_matching_parents(add: Add, query: Query) -> None:
    add("Account", Id=A1, IsDeleted=0, Name="One")
    add("Contact", Id=C1, IsDeleted=0, LastName="Brown", AccountId=A1)
    add("Contact", Id="003000000000002AAA", IsDeleted=0, LastName="Alone")
    add("Task", Id="00T000000000001AAA", IsDeleted=0, Subject="Call", WhoId=C1)
    inner = "(SELECT Id FROM Account WHERE Name = 'ONE')"
    assert query(f"SELECT LastName FROM Contact WHERE AccountId IN {inner}") == [("Brown",)]
    assert query(f"SELECT LastName FROM Contact WHERE AccountId NOT IN {inner}") == [("Alone",)]
    assert query("SELECT Subject FROM Task WHERE WhoId IN (SELECT Id FROM Contact)") == [("Call",)]
