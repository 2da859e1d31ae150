"""Which fields a whole object is read by."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.extract.whole_object import choose_fields, select_statement

PLACE: dict[str, Any] = {
    "name": "Place__c",
    "queryable": True,
    "fields": [
        {"name": "Id", "type": "id"},
        {"name": "OwnerId", "type": "reference", "relationshipName": "Owner"},
        {"name": "Name", "type": "string", "compoundFieldName": "Name"},
        {"name": "Spot__c", "type": "location"},
        {"name": "Spot__Latitude__s", "type": "double", "compoundFieldName": "Spot__c"},
        {"name": "Spot__Longitude__s", "type": "double", "compoundFieldName": "Spot__c"},
        {"name": "Street__c", "type": "address"},
        {"name": "Body", "type": "base64"},
        {"name": "Meta", "type": "complexvalue"},
        {"name": "WhoIds", "type": "JunctionIdList"},
    ],
}


def test_all_are_those_that_a_bulk_query_can_select_and_the_others_are_named() -> None:
    found = choose_fields(PLACE, ["all", "Owner.Profile.Name"], [])
    assert found.sobject == "Place__c"
    assert found.names == (
        "Id",
        "OwnerId",
        "Name",
        "Spot__Latitude__s",
        "Spot__Longitude__s",
        "Owner.Profile.Name",
    )
    assert found.left_out == {
        "Spot__c": "compound",
        "Street__c": "compound",
        "Body": "base64",
        "Meta": "unsupported",
        "WhoIds": "unsupported",
    }


def test_an_object_without_deletions_is_refused_when_they_are_wanted() -> None:
    with pytest.raises(SourceError, match="Place__c has no field IsDeleted"):
        choose_fields(PLACE, ["all", "Id", "IsDeleted"], [])


def test_what_is_excluded_is_neither_read_nor_named() -> None:
    found = choose_fields(PLACE, ["all"], ["body", "NAME", "Meta", "Spot__Latitude__s", "Spot__Longitude__s"])
    assert found.names == ("Id", "OwnerId")
    assert set(found.left_out) == {"Spot__c", "Street__c", "WhoIds"}


def test_names_are_found_in_any_case_and_read_once() -> None:
    found = choose_fields(PLACE, ["name", "all", "OWNERID", "owner.Name", "Owner.Name"], ["Spot__Latitude__s"])
    assert found.names == ("Name", "Id", "OwnerId", "Spot__Longitude__s", "Owner.Name")


@pytest.mark.parametrize(
    ("fields", "exclude", "told"),
    [
        (["Nam"], [], "fields: Place__c has no field Nam, .*did you mean 'Name'"),
        (["all"], ["Bdoy"], "exclude: Place__c has no field Bdoy, .*did you mean 'Body'"),
        (["Spot__c"], [], "Spot__c of Place__c is compound.*Spot__Latitude__s, Spot__Longitude__s"),
        (["Body"], [], "Body of Place__c is base64, and no bulk query can select it$"),
        (["Ownr.Name"], [], "no relationship Ownr.*did you mean 'Owner'"),
        (["all"], [each["name"] for each in PLACE["fields"]], "leaves no field"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(fields: list[str], exclude: list[str], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        choose_fields(PLACE, fields, exclude)


def test_an_object_that_no_query_reads_is_named() -> None:
    with pytest.raises(SourceError, match="Place__c cannot be queried"):
        choose_fields({**PLACE, "queryable": False}, ["all"], [])


def test_a_query_is_as_long_as_soql_may_be_and_no_longer() -> None:
    start = len(select_statement("Account", [""]))
    longest = "x" * (limits.SOQL_CHARACTERS - start)
    assert len(select_statement("Account", [longest])) == limits.SOQL_CHARACTERS
    with pytest.raises(SourceError, match=r"100,001 characters.*exclude"):
        select_statement("Account", [longest + "x"])
