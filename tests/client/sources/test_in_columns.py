"""Columns are mapped and checked before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.parts.columns import check_against_describe, check_columns
from airflow_provider_sfbulk.client.sources.open import Rules, from_dicts


@pytest.mark.parametrize(
    ("columns", "operation", "external_id_field", "problem"),
    [
        (["Name", "NAME"], "insert", None, "NAME occurs twice"),
        (["Name", ""], "insert", None, "column 2 has no name"),
        (["Name", " "], "insert", None, "column 2 has no name"),
        ([" Name"], "insert", None, "' Name' has spaces around it"),
        (["Na\nme"], "insert", None, "control character"),
        (["id", "Name"], "insert", None, "insert does not accept an Id"),
        (["Name"], "update", None, "update needs the column Id"),
        (["Name"], "delete", None, "delete needs exactly one column, Id"),
        (["Id", "Name"], "hardDelete", None, "hardDelete needs exactly one column, Id"),
        (["Name"], "upsert", None, "upsert needs external_id_field"),
        (["Name"], "upsert", "Key__c", "upsert by Key__c needs a column of that name"),
        ([f"C{each}" for each in range(limits.RECORD_FIELDS + 1)], "insert", None, "there are 5,001"),
    ],
)
@pytest.mark.parity("G13.10")
def test_columns_that_cannot_be_sent(
    columns: list[str], operation: str, external_id_field: str | None, problem: str
) -> None:
    with pytest.raises(SourceError, match=problem):
        check_columns(columns, operation=Operation(operation), external_id_field=external_id_field)


@pytest.mark.parametrize(
    ("columns", "operation", "external_id_field"),
    [
        (["Name"], "insert", None),
        (["ID", "Name"], "update", None),
        (["id"], "delete", None),
        (["key__C", "Name"], "upsert", "Key__c"),
        (["Name"], "upsert", "Id"),
        (["Id", "Name"], "upsert", "Id"),
    ],
)
def test_columns_that_can_be_sent(columns: list[str], operation: str, external_id_field: str | None) -> None:
    check_columns(columns, operation=Operation(operation), external_id_field=external_id_field)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SourceError, match=r"Name occurs twice.*; column 3 has no name; update needs the column Id"):
        check_columns(["Name", "Name", ""], operation=Operation.UPDATE, external_id_field=None)


def field(name: str, kind: str = "string", **facts: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "createable": True, "updateable": True} | facts


DESCRIBE = {
    "name": "Account",
    "createable": True,
    "updateable": True,
    "deletable": True,
    "fields": [
        field("Id", "id", createable=False, updateable=False, idLookup=True),
        field("Name"),
        field("Region__c"),
        field("Key__c", externalId=True),
        field("BillingAddress", "address", createable=False, updateable=False),
        field("BillingCity", compoundFieldName="BillingAddress"),
        field("Photo__c", "base64"),
        field("Score__c", "double", calculated=True, createable=False, updateable=False),
        field("Number__c", autoNumber=True, createable=False, updateable=False),
        field("CreatedDate", "datetime", createable=False, updateable=False),
        field("Once__c", updateable=False),
        field("Later__c", createable=False),
        field("OwnerId", "reference", relationshipName="Owner", referenceTo=["Group", "User"]),
        field("Parent__c", "reference", relationshipName="Parent__r", referenceTo=["Account"]),
        field("CreatedById", "reference", relationshipName="CreatedBy", referenceTo=["User"], createable=False,
              updateable=False),
    ],
}  # fmt: skip


def check(*columns: str, operation: str = "insert", key: str | None = None, **facts: Any) -> tuple[str, ...]:
    return check_against_describe(columns, DESCRIBE | facts, operation=Operation(operation), external_id_field=key)


@pytest.mark.parity("G9.11", "G9.13")
def test_columns_get_the_spelling_of_describe() -> None:
    assert check("NAME", "region__c", "parent__R.Key__c", "user:owner.Email") == (
        "Name",
        "Region__c",
        "Parent__r.Key__c",
        "User:Owner.Email",
    )
    assert check("id", operation="delete") == ("Id",)
    assert check("id", "name", operation="update") == ("Id", "Name")
    assert check("key__c", "name", operation="upsert", key="KEY__C") == ("Key__c", "Name")


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ("Nmae", r"there is no field Nmae.*\(is it Name\?\)"),
        ("Region", r"\(is it Region__c"),
        ("Quux", r"there is no field Quux, or this user cannot see it$"),
        ("BillingAddress", r"compound field \(address\): send its components \(BillingCity\)"),
        ("Photo__c", "binary data"),
        ("Score__c", "Score__c is a formula"),
        ("Number__c", "auto number"),
        ("CreatedDate", "CreatedDate is not createable"),
        ("Later__c", "Later__c is not createable"),
        ("Parent.Key__c", r"there is no relationship Parent \(is it Parent__r\?\)"),
        ("Parent__c.Key__c", r"the relationship of Parent__c is Parent__r"),
        ("Owner.Email", r"\(Group, User\): put one of them in front, such as Group:Owner.Email"),
        ("Lead:Owner.Email", r"put one of them in front"),
        ("Account:Parent__r.Key__c", "refers to only one object"),
        ("Parent__r.Owner.Email", "one relationship and one field"),
        ("Parent__r.", "one relationship and one field"),
        ("CreatedBy.Email", "CreatedBy is not createable"),
    ],
)
@pytest.mark.parity("G9.1", "G9.11", "G9.12", "G9.13")
def test_a_column_that_does_not_fit_the_object(column: str, problem: str) -> None:
    with pytest.raises(SourceError, match=f"the columns do not fit Account: .*{problem}"):
        check(column)


def test_what_may_be_written_depends_on_the_operation() -> None:
    assert check("Once__c") == ("Once__c",)
    with pytest.raises(SourceError, match="Once__c is not updateable"):
        check("Id", "Once__c", operation="update")
    assert check("Key__c", "Once__c", "Later__c", operation="upsert", key="Key__c")[1:] == ("Once__c", "Later__c")
    with pytest.raises(SourceError, match="CreatedDate is neither createable nor updateable"):
        check("Key__c", "CreatedDate", operation="upsert", key="Key__c")


def test_the_external_id_field_must_be_one() -> None:
    with pytest.raises(SourceError, match="upsert cannot match by Region__c"):
        check("Region__c", operation="upsert", key="Region__c")
    with pytest.raises(SourceError, match=r"no external id field Kee__c \(is it Key__c"):
        check("Name", operation="upsert", key="Kee__c")
    assert check("Name", "Id", operation="upsert", key="Id") == ("Name", "Id")


@pytest.mark.parametrize(
    ("operation", "flag"), [("insert", "createable"), ("update", "updateable"), ("hardDelete", "deletable")]
)
def test_an_object_that_does_not_allow_the_operation(operation: str, flag: str) -> None:
    columns = {"insert": ["Name"], "update": ["Id"], "hardDelete": ["Id"]}[operation]
    with pytest.raises(SourceError, match=f"cannot {operation} Account: the object is not {flag}"):
        check(*columns, operation=operation, **{flag: False})


def test_all_problems_of_the_columns_are_told_at_once() -> None:
    with pytest.raises(SourceError, match=r"Nmae.*; Photo__c.*; .*Score__c"):
        check("Nmae", "Photo__c", "Score__c")


def columns_of(row: dict[str, Any], **rules: Any) -> tuple[str, ...]:
    return from_dicts([row], Rules(operation=Operation.INSERT, **rules), name="rows").columns


@pytest.mark.parity("I5.4")
def test_a_mapping_renames_and_drops() -> None:
    row = {"a": 1, "b": 2, "Owner": {"Key__c": "x"}, "Parent__c": {"Key__c": "x"}, "sf__Error": "x"}
    assert columns_of(row) == ("a", "b", "Owner.Key__c", "Parent__r.Key__c")
    mapping = {"a": "Name", "b": None, "Owner": "User:Owner", "Parent__r.Key__c": "Up__r.Key__c", "sf__Error": "E__c"}
    assert columns_of(row, column_mapping=mapping) == ("Name", "User:Owner.Key__c", "Up__r.Key__c", "E__c")
    assert columns_of(row, column_mapping={"Owner": None, "Parent__c": None}) == ("a", "b")


def test_a_mapping_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SourceError, match=r"column_mapping names columns that do not exist: c\. The columns are: a, b"):
        columns_of({"a": 1, "b": 2}, column_mapping={"c": "Name"})
    with pytest.raises(SourceError, match="Name occurs twice"):
        columns_of({"a": 1, "b": 2}, column_mapping={"a": "Name", "b": "Name"})
    with pytest.raises(SourceError, match="no column is left"):
        columns_of({"a": 1}, column_mapping={"a": None})


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"operation": "merge"}, "operation must be one of insert, update"),
        ({"operation": "insert", "nulls": "drop"}, "nulls must be"),
        ({"operation": "insert", "nulls": {"Name": "drop"}}, "nulls must be"),
        ({"operation": "insert", "timezone": "Europe/Nowhere"}, "timezone: there is no zone 'Europe/Nowhere'"),
        ({"operation": "insert", "timezone": "../etc"}, "timezone"),
        ({"operation": "insert", "column_delimiter": ","}, "column_delimiter must be one of BACKQUOTE"),
        ({"operation": "insert", "line_ending": "CR"}, "line_ending must be one of LF, CRLF"),
    ],
)
def test_rules_that_do_not_exist(rules: dict[str, Any], problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        Rules(**rules)


def test_nulls_of_a_column_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="nulls names columns that the records do not have: Nmae"):
        columns_of({"Name": 1}, nulls={"Nmae": "clear"})
